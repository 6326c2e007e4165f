"""``make demo``: start a node, load real embeddings, search them, and leave the node running.

With ``--url`` (``make demo CLUSTER=1``) a node that runs already is used instead; if it is of a cluster, the
points are divided into shards, each on two nodes. May be run again: a node that runs is used as it is,
points have fixed ids. Works without a terminal. The bundled data and its licence are in ``examples/wordnet``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from qdrant_client import QdrantClient, models
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "examples/wordnet"
HOME = ROOT / ".demo"
COLLECTION = "wordnet"
PREFERRED_PORT = 6333
START_S_MAX = 30.0
INDEX_S_MAX = 120.0
BATCH = 256
INDEXING_THRESHOLD_KB = 1000  # far below the default, so that this small set gets a graph
SHARDS, REPLICAS = 6, 2  # in a cluster
COLUMNS = ("score", "lemma", "category", "gloss")
INDEXES = {
    "pos": models.PayloadSchemaType.KEYWORD,
    "category": models.PayloadSchemaType.KEYWORD,
    "relations": models.PayloadSchemaType.INTEGER,
}

Vectors = npt.NDArray[np.float32]
Json = dict[str, Any]


class Question(Struct, frozen=True):
    """A search to show: the query is a synset that is not in the base."""

    lemma: str
    title: str
    filter: models.Filter | None = None


def _is(key: str, value: str) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


QUESTIONS = (
    Question("apricot", "What is like an apricot?"),
    Question(
        "tawny owl",
        "What is like a tawny owl, among animals",
        models.Filter(must=[_is("category", "noun.animal")]),
    ),
    Question(
        "trade wind",
        "What is like a trade wind, among nouns with three relations or more",
        models.Filter(
            must=[_is("pos", "noun"), models.FieldCondition(key="relations", range=models.Range(gte=3))]
        ),
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    flags = argparse.ArgumentParser(prog="vecraft.demo", description="Load real embeddings and search them")
    flags.add_argument("--url", type=lambda text: text.rstrip("/"), help="of a node that runs already")
    options = flags.parse_args(argv)
    console = Console()
    if not DATA.is_dir():
        console.print(f"[red]The demo's data is missing: {DATA}[/]")
        return 1
    node = _own_node(console) if options.url is None else _other_node(options.url, console)
    client = QdrantClient(url=node.url, api_key=os.environ.get("VECRAFT_API_KEY"), timeout=60)
    prepare(client, sharded=is_clustered(client, console))
    load(client, console)
    wait_until_indexed(client, console)
    as_exact = [ask(client, console, question) for question in QUESTIONS]
    as_exact.append(compare_all(client, console))
    print(next_steps(node))  # not wrapped, so that it can be pasted
    return 0 if all(as_exact) else 1


# --- the node -----------------------------------------------------------------------------------------


class Place(Struct, frozen=True):
    """Where the demo happens; ``ending``: how it is ended."""

    url: str
    ending: str


class Node(Struct, frozen=True):
    """One of the demo's own."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def _own_node(console: Console) -> Place:
    node = running_node() or start_node(console)
    console.print(f"Node [bold]{node.url}[/] (process {node.pid}, storage in {HOME / 'storage'})\n")
    stop = f"kill {node.pid}      (its data stays in {HOME / 'storage'})"
    return Place(node.url, f"The node is left running. Stop it with:  {stop}")


def _other_node(url: str, console: Console) -> Place:
    if not _answers(url):
        raise SystemExit(
            f"Nothing that speaks Qdrant's API answers at {url}; `make cluster` starts a cluster"
        )
    console.print(f"Node [bold]{url}[/]\n")
    return Place(url, f"The collection stays. Remove it with:  curl -X DELETE {url}/collections/{COLLECTION}")


