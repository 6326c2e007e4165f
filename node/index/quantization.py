"""What a collection's quantization setting asks of a graph's codes.

Placement (``always_ram``, ``memory``) is left out on purpose: it changes no code, so it rebuilds nothing.
"""

from __future__ import annotations

import enum

from msgspec import Struct

from protos.collections import QuantizationConfig

_DEFAULT_QUERY_BITS = 4  # as good as 8, and faster
_BITS = {"one_bit": 1.0, "one_and_half_bits": 1.5, "two_bits": 2.0}
_TURBO_BITS = {"bits1": 1.0, "bits1_5": 1.5, "bits2": 2.0, "bits4": 4.0}
# A query of one bit per component costs recall and saves nothing that can be measured, so it gets four too.
_QUERY_BITS = {
    "default": _DEFAULT_QUERY_BITS,
    "binary": _DEFAULT_QUERY_BITS,
    "scalar4bits": 4,
    "scalar8bits": 8,
}


class Kind(enum.Enum):
    SCALAR = "scalar"
    PRODUCT = "product"
    BITS = "bits"  # binary and turbo: a rotated vector in few bits


class Quantization(Struct, frozen=True):
    """
    Attributes:
        quantile: of SCALAR: the share of values that the range covers; None: all.
        compression: of PRODUCT: float32 bytes per byte of code.
        bits: of BITS: per component. ``query_bits``: per component of a query, 1 to 8.
    """

    kind: Kind
    quantile: float | None = None
    compression: int = 4
    bits: float = 1.0
    query_bits: int = _DEFAULT_QUERY_BITS

    @property
    def rescores(self) -> bool:
        """The default of ``rescore`` (reference 9.15)."""
        return self.kind is Kind.BITS and self.bits < 4


def quantization_of(config: QuantizationConfig | None) -> Quantization | None:
    if config is None:
        return None
    if config.scalar is not None:
        return Quantization(Kind.SCALAR, quantile=config.scalar.quantile)
    if config.product is not None:
        return Quantization(Kind.PRODUCT, compression=int(config.product.compression[1:]))
    if config.binary is not None:
        query_bits = _QUERY_BITS[config.binary.query_encoding or "default"]
        return Quantization(Kind.BITS, bits=_BITS[config.binary.encoding or "one_bit"], query_bits=query_bits)
    assert config.turbo is not None
    return Quantization(Kind.BITS, bits=_TURBO_BITS[config.turbo.bits or "bits4"])
