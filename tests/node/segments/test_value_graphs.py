"""Graphs of payload values: what a segment builds, and that they change the cost of a search alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from node.index import GraphParams, set_threads
from node.segments import BuildTooLarge, SealedSegment
from node.segments.building import CompactJob, IndexJob, MergeJob, Source
from node.segments.building import value_build as building
from node.segments.building.assemble import assemble
from node.segments.hints import Hints
from node.segments.kinds import is_indexed
from node.segments.trace import Trace
from node.segments.values import ValueGraphParams, ValueGroup
from protos.shard import QuantizationSearchParams, Way
from tests.node.segments.make import SCHEMA, pack, sealed, vectors

PARAMS = GraphParams(m=16, ef_construct=64)
WANTED = ValueGraphParams(PARAMS, ("tenant",), rows_min=50)
ROWS, TENANTS = 8000, 2
EF = 32


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    set_threads(1)


def group(slots: np.ndarray, value: str = "a", field: str = "tenant") -> ValueGroup:
    return ValueGroup(field, value, slots.astype("<u4").tobytes())


def indexed(
    folder: Path, owned: dict[str, np.ndarray], *, graph: bool = False, rows: int = ROWS
) -> SealedSegment:
    """A segment from slot 64 on; ``owned``: rows by tenant."""
    source = sealed(folder / "s", vectors(rows), start=64)
    job = IndexJob(
        target=str(folder / "t"),
        source=Source(str(source.directory)),
        graphs={"": PARAMS} if graph else {},
        value_graphs={"": WANTED},
        groups=tuple(group(rows + 64, value) for value, rows in owned.items()),
    )
    assemble(job)
    return SealedSegment.open(folder / "t")


def ways(segment: SealedSegment, allowed: np.ndarray, *, listed: bool = False, **more: object) -> list[Way]:
    """The ways taken among ``allowed`` rows when the filter demands the tenant a; the answer must be good."""
    trace = Trace()
    queries = vectors(20, seed=5)
    hints = Hints(allowed if listed else None, trace=trace, values=(("tenant", "a"),))
    flags = np.zeros(segment.rows, dtype=np.bool_)
    flags[allowed] = True
    packed = None if listed else pack(flags)
    found, scores = segment.search("", queries, 10, allowed=packed, ef=EF, hints=hints, **more)  # type: ignore[arg-type]
    matrix = segment.dense("")[0]
    expected = [
        set((allowed[np.argsort(-(matrix[allowed] @ query))[:10]] + segment.start).tolist())
        for query in queries
    ]
    kept = [slots[slots >= 0].tolist() for slots in found]
    assert all(len(slots) == min(10, len(allowed)) for slots in kept)
    assert all(set(slots) <= set((allowed + segment.start).tolist()) for slots in kept)
    assert (np.diff(np.where(found < 0, -np.inf, scores), axis=1) <= 0).all()
    recall = np.mean([len(best & set(slots)) / len(best) for best, slots in zip(expected, kept, strict=True)])
    assert recall >= 0.97
    return list(dict.fromkeys(step.way for step in trace.steps))


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("graph", [False, True])
def test_a_large_tenant_is_searched_by_its_own_graph(tmp_path: Path, graph: bool, listed: bool) -> None:
    owned = np.flatnonzero(np.arange(ROWS) % 3 == 1)
    segment = indexed(tmp_path, {"a": owned}, graph=graph)
    assert ways(segment, owned, listed=listed) == [Way.VALUE_GRAPH]
    assert segment.value_graphs("") == WANTED
    assert is_indexed(segment.vectors(""))


@pytest.mark.parametrize("listed", [False, True])
def test_rows_side_by_side_are_seen_to_be_the_graphs(tmp_path: Path, listed: bool) -> None:
    owned = np.arange(2000, 6000)
    assert ways(indexed(tmp_path, {"a": owned}), owned, listed=listed) == [Way.VALUE_GRAPH]


@pytest.mark.parametrize("listed", [False, True])
def test_rows_that_got_the_value_later_are_found_too(tmp_path: Path, listed: bool) -> None:
    owned = np.flatnonzero(np.arange(ROWS) % 3 == 1)
    segment = indexed(tmp_path, {"a": owned})
    grown = np.union1d(owned, [0, 3, 4000, ROWS - 2])
    assert ways(segment, grown, listed=listed) == [Way.VALUE_GRAPH]
    nearest = segment.dense("")[0][[0]]
    hints = Hints(values=(("tenant", "a"),))
    flags = np.zeros(ROWS, dtype=np.bool_)
    flags[grown] = True
    found, _ = segment.search("", nearest, 1, allowed=pack(flags), ef=EF, hints=hints)
    assert found.tolist() == [[64]]


def test_rows_that_lost_the_value_are_not_found(tmp_path: Path) -> None:
    owned = np.flatnonzero(np.arange(ROWS) % 3 == 1)
    segment = indexed(tmp_path, {"a": owned})
    assert ways(segment, owned[np.arange(len(owned)) % 4 != 0]) == [Way.VALUE_GRAPH]


def test_few_allowed_rows_of_a_value_are_scored_instead(tmp_path: Path) -> None:
    owned = np.flatnonzero(np.arange(ROWS) % 3 == 1)
    segment = indexed(tmp_path, {"a": owned})
    assert ways(segment, owned[::40]) == [Way.ROWS]


def test_a_graph_of_other_rows_is_not_walked(tmp_path: Path) -> None:
    segment = indexed(tmp_path, {"a": np.arange(0, 400)})
    assert ways(segment, np.arange(400, 4000)) == [Way.ROWS]
    segment = indexed(tmp_path / "both", {"a": np.arange(0, 400)}, graph=True)
    assert Way.VALUE_GRAPH not in ways(segment, np.arange(300, 7000))


def test_what_is_to_be_exact_walks_no_graph(tmp_path: Path) -> None:
    owned = np.flatnonzero(np.arange(ROWS) % 3 == 1)
    assert ways(indexed(tmp_path, {"a": owned}), owned, exact=True) == [Way.ROWS]


def test_ignoring_quantization_is_as_good(tmp_path: Path) -> None:
    owned = np.flatnonzero(np.arange(ROWS) % 3 == 1)
    ignoring = QuantizationSearchParams(ignore=True)
    assert ways(indexed(tmp_path, {"a": owned}), owned, quantization=ignoring) == [Way.VALUE_GRAPH]


def test_of_two_values_the_one_of_fewer_rows_is_walked(tmp_path: Path) -> None:
    every, some = np.arange(ROWS), np.flatnonzero(np.arange(ROWS) % 3 == 1)
    segment = indexed(tmp_path, {"a": some, "b": every})
    trace = Trace()
    hints = Hints(some, trace=trace, values=(("tenant", "b"), ("tenant", "a"), ("other", "a")))
    segment.search("", vectors(1, seed=5), 10, ef=EF, hints=hints)
    (step,) = trace.steps
    assert (step.way, step.width) == (Way.VALUE_GRAPH, EF)  # every node may be returned: not widened


def test_small_values_and_other_fields_get_no_graph(tmp_path: Path) -> None:
    source = sealed(tmp_path / "s", vectors(300))
    groups = (group(np.arange(49)), group(np.arange(300), "b", field="other"))
    job = IndexJob(
        target=str(tmp_path / "t"),
        source=Source(str(source.directory)),
        value_graphs={"": WANTED},
        groups=groups,
    )
    assemble(job)
    segment = SealedSegment.open(tmp_path / "t")
    entry = segment.manifest.vectors[0].value_graphs
    assert entry is not None
    assert entry.graphs == ()
    assert segment.value_graphs("") == WANTED  # so that it is not asked for again
    assert not list(segment.directory.glob("graph.*"))


def test_values_of_too_great_a_share_are_left_to_the_graph_of_all(tmp_path: Path) -> None:
    source = sealed(tmp_path / "s", vectors(300))
    wanted = ValueGraphParams(PARAMS, ("tenant",), rows_min=50, share_max=0.5)
    groups = (group(np.arange(151)), group(np.arange(150), "b"))
    target = str(tmp_path / "t")
    assemble(
        IndexJob(
            target=target, source=Source(str(source.directory)), value_graphs={"": wanted}, groups=groups
        )
    )
    entry = SealedSegment.open(tmp_path / "t").manifest.vectors[0].value_graphs
    assert entry is not None
    assert [each.value for each in entry.graphs] == ["b"]


def test_only_so_many_values_get_graphs_those_with_the_most_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "VALUES_MAX", 2)
    segment = indexed(
        tmp_path,
        {"a": np.arange(60), "b": np.arange(100, 190), "c": np.arange(200, 280)},
        rows=300,
    )
    entry = segment.manifest.vectors[0].value_graphs
    assert entry is not None
    assert [each.value for each in entry.graphs] == ["b", "c"]


def test_dead_rows_stay_out_of_the_graphs_of_values(tmp_path: Path) -> None:
    source = sealed(tmp_path / "s", vectors(300), start=64)
    live = np.arange(300) % 3 != 0
    part = Source(str(source.directory), live=pack(live).tobytes())
    job = IndexJob(
        target=str(tmp_path / "t"),
        source=part,
        value_graphs={"": WANTED},
        groups=(group(np.arange(100, 264)),),
    )
    assemble(job)
    rows = np.fromfile(tmp_path / "t/graph.0.0.rows", dtype="<u4")
    np.testing.assert_array_equal(rows, [row for row in range(36, 200) if live[row]])


def test_compaction_moves_the_rows_of_values_along(tmp_path: Path) -> None:
    first, second = (
        sealed(tmp_path / "a", vectors(200), 64),
        sealed(tmp_path / "b", vectors(100, seed=1), 512),
    )
    live = pack(np.arange(200) % 2 == 0).tobytes()
    job = CompactJob(
        target=str(tmp_path / "t"),
        start=1024,
        schemas=(SCHEMA,),
        sources=(Source(str(first.directory), live=live), Source(str(second.directory))),
        value_graphs={"": WANTED},
        groups=(group(np.concatenate([np.arange(64, 164), np.arange(520, 530)])),),
    )
    assemble(job)
    compacted = SealedSegment.open(tmp_path / "t")
    rows = np.fromfile(tmp_path / "t/graph.0.0.rows", dtype="<u4")
    expected = [first.vector(slot, "") for slot in range(64, 164, 2)]
    expected += [second.vector(slot, "") for slot in range(520, 530)]
    np.testing.assert_array_equal(compacted.dense("")[0][rows], expected)


def test_merging_makes_one_graph_of_a_value_in_both(tmp_path: Path) -> None:
    first, second = sealed(tmp_path / "a", vectors(100), 64), sealed(tmp_path / "b", vectors(90, seed=1), 192)
    sources = (Source(str(first.directory)), Source(str(second.directory)))
    slots = np.concatenate([np.arange(70, 100), np.arange(200, 250)])
    assemble(
        MergeJob(
            target=str(tmp_path / "t"),
            sources=sources,
            schemas=(SCHEMA,),
            value_graphs={"": WANTED},
            groups=(group(slots),),
        )
    )
    np.testing.assert_array_equal(np.fromfile(tmp_path / "t/graph.0.0.rows", dtype="<u4"), slots - 64)


def test_graphs_of_values_count_against_the_memory_too(tmp_path: Path) -> None:
    source = sealed(tmp_path / "s", vectors(300))
    job = IndexJob(
        target=str(tmp_path / "t"),
        source=Source(str(source.directory)),
        value_graphs={"": WANTED},
        groups=(group(np.arange(300)),),
        memory_bytes=1000,
    )
    with pytest.raises(BuildTooLarge):
        assemble(job)


def test_files_of_value_graphs_are_checked_placed_and_measured(tmp_path: Path) -> None:
    segment = indexed(tmp_path, {"a": np.arange(0, 100)}, rows=300)
    assert segment.verify() == []
    names = {name for name, *_ in segment._parts()}
    assert {"graph.0.0.faiss", "graph.0.0.rows"} <= names
    path = segment.directory / "graph.0.0.faiss"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert len(segment.verify()) == 1


def test_a_segment_whose_files_are_gone_is_searched_without_graphs_not_used_before(tmp_path: Path) -> None:
    """A search may still hold the view of a segment that was replaced and removed."""
    owned = np.flatnonzero(np.arange(ROWS) % 3 == 1)
    segment = indexed(tmp_path / "cold", {"a": owned})
    shutil.rmtree(segment.directory)
    assert ways(segment, owned) == [Way.ROWS]
    segment = indexed(tmp_path / "warm", {"a": owned})
    assert ways(segment, owned) == [Way.VALUE_GRAPH]
    shutil.rmtree(segment.directory)
    assert ways(segment, owned) == [Way.VALUE_GRAPH]


def test_without_a_damaged_graph_the_rows_are_found_all_the_same(tmp_path: Path) -> None:
    owned = np.flatnonzero(np.arange(ROWS) % 3 == 1)
    segment = indexed(tmp_path, {"a": owned})
    path = segment.directory / "graph.0.0.faiss"
    path.write_bytes(bytes(path.stat().st_size))
    with capture_logs() as logs:
        assert ways(segment, owned) == [Way.ROWS]
        assert ways(segment, owned) == [Way.ROWS]
    assert [each["event"] for each in logs] == ["value_graph_not_opened"]
    assert segment.verify()
