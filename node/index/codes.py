"""How graphs store vectors: the codes, what a vector becomes before FAISS encodes it, and the choice of one.

Lives here: ``Encoding`` (all that must be known to put a query to a graph's codes), the automatic choice,
and the choice that a quantization setting makes. May not live here: graphs (``hnsw``), files.

Measurements behind it: ``docs/decisions/0003-quantization.md``.
"""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node.index.exact import best_of, similarities
from node.index.library import faiss
from node.index.narrow import Originals
from node.index.quantization import Kind, Quantization
from node.index.rotation import rotate, width_for
from protos.collections import Distance

FloatArray = npt.NDArray[np.float32]
GraphRows = npt.NDArray[np.uint32]

BLOCK_ROWS = 65_536
_PROBE_ROWS, _PROBE_QUERIES, _PROBE_K = 4096, 128, 10
_PROBE_RECALL_MIN = 0.999
_LEVELS = 255
_INTEGER_GRAIN = 16  # components that FAISS's integer kernel takes at once
_INTEGER_DIM_MAX = 16_384  # its sum of squares is an int32
_SHORT_ROWS_MAX = 0.01
_QUANTILE_ROWS = 16_384
_TRAINING_ROWS = 16_384
_PRODUCT_ROWS, _PRODUCT_ROUNDS = 4096, 6
_PRODUCT_CENTROIDS_BITS = 8
_CLIPPED_DEVIATIONS = 2.5  # where 16 even levels of a normal distribution lose least


class Code(enum.Enum):
    """How a graph stores vectors."""

    INTEGER_8BIT = "8bit_integer"  # one range for all; queries become integers too
    UNIFORM_8BIT = "8bit_uniform"  # one range for all
    PER_DIMENSION_8BIT = "8bit"
    FLOAT16 = "float16"
    FLOAT32 = "float32"
    UNIFORM_4BIT = "4bit_uniform"  # rotated
    PRODUCT = "product"
    SIGNS = "signs"  # RaBitQ: signs of a rotated vector, and two numbers that make distances unbiased


class Encoding(Struct, frozen=True):
    """
    Attributes:
        low, step: of INTEGER_8BIT: the integer i stands for ``low + i * step``.
        width: components that FAISS sees where those are padded or rotated; 0: the vector's own.
        parts: of PRODUCT, one byte each.
    """

    code: Code
    low: float = 0.0
    step: float = 1.0
    width: int = 0
    parts: int = 0

    @property
    def coarse(self) -> bool:
        """Is the order by code so rough that all candidates should be scored again?"""
        return self.code in (Code.SIGNS, Code.PRODUCT)

    @property
    def rotated(self) -> bool:
        return self.code in (Code.SIGNS, Code.UNIFORM_4BIT)


_QUANTIZERS = {
    Code.INTEGER_8BIT: faiss.ScalarQuantizer.QT_8bit_direct,
    Code.UNIFORM_8BIT: faiss.ScalarQuantizer.QT_8bit_uniform,
    Code.PER_DIMENSION_8BIT: faiss.ScalarQuantizer.QT_8bit,
    Code.FLOAT16: faiss.ScalarQuantizer.QT_fp16,
    Code.UNIFORM_4BIT: faiss.ScalarQuantizer.QT_4bit_uniform,
}
_FLOAT_METRICS = {
    Distance.COSINE: faiss.METRIC_INNER_PRODUCT,
    Distance.DOT: faiss.METRIC_INNER_PRODUCT,
    Distance.EUCLID: faiss.METRIC_L2,
    Distance.MANHATTAN: faiss.METRIC_L1,
}
_COMPONENT_BYTES = {
    Code.INTEGER_8BIT: 1.0,
    Code.UNIFORM_8BIT: 1.0,
    Code.PER_DIMENSION_8BIT: 1.0,
    Code.FLOAT16: 2.0,
    Code.FLOAT32: 4.0,
    Code.UNIFORM_4BIT: 0.5,
    Code.SIGNS: 0.125,
}
_SIGNS_EXTRA_BYTES = 8


def code_bytes(encoding: Encoding, dim: int) -> int:
    """Of one vector."""
    if encoding.code is Code.PRODUCT:
        return encoding.parts
    extra = _SIGNS_EXTRA_BYTES if encoding.code is Code.SIGNS else 0
    return int((encoding.width or dim) * _COMPONENT_BYTES[encoding.code]) + extra


def sq_type(code: Code) -> int:
    """FAISS's scalar quantizer."""
    return int(_QUANTIZERS[code])


def metric_of(distance: Distance, code: Code) -> int:
    """FAISS's metric. Cosine vectors are of unit length, where L2 orders as the inner product does."""
    by_length = code in (Code.INTEGER_8BIT, Code.UNIFORM_4BIT, Code.PRODUCT, Code.SIGNS)
    if distance is Distance.COSINE and by_length:
        return int(faiss.METRIC_L2)
    return int(_FLOAT_METRICS[distance])


