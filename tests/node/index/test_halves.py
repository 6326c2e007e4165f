"""Codes of half a byte: what they stand for, where they serve, and that graphs over them find as much."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from node.index import (
    Code,
    GraphParams,
    HnswGraph,
    best_of,
    choice,
    choose_encoding,
    set_threads,
    similarities,
)
from node.index.codes import packed_halves, unpacked_halves
from node.index.distances import normalize
from node.index.halves import halves_for, halves_serve
from node.index.linking import linking
from protos.collections import Distance

FloatArray = npt.NDArray[np.float32]

ROWS, DIM = 4000, 200  # not a multiple of the components of a line
PARAMS = GraphParams(m=12, ef_construct=80)


def near_a_plane(count: int, seed: int) -> FloatArray:
    basis = np.random.default_rng(0).normal(size=(20, DIM))
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, 20)) @ basis + 0.3 * rng.normal(size=(count, DIM))).astype(np.float32)


MATRIX, QUERIES = normalize(near_a_plane(ROWS, 1)), normalize(near_a_plane(50, 2))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    set_threads(1)


@pytest.fixture
def _uncached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs of a test's size count as too large for a cache."""
    monkeypatch.setattr(choice, "_CACHED_BYTES", 0)


def opened(
    distance: Distance, matrix: FloatArray, path: Path, rows: npt.NDArray[np.uint32] | None = None
) -> HnswGraph:
    encoding = choose_encoding(distance, matrix, rows)
    HnswGraph.build(distance, matrix, rows, PARAMS, encoding).save(path)
    return HnswGraph.open(path, rows, PARAMS, encoding, distance)


def recall(found: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> float:
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, truth, strict=True)]))


@pytest.mark.parametrize("dim", [1, 63, 64, 65, 128, 129, 300])
def test_what_codes_stand_for_is_as_near_as_half_a_step(dim: int) -> None:
    matrix = np.random.default_rng(dim).normal(size=(70, dim)).astype(np.float32)
    encoding = halves_for(matrix, None)
    codes = packed_halves(encoding, matrix)
    assert codes.shape == (70, -(-dim // 128) * 64)
    integers = unpacked_halves(codes)
    assert not integers[:, dim:].any()
    meant = encoding.low + encoding.step * integers[:, :dim].astype(np.float32)
    greatest = encoding.low + encoding.step * 120
    off = np.abs(meant - np.clip(matrix, encoding.low, greatest))
    assert off.max() <= encoding.step * 4 * 1.001  # of eight to a code's step


@pytest.mark.usefixtures("_uncached")
@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.EUCLID])
def test_a_graph_over_them_finds_what_one_over_bytes_does(distance: Distance, tmp_path: Path) -> None:
    matrix, queries = (
        (MATRIX, QUERIES) if distance is Distance.COSINE else (near_a_plane(ROWS, 1), near_a_plane(50, 2))
    )
    graph = opened(distance, matrix, tmp_path / "halves")
    assert graph.encoding.code is Code.INTEGER_4BIT
    bytes_ = linking(distance, matrix, None, graph.encoding)
    assert bytes_.code is Code.INTEGER_8BIT
    other = HnswGraph.build(distance, matrix, None, PARAMS, bytes_)
    other.save(tmp_path / "bytes")
    truth, _ = best_of(distance, queries, matrix, 10)
    by_halves, by_bytes = graph.best(queries, 80, 24, 10, matrix), other.best(queries, 80, 24, 10, matrix)
    assert by_halves is not None
    assert by_bytes is not None
    assert recall(by_halves[0], truth) >= recall(by_bytes[0], truth) - 0.005
    assert (tmp_path / "bytes").stat().st_size - (tmp_path / "halves").stat().st_size >= ROWS * (DIM - 128)


