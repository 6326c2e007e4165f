"""Vectors of float16, uint8 and turbo4: what is stored, searched by, and how large it is (reference 12)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from node.index import GraphParams, set_threads
from node.index.distances import normalize
from node.index.rotation import turn_back
from node.segments import GrowingSegment, SealedSegment, VectorSchema, seal
from node.segments.building import IndexJob, Source
from node.segments.building.assemble import assemble
from node.segments.encoding import compared, decoded, encoded, originals
from node.segments.hints import Hints
from node.segments.trace import Trace
from protos.collections import Datatype, Distance
from protos.shard import FloatArray, Way

DIM = 16
ROWS = 3000
# Long vectors that all point one way are near everything by their product, whatever they are stored as.
GRAPH_RECALL_MIN = dict.fromkeys(Distance, 0.97) | {Distance.DOT: 0.8}
NARROW = (Datatype.FLOAT16, Datatype.UINT8, Datatype.TURBO4)


def schema(datatype: Datatype, distance: Distance = Distance.COSINE) -> VectorSchema:
    return VectorSchema("", DIM, distance, datatype=datatype)


def row(*numbers: float) -> FloatArray:
    return np.array([numbers + (0.0,) * (DIM - len(numbers))], dtype=np.float32)


def given(rows: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).uniform(0, 255, (rows, DIM)).astype(np.float32)


@pytest.mark.parametrize("distance", list(Distance))
def test_bytes_are_truncated_saturated_and_never_normalised(distance: Distance) -> None:
    stored = encoded(row(1.9, -3, 300.7, 254.999, 0.4, -0.9), schema(Datatype.UINT8, distance))
    assert stored.dtype == np.uint8
    assert stored[0, :6].tolist() == [1, 0, 255, 254, 0, 0]


def test_halves_are_rounded_to_the_nearest_and_have_no_infinities() -> None:
    stored = encoded(row(0.1, 70_000, -1e38, 1e-9), schema(Datatype.FLOAT16, Distance.DOT))
    assert stored[0, :4].tolist() == [float(np.float16(0.1)), 65504, -65504, 0]


def test_halves_are_normalised_before_they_are_rounded() -> None:
    stored = encoded(row(3, 4), schema(Datatype.FLOAT16))
    assert stored[0, :2].tolist() == [float(np.float16(0.6)), float(np.float16(0.8))]
    (shown,) = decoded(stored, schema(Datatype.FLOAT16))
    assert isinstance(shown, np.ndarray)
    assert (shown.dtype, shown[:2].tolist()) == (np.float32, stored[0, :2].tolist())


def test_queries_lose_what_stored_vectors_lose() -> None:
    query = row(2.7, 5.2, 0.6)
    assert compared(query, schema(Datatype.UINT8, Distance.DOT))[0, :3].tolist() == [2, 5, 0]
    np.testing.assert_array_equal(compared(query, schema(Datatype.UINT8)), normalize(row(2, 5, 0)))
    halves = compared(query, schema(Datatype.FLOAT16, Distance.DOT))
    np.testing.assert_array_equal(halves, query.astype(np.float16).astype(np.float32))


def indexed(directory: Path, of: VectorSchema) -> SealedSegment:
    set_threads(1)
    growing = GrowingSegment.create(directory / "growing", 0, ROWS, [of])
    growing.append({"": (encoded(given(ROWS), of), None)}, ROWS)
    source = Source(str(seal(growing).directory))
    job = IndexJob(source=source, target=str(directory / "indexed"), graphs={"": GraphParams(m=8)})
    return SealedSegment.open(Path(assemble(job).directory))


@pytest.mark.parametrize("datatype", NARROW)
@pytest.mark.parametrize("distance", list(Distance))
def test_scores_are_those_of_what_is_stored_by_rows_and_by_graph(
    tmp_path: Path, datatype: Datatype, distance: Distance
) -> None:
    of = schema(datatype, distance)
    view = indexed(tmp_path, of)
    queries = compared(given(20, seed=1), of)
    wide = originals(encoded(given(ROWS), of), of)[:].astype(np.float64)
    difference = queries[:, np.newaxis] - wide
    table = {
        Distance.EUCLID: -np.square(difference).sum(axis=2),
        Distance.MANHATTAN: -np.abs(difference).sum(axis=2),
    }.get(distance, queries @ wide.T)
    best = np.argsort(-table, axis=1, kind="stable")[:, :10]
    for exact, way, recall in ((True, Way.ROWS, 0.999), (False, Way.GRAPH, GRAPH_RECALL_MIN[distance])):
        trace = Trace()
        slots, scores = view.search("", queries, 10, ef=100, exact=exact, hints=Hints(trace=trace))
        assert [step.way for step in trace.steps] == [way]
        np.testing.assert_allclose(scores, np.take_along_axis(table, slots, axis=1), rtol=1e-4)
        hits = [len(set(a) & set(b)) for a, b in zip(slots.tolist(), best.tolist(), strict=True)]
        assert np.mean(hits) / 10 >= recall


def test_queries_of_turbo4_lose_nothing() -> None:
    query, of = row(2.7, 5.2, 0.6), schema(Datatype.TURBO4)
    np.testing.assert_allclose(turn_back(compared(query, of)), normalize(query), atol=1e-6)
    by_components = schema(Datatype.TURBO4, Distance.MANHATTAN)
    np.testing.assert_array_equal(compared(query, by_components), query)


@pytest.mark.parametrize("distance", list(Distance))
def test_turbo4_is_shown_as_it_is_compared(distance: Distance) -> None:
    of = schema(Datatype.TURBO4, distance)
    stored = encoded(given(50), of)
    shown = compared(np.stack(decoded(stored, of)), of)  # type: ignore[arg-type]  # dense, all of them
    np.testing.assert_allclose(shown, originals(stored, of)[:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("datatype", "file", "size"),
    [("float16", "f16", 2 * DIM), ("uint8", "u8", DIM), ("turbo4", "u8", DIM // 2 + 4)],
)
def test_a_stored_row_takes_that_many_bytes(tmp_path: Path, datatype: str, file: str, size: int) -> None:
    view = indexed(tmp_path, schema(Datatype(datatype)))
    assert (view.directory / f"vectors.0.{file}").stat().st_size == ROWS * size
    assert view.vectors("").rows.nbytes == ROWS * size
    assert schema(Datatype(datatype)).row_bytes == size
