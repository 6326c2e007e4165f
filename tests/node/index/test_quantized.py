"""Quantized graphs: what their codes find and say, queries beyond a code's range."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from node.index import (
    Code,
    Encoding,
    GraphParams,
    HnswGraph,
    Quantization,
    best_of,
    choose_encoding,
    graph_file,
    quantization_of,
    set_threads,
    similarities,
)
from node.index.codes import for_faiss
from node.index.distances import normalize
from node.index.graph_file import open_mapped
from node.index.library import faiss
from node.index.linking import speak
from node.index.quantization import Kind
from node.index.rotation import rotate, width_for
from protos.collections import (
    BinaryQuantizationConfig,
    Distance,
    ProductQuantizationConfig,
    QuantizationConfig,
    ScalarQuantizationConfig,
    TurboQuantizationConfig,
)

FloatArray = npt.NDArray[np.float32]

DIM, ROWS = 100, 3000
SCALAR = QuantizationConfig(scalar=ScalarQuantizationConfig("int8", quantile=0.99))
PRODUCT = QuantizationConfig(product=ProductQuantizationConfig("x16"))
CONFIGS = {
    "scalar": (SCALAR, 0.95, 1.0),
    "product x4": (QuantizationConfig(product=ProductQuantizationConfig("x4")), 0.95, 1.0),
    "product x16": (PRODUCT, 0.7, 0.99),
    "product x64": (QuantizationConfig(product=ProductQuantizationConfig("x64")), 0.5, 0.97),
    "binary": (QuantizationConfig(binary=BinaryQuantizationConfig()), 0.5, 0.98),
    "binary, two bits": (
        QuantizationConfig(
            binary=BinaryQuantizationConfig(encoding="two_bits", query_encoding="scalar8bits")
        ),
        0.6,
        0.99,
    ),
    "turbo, one and a half bits": (
        QuantizationConfig(turbo=TurboQuantizationConfig(bits="bits1_5")),
        0.55,
        0.99,
    ),
    "turbo, four bits": (QuantizationConfig(turbo=TurboQuantizationConfig()), 0.85, 1.0),
}


def _rows(count: int, seed: int) -> FloatArray:
    """Near a space of 12 dimensions, as embeddings are near one of few."""
    basis = np.random.default_rng(0).normal(size=(12, DIM))
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 12)) @ basis + 0.3 * rng.normal(size=(count, DIM))
    return rows.astype(np.float32)


MATRIX, QUERIES = normalize(_rows(ROWS, 1)), normalize(_rows(40, 2))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    set_threads(1)


def _params(config: QuantizationConfig | None) -> GraphParams:
    return GraphParams(16, 100, quantization_of(config))


class Graphs:
    """Graphs of ``MATRIX``: each is built once, and opened anew whenever it is asked for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._built: dict[Path, Encoding] = {}

    def path(self, distance: Distance, config: QuantizationConfig | None) -> Path:
        name = f"{distance.value} {quantization_of(config)}"
        return self._directory / hashlib.sha256(name.encode()).hexdigest()

    def open(self, distance: Distance, config: QuantizationConfig | None) -> HnswGraph:
        path, params = self.path(distance, config), _params(config)
        if path not in self._built:
            self._built[path] = _build(distance, MATRIX, params, path)
        return HnswGraph.open(path, None, params, self._built[path], distance)


def _build(distance: Distance, matrix: FloatArray, params: GraphParams, path: Path) -> Encoding:
    encoding = choose_encoding(distance, matrix, None, params.quantization)
    HnswGraph.build(distance, matrix, None, params, encoding).save(path)
    return encoding


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    set_threads(1)
    return Graphs(tmp_path_factory.mktemp("graphs"))


def _recall(found: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> float:
    shared = [len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True)]
    return sum(shared) / truth.size


@pytest.mark.parametrize("name", list(CONFIGS))
@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.DOT, Distance.EUCLID])
def test_candidates_hold_the_true_neighbours(name: str, distance: Distance, graphs: Graphs) -> None:
    config, by_code, rescored = CONFIGS[name]
    graph = graphs.open(distance, config)
    truth, _ = best_of(distance, QUERIES, MATRIX, 10)
    found = graph.candidates(QUERIES, 150, 150)
    assert _recall(found[:, :10], truth) >= by_code
    assert _recall(found, truth) >= rescored


@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.DOT, Distance.EUCLID])
@pytest.mark.parametrize("name", ["binary", "binary, two bits", "turbo, one and a half bits"])
def test_signs_are_compared_as_faiss_compares_them(name: str, distance: Distance) -> None:
    """By our walk the same candidates are found with the same distances, but for rounding."""
    params = _params(CONFIGS[name][0])
    encoding = choose_encoding(distance, MATRIX, None, params.quantization)
    graph = HnswGraph.build(distance, MATRIX, None, params, encoding)
    assert graph.quick
    rows, found = graph.search(QUERIES, 100, 60)
    nodes, distances = np.empty((40, 60), dtype=np.int64), np.empty((40, 60), dtype=np.float32)
    taken, wanted, pointer = (
        for_faiss(graph.encoding, QUERIES),
        faiss.SearchParametersHNSW(efSearch=100),
        faiss.swig_ptr,
    )
    graph._index.search_c(40, pointer(taken), 60, pointer(distances), pointer(nodes), wanted)
    assert np.mean(rows == nodes) > 0.99
    np.testing.assert_allclose(found, graph._similarities(distances, nodes), atol=2e-3)


