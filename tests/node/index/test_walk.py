"""Our walk finds what a plain one finds, whatever the graph, and stays within it; our links are sound."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.index import Code, Encoding, set_threads, similarities, walk
from node.index.codes import unpacked_halves
from node.index.kernels import kernel_of
from node.index.library import faiss
from node.index.rotation import rotate, signs_of
from node.index.walking import link
from protos.collections import Distance

Codes = npt.NDArray[np.uint8]
RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    set_threads(1)


class Links:
    """A graph of one level whose links are any: ``neighbors`` (n, most), padded with -1."""

    def __init__(self, codes: Codes, neighbors: npt.NDArray[np.int32], entry: int = 0) -> None:
        self.codes, self.neighbors, self.entry = np.ascontiguousarray(codes), neighbors, entry
        most = neighbors.shape[1]
        self.offsets = np.arange(len(codes), dtype=np.uint64) * most
        self.starts = np.array([0, most], dtype=np.int32)

    def graph(self, **others: Any) -> walk.Graph:
        wanted: dict[str, Any] = {
            "owner": self,
            "count": len(self.codes),
            "entry": self.entry,
            "top": 0,
            "neighbors": self.neighbors.ctypes.data,
            "offsets": self.offsets.ctypes.data,
            "starts": self.starts,
            "codes": self.codes.ctypes.data,
            "width": self.codes.shape[1],
            "low": 0.0,
            "step": 1.0,
        }
        return walk.Graph(**wanted | others)


def searched(graph: walk.Graph, queries: npt.NDArray[Any], ef: int, count: int) -> tuple[Any, Any]:
    """Squared distances and nodes."""
    nodes = np.empty((len(queries), count), dtype=np.int64)
    scores = np.empty((len(queries), count), dtype=np.float32)
    graph.search(queries.astype(np.float32), ef, ef, 0, nodes, scores, None)
    return -scores, nodes


def plainly(links: Links, query: Codes, ef: int) -> list[tuple[int, int]]:
    """Distances and nodes, nearest first: the same search without any haste."""

    def found(node: int) -> tuple[int, int]:
        difference = links.codes[node].astype(int) - query.astype(int)
        return int(difference @ difference), node

    seen, pool, done = {links.entry}, [found(links.entry)], set()
    while waiting := [item for item in pool if item not in done]:
        done.add(waiting[0])
        for neighbor in links.neighbors[waiting[0][1]].tolist():
            if neighbor < 0:
                break
            if neighbor not in seen:
                seen.add(neighbor)
                pool = sorted([*pool, found(neighbor)])[:ef]
    return pool


@st.composite
def graphs(draw: st.DrawFn) -> Links:
    count, most = draw(st.integers(1, 40)), draw(st.integers(1, 6))
    width = draw(st.sampled_from((1, 3, 16, 64, 80, 129)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    codes = rng.integers(0, draw(st.sampled_from((2, 256))), (count, width)).astype(np.uint8)
    return Links(codes, rng.integers(-1, count, (count, most)).astype(np.int32), int(rng.integers(count)))


@given(links=graphs(), ef=st.integers(1, 50))
def test_a_walk_finds_what_a_plain_one_finds(links: Links, ef: int) -> None:
    query = links.codes[:1] ^ 1
    wanted = plainly(links, query[0], ef)
    distances, nodes = searched(links.graph(), query, ef, ef)
    assert nodes[0, : len(wanted)].tolist() == [node for _, node in wanted]
    assert distances[0, : len(wanted)].tolist() == [distance for distance, _ in wanted]
    assert (nodes[0, len(wanted) :] == -1).all()
    assert np.isinf(distances[0, len(wanted) :]).all()


@given(st.integers(0, 300), st.integers(0, 2**32))
def test_every_way_to_compare_codes_tells_their_distance(width: int, seed: int) -> None:
    a, b = (
        np.random.default_rng(seed).choice(np.array([0, 1, 127, 128, 254, 255]), (2, width)).astype(np.uint8)
    )
    difference = a.astype(int) - b.astype(int)
    assert set(walk.distances(a.tobytes(), b.tobytes())) == {int(difference @ difference)}


@given(st.integers(0, 5), st.integers(0, 2**32))
def test_every_way_to_compare_codes_of_halves_tells_their_distance(lines: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    query = rng.choice(np.array([0, 1, 63, 64, 120, 127]), 128 * lines).astype(np.uint8)
    codes = rng.choice(np.array([0, 15, 16, 127, 128, 240, 255]), (1, 64 * lines)).astype(np.uint8)
    difference = query.astype(int) - unpacked_halves(codes)[0].astype(int)
    assert set(walk.distances(query.tobytes(), codes.tobytes(), True)) == {int(difference @ difference)}


@given(st.integers(1, 13), st.integers(0, 2**32))
def test_every_way_to_compare_a_pair_of_codes_of_halves_tells_their_distance(lines: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.choice(np.array([0, 15, 16, 127, 128, 240, 255]), (2, 64 * lines)).astype(np.uint8)
    a, b = unpacked_halves(codes).astype(int)
    assert set(walk.distances(codes[0].tobytes(), codes[1].tobytes(), True)) == {int((a - b) @ (a - b))}


def test_halves_of_bytes_lie_together_line_by_line() -> None:
    with pytest.raises(ValueError, match="as many components"):
        walk.distances(bytes(100), bytes(50), True)


@given(st.integers(1, 25), st.integers(1, 8), st.integers(0, 2**32))
def test_every_way_to_compare_signs_tells_the_same_distance(words: int, bits: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    query, centre = rng.normal(size=(2, 64 * words)).astype(np.float32)
    signs, numbers = rng.integers(0, 256, 8 * words).astype(np.uint8), rng.random(2).astype(np.float32)
    found = walk.sign_distances(query.tobytes(), centre.tobytes(), signs.tobytes() + numbers.tobytes(), bits)
    assert len(set(found)) == 1
    moved = query - centre
    step = (moved.max() - moved.min()) / (2**bits - 1)
    levels = np.floor((moved - moved.min()) / step + np.float32(0.5)) * step + moved.min()
    directions = np.where(np.unpackbits(signs, bitorder="little"), 1, -1) / np.sqrt(64 * words)
    wanted = numbers[0] + moved @ moved - 2 * numbers[1] * (levels @ directions)
    assert found[0] == pytest.approx(wanted, rel=1e-3, abs=1e-3)


@given(
    grains=st.integers(1, 20), spare=st.integers(0, 63), bits=st.integers(1, 8), seed=st.integers(0, 2**32)
)
def test_queries_are_rotated_as_vectors_are(grains: int, spare: int, bits: int, seed: int) -> None:
    """Bit for bit."""
    rng, width = np.random.default_rng(seed), 64 * grains
    codes = rng.integers(0, 256, (20, width // 8 + 8)).astype(np.uint8)
    codes[:, -8:] = rng.random((20, 2)).astype(np.float32).view(np.uint8)
    centre, queries = rng.normal(size=width).astype(np.float32), rng.normal(size=(3, width - spare))
    common: dict[str, Any] = {"centre": centre.ctypes.data, "bits": bits}
    links = Links(codes, np.tile(np.arange(20, dtype=np.int32), (20, 1)))
    taken = queries.astype(np.float32)
    by_itself = searched(links.graph(**common, rotation=signs_of(width)), taken, 20, 20)
    rotated = searched(links.graph(**common), rotate(taken, width), 20, 20)
    for found, wanted in zip(by_itself, rotated, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(("dim", "width"), [(1, 64), (100, 128), (384, 384), (1500, 1536), (64, 192)])
def test_rows_are_rotated_as_faiss_does_it(dim: int, width: int) -> None:
    """Bit for bit: codes and rows of files were made of these."""
    rows, block = RNG.normal(size=(7, dim)).astype(np.float32), width & -width
    padded = np.zeros((7, width), dtype=np.float32)
    padded[:, :dim] = rows
    dealt = np.ascontiguousarray(padded.reshape(7, block, width // block).swapaxes(1, 2)).reshape(-1, block)
    expected = faiss.HadamardRotation(block, 20_230_117).apply(dealt).reshape(7, width)
    np.testing.assert_array_equal(rotate(rows, width), expected)


@pytest.mark.parametrize(
    ("rows", "signs", "rotated"),
    [
        (np.zeros((2, 65)), np.ones((3, 64)), np.zeros((2, 64))),
        (np.zeros((2, 64)), np.ones((3, 64)), np.zeros((3, 64))),
        (np.zeros((2, 64)), np.ones((3, 64)), np.zeros((2, 96))),
        (np.zeros((2, 64)), np.ones((2, 64)), np.zeros((2, 64))),
        (np.zeros((2, 64)), np.ones((3, 2)), np.zeros((2, 64))),
        (np.zeros(64), np.ones((3, 64)), np.zeros((1, 64))),
    ],
)
def test_rows_that_do_not_fit_a_rotation_are_refused(rows: Any, signs: Any, rotated: Any) -> None:
    with pytest.raises(ValueError, match="signs of blocks"):
        walk.rotate(*(each.astype(np.float32) for each in (rows, signs, rotated)))


@pytest.mark.parametrize("shape", [(3, 3), (3, 128), (2, 64), (0, 64)])
def test_what_is_no_rotation_of_the_codes_is_refused(shape: tuple[int, int]) -> None:
    links = Links(np.zeros((1, 16), dtype=np.uint8), np.array([[-1]], dtype=np.int32))
    centre = np.zeros(64, dtype=np.float32)
    with pytest.raises(ValueError, match="one graph"):
        links.graph(centre=centre.ctypes.data, bits=4, rotation=np.ones(shape, dtype=np.float32))
    with pytest.raises(ValueError, match="one graph"):
        links.graph(rotation=np.ones((3, 64), dtype=np.float32))


def test_codes_and_queries_of_signs_have_as_many_components() -> None:
    with pytest.raises(ValueError, match="as many components"):
        walk.sign_distances(bytes(256), bytes(256), bytes(24), 4)


def test_it_finds_the_nodes_that_faiss_finds() -> None:
    index = faiss.IndexHNSWSQ(48, faiss.ScalarQuantizer.QT_8bit_direct, 8, faiss.METRIC_L2)
    codes = RNG.integers(0, 256, (3000, 48)).astype(np.uint8)
    index.train(codes[:1].astype(np.float32))
    index.add(codes.astype(np.float32))
    links, storage = index.hnsw, faiss.downcast_index(index.storage)
    assert links.max_level > 0
    graph = walk.Graph(
        owner=index,
        count=3000,
        entry=links.entry_point,
        top=links.max_level,
        neighbors=int(links.neighbors.data()),
        offsets=int(links.offsets.data()),
        starts=faiss.vector_to_array(links.cum_nneighbor_per_level).astype(np.int32),
        codes=int(storage.codes.data()),
        width=48,
        low=0.0,
        step=1.0,
    )
    queries = RNG.integers(0, 256, (100, 48)).astype(np.uint8)
    wanted = index.search(queries.astype(np.float32), 10, params=faiss.SearchParametersHNSW(efSearch=200))
    distances, nodes = searched(graph, queries, 200, 10)
    assert np.mean(nodes == wanted[1]) > 0.97
    assert np.isin(distances, wanted[0]).mean() > 0.97


def test_links_that_lead_outside_end_a_list_of_neighbours() -> None:
    codes = RNG.integers(0, 256, (4, 16)).astype(np.uint8)
    for wrong in (4, 2**31 - 1, -(2**31)):
        neighbors = np.array([[1, wrong, 2]] * 4, dtype=np.int32)
        assert set(searched(Links(codes, neighbors).graph(), codes[:1], 9, 4)[1][0].tolist()) == {0, 1, -1}


def test_queries_become_the_nearest_integers() -> None:
    codes = np.array([[10] * 16, [20] * 16], dtype=np.uint8)
    links = Links(codes, np.array([[1], [0]], dtype=np.int32))
    graph = links.graph(low=-1.0, step=0.5, width=16)
    queries = np.full((1, 15), -1 + 0.5 * 19.6, dtype=np.float32)  # of one component less than the codes have
    distances, nodes = searched(graph, queries, 2, 2)
    assert nodes.tolist() == [[1, 0]]
    assert distances.tolist() == [[400 / 4, (15 * 100 + 100) / 4]]


@pytest.mark.parametrize("value", [-9.0, 264.5, 1e6])
@pytest.mark.parametrize("width", [4, 16, 37])
def test_a_query_beyond_the_integers_is_compared_as_floats(value: float, width: int) -> None:
    codes = RNG.integers(0, 256, (30, width)).astype(np.uint8)
    graph = Links(codes, np.tile(np.arange(30, dtype=np.int32), (30, 1))).graph(low=3.0, step=0.5)
    queries = RNG.random((2, width)).astype(np.float32) * 100 + 3
    queries[1, 2] = value * 0.5 + 3
    distances, nodes = searched(graph, queries, 30, 30)
    wanted = np.square(queries[1].astype(float) - (3 + 0.5 * codes)).sum(axis=1)
    np.testing.assert_allclose(distances[1], wanted[nodes[1]], rtol=1e-5)
    assert sorted(nodes[1].tolist()) == list(range(30))
    assert (np.diff(distances[1]) >= 0).all()


@pytest.mark.parametrize("value", [-2.0, 257.0])
def test_a_query_that_loses_less_than_rounding_takes_is_compared_as_integers(value: float) -> None:
    codes = RNG.integers(0, 256, (30, 48)).astype(np.uint8)
    graph = Links(codes, np.tile(np.arange(30, dtype=np.int32), (30, 1))).graph(low=3.0, step=0.5)
    levels = RNG.integers(0, 256, (1, 48)).astype(np.float32)
    levels[0, 2] = value
    distances, nodes = searched(graph, levels * np.float32(0.5) + 3, 30, 30)
    wanted = np.square(np.clip(levels, 0, 255).astype(int) - codes).sum(axis=1) / 4
    assert distances[0].tolist() == wanted[nodes[0]].tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_query_of_no_numbers_finds_something(value: float) -> None:
    graph = Links(np.zeros((1, 4), dtype=np.uint8), np.array([[-1]], dtype=np.int32)).graph()
    distances, nodes = searched(graph, np.float32([[0, 0, value, 0]]), 1, 1)
    assert nodes.tolist() == [[0]]
    assert not np.isfinite(distances[0, 0])


def test_an_empty_graph_has_nothing_near() -> None:
    links = Links(np.zeros((0, 4), dtype=np.uint8), np.zeros((0, 1), dtype=np.int32))
    assert searched(links.graph(), np.zeros((1, 4), dtype=np.uint8), 5, 2)[1].tolist() == [[-1, -1]]


def test_many_threads_walk_graphs_of_several_sizes() -> None:
    made = []
    for count, width in ((50, 16), (2000, 80)):
        codes = RNG.integers(0, 256, (count, width)).astype(np.uint8)
        made.append(Links(codes, RNG.integers(0, count, (count, 8)).astype(np.int32)))
    wanted = [searched(links.graph(), links.codes, 30, 10)[1] for links in made]
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda i: searched(made[i % 2].graph(), made[i % 2].codes, 30, 10)[1], range(40))
        )
    for i, nodes in enumerate(found):
        np.testing.assert_array_equal(nodes, wanted[i % 2])


@pytest.mark.parametrize(
    "others", [{"count": -1}, {"entry": 1}, {"entry": -1}, {"top": 1}, {"width": 0}, {"step": 0.0}]
)
def test_what_cannot_be_a_graph_is_refused(others: dict[str, Any]) -> None:
    links = Links(np.zeros((1, 4), dtype=np.uint8), np.array([[-1]], dtype=np.int32))
    with pytest.raises(ValueError, match="one graph"):
        links.graph(**others)


@pytest.mark.parametrize(
    ("queries", "ef", "rows", "scores"),
    [
        (np.zeros((1, 5), np.float32), 3, np.zeros((1, 3), np.int64), np.zeros((1, 3), np.float32)),
        (np.zeros((1, 4), np.float64), 3, np.zeros((1, 3), np.int64), np.zeros((1, 3), np.float32)),
        (np.zeros((1, 4), np.float32), 2, np.zeros((1, 3), np.int64), np.zeros((1, 3), np.float32)),
        (np.zeros((1, 4), np.float32), 0, np.zeros((1, 0), np.int64), np.zeros((1, 0), np.float32)),
        (np.zeros((1, 4), np.float32), 3, np.zeros((1, 3), np.int64), np.zeros((1, 2), np.float32)),
        (np.zeros((2, 4), np.float32), 3, np.zeros((1, 3), np.int64), np.zeros((1, 3), np.float32)),
        (np.zeros((1, 4), np.float32), 3, np.zeros((1, 3), np.int32), np.zeros((1, 3), np.float32)),
        (np.zeros(4, np.float32), 3, np.zeros((1, 3), np.int64), np.zeros((1, 3), np.float32)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(queries: Any, ef: int, rows: Any, scores: Any) -> None:
    graph = Links(np.zeros((1, 4), dtype=np.uint8), np.array([[-1]], dtype=np.int32)).graph()
    with pytest.raises(ValueError, match="fit"):
        graph.search(queries, ef, ef, 0, rows, scores, None)


@pytest.mark.parametrize(
    ("whole", "worth", "of_nodes"),
    [(1, 0, None), (4, 0, None), (3, -1, None), (3, 3, None), (3, 0, np.zeros(2, np.uint32))],
)
def test_what_is_not_to_be_had_of_codes_is_refused(whole: int, worth: int, of_nodes: Any) -> None:
    graph = Links(np.zeros((1, 4), dtype=np.uint8), np.array([[-1]], dtype=np.int32)).graph()
    rows, scores = np.zeros((1, 2), np.int64), np.zeros((1, 2), np.float32)
    with pytest.raises(ValueError, match="fit"):
        graph.search(np.zeros((1, 4), np.float32), 3, whole, worth, rows, scores, of_nodes)


def test_codes_tell_distances_cosines_and_products() -> None:
    codes = RNG.integers(0, 256, (30, 16)).astype(np.uint8)
    graph = Links(codes, np.tile(np.arange(30, dtype=np.int32), (30, 1))).graph(low=-8.0, step=0.0625)
    vectors = -8 + 0.0625 * codes.astype(np.float32)
    queries = vectors[:2] + np.float32(0.125)
    squares = np.square(queries[:, np.newaxis] - vectors).sum(axis=2)
    lengths = np.square(queries).sum(axis=1, keepdims=True)
    for worth, wanted in enumerate((-squares, 1 - squares / 2, (lengths - squares) / 2)):
        rows, scores = np.empty((2, 30), np.int64), np.empty((2, 30), np.float32)
        graph.search(queries, 30, 30, worth, rows, scores, None)
        np.testing.assert_allclose(scores, np.take_along_axis(wanted, rows, axis=1), rtol=1e-5)
        assert (np.diff(scores) <= 0).all()


@given(links=graphs(), k=st.integers(1, 50), seed=st.integers(0, 2**32))
def test_the_best_by_code_are_named_by_rows_equal_ones_in_their_order(
    links: Links, k: int, seed: int
) -> None:
    count = len(links.codes)
    of_nodes = np.random.default_rng(seed).permutation(count + 5)[:count].astype(np.uint32)
    queries = (links.codes[:3] ^ 1).astype(np.float32)
    rows, scores = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    links.graph().search(queries, 50, 50, 0, rows, scores, of_nodes)
    distances, nodes = searched(links.graph(), queries, 50, 50)
    for query_rows, query_scores, far, near in zip(rows, scores, distances, nodes, strict=True):
        met = near >= 0
        wanted = sorted(zip(far[met].tolist(), of_nodes[near[met]].tolist(), strict=True))[:k]
        assert query_rows.tolist() == [row for _, row in wanted] + [-1] * (k - len(wanted))
        assert query_scores.tolist() == [-far for far, _ in wanted] + [-np.inf] * (k - len(wanted))


# --- scoring again --------------------------------------------------------------------------------


def best_of_walk(
    links: Links,
    queries: Codes,
    matrix: npt.NDArray[np.float32],
    rows: npt.NDArray[np.uint32] | None,
    distance: Distance,
    allowed: npt.NDArray[np.uint8] | None = None,
    *,
    ef: int = 20,
    wanted: int = 10,
    k: int = 4,
) -> tuple[Any, Any, Any]:
    kernel = kernel_of(distance)
    assert kernel is not None
    graph = walk.ScoredGraph(links.graph(), matrix, rows, kernel, distance is Distance.EUCLID)
    found = np.empty((len(queries), k), dtype=np.int64), np.empty((len(queries), k), dtype=np.float32)
    walked = np.empty((len(queries), 2), dtype=np.int64)
    graph.search(queries.astype(np.float32), ef, wanted, *found, walked, allowed)
    return *found, walked


@given(
    links=graphs(),
    distance=st.sampled_from((Distance.COSINE, Distance.EUCLID)),
    wanted=st.integers(1, 50),
    k=st.integers(1, 20),
    share=st.sampled_from((None, 0.0, 0.5, 1.0)),
    own_rows=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_the_best_are_those_that_scoring_the_nodes_again_finds(
    links: Links, distance: Distance, wanted: int, k: int, share: float | None, own_rows: bool, seed: int
) -> None:
    """Bit for bit as ``similarities``, which scans use; with equal scores, of few different vectors."""
    rng = np.random.default_rng(seed)
    count, dim = links.codes.shape
    total = count + 5 if own_rows else count
    matrix = rng.choice(np.float32([-1.5, 0.25, 1 / 3]), (total, dim)).astype(np.float32)
    matrix[rng.random(total) < 0.5] = matrix[0]
    rows = rng.permutation(total)[:count].astype(np.uint32) if own_rows else None
    mask = None if share is None else rng.random(total) < share
    queries = links.codes[:3] ^ 1
    bits = None if mask is None else np.packbits(mask, bitorder="little")
    found = best_of_walk(links, queries, matrix, rows, distance, bits, ef=30, wanted=wanted, k=k)
    _, nodes = searched(links.graph(), queries, 30, 30)
    for query, walk_nodes, best, scores, walked in zip(queries.astype(np.float32), nodes, *found):
        kept = walk_nodes[walk_nodes >= 0]
        candidates = kept if rows is None else rows[kept].astype(np.int64)
        passing = candidates if mask is None else candidates[mask[candidates]]
        taken = np.sort(passing[:wanted])
        expected = similarities(distance, query, matrix, taken)
        order = np.argsort(-expected, kind="stable")[:k]
        assert walked.tolist() == [len(kept), len(passing)]
        assert best.tolist() == [*taken[order].tolist(), *[-1] * (k - len(order))]
        np.testing.assert_array_equal(scores[: len(order)].view(np.int32), expected[order].view(np.int32))
        assert np.isneginf(scores[len(order) :]).all()


def test_many_candidates_are_sorted_as_few_are() -> None:
    codes = RNG.integers(0, 4, (600, 3)).astype(np.uint8)  # of which many are equal
    everywhere = np.tile(np.arange(600, dtype=np.int32), (600, 1))
    matrix = np.ascontiguousarray(codes, dtype=np.float32)
    rows, scores, _ = best_of_walk(
        Links(codes, everywhere), codes[:1], matrix, None, Distance.EUCLID, ef=600, wanted=600, k=600
    )
    wanted = similarities(Distance.EUCLID, matrix[0], matrix, np.arange(600))
    order = np.argsort(-wanted, kind="stable")
    np.testing.assert_array_equal(rows[0], order)
    np.testing.assert_array_equal(scores[0], wanted[order])


def test_what_is_no_number_is_the_least_of_all() -> None:
    codes = np.zeros((4, 1), dtype=np.uint8)
    matrix = np.float32([[np.nan], [1], [-np.inf], [np.inf]])
    links = Links(codes, np.tile(np.arange(4, dtype=np.int32), (4, 1)))
    rows, scores, _ = best_of_walk(links, np.ones((1, 1), np.uint8), matrix, None, Distance.COSINE)
    assert rows.tolist() == [[3, 1, 2, 0]]
    np.testing.assert_array_equal(scores, np.float32([[np.inf, 1, -np.inf, np.nan]]))


def test_rows_that_are_not_there_are_not_read() -> None:
    codes = RNG.integers(0, 256, (3, 16)).astype(np.uint8)
    links = Links(codes, np.tile(np.arange(3, dtype=np.int32), (3, 1)))
    matrix = np.ones((5, 16), dtype=np.float32)
    rows = np.array([4, 5, 2**32 - 1], dtype=np.uint32)  # as of a damaged file
    found = best_of_walk(links, codes[:1], matrix, rows, Distance.COSINE)
    assert found[0].tolist() == [[4, -1, -1, -1]]
    assert found[2].tolist() == [[3, 1]]
    short = np.array([0b11], dtype=np.uint8)  # bits of eight rows
    assert best_of_walk(
        links, codes[:1], np.ones((9, 16), np.float32), np.array([0, 1, 8], np.uint32), Distance.COSINE, short
    )[2].tolist() == [[3, 2]]


@pytest.mark.parametrize(
    ("matrix", "rows"),
    [
        (np.zeros((1, 4), np.float32), None),
        (np.zeros((2, 5), np.float32), None),
        (np.zeros((2, 4), np.float64), None),
        (np.zeros(8, np.float32), None),
        (np.zeros((2, 4), np.float32), np.zeros(1, np.uint32)),
        (np.zeros((2, 4), np.float32), np.zeros(2, np.int64)),
    ],
)
def test_vectors_that_are_not_those_of_the_nodes_are_refused(matrix: Any, rows: Any) -> None:
    graph = Links(np.zeros((2, 4), dtype=np.uint8), np.array([[1], [0]], dtype=np.int32)).graph()
    with pytest.raises(ValueError, match="vectors"):
        walk.ScoredGraph(graph, matrix, rows, 1, False)


@pytest.mark.parametrize(
    ("queries", "wanted", "shape", "walked"),
    [
        (np.zeros((1, 3), np.float32), 1, (1, 1), np.zeros((1, 2), np.int64)),
        (np.zeros((1, 4), np.float64), 1, (1, 1), np.zeros((1, 2), np.int64)),
        (np.zeros((1, 4), np.float32), 0, (1, 1), np.zeros((1, 2), np.int64)),
        (np.zeros((2, 4), np.float32), 1, (1, 1), np.zeros((2, 2), np.int64)),
        (np.zeros((1, 4), np.float32), 1, (1, 1), np.zeros(1, np.int64)),
    ],
)
def test_arrays_that_do_not_fit_the_vectors_are_refused(
    queries: Any, wanted: int, shape: tuple[int, int], walked: Any
) -> None:
    links = Links(np.zeros((1, 4), dtype=np.uint8), np.array([[-1]], dtype=np.int32))
    kernel = kernel_of(Distance.COSINE)
    assert kernel is not None
    graph = walk.ScoredGraph(links.graph(), np.zeros((1, 4), np.float32), None, kernel, False)
    rows, scores = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
    with pytest.raises(ValueError, match="fit"):
        graph.search(queries, 5, wanted, rows, scores, walked, None)


# --- scanning -------------------------------------------------------------------------------------


def scanned(
    graph: walk.ScoredGraph, queries: Codes, k: int, *, count: int, listed: Any = None, allowed: Any = None
) -> tuple[Any, Any]:
    rows = np.empty((len(queries), k), dtype=np.int64)
    scores = np.empty((len(queries), k), dtype=np.float32)
    graph.scan(queries.astype(np.float32), count, rows, scores, listed, allowed)
    return rows, scores


def euclidean(links: Links, matrix: Any, rows: Any) -> walk.ScoredGraph:
    kernel = kernel_of(Distance.EUCLID)
    assert kernel is not None
    return walk.ScoredGraph(links.graph(), matrix, rows, kernel, True)


@pytest.mark.parametrize("numbered", [False, True], ids=["node i is row i", "nodes have rows of their own"])
@pytest.mark.parametrize("share", [0.001, 0.03, 0.5, 1.0])
def test_a_scan_finds_the_best_of_all_that_are_admitted(share: float, numbered: bool) -> None:
    """Listed or as bits, without any link; codes are the vectors, so that the truth is by integers."""
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 256, (1500, 24)).astype(np.uint8)
    rows = rng.permutation(2000)[:1500].astype(np.uint32) if numbered else None
    matrix = np.full((2000 if numbered else 1500, 24), np.nan, dtype=np.float32)
    matrix[np.arange(1500) if rows is None else rows] = codes
    flags = rng.random(len(matrix)) < share
    links = Links(codes, np.full((1500, 2), -1, dtype=np.int32))
    graph, queries = euclidean(links, matrix, rows), codes[:20] ^ 1
    listed, allowed = np.flatnonzero(flags), np.packbits(flags, bitorder="little")
    there = listed[~np.isnan(matrix[listed, 0])]
    k = min(10, len(there))
    by_list = scanned(graph, queries, k, count=20, listed=listed)
    by_bits = scanned(graph, queries, k, count=20, allowed=allowed)
    for query, ids, scores in zip(queries.astype(int), *by_list, strict=True):
        squares = ((matrix[there].astype(int) - query) ** 2).sum(axis=1)
        best = np.lexsort((there, squares))[:k]
        assert ids.tolist() == there[best].tolist()
        assert scores.tolist() == (-squares[best]).tolist()
    for ours, theirs in zip(by_list, by_bits, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_scan_stays_within_the_rows_and_pads_what_it_lacks() -> None:
    """Bits past the last row, rows that are none, and nodes of a damaged file whose rows are beyond."""
    codes = np.array([[1] * 16, [2] * 16, [3] * 16], dtype=np.uint8)
    links = Links(codes, np.full((3, 1), -1, dtype=np.int32))
    graph = euclidean(links, codes[:2].astype(np.float32), np.array([1, 0, 9], np.uint32))
    everything = np.full(40, 255, dtype=np.uint8)
    assert scanned(graph, codes[:1], 3, count=3, allowed=everything)[0].tolist() == [[0, 1, -1]]
    listed = np.array([-5, 0, 1, 2, 2**40])
    assert scanned(graph, codes[:1], 3, count=3, listed=listed)[0].tolist() == [[0, 1, -1]]
    assert scanned(graph, codes[:1], 2, count=2, listed=np.empty(0, np.int64))[0].tolist() == [[-1, -1]]


def test_a_scan_compares_queries_beyond_the_range_as_floats() -> None:
    codes = RNG.integers(0, 256, (50, 16)).astype(np.uint8)
    graph = euclidean(Links(codes, np.full((50, 1), -1, np.int32)), codes.astype(np.float32), None)
    query = np.full((1, 16), 300, dtype=np.float32)
    query[0, 3] = -40
    rows, scores = np.empty((1, 5), np.int64), np.empty((1, 5), np.float32)
    graph.scan(query, 5, rows, scores, None, np.full(7, 255, np.uint8))
    wanted = np.argsort(np.square(query - codes).sum(axis=1), kind="stable")[:5]
    np.testing.assert_array_equal(rows[0], wanted)


@pytest.mark.parametrize(
    ("listed", "allowed", "shape"),
    [
        (None, None, (1, 1)),
        (np.zeros(1, np.int64), np.zeros(1, np.uint8), (1, 1)),
        (np.zeros(1, np.int32), None, (1, 1)),
        (np.zeros((1, 1), np.int64), None, (1, 1)),
        (np.zeros(1, np.int64), None, (2, 1)),
    ],
)
def test_a_scan_of_what_does_not_fit_is_refused(listed: Any, allowed: Any, shape: tuple[int, int]) -> None:
    links = Links(np.zeros((1, 4), dtype=np.uint8), np.array([[-1]], dtype=np.int32))
    graph = euclidean(links, np.zeros((1, 4), np.float32), None)
    with pytest.raises(ValueError, match="fit"):
        graph.scan(
            np.zeros((1, 4), np.float32),
            1,
            np.zeros(shape, np.int64),
            np.zeros(shape, np.float32),
            listed,
            allowed,
        )


# --- linking --------------------------------------------------------------------------------------


def linked(codes: Codes, parts: int = 1, ef: int = 60, code: Code = Code.INTEGER_8BIT) -> Any:
    """A FAISS index of ``codes`` with links of ours, made in so many goes."""
    width = codes.shape[1]
    index = faiss.IndexHNSWSQ(width, faiss.ScalarQuantizer.QT_8bit_direct, 8, faiss.METRIC_L2)
    index.train(codes[:1].astype(np.float32))
    for part in np.array_split(codes, parts):
        index.storage.add(part.astype(np.float32))
        link(index, Encoding(code, width=width), ef)
    return index


def links_of(index: Any) -> list[list[list[int]]]:
    """By node and level."""
    hnsw = index.hnsw
    flat = faiss.rev_swig_ptr(hnsw.neighbors.data(), hnsw.neighbors.size())
    offsets = faiss.vector_to_array(hnsw.offsets).astype(int)
    starts = faiss.vector_to_array(hnsw.cum_nneighbor_per_level)
    return [
        [
            [
                int(node)
                for node in flat[offsets[i] + starts[level] : offsets[i] + starts[level + 1]]
                if node >= 0
            ]
            for level in range(levels)
        ]
        for i, levels in enumerate(faiss.vector_to_array(hnsw.levels).tolist())
    ]


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("parts", [1, 3])
def test_links_are_sound_and_lead_everywhere(threads: int, parts: int) -> None:
    codes = RNG.integers(0, 256, (1500, 24)).astype(np.uint8)
    set_threads(threads)
    index = linked(codes, parts)
    set_threads(1)
    links = links_of(index)
    assert index.ntotal == 1500
    assert index.hnsw.max_level == len(links[index.hnsw.entry_point]) - 1 == max(map(len, links)) - 1
    for node, levels in enumerate(links):
        for level, neighbors in enumerate(levels):
            assert node not in neighbors
            assert len(set(neighbors)) == len(neighbors)
            assert all(len(links[neighbor]) > level for neighbor in neighbors)
    found = index.search(codes.astype(np.float32), 1, params=faiss.SearchParametersHNSW(efSearch=100))[1][
        :, 0
    ]
    assert np.mean(found == np.arange(1500)) > 0.995


def test_graphs_are_as_good_as_those_that_faiss_links() -> None:
    codes = (np.clip(RNG.normal(size=(4000, 6)) @ RNG.normal(size=(6, 32)) * 20 + 128, 0, 255)).astype(
        np.uint8
    )
    queries, codes = codes[:200].astype(np.float32), codes[200:]
    theirs = faiss.IndexHNSWSQ(32, faiss.ScalarQuantizer.QT_8bit_direct, 8, faiss.METRIC_L2)
    theirs.hnsw.efConstruction = 60
    theirs.train(queries[:1])
    theirs.add(codes.astype(np.float32))
    flat = faiss.IndexFlatL2(32)
    flat.add(codes.astype(np.float32))
    truth = flat.search(queries, 10)[0]

    def recall(index: Any) -> float:
        distances = index.search(queries, 10, params=faiss.SearchParametersHNSW(efSearch=20))[0]
        return float(np.mean(distances <= truth[:, -1:]))

    assert recall(linked(codes)) > recall(theirs) - 0.01


def test_codes_of_halves_are_linked_as_the_integers_that_they_stand_for() -> None:
    codes = RNG.integers(0, 256, (600, 128)).astype(np.uint8)
    of_halves = links_of(linked(codes, code=Code.INTEGER_4BIT))
    assert of_halves == links_of(linked(unpacked_halves(codes)))


def test_one_thread_links_the_same_graph_again() -> None:
    codes = RNG.integers(0, 256, (400, 16)).astype(np.uint8)
    assert links_of(linked(codes)) == links_of(linked(codes))


def test_what_is_not_of_the_graph_is_not_linked() -> None:
    links = Links(np.zeros((2, 4), dtype=np.uint8), np.full((2, 3), -1, dtype=np.int32))
    levels, locks = np.ones(2, np.int32), np.zeros(2, np.uint8)
    order, first = np.array([1], np.int32), np.zeros(1, np.int64)
    for wrong in (
        (levels[:1], locks, order, first, 5),
        (levels, locks[:1], order, first, 5),
        (levels, locks, order + 1, first, 5),
        (levels, locks, order - 2, first, 5),
        (levels + 1, locks, order, first, 5),
        (levels, locks, order, first, 0),
    ):
        with pytest.raises(ValueError, match="of this graph"):
            links.graph().link(*wrong)
    assert (links.neighbors == -1).all()
    links.graph().link(levels, locks, order, first, 5)
    assert links.neighbors[:, 0].tolist() == [1, 0]
