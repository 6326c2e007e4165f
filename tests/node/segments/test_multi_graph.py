"""Graphs over sub-vectors: recall against exact MaxSim, with filters, dead rows, codes, and merges."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from node import bits
from node.index import GraphParams, Quantization, set_threads
from node.index.distances import normalize
from node.index.quantization import Kind
from node.segments import GrowingSegment, SealedSegment, SegmentView, VectorSchema, owners, planner, seal
from node.segments.building import CompactJob, IndexJob, MergeJob, Source
from node.segments.building.assemble import assemble
from node.segments.hints import Hints
from node.segments.rows import Ragged
from node.segments.trace import Trace
from protos.collections import Distance
from protos.operations import VectorKind
from protos.ragged import offsets_of
from protos.shard import FloatArray, SegmentPlan, Way

DIM = 12
ROWS = 2432
HALF = ROWS // 2
K = 10
EF = 60
RECALL_MIN = 0.97
PARAMS = GraphParams(m=12, ef_construct=60)

Flags = npt.NDArray[np.bool_]


def random_rows(count: int, seed: int) -> Ragged:
    """One to four sub-vectors near one of 200 places; every ninth row has none."""
    rng = np.random.default_rng(seed)
    places = np.random.default_rng(1).normal(size=(200, DIM))
    counts = rng.integers(1, 5, count)
    counts[::9] = 0
    elements = places[rng.integers(0, len(places), counts.sum())] + rng.normal(size=(counts.sum(), DIM)) * 0.6
    return Ragged(offsets_of(counts), (normalize(elements.astype(np.float32)),))


def queries(count: int = 20, sub_vectors: int = 3) -> list[FloatArray]:
    rows = random_rows(count * sub_vectors * 2, seed=77).parts[0]
    return [rows[i * sub_vectors : (i + 1) * sub_vectors] for i in range(count)]


def sealed(directory: Path, rows: Ragged, start: int, schema: VectorSchema) -> SealedSegment:
    growing = GrowingSegment.create(directory, start, len(rows), [schema])
    growing.append({"m": (rows, np.diff(rows.offsets) > 0)}, len(rows))
    return seal(growing)


SCHEMA = VectorSchema("m", DIM, Distance.COSINE, VectorKind.MULTI)


@pytest.fixture(autouse=True)
def walks_are_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few rows do for walks to be worth it."""
    monkeypatch.setattr(planner, "GRAPH_NODE_ROWS", 3)


@pytest.fixture
def source(tmp_path: Path) -> SealedSegment:
    return sealed(tmp_path / "source", random_rows(ROWS, seed=2), 0, SCHEMA)


