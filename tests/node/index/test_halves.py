"""Codes of half a byte: what they stand for, where they serve, and that graphs over them find as much."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from msgspec.structs import replace

from node.index import (
    Code,
    Encoding,
    GraphParams,
    HnswGraph,
    Quantization,
    best_of,
    choice,
    choose_encoding,
    halves,
    set_threads,
    similarities,
    walk,
)
from node.index.choice import choose_encodings, choose_lossless, whole_bytes
from node.index.codes import for_faiss, packed_halves, split_bytes, unpacked_halves
from node.index.distances import normalize
from node.index.halves import Nearby, halves_for, split
from node.index.quantization import Kind
from protos.collections import Distance

FloatArray = npt.NDArray[np.float32]

ROWS, DIM = 4000, 200  # not a multiple of the components of a line
PARAMS = GraphParams(m=12, ef_construct=80)
SCALAR = Quantization(Kind.SCALAR, quantile=0.99)
both_forms = pytest.mark.parametrize("asked", [None, SCALAR], ids=["halves", "split bytes"])


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


@pytest.mark.parametrize("dim", [1, 63, 64, 65, 128, 200, 384])
@pytest.mark.parametrize("code", [Code.INTEGER_8BIT, Code.INTEGER_4BIT, Code.SPLIT_8BIT])
def test_codes_are_written_to_the_same_bits_as_they_are_told(code: Code, dim: int) -> None:
    bytes_ = whole_bytes(Encoding(Code.INTEGER_8BIT, low=-1.0, step=1 / 128), dim)
    matrix = np.random.default_rng(dim).normal(size=(50, dim)).astype(np.float32)
    matrix[0] = bytes_.low + bytes_.step * (np.arange(dim) + 0.5)  # as near to one integer as to the next
    matrix[1] = -matrix[0]
    if code is Code.INTEGER_8BIT:
        encoding, told = bytes_, for_faiss(bytes_, matrix)
    elif code is Code.INTEGER_4BIT:
        encoding = halves_for(matrix, None)
        told = packed_halves(encoding, matrix)
    else:
        encoding = split(bytes_, dim)
        told = split_bytes(encoding, matrix)
    codes = np.full((50, encoding.width), 7, dtype=np.uint8)
    walk.encode(matrix, encoding.low, encoding.step, encoding.form, codes)
    assert codes.tolist() == told.tolist()


def test_rows_that_codes_have_no_room_for_are_not_coded() -> None:
    codes = np.zeros((2, 64), dtype=np.uint8)
    for rows, step, form, to in (
        (np.zeros((2, 65), np.float32), 1.0, 0, codes),
        (np.zeros((2, 129), np.float32), 1.0, 1, codes),
        (np.zeros((2, 8), np.float32), 1.0, 2, codes),  # no two lines
        (np.zeros((3, 64), np.float32), 1.0, 0, codes),
        (np.zeros((2, 64), np.float32), 0.0, 0, codes),
        (np.zeros((2, 64), np.float32), 1.0, 3, codes),
        (np.zeros((2, 64), np.float64), 1.0, 0, codes),
        (np.zeros((2, 64), np.float32), 1.0, 0, codes.astype(np.int32)),
    ):
        with pytest.raises(ValueError, match="room"):
            walk.encode(rows, 0.0, step, form, to)


def opened(
    distance: Distance,
    matrix: FloatArray,
    path: Path,
    asked: Quantization | None = None,
    rows: npt.NDArray[np.uint32] | None = None,
) -> HnswGraph:
    encoding, params = choose_encoding(distance, matrix, rows, asked), replace(PARAMS, quantization=asked)
    assert encoding.code is (Code.INTEGER_4BIT if asked is None else Code.SPLIT_8BIT)
    HnswGraph.build(distance, matrix, rows, params, encoding).save(path)
    return HnswGraph.open(path, rows, params, encoding, distance)


def whole(distance: Distance, matrix: FloatArray, graph: HnswGraph) -> HnswGraph:
    """A graph over bytes in the stead of ``graph``."""
    asked = graph.params.quantization
    bytes_ = choose_lossless(distance, matrix, None) if asked is None else whole_bytes(graph.encoding, DIM)
    assert bytes_.code is Code.INTEGER_8BIT
    return HnswGraph.build(distance, matrix, None, graph.params, bytes_)


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


def test_split_bytes_are_the_bytes() -> None:
    matrix = np.random.default_rng(0).normal(size=(70, 200)).astype(np.float32)
    encoding = split(Encoding(Code.INTEGER_8BIT, low=-3.0, step=0.024), 200)
    codes = split_bytes(encoding, matrix)
    assert codes.shape == (70, encoding.width) == (70, 256)
    upper, lower = (unpacked_halves(codes[:, half : half + 128]) // 8 for half in (0, 128))
    expected = np.clip(np.rint((matrix - np.float32(-3.0)) / np.float32(0.024)), 0, 255)
    np.testing.assert_array_equal(upper[:, :200] * 16 + lower[:, :200], expected)
    assert not upper[:, 200:].any()
    assert not lower[:, 200:].any()


@pytest.mark.usefixtures("_uncached")
@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.EUCLID])
def test_by_split_bytes_similarities_are_those_of_the_bytes(distance: Distance, tmp_path: Path) -> None:
    graph = opened(distance, MATRIX, tmp_path / "graph", SCALAR)
    other = whole(distance, MATRIX, graph)
    for queries in (QUERIES, QUERIES * np.float32(50)):
        rows, scores = graph.search(queries, 100, 10)
        others, their_scores = other.search(queries, 100, 10)
        same = rows == others
        assert same.mean() > 0.97
        np.testing.assert_array_equal(scores[same], their_scores[same])
        assert (np.diff(scores, axis=1) <= 0).all()


@pytest.mark.usefixtures("_uncached")
def test_of_split_bytes_so_many_are_compared_whole_as_is_asked_for(tmp_path: Path) -> None:
    graph = opened(Distance.COSINE, MATRIX, tmp_path / "graph", SCALAR)
    every, _ = graph.search(QUERIES, 60, 60)
    shares = []
    for whole in (10, 20, 60):
        rows, scores = graph.search(QUERIES, 60, 10, whole)
        assert all(np.isin(few, all_).all() for few, all_ in zip(rows, every, strict=True))
        assert (np.diff(scores, axis=1) <= 0).all()
        shares.append(recall(rows, every[:, :10]))
    assert shares[0] < shares[1] <= shares[2] == 1


@pytest.mark.usefixtures("_uncached")
def test_split_bytes_find_no_more_than_there_is(tmp_path: Path) -> None:
    graph = opened(Distance.COSINE, MATRIX[:15], tmp_path / "graph", SCALAR)
    rows, scores = graph.search(QUERIES, 40, 20)
    assert (np.sort(rows[:, :15], axis=1) == np.arange(15)).all()
    assert (rows[:, 15:] == -1).all()
    assert np.isneginf(scores[:, 15:]).all()


@pytest.mark.usefixtures("_uncached")
@both_forms
@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.EUCLID])
def test_a_graph_over_them_finds_what_one_over_bytes_does(
    distance: Distance, asked: Quantization | None, tmp_path: Path
) -> None:
    matrix, queries = (
        (MATRIX, QUERIES) if distance is Distance.COSINE else (near_a_plane(ROWS, 1), near_a_plane(50, 2))
    )
    graph = opened(distance, matrix, tmp_path / "halves", asked)
    other = whole(distance, matrix, graph)
    other.save(tmp_path / "bytes")
    truth, _ = best_of(distance, queries, matrix, 10)
    by_halves, by_bytes = graph.best(queries, 80, 24, 10, matrix), other.best(queries, 80, 24, 10, matrix)
    assert by_halves is not None
    assert by_bytes is not None
    assert recall(by_halves[0], truth) >= recall(by_bytes[0], truth) - 0.005
    saved = (tmp_path / "bytes").stat().st_size - (tmp_path / "halves").stat().st_size
    assert saved > ROWS * (DIM - 128) if asked is None else saved < 0  # padded by 48 bytes


@pytest.mark.usefixtures("_uncached")
@both_forms
@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.EUCLID])
def test_a_graph_that_was_not_saved_yet_answers_as_the_saved_one(
    distance: Distance, asked: Quantization | None, tmp_path: Path
) -> None:
    again = opened(distance, MATRIX, tmp_path / "graph", asked)
    graph = HnswGraph.build(distance, MATRIX, None, again.params, again.encoding)
    for queries in (QUERIES, QUERIES * np.float32(50)):  # these the integers would make others
        np.testing.assert_array_equal(graph.candidates(queries, 64, 20), again.candidates(queries, 64, 20))


@pytest.mark.usefixtures("_uncached")
@both_forms
@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.EUCLID])
def test_queries_beyond_the_integers_find_their_neighbours(
    distance: Distance, asked: Quantization | None, tmp_path: Path
) -> None:
    matrix = MATRIX if distance is Distance.COSINE else near_a_plane(ROWS, 1)
    far = np.zeros((50, DIM), dtype=np.float32)
    np.fill_diagonal(far, 1.0 if distance is Distance.COSINE else 200.0)
    graph = opened(distance, matrix, tmp_path / "graph", asked)
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
@both_forms
@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.EUCLID])
def test_similarities_by_code_are_near_the_true_ones(
    distance: Distance, asked: Quantization | None, tmp_path: Path
) -> None:
    graph = opened(distance, MATRIX, tmp_path / "graph", asked)
    rows, by_code = graph.search(QUERIES, 60, 20)
    pairs = zip(QUERIES, rows, strict=True)
    true = np.stack([similarities(distance, query, MATRIX, found) for query, found in pairs])
    assert np.abs(by_code - true).mean() < 0.05 * np.abs(true).mean()
    assert (np.diff(by_code, axis=1) <= 0).all()


@pytest.mark.usefixtures("_uncached")
@both_forms
def test_all_that_a_filter_admits_is_found_by_their_codes(asked: Quantization | None, tmp_path: Path) -> None:
    nodes = np.arange(1, ROWS, 2, dtype=np.uint32)
    graph = opened(Distance.COSINE, MATRIX, tmp_path / "graph", asked, nodes)
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


@pytest.mark.usefixtures("_uncached")
@pytest.mark.parametrize("dim", [200, 512])
@pytest.mark.parametrize("asked", [None, SCALAR, Quantization(Kind.BITS, bits=1)])
def test_vectors_are_linked_over_halves_whatever_is_stored(dim: int, asked: Quantization | None) -> None:
    basis = np.random.default_rng(0).normal(size=(20, dim))
    matrix = normalize((np.random.default_rng(1).normal(size=(1000, 20)) @ basis).astype(np.float32))
    chosen = choose_encodings(Distance.COSINE, matrix, None, asked)
    assert chosen.stored == choose_encoding(Distance.COSINE, matrix, None, asked)
    assert chosen.linked == halves_for(matrix, None)


@pytest.mark.usefixtures("_uncached")
def test_neighbours_to_try_codes_on_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(halves, "best_of", lambda *args: calls.append(args) or best_of(*args))
    assert choose_encodings(Distance.COSINE, MATRIX, None, SCALAR).stored.code is Code.SPLIT_8BIT
    assert len(calls) == 1


@pytest.mark.usefixtures("_uncached")
def test_where_halves_of_their_own_do_not_serve_split_bytes_are_linked_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    split_alone = lambda _, encoding: encoding.code is Code.SPLIT_8BIT  # noqa: E731
    monkeypatch.setattr(halves.Nearby, "served_by", split_alone)
    chosen = choose_encodings(Distance.COSINE, MATRIX, None, SCALAR)
    assert chosen.stored.code is Code.SPLIT_8BIT
    assert chosen.linked == whole_bytes(chosen.stored, DIM)


def test_small_graphs_keep_bytes() -> None:
    for asked in (None, SCALAR):
        assert choose_encoding(Distance.COSINE, MATRIX, None, asked).code is Code.INTEGER_8BIT


@pytest.mark.usefixtures("_uncached")
def test_where_few_components_are_much_greater_than_the_others_bytes_are_kept() -> None:
    """The others tell which rows are near, and would all be in the same few levels."""
    rows = near_a_plane(ROWS, 3)
    rows[:, :4] *= 20
    matrix = normalize(rows)
    assert not Nearby(Distance.COSINE, matrix, None).served_by(halves_for(matrix, None))
    assert choose_encoding(Distance.COSINE, matrix).code is not Code.INTEGER_4BIT
    asked = Quantization(Kind.SCALAR)
    assert choose_encoding(Distance.COSINE, matrix, None, asked).code is Code.INTEGER_8BIT


@pytest.mark.usefixtures("_uncached")
def test_rows_that_are_all_alike_are_no_trouble() -> None:
    matrix = np.full((300, 64), 0.125, dtype=np.float32)
    assert choose_encoding(Distance.EUCLID, matrix).code in (Code.INTEGER_8BIT, Code.INTEGER_4BIT)
