"""Filtered searches beside Qdrant's engine: how recall and latency change with what a filter leaves.

Every point carries tags that say which filters it matches: at random, near an anchor (a category, as it
were) or near another. A query is asked with its nearest anchor (the filter goes along with the vector) and
with its farthest (the filter goes against it). The same query is asked of both engines in turn, so that a
busy machine slows both; latencies are medians.

With a folder that is kept, engines are built once and opened again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import orjson

from node.bits import full
from node.filter.columns import Columns, ColumnsView
from node.index import set_threads
from node.optimizer.stats import wanted_graphs, wanted_values
from node.optimizer.values import groups_within
from node.query import search
from node.replica.view import View
from node.segments import GrowingSegment, SealedSegment, VectorSchema, seal
from node.segments.building import IndexJob, Source, run_build
from protos.collections import (
    CollectionConfig,
    CollectionParams,
    Distance,
    HnswConfig,
    KeywordIndexParams,
    VectorParams,
)
from protos.filters import FieldCondition, Filter, MatchAny, MatchValue
from protos.shard import SearchParams, SearchRequest
from vecraft.bench.data import FloatMatrix
from vecraft.bench.points import stored_points
from vecraft.bench.report import Bar, Measurement, Report
from vecraft.bench.selectivity_plan import FIELD, Engine, K, M, SelectivityPlan

KINDS = ("random", "along", "against")
RECALL_LOSS_MAX = 0.002

_ANCHORS = 4
_TRUTH_QUERIES = 50  # whose scores of all rows are held at a time

Ints = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
Edges = dict[str, FloatArray]
Found = tuple[float, float, float]  # recall, median in µs, the same of processor time


class Tags:
    """Which rows have which tag. A tag is a place (``r`` or an anchor's number) and a share."""

    def __init__(self, base: FloatMatrix, queries: FloatMatrix, shares: Sequence[float]) -> None:
        rng = np.random.default_rng(0)
        anchors = base[rng.integers(0, len(base), _ANCHORS)]
        ranks = {str(i): _ranks(base @ anchor) for i, anchor in enumerate(anchors)}
        ranks["r"] = rng.permutation(len(base))
        self.rows = {
            f"{place}-{share}": np.flatnonzero(rank < share * len(base))
            for place, rank in ranks.items()
            for share in shares
        }
        nearness = queries @ anchors.T
        self._along, self._against = nearness.argmax(axis=1), nearness.argmin(axis=1)

    def of_query(self, kind: str, query: int, share: float) -> str:
        places = {"random": "r", "along": self._along[query], "against": self._against[query]}
        return f"{places[kind]}-{share}"

    def payloads(self, count: int) -> list[bytes]:
        tags: list[list[str]] = [[] for _ in range(count)]
        for tag, rows in self.rows.items():
            for row in rows.tolist():
                tags[row].append(tag)
        return [orjson.dumps({FIELD: each}) for each in tags]


def _ranks(nearness: npt.NDArray[np.float32]) -> Ints:
    return np.argsort(np.argsort(-nearness, kind="stable"), kind="stable")


def measure(plan: SelectivityPlan) -> Report:
    plan.folder.mkdir(parents=True, exist_ok=True)
    tags = Tags(plan.base, plan.queries, plan.shares)
    payloads = tags.payloads(len(plan.base))
    engines = [ours(plan, payloads)]
    if plan.edge:
        from vecraft.bench import selectivity_edge  # a development dependency

        engines.append(selectivity_edge.engine(plan, payloads))
    set_threads(1)
    cells: dict[str, list[str | None]] = {"unfiltered": [None] * len(plan.queries)}
    for kind in KINDS:
        for share in plan.shares:
            asked = [tags.of_query(kind, i, share) for i in range(len(plan.queries))]
            cells[f"{kind} {share:.2%}"] = list(asked)
    edges, measurements, floor = _edges(plan, tags, cells), [], None
    for name, each in cells.items():
        found = _compare(plan, engines, each, tags, edges[name])
        measurements += _lines(name, engines, found, floor)
        floor = found[0][0] - RECALL_LOSS_MAX if floor is None else floor
    return Report(
        f"filters on {plan.title}", {"rows": len(plan.base), "queries": len(plan.queries)}, measurements
    )


def _lines(
    name: str, engines: Sequence[Engine], found: Sequence[Found], floor: float | None
) -> list[Measurement]:
    lines = []
    for engine, (recall, micros, processor) in zip(engines, found, strict=True):
        ours = engine is engines[0]
        lines.append(
            Measurement(
                f"{name}: recall@10, {engine.name}",
                recall,
                "",
                Bar("least", floor) if ours and floor is not None else None,
            )
        )
        rivals = [rival for _, rival, _ in found[1:]]
        bar = Bar("most", min(rivals)) if ours and rivals else None
        lines.append(Measurement(f"{name}: median, {engine.name}", micros, "µs", bar))
        lines.append(Measurement(f"{name}: processor time, {engine.name}", processor, "µs"))
    return lines


def _compare(
    plan: SelectivityPlan,
    engines: Sequence[Engine],
    asked: Sequence[str | None],
    tags: Tags,
    edges: FloatArray,
) -> list[Found]:
    """Per engine, recall, the median in µs, and that of processor time, all threads together.

    ``edges``: of each query the score of the last one wanted.

    Raises: AssertionError when ours are fewer results than the limit where there are as many.
    """
    shares: list[list[float]] = [[] for _ in engines]
    micros: list[list[float]] = [[] for _ in engines]
    processor: list[list[float]] = [[] for _ in engines]
    for i, tag in enumerate(asked):
        wanted = min(K, len(plan.base) if tag is None else len(tags.rows[tag]))
        for e, engine in enumerate(engines):
            request = engine.ask(i, tag)
            spent, started = time.process_time_ns(), time.perf_counter_ns()
            answer = engine.answer(request)
            micros[e].append((time.perf_counter_ns() - started) / 1000)
            processor[e].append((time.process_time_ns() - spent) / 1000)
            ids = np.array(engine.ids(answer), dtype=np.int64)
            assert e or len(ids) == wanted, f"{len(ids)} results where {wanted} exist"
            good = np.count_nonzero(plan.base[ids] @ plan.queries[i] >= edges[i] - 1e-6) if len(ids) else 0
            shares[e].append(good / wanted if wanted else 1.0)
    return [
        (float(np.mean(each)), float(np.median(took)), float(np.median(used)))
        for each, took, used in zip(shares, micros, processor, strict=True)
    ]


def _edges(plan: SelectivityPlan, tags: Tags, cells: Mapping[str, Sequence[str | None]]) -> Edges:
    """By cell and query the score of the ``K``-th best row, or of the last where there are fewer; exact."""
    edges = {name: np.zeros(len(plan.queries), dtype=np.float32) for name in cells}
    for first in range(0, len(plan.queries), _TRUTH_QUERIES):
        scores = plan.queries[first : first + _TRUTH_QUERIES] @ plan.base.T
        for i, of_query in enumerate(scores, first):
            for name, asked in cells.items():
                tag = asked[i]
                among = of_query if tag is None else of_query[tags.rows[tag]]
                if len(among):
                    last = max(0, len(among) - K)
                    edges[name][i] = np.partition(among, last)[last]
    return edges


# --- ours ----------------------------------------------------------------------------------------------


def ours(plan: SelectivityPlan, payloads: Sequence[bytes]) -> Engine:
    view = _view(plan, payloads)

    def ask(i: int, tag: str | None) -> list[SearchRequest]:
        wanted = None
        if tag is not None:
            other = plan.alternative(i)
            match = MatchValue(tag) if other is None else MatchAny((tag, other))
            wanted = Filter(must=(FieldCondition(FIELD, (match,)),))
        return [SearchRequest("", plan.queries[i], K, filter=wanted, params=SearchParams())]

    return Engine(
        "ours",
        ask,
        lambda requests: search(view, requests)[0],
        lambda hits: [int(record.id) for record in hits.records],
    )


def _view(plan: SelectivityPlan, payloads: Sequence[bytes]) -> View:
    count, dim = plan.base.shape
    columns = Columns()
    scan = ((row, orjson.loads(payload)) for row, payload in enumerate(payloads))
    columns.install(columns.built(FIELD, KeywordIndexParams(is_tenant=plan.tenants), scan))
    hnsw = HnswConfig(m=M if plan.graph else 0, payload_m=M if plan.tenants else 0)
    config = CollectionConfig(CollectionParams({"": VectorParams(dim, Distance.COSINE)}), hnsw)
    return View(
        seq=0,
        points=stored_points(payloads, plan.folder).view(),
        live=full(count),
        segments=(_segment(plan, config, columns.view()),),
        columns=columns.view(),
        config=config,
    )


def _segment(plan: SelectivityPlan, config: CollectionConfig, columns: ColumnsView) -> SealedSegment:
    target = plan.folder / "indexed"
    if not target.exists():
        schema = VectorSchema("", plan.base.shape[1], Distance.COSINE)
        growing = GrowingSegment.create(plan.folder / "growing", 0, len(plan.base), [schema])
        growing.append({"": (np.ascontiguousarray(plan.base), None)}, len(plan.base))
        source = Source(str(seal(growing).directory))
        wanted = wanted_values(config, columns, [""])
        job = IndexJob(
            target=str(target),
            graphs=wanted_graphs(config, [""]),
            value_graphs=wanted,
            groups=groups_within(columns, full(len(plan.base)), wanted.values()),
            threads=plan.threads,
            niceness=0,
            source=source,
        )
        asyncio.run(run_build(job))
    return SealedSegment.open(target)