@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.DOT, Distance.EUCLID])
@pytest.mark.parametrize("name", ["binary", "binary, two bits", "turbo, one and a half bits"])
def test_links_between_signs_are_packed_in_files(name: str, distance: Distance, tmp_path: Path) -> None:
    """What is found is the same, as in files up to format 5. A graph that is continued keeps its links."""
    params = _params(CONFIGS[name][0])
    encoding = choose_encoding(distance, MATRIX, None, params.quantization)
    built = HnswGraph.build(distance, MATRIX[:2000], None, params, encoding)
    built.save(tmp_path / "packed")
    assert open_mapped(tmp_path / "packed")[1] is not None
    faiss.write_index(built._index, str(tmp_path / "loose"))
    assert (tmp_path / "packed").stat().st_size < 0.9 * (tmp_path / "loose").stat().st_size
    opened = HnswGraph.open(tmp_path / "packed", None, params, encoding, distance)
    for found, expected in zip(opened.search(QUERIES, 64, 30), built.search(QUERIES, 64, 30), strict=True):
        np.testing.assert_array_equal(found, expected)
    speak(built._index, encoding, faiss.METRIC_L2)
    graph_file.write(built._index, tmp_path / "former", 2000 * built._storage.code_size)
    former = HnswGraph.open(tmp_path / "former", None, params, encoding, distance)
    np.testing.assert_array_equal(former.search(QUERIES, 64, 30), opened.search(QUERIES, 64, 30))
    whole = HnswGraph.build(distance, MATRIX, None, params, encoding, former=opened)
    truth, _ = best_of(distance, QUERIES, MATRIX, 10)
    assert _recall(whole.candidates(QUERIES, 150, 150), truth) >= 0.99


def test_signs_of_queries_that_say_nothing_are_compared_all_the_same(graphs: Graphs) -> None:
    """A query that equals the middle of the codes has no signs; one that is no number finds something."""
    graph = graphs.open(Distance.EUCLID, CONFIGS["binary"][0])
    odd = np.stack([np.zeros(DIM), np.full(DIM, np.nan), np.full(DIM, 1e30)]).astype(np.float32)
    rows, walked = graph.candidates(odd, 50, 50), graph.best(odd, 50, 50, 10, MATRIX)
    assert (rows >= 0).all()
    assert walked is not None
    assert (walked[0] >= 0).all()


def test_an_opened_graph_holds_no_distances_between_product_codes(graphs: Graphs) -> None:
    """They would take 64 KiB of private memory for each dimension, whatever the number of rows."""
    graph = graphs.open(Distance.COSINE, PRODUCT)
    assert graph._storage.pq.sdc_table.size() == 0
    as_faiss_opens_it, _ = open_mapped(graphs.path(Distance.COSINE, PRODUCT))
    codes = faiss.downcast_index(as_faiss_opens_it.storage).pq
    assert codes.sdc_table.size() == codes.M * 256 * 256


@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.DOT, Distance.EUCLID])
@pytest.mark.parametrize("name", list(CONFIGS))
def test_similarities_by_code_are_near_the_true_ones(name: str, distance: Distance, graphs: Graphs) -> None:
    graph = graphs.open(distance, CONFIGS[name][0])
    rows, by_code = graph.search(QUERIES, 50, 20)
    true = np.stack(
        [similarities(distance, q, MATRIX, found) for q, found in zip(QUERIES, rows, strict=True)]
    )
    assert np.abs(by_code - true).mean() < 0.25 * np.abs(true).mean()
    assert (np.diff(by_code, axis=1) <= 0).all()


@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.EUCLID])
def test_queries_beyond_the_range_of_integers_find_their_neighbours(
    distance: Distance, tmp_path: Path
) -> None:
    """Clipped to the range such a query would be another one."""
    matrix = _rows(ROWS, 3) if distance is Distance.EUCLID else MATRIX
    far = np.zeros((DIM, DIM), dtype=np.float32)
    np.fill_diagonal(far, 1.0 if distance is Distance.COSINE else 200.0)
    path, params = tmp_path / "graph", _params(None)
    graph = HnswGraph.open(path, None, params, _build(distance, matrix, params, path), distance)
    assert graph.encoding.code is Code.INTEGER_8BIT
    truth, _ = best_of(distance, far, matrix, 10)
    assert _recall(graph.candidates(far, 100, 20), truth) >= 0.98
    everything = np.full(-(-ROWS // 8), 255, dtype=np.uint8)
    scanned = graph.best_of_codes(far, 20, 10, matrix, None, everything)
    assert scanned is not None
    assert _recall(scanned[0], truth) >= 0.99


def test_zero_vectors_at_cosine_are_not_compared_by_length() -> None:
    matrix = MATRIX.copy()
    matrix[::3] = 0
    assert choose_encoding(Distance.COSINE, matrix).code is Code.UNIFORM_8BIT


def test_a_rotation_keeps_distances_and_spreads_components() -> None:
    spiky = np.zeros((20, DIM), dtype=np.float32)
    spiky[np.arange(20), np.arange(20)] = 1
    for expansion in (1.0, 1.5, 2.0):
        width = width_for(DIM, expansion)
        assert width % 64 == 0
        assert width >= DIM * expansion
        rotated = rotate(spiky, width)
        np.testing.assert_allclose(rotated @ rotated.T, spiky @ spiky.T, atol=1e-5)
        assert np.abs(rotated).max() < 0.6


def test_placement_is_no_part_of_what_codes_are() -> None:
    pinned = QuantizationConfig(scalar=ScalarQuantizationConfig("int8", quantile=0.99, always_ram=True))
    assert quantization_of(pinned) == quantization_of(SCALAR) == Quantization(Kind.SCALAR, quantile=0.99)


def test_rescoring_is_the_default_of_few_bits_only() -> None:
    defaults = {name: quantization_of(config) for name, (config, _, _) in CONFIGS.items()}
    rescoring = {name for name, wanted in defaults.items() if wanted is not None and wanted.rescores}
    assert rescoring == {"binary", "binary, two bits", "turbo, one and a half bits"}
