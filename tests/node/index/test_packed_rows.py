"""Packed rows are what was packed, bit by bit, and are scored as they were before."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from node.bits import unpack
from node.index import Code, GraphParams, HnswGraph, choice, choose_encoding, packed_rows, set_threads, walk
from node.index.exact import best_candidates, best_of, score_table, similarities
from node.index.packed_rows import PackedRows, choose_tops, packing, row_bytes
from node.index.twins import set_apart
from protos.collections import Distance

FloatArray = npt.NDArray[np.float32]
RNG = np.random.default_rng(11)
NORMAL_TOPS = bytes([*range(0x3A, 0x42), *range(0xBA, 0xC2)])
KERNELS = [Distance.COSINE, Distance.DOT, Distance.EUCLID, Distance.MANHATTAN]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    set_threads(1)


def packed(matrix: FloatArray, tops: bytes) -> PackedRows:
    blocks: list[npt.NDArray[np.uint8]] = []
    others, marked = packing(matrix, tops, blocks.append)
    return PackedRows(np.concatenate(blocks), matrix.shape[1], tops, marked, others)


def normal(rows: int, dim: int) -> FloatArray:
    return RNG.standard_normal((rows, dim)).astype(np.float32)


def bits_of(matrix: FloatArray) -> npt.NDArray[np.uint32]:
    return np.ascontiguousarray(matrix).view(np.uint32)


@given(
    arrays.arrays(
        np.uint32,
        st.tuples(st.integers(1, 9), st.sampled_from([1, 2, 15, 16, 17, 31, 33, 100])),
        elements=st.integers(0, 2**32 - 1),
    ),
    st.binary(min_size=16, max_size=16),
)
def test_any_bits_come_back(numbers: npt.NDArray[np.uint32], tops: bytes) -> None:
    """NaN of any kind, infinities, both zeros and the smallest numbers among them; tops may be equal."""
    rows = packed(numbers.view(np.float32), tops)
    np.testing.assert_array_equal(bits_of(rows[:]), numbers)
    whole = np.arange(len(numbers))[::-1]
    np.testing.assert_array_equal(bits_of(rows[whole]), numbers[whole])


@pytest.mark.parametrize("dim", [1, 7, 16, 24, 100, 128, 200, 384])
def test_every_way_of_unpacking_tells_the_same(dim: int) -> None:
    matrix = normal(3, dim)
    rows = packed(matrix, NORMAL_TOPS)
    for row in range(3):
        (whole, *quicker) = walk.unpackings(rows.packed, row)
        assert all(each == whole for each in quicker)
        lower = np.frombuffer(whole, dtype=np.uint32) & 0xFFFFFF
        np.testing.assert_array_equal(lower, bits_of(matrix[row]) & 0xFFFFFF)


def test_components_that_are_far_from_the_others_are_kept_aside() -> None:
    matrix = normal(500, 40)
    matrix[7, 3], matrix[7, 39], matrix[450, 0] = 1e30, -1e-30, np.nan
    tops = choose_tops(matrix)
    assert tops is not None
    others, marked = packing(matrix, tops, lambda _: None)
    aside = {(int(each) >> 32, int(each) >> 8 & 0xFFFFFF) for each in others}
    assert {(7, 3), (7, 39), (450, 0)} <= aside
    assert list(unpack(marked)) == sorted({row for row, _ in aside})
    np.testing.assert_array_equal(bits_of(packed(matrix, tops)[:]), bits_of(matrix))


def test_the_bytes_that_are_named_are_the_most_frequent() -> None:
    matrix = np.full((100, 8), 1.0, dtype=np.float32)
    matrix[0, 0] = -3.0
    tops = choose_tops(matrix)
    assert tops is not None
    assert tops[:2] == b"\x3f\xc0"


def test_numbers_of_all_sizes_are_not_packed() -> None:
    matrix = np.exp(RNG.uniform(-60, 60, (1000, 32))).astype(np.float32)
    assert choose_tops(matrix) is None


def test_packing_goes_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = normal(100, 20)
    matrix[77, 5] = 1e-20
    whole = packing(matrix, NORMAL_TOPS, lambda _: None)
    monkeypatch.setattr(packed_rows, "_BLOCK_BYTES", 7 * 80)
    blocks: list[npt.NDArray[np.uint8]] = []
    others, marked = packing(matrix, NORMAL_TOPS, blocks.append)
    assert [len(block) for block in blocks] == [7] * 14 + [2]
    np.testing.assert_array_equal(others, whole[0])
    np.testing.assert_array_equal(marked, whole[1])


@pytest.mark.parametrize("distance", KERNELS)
@pytest.mark.parametrize("dim", [5, 64, 5000])
def test_rows_have_the_scores_of_those_that_are_not_packed(distance: Distance, dim: int) -> None:
    matrix, queries = normal(700, dim), normal(20, dim)
    rows = packed(matrix, NORMAL_TOPS)
    some = np.sort(RNG.permutation(700)[:300])
    for picked in (None, some):
        for asked in (queries[:1], queries[:3], queries):
            expected = score_table(distance, asked, matrix, picked)
            np.testing.assert_array_equal(score_table(distance, asked, rows, picked), expected)
            for found, best in zip(
                best_of(distance, asked, rows, 10, picked),
                best_of(distance, asked, matrix, 10, picked),
                strict=True,
            ):
                np.testing.assert_array_equal(found, best)
    one = queries[0]
    np.testing.assert_array_equal(
        similarities(distance, one, rows, some), similarities(distance, one, matrix, some)
    )
    own = np.stack([np.append(some[:30], -1) for _ in queries])
    for found, best in zip(
        best_candidates(distance, queries, rows, 5, own),
        best_candidates(distance, queries, matrix, 5, own),
        strict=True,
    ):
        np.testing.assert_array_equal(found, best)


def test_codes_are_chosen_as_for_rows_that_are_not_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_CACHED_BYTES", 0)
    matrix = normal(3000, 8) @ normal(8, 64)
    encoding = choose_encoding(Distance.EUCLID, packed(matrix, NORMAL_TOPS), None, None)
    assert encoding.code is Code.INTEGER_4BIT
    assert encoding == choose_encoding(Distance.EUCLID, matrix, None, None)


@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.EUCLID])
def test_a_graph_scores_what_it_finds_on_packed_rows(distance: Distance) -> None:
    matrix = normal(2000, 48)
    if distance is Distance.COSINE:
        matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    rows = packed(matrix, NORMAL_TOPS)
    encoding = choose_encoding(distance, rows, None, None)
    assert encoding == choose_encoding(distance, matrix, None, None)
    graph = HnswGraph.build(distance, rows, None, GraphParams(8, 60), encoding)
    queries = matrix[:50] + normal(50, 48) / 20
    plain, scored = graph.best(queries, 60, 30, 10, matrix), graph.best(queries, 60, 30, 10, rows)
    assert plain is not None
    assert scored is not None
    for found, expected in zip(scored, plain, strict=True):
        np.testing.assert_array_equal(found, expected)
    listed = np.arange(0, 2000, 3)
    scan = graph.best_of_codes(queries, 30, 10, rows, listed, None)
    assert scan is not None
    for found, expected in zip(scan, best_of(distance, queries, matrix, 10, listed), strict=True):
        np.testing.assert_array_equal(found[:, 0], expected[:, 0])


def test_equal_rows_are_found_among_packed_ones() -> None:
    matrix = normal(100, 24)
    matrix[50:60] = matrix[3]
    expected = set_apart(matrix, np.arange(100, dtype=np.uint32), 0, 4)
    found = set_apart(packed(matrix, NORMAL_TOPS), np.arange(100, dtype=np.uint32), 0, 4)
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1] is not None
    assert list(found[1].members) == list(range(50, 60))


def test_rows_that_are_not_there_are_refused() -> None:
    rows = packed(normal(10, 8), NORMAL_TOPS)
    for wanted in ([10], [-1]):
        with pytest.raises(ValueError, match="rows that are there"):
            rows[np.array(wanted)]
        with pytest.raises(ValueError, match="rows that are there"):
            score_table(Distance.DOT, normal(1, 8), rows, np.array(wanted))
    with pytest.raises(ValueError, match="that is there"):
        walk.unpackings(rows.packed, 10)


def test_parts_that_do_not_fit_each_other_are_refused() -> None:
    data = np.zeros((16, row_bytes(8)), dtype=np.uint8)
    marked, others, tops = np.zeros(2, dtype=np.uint8), np.empty(0, dtype=np.uint64), bytes(16)
    assert len(PackedRows(data, 8, tops, marked, others)[:]) == 16
    with pytest.raises(ValueError, match="packed rows"):
        PackedRows(data, 9, tops, marked, others)
    with pytest.raises(ValueError, match="packed rows"):
        PackedRows(data, 8, tops[1:], marked, others)
    with pytest.raises(ValueError, match="packed rows"):
        PackedRows(data, 8, tops, marked[1:], others)


def test_what_a_damaged_file_keeps_aside_harms_nothing_else() -> None:
    data = np.zeros((9, row_bytes(8)), dtype=np.uint8)
    others = np.array([3 << 32 | 900 << 8 | 1, 3 << 32 | 2 << 8 | 0x3F, 77 << 32], dtype=np.uint64)
    rows = PackedRows(data, 8, bytes(16), np.full(2, 0xFF, dtype=np.uint8), others)
    expected = np.zeros((9, 8), dtype=np.float32)
    expected.view(np.uint32)[3, 2] = 0x3F000000
    np.testing.assert_array_equal(rows[:], expected)