@pytest.mark.usefixtures("_uncached")
@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.EUCLID])
def test_a_graph_that_was_not_saved_yet_answers_as_the_saved_one(distance: Distance, tmp_path: Path) -> None:
    again = opened(distance, MATRIX, tmp_path / "graph")
    graph = HnswGraph.build(distance, MATRIX, None, PARAMS, again.encoding)
    for queries in (QUERIES, QUERIES * np.float32(50)):  # these the integers would make others
        np.testing.assert_array_equal(graph.candidates(queries, 64, 20), again.candidates(queries, 64, 20))


@pytest.mark.usefixtures("_uncached")
@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.EUCLID])
def test_queries_beyond_the_integers_find_their_neighbours(distance: Distance, tmp_path: Path) -> None:
    matrix = MATRIX if distance is Distance.COSINE else near_a_plane(ROWS, 1)
    far = np.zeros((50, DIM), dtype=np.float32)
    np.fill_diagonal(far, 1.0 if distance is Distance.COSINE else 200.0)
    graph = opened(distance, matrix, tmp_path / "graph")
    assert graph.encoding.code is Code.INTEGER_4BIT
    truth, _ = best_of(distance, far, matrix, 10)
    everything = np.full(ROWS // 8, 255, dtype=np.uint8)
    found, scanned = (
        graph.best(far, 200, 28, 10, matrix),
        graph.best_of_codes(far, 28, 10, matrix, None, everything),
    )
    assert found is not None
    assert scanned is not None
    assert recall(found[0], truth) >= 0.97
    assert recall(scanned[0], truth) >= 0.97


@pytest.mark.usefixtures("_uncached")
@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.EUCLID])
def test_similarities_by_code_are_near_the_true_ones(distance: Distance, tmp_path: Path) -> None:
    graph = opened(distance, MATRIX, tmp_path / "graph")
    rows, by_code = graph.search(QUERIES, 60, 20)
    pairs = zip(QUERIES, rows, strict=True)
    true = np.stack([similarities(distance, query, MATRIX, found) for query, found in pairs])
    assert np.abs(by_code - true).mean() < 0.05 * np.abs(true).mean()
    assert (np.diff(by_code, axis=1) <= 0).all()


@pytest.mark.usefixtures("_uncached")
def test_all_that_a_filter_admits_is_found_by_their_codes(tmp_path: Path) -> None:
    nodes = np.arange(1, ROWS, 2, dtype=np.uint32)
    graph = opened(Distance.COSINE, MATRIX, tmp_path / "graph", nodes)
    assert graph.encoding.code is Code.INTEGER_4BIT
    allowed = np.flatnonzero(np.random.default_rng(5).random(ROWS) < 0.2)
    flags = np.zeros(ROWS, dtype=np.bool_)
    flags[allowed] = True
    found = graph.best_of_codes(QUERIES, 24, 10, MATRIX, None, np.packbits(flags, bitorder="little"))
    assert found is not None
    truth, scores = best_of(
        Distance.COSINE, QUERIES, MATRIX, 10, np.intersect1d(allowed, nodes).astype(np.int64)
    )
    assert recall(found[0], truth) >= 0.995
    np.testing.assert_array_equal(found[1][found[0] == truth], scores[found[0] == truth])


def test_small_graphs_keep_bytes() -> None:
    assert choose_encoding(Distance.COSINE, MATRIX).code is Code.INTEGER_8BIT


@pytest.mark.usefixtures("_uncached")
def test_where_few_components_are_much_greater_than_the_others_bytes_are_kept() -> None:
    """The others tell which rows are near, and would all be in the same few levels."""
    rows = near_a_plane(ROWS, 3)
    rows[:, :4] *= 20
    matrix = normalize(rows)
    assert not halves_serve(Distance.COSINE, matrix, None, halves_for(matrix, None))
    assert choose_encoding(Distance.COSINE, matrix).code is not Code.INTEGER_4BIT


@pytest.mark.usefixtures("_uncached")
def test_rows_that_are_all_alike_are_no_trouble() -> None:
    matrix = np.full((300, 64), 0.125, dtype=np.float32)
    assert choose_encoding(Distance.EUCLID, matrix).code in (Code.INTEGER_8BIT, Code.INTEGER_4BIT)
