"""Graphs that continue former ones, and rows that come in a bad order."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt
import pytest

from node.index import Code, Encoding, GraphParams, HnswGraph, choose_encoding, quantization_of, set_threads
from node.index.distances import normalize
from node.index.linking import linked_index
from node.index.packed_links import FaissLinks
from protos.collections import BinaryQuantizationConfig, Distance, QuantizationConfig
from tests.node.index import oracle

RNG = np.random.default_rng(5)
CENTRES = RNG.normal(size=(40, 24)).astype(np.float32)
CLUSTERED = normalize(
    (np.repeat(CENTRES, 150, axis=0) + 0.7 * RNG.normal(size=(6000, 24))).astype(np.float32)
)
QUERIES = normalize((CENTRES + 0.7 * RNG.normal(size=(40, 24))).astype(np.float32))
PARAMS = GraphParams(m=8, ef_construct=60)

Rows = npt.NDArray[np.uint32]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    set_threads(1)


def graph_of(rows: Rows, former: HnswGraph | None = None, params: GraphParams = PARAMS) -> HnswGraph:
    encoding = choose_encoding(Distance.COSINE, CLUSTERED, np.sort(rows), params.quantization)
    return HnswGraph.build(Distance.COSINE, CLUSTERED, rows, params, encoding, former=former)


def recall(graph: HnswGraph, ef: int = 40, rows: Rows | None = None) -> float:
    """Share of the true 10 nearest (among ``rows``) that are among 20 candidates."""
    among = np.arange(len(CLUSTERED)) if rows is None else np.sort(rows).astype(np.int64)
    found = graph.candidates(QUERIES, ef, 20)
    held = 0
    for query, candidates in zip(QUERIES, found, strict=True):
        scores = oracle.similarities(Distance.COSINE, query, CLUSTERED[among])
        held += len(np.intersect1d(among[np.argsort(-scores)[:10]], candidates))
    return held / (10 * len(QUERIES))


def shuffled() -> Rows:
    return np.random.default_rng(1).permutation(6000).astype(np.uint32)


def test_a_continued_graph_finds_as_much_as_one_built_at_once(tmp_path: Path) -> None:
    rows = shuffled()
    whole = recall(graph_of(rows))
    for kept in (300, 3000, 5990):
        graph_of(rows[:kept]).save(tmp_path / "former")
        encoding = choose_encoding(Distance.COSINE, CLUSTERED, np.sort(rows[:kept]))
        former = HnswGraph.open(tmp_path / "former", rows[:kept], PARAMS, encoding, Distance.COSINE)
        continued = graph_of(rows, former)
        assert continued.count == 6000
        assert recall(continued) >= whole - 0.015
        assert former.count == kept  # and it can still be searched
        assert recall(former, rows=rows[:kept]) >= whole - 0.02


def test_a_graph_continued_by_other_clusters_than_it_had_finds_both() -> None:
    in_order = np.arange(6000, dtype=np.uint32)
    assert recall(graph_of(in_order, graph_of(in_order[:3000]))) >= recall(graph_of(shuffled())) - 0.015


def test_codes_fit_rows_that_are_far_beyond_the_former_ones() -> None:
    matrix = np.vstack([CLUSTERED[:500], 50 * CLUSTERED[500:1000]])
    rows = np.arange(1000, dtype=np.uint32)

    def build(count: int, former: HnswGraph | None = None) -> HnswGraph:
        encoding = choose_encoding(Distance.EUCLID, matrix, rows[:count])
        return HnswGraph.build(Distance.EUCLID, matrix, rows[:count], PARAMS, encoding, former=former)

    continued, queries = build(1000, build(500)), matrix[500:600]
    np.testing.assert_array_equal(continued.candidates(queries, 60, 1)[:, 0], np.arange(500, 600))


def test_other_codes_can_take_the_place_of_the_former_ones() -> None:
    quantization = quantization_of(QuantizationConfig(binary=BinaryQuantizationConfig()))
    coarse = GraphParams(8, 60, quantization)
    rows = shuffled()
    former = graph_of(rows[:4000])
    binary = graph_of(rows, former, coarse)
    assert binary.encoding.code is Code.SIGNS
    assert recall(binary, ef=100) >= recall(graph_of(rows, params=coarse), ef=100) - 0.02
    back = graph_of(rows, binary)
    assert back.encoding.code is Code.INTEGER_8BIT
    assert recall(back) >= recall(graph_of(rows)) - 0.015


def test_a_graph_with_other_links_cannot_be_continued() -> None:
    rows = np.arange(100, dtype=np.uint32)
    with pytest.raises(AssertionError):
        graph_of(rows, graph_of(rows[:50]), GraphParams(m=4, ef_construct=60))


def test_rows_added_one_by_one_get_levels_as_if_added_together() -> None:
    encoding, rows = Encoding(Code.FLOAT32), np.arange(800, dtype=np.uint32)
    index = linked_index(Distance.COSINE, CLUSTERED, rows[:400], PARAMS, encoding, encoding)
    for count in range(401, 801):
        former = FaissLinks.of(index)
        index = linked_index(Distance.COSINE, CLUSTERED, rows[:count], PARAMS, encoding, encoding, former)
    levels = faiss.vector_to_array(index.hnsw.levels)
    assert len(levels) == 800
    assert 20 <= np.count_nonzero(levels[400:] > 1) <= 90  # of 400, each with a chance of 1 in 8


def test_rows_sorted_by_cluster_are_linked_as_well_as_mixed_ones() -> None:
    assert recall(graph_of(np.arange(6000, dtype=np.uint32))) >= recall(graph_of(shuffled())) - 0.015