def is_clustered(client: QdrantClient, console: Console) -> bool:
    """Whether the node is of a cluster of several."""
    status = client.cluster_status()
    peers = len(getattr(status, "peers", None) or {})
    if peers > 1:
        console.print(f"It is one of {peers}: {SHARDS} shards, each on {REPLICAS} nodes.\n")
    return peers > 1


def running_node() -> Node | None:
    """The node an earlier run left, if it still lives and answers."""
    try:
        found = Node(**json.loads((HOME / "node.json").read_text()))
        os.kill(found.pid, 0)
    except (OSError, ValueError, TypeError):
        return None
    return found if _is_our_node(found) and _answers(found.url) else None


def _is_our_node(node: Node) -> bool:
    """A process id may have gone to somebody else."""
    try:
        return b"vecraft" in Path(f"/proc/{node.pid}/cmdline").read_bytes()
    except OSError:
        return False


def start_node(console: Console) -> Node:
    HOME.mkdir(exist_ok=True)
    port = free_port(PREFERRED_PORT)
    environ = os.environ | {
        "VECRAFT__SERVICE__HOST": "127.0.0.1",
        "VECRAFT__SERVICE__HTTP_PORT": str(port),
        "VECRAFT__SERVICE__GRPC_PORT": str(free_port(port + 1)),
    }
    with (HOME / "node.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "vecraft.cli", "serve"],
            cwd=HOME,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # it stays when the demo ends
        )
    node = Node(process.pid, port)
    with console.status("Starting a node"):
        deadline = time.monotonic() + START_S_MAX
        while not _answers(node.url):
            if process.poll() is not None or time.monotonic() > deadline:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
                raise SystemExit(f"The node did not start; see {HOME / 'node.log'}")
            time.sleep(0.05)
    (HOME / "node.json").write_text(json.dumps({"pid": node.pid, "port": node.port}))
    return node


def free_port(preferred: int) -> int:
    """``preferred`` if nobody has it, else one the system picks."""
    for wanted in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            port: int = probe.getsockname()[1]
            return port
    raise SystemExit("No port is free")


def _answers(url: str) -> bool:
    try:
        client = QdrantClient(url=url, timeout=2, check_compatibility=False)
        return client.info().title.startswith("qdrant")
    except Exception:  # noqa: BLE001 - whatever is wrong, it does not answer
        return False


# --- the data -----------------------------------------------------------------------------------------


def read_set(name: str) -> tuple[Vectors, list[Json]]:
    """Rows of unit length (n, 384) and their payloads."""
    rows = np.load(DATA / f"wordnet.{name}.i8.npy").astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    with gzip.open(DATA / f"wordnet.{name}.jsonl.gz", "rt") as lines:
        return rows, [json.loads(line) for line in lines]


def prepare(client: QdrantClient, *, sharded: bool) -> None:
    if not client.collection_exists(COLLECTION):
        client.create_collection(
            COLLECTION,
            vectors_config=models.VectorParams(size=384, distance=models.Distance.COSINE),
            optimizers_config=models.OptimizersConfigDiff(
                indexing_threshold=INDEXING_THRESHOLD_KB // (SHARDS if sharded else 1)
            ),
            shard_number=SHARDS if sharded else None,
            replication_factor=REPLICAS if sharded else None,
        )
    for field, kind in INDEXES.items():
        client.create_payload_index(COLLECTION, field, kind, wait=True)


def load(client: QdrantClient, console: Console) -> None:
    vectors, payloads = read_set("base")
    if client.count(COLLECTION, exact=True).count == len(payloads):
        console.print(f"{len(payloads):,} points are loaded already.")
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    started_s = time.perf_counter()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("Loading WordNet", total=len(payloads))
        for start in batches(len(payloads)):
            end = min(start + BATCH, len(payloads))
            batch = models.Batch(
                ids=list(range(start, end)),
                vectors=vectors[start:end].tolist(),
                payloads=payloads[start:end],
            )
            client.upsert(COLLECTION, batch, wait=True)
            progress.advance(task, end - start)
    seconds = time.perf_counter() - started_s
    console.print(f"{len(payloads):,} points in {seconds:.1f} s, each batch durable before the next.")


