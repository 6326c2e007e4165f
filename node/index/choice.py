"""Which codes a graph gets: the cheapest that lose nothing, or what a quantization setting asks for. And over
which its rows are linked: what is stored, unless it is too coarse for that, or finer than it takes.

May not live here: what codes are (``codes``).

Measurements behind it: ``docs/decisions/0002-graphs-over-codes.md`` and ``0003-quantization.md``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node.index.codes import (
    LEVELS,
    Code,
    Encoding,
    for_faiss,
    metric_of,
    storage_for,
    train,
)
from node.index.exact import best_of, similarities
from node.index.halves import Nearby, halves_for, split
from node.index.narrow import Originals
from node.index.packed_rows import floats_of
from node.index.quantization import Kind, Quantization
from node.index.rotation import width_for
from node.index.samples import extremes_of, sample_of
from protos.collections import Distance

FloatArray = npt.NDArray[np.float32]
GraphRows = npt.NDArray[np.uint32]

_PROBE_ROWS, _PROBE_QUERIES, _PROBE_K = 4096, 128, 10
_PROBE_RECALL_MIN = 0.999
_INTEGER_GRAIN = 16  # components that FAISS's integer kernel takes at once
_INTEGER_DIM_MAX = 16_384  # its sum of squares is an int32
_SHORT_ROWS_MAX = 0.01
_QUANTILE_ROWS = 16_384
_CACHED_BYTES = 4 << 20  # codes of so many bytes are at hand whatever their size


class Encodings(Struct, frozen=True):
    """What a graph holds, and what its rows are linked over."""

    stored: Encoding
    linked: Encoding


def choose_encoding(
    distance: Distance,
    matrix: Originals,
    rows: GraphRows | None = None,
    quantization: Quantization | None = None,
    nearby: Nearby | None = None,
) -> Encoding:
    """What ``quantization`` asks for, or else the cheapest that loses nothing, for ``matrix[rows]``.

    Manhattan always keeps float32: FAISS computes L1 on floats only.
    """
    if distance is Distance.MANHATTAN or not len(matrix if rows is None else rows):
        return Encoding(Code.FLOAT32)
    if quantization is not None:
        chosen = _quantized(distance, matrix, rows, quantization)
    else:
        chosen = choose_lossless(distance, matrix, rows)
    if chosen.code is not Code.INTEGER_8BIT or floats_of(matrix) is None:
        return chosen
    if len(matrix if rows is None else rows) * chosen.width < _CACHED_BYTES:
        return chosen
    halves = halves_for(matrix, rows) if quantization is None else split(chosen, matrix.shape[1])
    return halves if (nearby or Nearby(distance, matrix, rows)).served_by(halves) else chosen


def choose_linked(
    distance: Distance,
    matrix: Originals,
    rows: GraphRows | None,
    stored: Encoding,
    nearby: Nearby | None = None,
) -> Encoding:
    """The encoding to link over where ``stored`` is to be stored.

    Where that is split bytes, halves of their own are taken if they serve: sixteen levels for the middle of
    all values tell more than the upper half of a byte, which has to reach as far as any of them does.
    """
    nearby = nearby or Nearby(distance, matrix, rows)
    if stored.coarse or stored.code is Code.UNIFORM_4BIT:
        return choose_encoding(distance, matrix, rows, nearby=nearby)
    if stored.code is Code.SPLIT_8BIT:
        halves = halves_for(matrix, rows)
        return halves if nearby.served_by(halves) else whole_bytes(stored, matrix.shape[1])
    return stored


def choose_encodings(
    distance: Distance,
    matrix: Originals,
    rows: GraphRows | None = None,
    quantization: Quantization | None = None,
) -> Encodings:
    """Both at once, for ``matrix[rows]``: what they are tried on is found once."""
    nearby = Nearby(distance, matrix, rows)
    stored = choose_encoding(distance, matrix, rows, quantization, nearby)
    return Encodings(stored, choose_linked(distance, matrix, rows, stored, nearby))


def choose_lossless(distance: Distance, matrix: Originals, rows: GraphRows | None) -> Encoding:
    """The cheapest encoding whose best 2k hold the true best k of a sample of ``matrix[rows]``."""
    sample = sample_of(matrix, rows, _PROBE_ROWS)
    encodings = [Encoding(Code.UNIFORM_8BIT), Encoding(Code.PER_DIMENSION_8BIT), Encoding(Code.FLOAT16)]
    if _integers_serve(distance, sample):
        extremes = extremes_of(matrix, rows)
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
            if not _integers_serve(distance, sample_of(matrix, rows, _PROBE_ROWS)):
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
    step = max((high - low) / LEVELS, float(np.finfo(np.float32).tiny))
    return whole_bytes(Encoding(Code.INTEGER_8BIT, low=low, step=step), dim)


def whole_bytes(encoding: Encoding, dim: int) -> Encoding:
    """Bytes that stand for the same."""
    width = -(-dim // _INTEGER_GRAIN) * _INTEGER_GRAIN
    return Encoding(Code.INTEGER_8BIT, low=encoding.low, step=encoding.step, width=width)


def _integers_serve(distance: Distance, sample: FloatArray) -> bool:
    """Codes of integers are compared by L2; at Cosine that needs vectors of unit length, and not of none."""
    if distance not in (Distance.COSINE, Distance.EUCLID) or sample.shape[1] > _INTEGER_DIM_MAX:
        return False
    if distance is Distance.EUCLID:
        return True
    return float(np.mean(np.vecdot(sample, sample) < 0.5)) <= _SHORT_ROWS_MAX


def _range(matrix: Originals, rows: GraphRows | None, quantile: float | None) -> tuple[float, float]:
    """The middle ``quantile`` of all values; None: all of them."""
    if quantile is None or quantile >= 1:
        extremes = extremes_of(matrix, rows)
        return float(extremes.min()), float(extremes.max())
    beyond = (1 - quantile) / 2
    low, high = np.quantile(sample_of(matrix, rows, _QUANTILE_ROWS), (beyond, 1 - beyond))
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
