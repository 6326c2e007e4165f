"""Graphs: candidates after rescoring hold nearly all true neighbours, whatever the code."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

from node.index import Code, Encoding, GraphParams, HnswGraph, choose_encoding, graph_file, set_threads
from node.index.distances import normalize
from node.index.library import faiss
from protos.collections import Distance
from tests.node.index import oracle

RNG = np.random.default_rng(3)
MATRIX = normalize(RNG.normal(size=(2000, 16)).astype(np.float32))
QUERIES = normalize(RNG.normal(size=(40, 16)).astype(np.float32))
PARAMS = GraphParams(m=8, ef_construct=60)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    set_threads(1)


@pytest.mark.parametrize("distance", list(Distance))
def test_candidates_hold_the_true_neighbours(distance: Distance) -> None:
    graph = HnswGraph.build(distance, MATRIX, None, PARAMS, choose_encoding(distance, MATRIX))
    found = graph.candidates(QUERIES, 100, 20)
    held = sum(
        len(np.intersect1d(np.argsort(-oracle.similarities(distance, query, MATRIX))[:10], rows))
        for query, rows in zip(QUERIES, found, strict=True)
    )
    assert held / 400 >= 0.98


def test_a_saved_graph_answers_as_before_when_mapped(tmp_path: Path) -> None:
    encoding = choose_encoding(Distance.COSINE, MATRIX)
    graph = HnswGraph.build(Distance.COSINE, MATRIX, None, PARAMS, encoding)
    graph.save(tmp_path / "graph")
    again = HnswGraph.open(tmp_path / "graph", None, PARAMS, encoding, Distance.COSINE)
    assert again.count == 2000
    np.testing.assert_array_equal(graph.candidates(QUERIES, 64, 10), again.candidates(QUERIES, 64, 10))


@pytest.mark.parametrize("code", [Code.INTEGER_8BIT, Code.UNIFORM_8BIT, Code.FLOAT16, Code.FLOAT32])
def test_codes_begin_where_a_line_of_the_cache_does(tmp_path: Path, code: Code) -> None:
    encoding = choose_encoding(Distance.COSINE, MATRIX) if code is Code.INTEGER_8BIT else Encoding(code)
    assert encoding.code is code
    for rows in (17, 100):
        path = tmp_path / f"graph-{rows}"
        HnswGraph.build(Distance.COSINE, MATRIX[:rows], None, PARAMS, encoding).save(path)
        index, packed = graph_file.open_mapped(path)
        assert (packed is not None) == (code is Code.INTEGER_8BIT)
        storage = index if packed else faiss.downcast_index(index.storage)
        assert int(storage.codes.data()) % 64 == 0


def test_files_of_former_versions_have_all_links_as_faiss_has_them(tmp_path: Path) -> None:
    """Behind a few bytes in 0.4, alone up to 0.3."""
    encoding = choose_encoding(Distance.COSINE, MATRIX)
    graph = HnswGraph.build(Distance.COSINE, MATRIX, None, PARAMS, encoding)
    graph.save(tmp_path / "now")
    graph_file.write(graph._index, tmp_path / "0.4", 2000 * encoding.width)
    data = (tmp_path / "0.4").read_bytes()
    before = int.from_bytes(data[len(graph_file.MAGIC) :][:4], "little")
    (tmp_path / "0.3").write_bytes(data[before:])
    assert faiss.read_index(str(tmp_path / "0.3")).ntotal == 2000
    everything = np.full(250, 255, dtype=np.uint8)
    for version in ("0.3", "0.4", "now"):
        again = HnswGraph.open(tmp_path / version, None, PARAMS, encoding, Distance.COSINE)
        for queries in (QUERIES, QUERIES * np.float32(50)):  # these are beyond the integers
            for found, expected in (
                (again.candidates(queries, 64, 10), graph.candidates(queries, 64, 10)),
                (again.best(queries, 64, 20, 10, MATRIX), graph.best(queries, 64, 20, 10, MATRIX)),
                (
                    again.best_of_codes(queries, 20, 10, MATRIX, None, everything),
                    graph.best_of_codes(queries, 20, 10, MATRIX, None, everything),
                ),
            ):
                assert found is not None
                assert expected is not None
                for one, other in zip(found, expected, strict=True):
                    np.testing.assert_array_equal(one, other)
    assert (tmp_path / "now").stat().st_size < len(data)


def test_a_mapped_graph_outlives_its_file_and_who_opened_it(tmp_path: Path) -> None:
    encoding = choose_encoding(Distance.COSINE, MATRIX)
    graph = HnswGraph.build(Distance.COSINE, MATRIX, None, PARAMS, encoding)
    graph.save(tmp_path / "graph")
    again = HnswGraph.open(tmp_path / "graph", None, PARAMS, encoding, Distance.COSINE)
    (tmp_path / "graph").unlink()
    gc.collect()
    np.testing.assert_array_equal(graph.candidates(QUERIES, 64, 10), again.candidates(QUERIES, 64, 10))


@pytest.mark.parametrize("size", [0, 10, 18, 70, 500, 20_000])
def test_a_file_cut_short_is_told(tmp_path: Path, size: int) -> None:
    encoding = choose_encoding(Distance.COSINE, MATRIX)
    graph = HnswGraph.build(Distance.COSINE, MATRIX, None, PARAMS, encoding)
    graph.save(tmp_path / "graph")
    (tmp_path / "short").write_bytes((tmp_path / "graph").read_bytes()[:size])
    with pytest.raises(RuntimeError):
        HnswGraph.open(tmp_path / "short", None, PARAMS, encoding, Distance.COSINE)


def test_packed_links_that_do_not_fit_the_codes_are_told(tmp_path: Path) -> None:
    encoding = choose_encoding(Distance.COSINE, MATRIX)
    graphs = [HnswGraph.build(Distance.COSINE, MATRIX[:n], None, PARAMS, encoding) for n in (300, 500)]
    links = [graph._links() for graph in graphs]
    assert graph_file.write_packed(graphs[0]._storage, links[1], tmp_path / "mixed", 300 * encoding.width)
    with pytest.raises(RuntimeError, match="links of 500 nodes"):
        HnswGraph.open(tmp_path / "mixed", None, PARAMS, encoding, Distance.COSINE)


def test_more_links_than_a_byte_can_tell_stay_as_faiss_has_them(tmp_path: Path) -> None:
    encoding = choose_encoding(Distance.COSINE, MATRIX)
    for m, is_packed in ((127, True), (128, False)):
        params = GraphParams(m=m, ef_construct=20)
        graph = HnswGraph.build(Distance.COSINE, MATRIX[:400], None, params, encoding)
        graph.save(tmp_path / "graph")
        assert (graph_file.open_mapped(tmp_path / "graph")[1] is not None) == is_packed
        again = HnswGraph.open(tmp_path / "graph", None, params, encoding, Distance.COSINE)
        np.testing.assert_array_equal(graph.candidates(QUERIES, 64, 10), again.candidates(QUERIES, 64, 10))


def test_nodes_of_a_partial_graph_are_reported_as_rows() -> None:
    rows = np.arange(1, 2000, 3, dtype=np.uint32)
    graph = HnswGraph.build(Distance.EUCLID, MATRIX, rows, PARAMS, Encoding(Code.FLOAT16))
    found = graph.candidates(MATRIX[rows[:30]], 50, 1)
    np.testing.assert_array_equal(found[:, 0], rows[:30])


def test_missing_candidates_are_padded() -> None:
    rows = np.array([5, 9], dtype=np.uint32)
    graph = HnswGraph.build(Distance.DOT, MATRIX, rows, PARAMS, Encoding(Code.FLOAT32))
    assert sorted(graph.candidates(QUERIES[:1], 8, 4)[0].tolist()) == [-1, -1, 5, 9]


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        HnswGraph.open(tmp_path / "none", None, PARAMS, Encoding(Code.FLOAT16), Distance.DOT)


def test_even_vectors_take_the_cheapest_code() -> None:
    assert choose_encoding(Distance.COSINE, MATRIX).code is Code.INTEGER_8BIT
    assert choose_encoding(Distance.DOT, MATRIX).code is Code.UNIFORM_8BIT


def test_one_wide_dimension_rules_out_a_range_common_to_all() -> None:
    matrix = MATRIX.copy()
    matrix[:, 3] *= 1000.0
    matrix[:, 3] = np.round(matrix[:, 3], -2)  # coarse, so the narrow dimensions decide
    assert choose_encoding(Distance.EUCLID, matrix).code is Code.PER_DIMENSION_8BIT


def test_a_single_outlier_outside_the_sample_is_seen() -> None:
    """The code's range comes from every row, and so does its precision."""
    matrix = np.tile(MATRIX, (3, 1))
    matrix[1] = 1e4
    assert choose_encoding(Distance.EUCLID, matrix).code is Code.FLOAT16


def test_values_beyond_float16_keep_float32() -> None:
    matrix = MATRIX * np.float32(1e6)
    matrix[1] *= 1e6
    assert choose_encoding(Distance.EUCLID, matrix).code is Code.FLOAT32


def test_manhattan_keeps_float32() -> None:
    assert choose_encoding(Distance.MANHATTAN, MATRIX).code is Code.FLOAT32


def test_equal_vectors_can_be_indexed() -> None:
    matrix = np.ones((300, 8), dtype=np.float32)
    graph = HnswGraph.build(Distance.COSINE, matrix, None, PARAMS, choose_encoding(Distance.COSINE, matrix))
    assert (graph.candidates(matrix[:1], 32, 5) >= 0).all()
