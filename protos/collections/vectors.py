"""What a named vector is: size, distance and its own index settings.

Collections hold vectors by name in a plain dict; the unnamed vector's name is ``UNNAMED`` (``""``).
The client's two forms (one ``VectorParams``, or a map) exist only in ``decoding`` and ``config.echo``.
Source: reference 7.2, 12.
"""

from __future__ import annotations

import enum
from typing import Literal

import msgspec
from msgspec import Struct

from protos.collections.quantization import QuantizationConfig, QuantizationConfigDiff
from protos.collections.tuning import HnswConfigDiff, Memory, Unsigned

UNNAMED = ""


class Distance(enum.Enum):
    COSINE = "Cosine"
    EUCLID = "Euclid"
    DOT = "Dot"
    MANHATTAN = "Manhattan"


class Datatype(enum.Enum):
    FLOAT32 = "float32"
    UINT8 = "uint8"
    FLOAT16 = "float16"
    TURBO4 = "turbo4"


class MultiVectorConfig(Struct, frozen=True):
    comparator: Literal["max_sim"]


class VectorParams(Struct, frozen=True, omit_defaults=True):
    """``size`` is the number of components; unset options fall back to the collection's."""

    size: Unsigned
    distance: Distance
    hnsw_config: HnswConfigDiff | None = None
    quantization_config: QuantizationConfig | None = None
    on_disk: bool | None = None
    memory: Memory | None = None
    datatype: Datatype | None = None
    multivector_config: MultiVectorConfig | None = None


class VectorParamsDiff(Struct, frozen=True, omit_defaults=True):
    hnsw_config: HnswConfigDiff | None = None
    quantization_config: QuantizationConfigDiff | None = None
    on_disk: bool | None = None
    memory: Memory | None = None


VectorsConfig = dict[str, VectorParams]


class SparseIndexParams(Struct, frozen=True, omit_defaults=True):
    full_scan_threshold: Unsigned | None = None
    on_disk: bool | None = None
    memory: Memory | None = None
    datatype: Datatype | None = None


class SparseVectorParams(Struct, frozen=True, omit_defaults=True):
    index: SparseIndexParams | None = None
    modifier: Literal["none", "idf"] | None = None


_params_decoder = msgspec.json.Decoder(VectorParams)


def encode_vector_params(params: VectorParams) -> bytes:
    """Return the JSON that ``protos.operations.AddVectorName`` carries."""
    return msgspec.json.encode(params)


def decode_vector_params(data: bytes) -> VectorParams:
    return _params_decoder.decode(data)
