"""Quantization settings: which codes stand for vectors in an index.

``QuantizationConfig`` has exactly one of its members set, which gives it the JSON shape of Qdrant's
untagged union (``{"scalar": {...}}``). Source: reference 12.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from protos.collections.tuning import Memory

DISABLED: Literal["Disabled"] = "Disabled"


class ScalarQuantizationConfig(Struct, frozen=True, omit_defaults=True):
    type: Literal["int8"]
    quantile: float | None = None
    always_ram: bool | None = None
    memory: Memory | None = None


class ProductQuantizationConfig(Struct, frozen=True, omit_defaults=True):
    compression: Literal["x4", "x8", "x16", "x32", "x64"]
    always_ram: bool | None = None
    memory: Memory | None = None


class BinaryQuantizationConfig(Struct, frozen=True, omit_defaults=True):
    always_ram: bool | None = None
    memory: Memory | None = None
    encoding: Literal["one_bit", "two_bits", "one_and_half_bits"] | None = None
    query_encoding: Literal["default", "binary", "scalar4bits", "scalar8bits"] | None = None


class TurboQuantizationConfig(Struct, frozen=True, omit_defaults=True):
    always_ram: bool | None = None
    memory: Memory | None = None
    bits: Literal["bits1", "bits1_5", "bits2", "bits4"] | None = None


class QuantizationConfig(Struct, frozen=True, omit_defaults=True):
    scalar: ScalarQuantizationConfig | None = None
    product: ProductQuantizationConfig | None = None
    binary: BinaryQuantizationConfig | None = None
    turbo: TurboQuantizationConfig | None = None


QuantizationConfigDiff = QuantizationConfig | Literal["Disabled"]
