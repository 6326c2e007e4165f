"""What the pages show: synsets of WordNet with their embeddings, and names and payloads that mean harm."""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np

from tests.live import ROOT

WORDNET = ROOT / "examples/wordnet"
SYNSETS = "wordnet"
SIZE = 384

# Each sets `harmed` if it is ever read as HTML.
HARM = '<img src=x onerror="window.harmed=1">'
HOSTILE_NAME = "quote'd & name #1; %2F onload=harmed()"
HOSTILE_PAYLOAD = {
    HARM: HARM,
    "script": "</script><script>window.harmed=1</script>",
    "link": "javascript:window.harmed=1",
    "nested": {"list": [HARM, {"__proto__": {"harmed": 1}}]},
    "exact": 1.0,
}
LARGE_ID = 2**64 - 3


def call(url: str, method: str, path: str, body: Any = None) -> Any:
    """The result of a request that must succeed."""
    answer = httpx.request(method, f"{url}{path}", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def load_wordnet(url: str, *, points: int, indexing_threshold_kb: int = 10_000, **config: Any) -> None:
    """``points`` of the synsets, with indexes on the fields that pages filter and colour by."""
    name = SYNSETS
    config["vectors"] = {"size": SIZE, "distance": "Cosine"}
    config["optimizers_config"] = {"indexing_threshold": indexing_threshold_kb}
    call(url, "PUT", f"/collections/{name}", config)
    for field, kind in (("category", "keyword"), ("pos", "keyword"), ("relations", "integer")):
        body = {"field_name": field, "field_schema": kind}
        call(url, "PUT", f"/collections/{name}/index?wait=true", body)
    with gzip.open(WORDNET / "wordnet.base.jsonl.gz", "rt") as lines:
        payloads = [json.loads(line) for line in lines]
    vectors = np.load(WORDNET / "wordnet.base.i8.npy", mmap_mode="r")
    chosen = range(0, len(payloads), len(payloads) // points)[:points]  # of all categories
    batch = [
        {"id": place, "vector": vectors[row].astype("float32").tolist(), "payload": payloads[row]}
        for place, row in enumerate(chosen)
    ]
    for start in range(0, points, 500):
        call(url, "PUT", f"/collections/{name}/points?wait=true", {"points": batch[start : start + 500]})


def load_hostile(url: str) -> None:
    """A collection whose name and payload try to be more than text, with an id that no double holds."""
    path = f"/collections/{quote(HOSTILE_NAME, safe='')}"
    call(url, "PUT", path, {"vectors": {"size": 2, "distance": "Dot"}})
    points = [{"id": LARGE_ID, "vector": [1, 0.5], "payload": HOSTILE_PAYLOAD}]
    call(url, "PUT", f"{path}/points?wait=true", {"points": points})