def for_faiss(encoding: Encoding, matrix: npt.NDArray[Any]) -> FloatArray:
    """Rows of ``matrix`` (n, dim) in the form that FAISS encodes or compares, C-contiguous float32."""
    floats = np.ascontiguousarray(matrix, dtype=np.float32)
    if encoding.rotated:
        return rotate(floats, encoding.width)
    if encoding.code is not Code.INTEGER_8BIT:
        return floats
    integers = np.zeros((len(floats), encoding.width), dtype=np.float32)
    within = integers[:, : floats.shape[1]]
    np.subtract(floats, np.float32(encoding.low), out=within)
    within /= np.float32(encoding.step)
    np.rint(within, out=within)
    np.clip(within, 0, _LEVELS, out=within)
    return integers


def integers_of(encoding: Encoding, queries: FloatArray) -> FloatArray | None:
    """``for_faiss`` at INTEGER_8BIT; None where a component is so far outside the range of the integers
    that the query, clipped, would be another one."""
    low, step = encoding.low, encoding.step
    least, most = float(np.minimum.reduce(queries, axis=None)), float(np.maximum.reduce(queries, axis=None))
    if least < low - step or most > low + (_LEVELS + 1) * step:
        return None
    within = queries - np.float32(low)
    within /= np.float32(step)
    np.rint(within, out=within)
    if least < low or most > low + _LEVELS * step:
        np.clip(within, 0, _LEVELS, out=within)
    if within.shape[1] == encoding.width:
        return within
    padded = np.zeros((len(within), encoding.width), dtype=np.float32)
    padded[:, : within.shape[1]] = within
    return padded


def storage_for(encoding: Encoding, dim: int, metric: int) -> Any:
    """An empty, untrained FAISS index of flat codes."""
    width = encoding.width or dim
    match encoding.code:
        case Code.FLOAT32:
            return faiss.IndexFlat(width, metric)
        case Code.PRODUCT:
            return faiss.IndexPQ(width, encoding.parts, _PRODUCT_CENTROIDS_BITS, metric)
        case Code.SIGNS:
            return faiss.IndexRaBitQ(width, metric)
        case _:
            return faiss.IndexScalarQuantizer(width, sq_type(encoding.code), metric)


def slim(storage: Any, encoding: Encoding) -> None:
    """Give back what FAISS computes when it opens an index, and no search of ours asks for.

    Distances between product codes, 256 KiB a part: those that are linked are never compared by these codes.
    """
    if encoding.code is Code.PRODUCT:
        storage.pq.sdc_table.swap(faiss.Float32Vector())


def train(storage: Any, encoding: Encoding, matrix: Originals, rows: GraphRows | None) -> None:
    """Teach the code what it must know of ``matrix[rows]``: its range, its centroids, its middle."""
    if storage.is_trained:
        return
    match encoding.code:
        case Code.UNIFORM_8BIT | Code.PER_DIMENSION_8BIT:
            storage.train(_extremes(matrix, rows))  # of every row: a value outside would be clipped
        case Code.UNIFORM_4BIT:
            sample = rotate(_sample(matrix, rows, _TRAINING_ROWS), encoding.width)
            bound = _CLIPPED_DEVIATIONS * float(sample.std())
            storage.train(np.clip(sample, -bound, bound))
        case Code.PRODUCT:
            clustering = storage.pq.cp
            clustering.niter, clustering.min_points_per_centroid = _PRODUCT_ROUNDS, 1
            storage.train(_sample(matrix, rows, _PRODUCT_ROWS))
        case _:
            storage.train(for_faiss(encoding, _sample(matrix, rows, _TRAINING_ROWS)))


def choose_encoding(
    distance: Distance,
    matrix: Originals,
    rows: GraphRows | None = None,
    quantization: Quantization | None = None,
) -> Encoding:
    """What ``quantization`` asks for, or else the cheapest that loses nothing, for ``matrix[rows]``.

    Manhattan always keeps float32: FAISS computes L1 on floats only.
    """
    if distance is Distance.MANHATTAN or not len(matrix if rows is None else rows):
        return Encoding(Code.FLOAT32)
    if quantization is not None:
        return _quantized(distance, matrix, rows, quantization)
    return choose_lossless(distance, matrix, rows)


def choose_lossless(distance: Distance, matrix: Originals, rows: GraphRows | None) -> Encoding:
    """The cheapest encoding whose best 2k hold the true best k of a sample of ``matrix[rows]``."""
    sample = _sample(matrix, rows, _PROBE_ROWS)
    encodings = [Encoding(Code.UNIFORM_8BIT), Encoding(Code.PER_DIMENSION_8BIT), Encoding(Code.FLOAT16)]
    if _integers_serve(distance, sample):
        extremes = _extremes(matrix, rows)
        encodings.insert(0, _integers(float(extremes.min()), float(extremes.max()), sample.shape[1]))
    return next(
        (
            encoding
            for encoding in encodings
            if _code_recall(distance, matrix, rows, sample, encoding) >= _PROBE_RECALL_MIN
        ),
        Encoding(Code.FLOAT32),
    )


