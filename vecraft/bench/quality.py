"""Recall, latency, ingest and build time of a real server on real embeddings, over REST."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from msgspec import Struct

from vecraft.bench.data import EmbeddingSet, load_folder, nearest_by_dot, recall
from vecraft.bench.filtered import cases
from vecraft.bench.report import Bar, Measurement, Report
from vecraft.bench.server import Client, Server, wait_green

RECALL_MIN = 0.98

_COLLECTION = "bench"
_BATCH = 500
_K = 10
_INDEXING_THRESHOLD_BYTES = 10_000 * 1024  # the default; below it a collection stays without a graph
_GREEN_TIMEOUT_S = 1800.0
_WARM_UP = 50


class RecallPlan(Struct, frozen=True):
    """``data``: a folder, or None for the bundled cut."""

    data: Path | None
    queries: int
    folder: Path


class _Answers(Struct, frozen=True):
    ids: list[list[int]]
    seconds: npt.NDArray[np.float64]


def measure(plan: RecallPlan) -> Report:
    embeddings = load_folder(plan.data, queries_max=plan.queries)
    with Server(plan.folder) as server:
        server.start()
        client = server.client()
        ingest_s = _ingest(client, embeddings)
        indexed = len(embeddings.base) if embeddings.base.nbytes > _INDEXING_THRESHOLD_BYTES else 0
        # A tail below the threshold may rightly stay without a graph.
        build_s = wait_green(client, _COLLECTION, indexed_at_least=indexed // 2, timeout_s=_GREEN_TIMEOUT_S)
        info = client.call("GET", f"/collections/{_COLLECTION}")
        _search(client, embeddings.queries[:_WARM_UP])
        default = _search(client, embeddings.queries)
        exact = _search(client, embeddings.queries, exact=True)
        filtered = _measure_filtered(client, embeddings)
        server.terminate()
    truth = nearest_by_dot(embeddings.base, embeddings.queries, _K)
    facts: dict[str, str | int | float] = {
        "data": embeddings.name,
        "queries": len(embeddings.queries),
        "segments": info["segments_count"],
        "vectors in graphs": info["indexed_vectors_count"] or "none: too small for one, searches are exact",
    }
    return Report(
        "recall: default settings over REST",
        facts,
        [
            Measurement("ingest", len(embeddings.base) / ingest_s, "points/s"),
            Measurement("ingest time", ingest_s, "s"),
            Measurement("then until green", build_s, "s"),
            *_search_measurements(default, exact, truth),
            *filtered,
        ],
    )


def _search_measurements(
    default: _Answers, exact: _Answers, truth: npt.NDArray[np.int64]
) -> list[Measurement]:
    bar = Bar("least", RECALL_MIN)
    return [
        Measurement("recall@10 against numpy", recall(default.ids, truth), "", bar),
        Measurement("recall@10 against exact", recall(default.ids, np.array(exact.ids)), "", bar),
        # Float rounding may swap neighbours whose scores are equal to seven digits.
        Measurement("exact against numpy", recall(exact.ids, truth), "", Bar("least", 0.999)),
        Measurement("latency p50", _percentile_ms(default, 50), "ms"),
        Measurement("latency p99", _percentile_ms(default, 99), "ms"),
        Measurement("exact latency p50", _percentile_ms(exact, 50), "ms"),
    ]


def _measure_filtered(client: Client, embeddings: EmbeddingSet) -> list[Measurement]:
    measurements = []
    for case in cases(embeddings.payloads, matches_min=_K):
        if case.schema is not None:
            body = {"field_name": case.field, "field_schema": case.schema}
            client.call("PUT", f"/collections/{_COLLECTION}/index?wait=true", body)
        _search(client, embeddings.queries[:_WARM_UP], filter=case.filter)
        answers = _search(client, embeddings.queries, filter=case.filter)
        truth = case.rows[nearest_by_dot(embeddings.base[case.rows], embeddings.queries, _K)]
        share = len(case.rows) / len(embeddings.base)
        name = f"{case.name} ({share:.1%})"
        measurements += [
            Measurement(f"recall@10, {name}", recall(answers.ids, truth), "", Bar("least", RECALL_MIN)),
            Measurement(f"latency p50, {name}", _percentile_ms(answers, 50), "ms"),
        ]
    return measurements


def _percentile_ms(answers: _Answers, share: float) -> float:
    return float(np.percentile(answers.seconds, share)) * 1000


def _ingest(client: Client, embeddings: EmbeddingSet) -> float:
    """Create the collection and upsert everything, ids from 0; returns seconds until the last answer."""
    vectors = {"size": embeddings.base.shape[1], "distance": "Cosine"}
    client.call("PUT", f"/collections/{_COLLECTION}", {"vectors": vectors})
    started = time.perf_counter()
    for start in range(0, len(embeddings.base), _BATCH):
        rows = embeddings.base[start : start + _BATCH]
        body = upsert_body(start, rows, embeddings.payloads[start : start + _BATCH])
        client.send("PUT", f"/collections/{_COLLECTION}/points?wait=true", body)
    return time.perf_counter() - started


def upsert_body(first_id: int, rows: npt.NDArray[np.float32], payloads: list[bytes] | None = None) -> bytes:
    """The JSON of an upsert in columns; ids count up from ``first_id``."""
    batch: dict[str, object] = {"ids": list(range(first_id, first_id + len(rows))), "vectors": rows}
    if payloads is not None:
        batch["payloads"] = [orjson.Fragment(payload) for payload in payloads]
    return orjson.dumps({"batch": batch}, option=orjson.OPT_SERIALIZE_NUMPY)


def _search(
    client: Client,
    queries: npt.NDArray[np.float32],
    *,
    exact: bool = False,
    filter: dict[str, Any] | None = None,
) -> _Answers:
    ids: list[list[int]] = []
    seconds = np.empty(len(queries))
    for i, query in enumerate(queries):
        body = {"query": query, "limit": _K, "params": {"exact": exact}, "filter": filter}
        started = time.perf_counter()
        result = client.call("POST", f"/collections/{_COLLECTION}/points/query", body)
        seconds[i] = time.perf_counter() - started
        ids.append([point["id"] for point in result["points"]])
    return _Answers(ids, seconds)