def batches(total: int) -> Iterable[int]:
    return range(0, total, BATCH)


def wait_until_indexed(client: QdrantClient, console: Console) -> None:
    deadline = time.monotonic() + INDEX_S_MAX
    with console.status("Building the index"):
        while time.monotonic() < deadline:
            info = client.get_collection(COLLECTION)
            if info.status == models.CollectionStatus.GREEN and info.indexed_vectors_count:
                break
            time.sleep(0.1)
    console.print(f"Collection {info.status.value}, {info.indexed_vectors_count or 0:,} vectors in graphs.\n")


# --- the searches -------------------------------------------------------------------------------------


def search(
    client: QdrantClient, vector: list[float], filter: models.Filter | None, *, exact: bool
) -> list[models.ScoredPoint]:
    found = client.query_points(
        COLLECTION,
        query=vector,
        query_filter=filter,
        limit=5,
        search_params=models.SearchParams(exact=exact),
    )
    return found.points


def query_vectors() -> Iterator[tuple[str, str, list[float]]]:
    """First lemma, gloss, vector of each query."""
    vectors, payloads = read_set("queries")
    for vector, payload in zip(vectors, payloads):
        yield payload["lemmas"][0], payload["gloss"], vector.tolist()


def ask(client: QdrantClient, console: Console, question: Question) -> bool:
    """Show one search; True if it found what exact search finds."""
    gloss, vector = next(
        (gloss, vector) for lemma, gloss, vector in query_vectors() if lemma == question.lemma
    )
    started_s = time.perf_counter()
    hits = search(client, vector, question.filter, exact=False)
    elapsed_ms = (time.perf_counter() - started_s) * 1e3
    table = Table(
        title=f"{question.title}  [dim]({elapsed_ms:.1f} ms)[/]", caption=f"{question.lemma}: {gloss}"
    )
    widths = dict(zip(COLUMNS, (5, 18, 16, max(20, console.width - 52))))
    for column, width in widths.items():
        table.add_column(column, no_wrap=True, overflow="ellipsis", width=width)
    for hit in hits:
        payload = hit.payload or {}
        texts = (payload["lemmas"][0], payload["category"], payload["gloss"])
        table.add_row(f"{hit.score:.3f}", *(escape(text) for text in texts))
    console.print(table)
    same = ids_of(hits) == ids_of(search(client, vector, question.filter, exact=True))
    console.print("[green]Equal to exact search.[/]\n" if same else "[red]Differs from exact search.[/]\n")
    return same


def ids_of(hits: list[models.ScoredPoint]) -> list[Any]:
    return [hit.id for hit in hits]


def compare_all(client: QdrantClient, console: Console) -> bool:
    """Recall of every bundled query against exact search; True if at least 0.98 on average."""
    found = total = 0
    for _, _, vector in query_vectors():
        exact = set(ids_of(search(client, vector, None, exact=True)))
        found += len(exact & set(ids_of(search(client, vector, None, exact=False))))
        total += len(exact)
    recall = found / total
    console.print(f"Over all bundled queries the index finds {recall:.2%} of what exact search finds.\n")
    return recall >= 0.98


def next_steps(place: Place) -> str:
    url = place.url
    return f"""What to try next:

  curl {url}/collections/{COLLECTION}
  curl {url}/collections/{COLLECTION}/cluster
  curl -X POST {url}/collections/{COLLECTION}/points/scroll -H 'Content-Type: application/json' \\
       -d '{{"filter": {{"must": [{{"key": "category", "match": {{"value": "noun.food"}}}}]}}, "limit": 3}}'

  from qdrant_client import QdrantClient
  client = QdrantClient(url="{url}")
  client.query_points("{COLLECTION}", query=0, limit=3).points   # what is like point 0?

{place.ending}"""


if __name__ == "__main__":
    sys.exit(main())