def _quantized(
    distance: Distance, matrix: Originals, rows: GraphRows | None, wanted: Quantization
) -> Encoding:
    dim = matrix.shape[1]
    match wanted.kind:
        case Kind.SCALAR:
            if not _integers_serve(distance, _sample(matrix, rows, _PROBE_ROWS)):
                return Encoding(Code.UNIFORM_8BIT)
            low, high = _range(matrix, rows, wanted.quantile)
            return _integers(low, high, dim)
        case Kind.PRODUCT:
            if wanted.compression <= 4:  # a byte per component: even levels do as well as centroids
                return Encoding(Code.PER_DIMENSION_8BIT)
            return Encoding(Code.PRODUCT, parts=_parts(dim, wanted.compression // 4))
        case Kind.BITS if wanted.bits >= 4:
            return Encoding(Code.UNIFORM_4BIT, width=width_for(dim, 1.0))
        case _:
            return Encoding(Code.SIGNS, width=width_for(dim, wanted.bits))


def _parts(dim: int, components: int) -> int:
    """Equal parts of about ``components`` each, rather more of them than fewer."""
    least = -(-dim // components)
    return next(parts for parts in range(least, dim + 1) if dim % parts == 0)


def _integers(low: float, high: float, dim: int) -> Encoding:
    step = max((high - low) / _LEVELS, float(np.finfo(np.float32).tiny))
    width = -(-dim // _INTEGER_GRAIN) * _INTEGER_GRAIN
    return Encoding(Code.INTEGER_8BIT, low=low, step=step, width=width)


def _integers_serve(distance: Distance, sample: FloatArray) -> bool:
    """Codes of integers are compared by L2; at Cosine that needs vectors of unit length, and not of none."""
    if distance not in (Distance.COSINE, Distance.EUCLID) or sample.shape[1] > _INTEGER_DIM_MAX:
        return False
    if distance is Distance.EUCLID:
        return True
    return float(np.mean(np.vecdot(sample, sample) < 0.5)) <= _SHORT_ROWS_MAX


def _sample(matrix: Originals, rows: GraphRows | None, count: int) -> FloatArray:
    """At most ``count`` rows, spread evenly."""
    total = len(matrix) if rows is None else len(rows)
    picked = np.unique(np.linspace(0, total - 1, min(total, count)).astype(np.int64))
    return np.ascontiguousarray(matrix[picked if rows is None else rows[picked]], dtype=np.float32)


def _extremes(matrix: Originals, rows: GraphRows | None) -> FloatArray:
    """(2 per block, dim): the least and the greatest values of each component."""
    found = []
    for first in range(0, len(matrix) if rows is None else len(rows), BLOCK_ROWS):
        part = slice(first, first + BLOCK_ROWS)
        block = matrix[part] if rows is None else matrix[rows[part]]
        found += [block.min(axis=0), block.max(axis=0)]
    return np.stack(found).astype(np.float32)


def _range(matrix: Originals, rows: GraphRows | None, quantile: float | None) -> tuple[float, float]:
    """The middle ``quantile`` of all values; None: all of them."""
    if quantile is None or quantile >= 1:
        extremes = _extremes(matrix, rows)
        return float(extremes.min()), float(extremes.max())
    beyond = (1 - quantile) / 2
    low, high = np.quantile(_sample(matrix, rows, _QUANTILE_ROWS), (beyond, 1 - beyond))
    return float(low), float(high)


def _code_recall(
    distance: Distance,
    matrix: Originals,
    rows: GraphRows | None,
    sample: FloatArray,
    encoding: Encoding,
) -> float:
    """Share of the true best k of the sample that codes, made for all rows, have among their best 2k.

    Rows as similar as the k-th count as true whichever of them come first.
    """
    k = min(_PROBE_K, len(sample))
    queries = sample[:: max(1, len(sample) // _PROBE_QUERIES)]
    _, scores = best_of(distance, queries, sample, k)
    index = storage_for(encoding, matrix.shape[1], metric_of(distance, encoding.code))
    train(index, encoding, matrix, rows)
    index.add(for_faiss(encoding, sample))
    _, by_code = index.search(for_faiss(encoding, queries), min(2 * k, len(sample)))
    hits = [
        np.count_nonzero(similarities(distance, query, sample, np.sort(found[found >= 0])) >= best[-1])
        for query, found, best in zip(queries, by_code, scores, strict=True)
    ]
    return float(np.mean(np.minimum(hits, k)) / k)
