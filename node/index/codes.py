"""How graphs store vectors: the codes, and what a vector becomes before FAISS encodes it.

Lives here: ``Encoding`` (all that must be known to put a query to a graph's codes).
May not live here: which encoding is taken (``choice``), graphs (``hnsw``), files.

Measurements behind it: ``docs/decisions/0003-quantization.md``.
"""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node.index.library import faiss
from node.index.narrow import Originals
from node.index.rotation import rotate
from node.index.samples import extremes_of, sample_of
from protos.collections import Distance

FloatArray = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
GraphRows = npt.NDArray[np.uint32]

HALF_STEPS = 8  # of seven bits, between the integers of four; as in graph.h
LEVELS, HALVES = 255, 15  # the greatest integers of codes
LINE_BYTES = 64  # of codes with halves; as in graph.h
_TRAINING_ROWS = 16_384
_PRODUCT_ROWS, _PRODUCT_ROUNDS = 4096, 6
_PRODUCT_CENTROIDS_BITS = 8
_CLIPPED_DEVIATIONS = 2.5  # where 16 even levels of a normal distribution lose least


class Code(enum.Enum):
    """How a graph stores vectors."""

    INTEGER_8BIT = "8bit_integer"  # one range for all; queries become integers too
    INTEGER_4BIT = "4bit_integer"  # two in a byte; queries have three bits more
    SPLIT_8BIT = "8bit_split"  # as INTEGER_8BIT; walks compare the upper half of each
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
        low, step: of integers: i stands for ``low + i * step``. At INTEGER_4BIT they are of seven bits, of
            which codes have the upper four.
        width: components that FAISS sees where those are padded, packed (then it sees bytes) or rotated;
            0: the vector's own.
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
    def of_integers(self) -> bool:
        """Are they compared by ``node.index.walk`` as the integers that they are?"""
        return self.code in _FORMS

    @property
    def form(self) -> int:
        """Of integers, as ``node.index.walk`` has it."""
        return _FORMS[self.code]

    @property
    def rotated(self) -> bool:
        return self.code in (Code.SIGNS, Code.UNIFORM_4BIT)


_FORMS = {Code.INTEGER_8BIT: 0, Code.INTEGER_4BIT: 1, Code.SPLIT_8BIT: 2}  # as in graph.h
_QUANTIZERS = {
    Code.INTEGER_8BIT: faiss.ScalarQuantizer.QT_8bit_direct,
    Code.INTEGER_4BIT: faiss.ScalarQuantizer.QT_8bit_direct,
    Code.SPLIT_8BIT: faiss.ScalarQuantizer.QT_8bit_direct,
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
    Code.INTEGER_4BIT: 1.0,  # of ``width``
    Code.SPLIT_8BIT: 1.0,
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
    by_length = code in _FORMS or code in (Code.UNIFORM_4BIT, Code.PRODUCT, Code.SIGNS)
    if distance is Distance.COSINE and by_length:
        return int(faiss.METRIC_L2)
    return int(_FLOAT_METRICS[distance])


def for_faiss(encoding: Encoding, matrix: npt.NDArray[Any]) -> FloatArray:
    """Rows of ``matrix`` (n, dim) in the form that FAISS encodes or compares, C-contiguous float32."""
    floats = np.ascontiguousarray(matrix, dtype=np.float32)
    if encoding.rotated:
        return rotate(floats, encoding.width)
    if encoding.code is Code.INTEGER_4BIT:
        return packed_halves(encoding, floats).astype(np.float32)
    if encoding.code is Code.SPLIT_8BIT:
        return split_bytes(encoding, floats).astype(np.float32)
    if encoding.code is not Code.INTEGER_8BIT:
        return floats
    integers = np.zeros((len(floats), encoding.width), dtype=np.float32)
    _round(floats, encoding.low, encoding.step, LEVELS, integers[:, : floats.shape[1]])
    return integers


def packed_halves(encoding: Encoding, matrix: FloatArray) -> Bytes:
    """Codes (n, width) of rows (n, dim) at INTEGER_4BIT."""
    step = encoding.step * HALF_STEPS
    return _pack(_integers(matrix, encoding.low, step, HALVES, 2 * encoding.width))


def split_bytes(encoding: Encoding, matrix: FloatArray) -> Bytes:
    """Codes (n, width) of rows (n, dim) at SPLIT_8BIT."""
    integers = _integers(matrix, encoding.low, encoding.step, LEVELS, encoding.width)
    return np.concatenate([_pack(integers >> np.uint8(4)), _pack(integers & np.uint8(HALVES))], axis=1)


def unpacked_halves(codes: Bytes) -> Bytes:
    """The integers of seven bits that halves (n, m) stand for, (n, 2 * m); the last may be padding."""
    lines = codes.reshape(len(codes), -1, 1, LINE_BYTES)
    halves = np.concatenate([lines & HALVES, lines >> 4], axis=2)
    integers: Bytes = (halves * np.uint8(HALF_STEPS)).reshape(len(codes), -1)
    return integers


def _pack(halves: Bytes) -> Bytes:
    """(n, m), a multiple of 128, into (n, m / 2), as ``graph.h`` tells."""
    lines = halves.reshape(len(halves), -1, 2, LINE_BYTES)
    packed: Bytes = lines[:, :, 0] | lines[:, :, 1] << np.uint8(4)
    return packed.reshape(len(halves), -1)


def _integers(matrix: FloatArray, low: float, step: float, most: int, components: int) -> Bytes:
    """(n, components), zeros behind those of ``matrix``."""
    integers = np.zeros((len(matrix), components), dtype=np.uint8)
    levels = np.empty_like(matrix)
    _round(matrix, low, step, most, levels)
    integers[:, : matrix.shape[1]] = levels
    return integers


def _round(floats: FloatArray, low: float, step: float, most: int, levels: FloatArray) -> None:
    """Write to ``levels`` the integers from 0 to ``most`` that ``floats`` are nearest to."""
    np.subtract(floats, np.float32(low), out=levels)
    levels /= np.float32(step)
    np.rint(levels, out=levels)
    np.clip(levels, 0, most, out=levels)


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
            storage.train(extremes_of(matrix, rows))  # of every row: a value outside would be clipped
        case Code.UNIFORM_4BIT:
            sample = rotate(sample_of(matrix, rows, _TRAINING_ROWS), encoding.width)
            bound = _CLIPPED_DEVIATIONS * float(sample.std())
            storage.train(np.clip(sample, -bound, bound))
        case Code.SIGNS:  # their middle, and that of rotated rows is what their middle is rotated to
            middle = sample_of(matrix, rows, _TRAINING_ROWS).mean(axis=0, dtype=np.float64)
            storage.train(for_faiss(encoding, middle[np.newaxis]))
        case Code.PRODUCT:
            clustering = storage.pq.cp
            clustering.niter, clustering.min_points_per_centroid = _PRODUCT_ROUNDS, 1
            storage.train(sample_of(matrix, rows, _PRODUCT_ROWS))
        case _:
            storage.train(for_faiss(encoding, sample_of(matrix, rows, _TRAINING_ROWS)))
