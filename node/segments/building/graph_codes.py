"""Which codes the graphs of a segment's vectors hold, by what is known of how those are stored.

May not live here: how codes are made and compared (``node.index``).
"""

from __future__ import annotations

from msgspec.structs import replace

from node.index import Code, Encoding
from node.index.choice import Encodings, choose_encodings
from node.index.linking import GraphRows
from node.index.narrow import Originals
from node.index.quantization import Quantization
from node.segments.schema import VectorSchema
from protos.collections import Datatype

_TURBO_HEADROOM = 1.6  # times the outermost level, 2.7 deviations: one component in 80,000 is beyond
_STEPS = 255  # between integers of eight bits


def choose_codes(
    schema: VectorSchema, matrix: Originals, rows: GraphRows | None, quantization: Quantization | None
) -> Encodings:
    """The codes for ``matrix[rows]`` (None: all), stored vectors as they are compared.

    Rows of ``turbo4`` end at the outermost level, where their queries do not. A query beyond the range of
    integers is compared as floats, at twice the cost, so the range is made that of normal variables.
    """
    chosen = choose_encodings(schema.distance, matrix, rows, quantization)
    has_range = quantization is not None and quantization.quantile is not None
    if schema.datatype is Datatype.TURBO4 and chosen.stored.code is Code.INTEGER_8BIT and not has_range:
        wide = _widened(chosen.stored, _TURBO_HEADROOM)
        return Encodings(wide, wide)
    return chosen


def _widened(encoding: Encoding, factor: float) -> Encoding:
    """As many integers over a range of ``factor`` times the length, with the same middle."""
    middle = encoding.low + encoding.step * _STEPS / 2
    step = encoding.step * factor
    return replace(encoding, low=middle - step * _STEPS / 2, step=step)