@pytest.fixture(scope="module", params=[Distance.COSINE, Distance.EUCLID], ids=lambda each: each.value)
def view(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SealedSegment:
    schema = VectorSchema("m", DIM, request.param, VectorKind.MULTI)
    directory = tmp_path_factory.mktemp("multi") / "source"
    return indexed(sealed(directory, random_rows(ROWS, seed=2), 0, schema))


def indexed(source: SealedSegment, params: GraphParams = PARAMS, live: Flags | None = None) -> SealedSegment:
    packed = None if live is None else bits.pack_mask(live).tobytes()
    set_threads(1)
    target = source.directory.with_name("indexed")
    job = IndexJob(
        source=Source(str(source.directory), live=packed), target=str(target), graphs={"m": params}
    )
    return SealedSegment.open(Path(assemble(job).directory))


def asked(
    view: SegmentView, some: list[FloatArray], allowed: Flags | None = None, ef: int | None = EF
) -> tuple[float, list[SegmentPlan]]:
    """Recall against scoring every row, whose scores must be found for what is found; and what was done."""
    trace = Trace()
    packed = None if allowed is None else bits.pack_mask(allowed)
    found = view.search("m", some, K, allowed=packed, ef=ef, hints=Hints(trace=trace))
    exact = view.search("m", some, view.rows, allowed=packed, exact=True)
    shares = []
    for slots, scores, best, true in zip(*found, *exact, strict=True):
        assert (slots >= 0).all()
        known = dict(zip(best.tolist(), true.tolist(), strict=True))
        assert scores.tolist() == [known[slot] for slot in slots.tolist()]
        shares.append(len(set(slots.tolist()) & set(best[:K].tolist())) / K)
    return float(np.mean(shares)), trace.steps


@pytest.mark.parametrize("sub_vectors", [1, 3])
def test_walks_find_what_scoring_all_finds(view: SealedSegment, sub_vectors: int) -> None:
    assert view.graph("m") is not None
    recall, steps = asked(view, queries(sub_vectors=sub_vectors))
    assert [step.way for step in steps] == [Way.GRAPH]
    assert recall >= RECALL_MIN


def random_half(rows: Ragged) -> Flags:
    return np.random.default_rng(3).random(len(rows)) < 0.6


def one_side(rows: Ragged) -> Flags:
    """Correlated with the vectors: what passes is far from most queries."""
    first = np.zeros(len(rows))
    having = np.diff(rows.offsets) > 0
    first[having] = rows.parts[0][rows.offsets[:-1][having], 0]
    return first > np.quantile(first, 0.6)


@pytest.mark.parametrize("choose", [random_half, one_side])
def test_a_filter_costs_no_recall(view: SealedSegment, choose: Callable[[Ragged], Flags]) -> None:
    rows = view.vectors("m").rows
    assert isinstance(rows, Ragged)
    some = queries()
    unfiltered, _ = asked(view, some, ef=20)
    filtered, steps = asked(view, some, choose(rows), ef=20)
    assert choose is not random_half or Way.WIDENED in {step.way for step in steps}
    assert filtered >= min(unfiltered, RECALL_MIN)


def test_few_rows_are_all_scored(view: SealedSegment) -> None:
    allowed = np.arange(ROWS) % 50 == 1
    recall, steps = asked(view, queries(), allowed)
    assert (recall, [step.way for step in steps]) == (1.0, [Way.ROWS])


def test_a_query_of_very_many_sub_vectors_is_scored_exactly(
    view: SealedSegment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "_NODES_MAX", 3 * EF * owners.SEVERAL_WIDER - 1)
    recall, steps = asked(view, queries())
    assert (recall, [step.way for step in steps]) == (1.0, [Way.ROWS])


def test_only_the_best_candidates_are_scored_when_rows_are_long(
    view: SealedSegment, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = queries()
    whole, steps = asked(view, some)
    assert steps[0].scored > len(some) * 10 * K
    monkeypatch.setattr(owners, "_RESCORED_PER_NODE", 0)
    monkeypatch.setattr(owners, "_RESCORED_ROWS_MIN", 1)
    recall, steps = asked(view, some)
    assert steps[0].scored == len(some) * 10 * K
    assert recall >= whole - 0.15


def test_a_row_of_many_sub_vectors_does_not_crowd_others_out(tmp_path: Path) -> None:
    rows = random_rows(ROWS, seed=5)
    counts = np.diff(rows.offsets)
    crowd = np.repeat(rows.parts[0][:1], 1500, axis=0)
    counts[0] = len(crowd)
    many = Ragged(offsets_of(counts), (np.concatenate([crowd, rows.parts[0]]),))
    view = indexed(sealed(tmp_path / "source", many, 0, SCHEMA))
    recall, _ = asked(view, [rows.parts[0][:1]], ef=30)
    assert recall >= RECALL_MIN


def test_rows_that_were_dead_are_in_no_graph(source: SealedSegment) -> None:
    live = np.random.default_rng(6).random(ROWS) < 0.7
    view = indexed(source, live=live)
    graph, rows = view.graph("m"), view.vectors("m").rows
    assert graph is not None
    assert isinstance(rows, Ragged)
    assert graph.count == np.diff(rows.offsets)[live].sum()
    recall, _ = asked(view, queries(), live)
    assert recall >= RECALL_MIN


@pytest.mark.parametrize(
    "quantization",
    [
        Quantization(Kind.SCALAR),
        Quantization(Kind.PRODUCT, compression=8),
        Quantization(Kind.BITS, bits=4.0),
        Quantization(Kind.BITS, bits=2.0),
    ],
    ids=["scalar", "product", "turbo", "binary"],
)
def test_codes_are_of_sub_vectors_and_scores_of_originals(
    source: SealedSegment, quantization: Quantization
) -> None:
    view = indexed(source, GraphParams(m=12, ef_construct=60, quantization=quantization))
    recall, steps = asked(view, queries())
    assert [step.way for step in steps] == [Way.GRAPH]
    assert recall >= RECALL_MIN


@pytest.mark.parametrize("compact", [False, True], ids=["merged", "compacted"])
def test_joined_segments_have_a_graph_of_all_sub_vectors(tmp_path: Path, compact: bool) -> None:
    rows = random_rows(ROWS, seed=7)
    live = np.random.default_rng(8).random(ROWS) < 0.8
    parts = (slice(0, HALF), slice(HALF, ROWS))
    sources = tuple(
        Source(
            str(sealed(tmp_path / f"{part.start}", rows[part], part.start, SCHEMA).directory),
            live=bits.pack_mask(live[part]).tobytes(),
        )
        for part in parts
    )
    target, graphs = str(tmp_path / "target"), {"m": PARAMS}
    job = MergeJob(sources=sources, target=target, schemas=(SCHEMA,), graphs=graphs)
    if compact:
        job = CompactJob(sources=sources, target=target, schemas=(SCHEMA,), graphs=graphs, start=0)  # type: ignore[assignment]
    set_threads(1)
    view = SealedSegment.open(Path(assemble(job).directory))
    assert view.rows == (live.sum() if compact else ROWS)
    recall, steps = asked(view, queries(), None if compact else live, ef=50)
    assert {step.way for step in steps} <= {Way.GRAPH, Way.WIDENED}
    assert recall >= RECALL_MIN


@pytest.mark.parametrize("compact", [False, True], ids=["merged", "compacted"])
def test_a_graph_of_sub_vectors_is_continued(tmp_path: Path, compact: bool) -> None:
    rows = random_rows(ROWS, seed=7)
    fresh = sealed(tmp_path / "fresh", rows[:HALF], 0, SCHEMA)
    former = indexed(sealed(tmp_path / "former", rows[HALF:], HALF, SCHEMA))
    live = np.ones(HALF, dtype=np.bool_)
    live[1 : HALF // 20 : 3] = False
    sources = (
        Source(str(fresh.directory), live=bits.pack_mask(live).tobytes()),
        Source(str(former.directory), live=None if compact else bits.pack_mask(live).tobytes()),
    )
    target, graphs = str(tmp_path / "target"), {"m": PARAMS}
    job = MergeJob(sources=sources, target=target, schemas=(SCHEMA,), graphs=graphs)
    if compact:
        job = CompactJob(sources=sources, target=target, schemas=(SCHEMA,), graphs=graphs, start=0)  # type: ignore[assignment]
    result = assemble(job)
    assert result.graphs[0].continued == len(rows[HALF:].parts[0])
    view = SealedSegment.open(Path(result.directory))
    recall, steps = asked(view, queries(), None if compact else np.concatenate([live, live]))
    assert {step.way for step in steps} <= {Way.GRAPH, Way.WIDENED}
    assert recall >= RECALL_MIN
