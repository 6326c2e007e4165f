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


class SparseVectorConfig(Struct, frozen=True, omit_defaults=True):
    """What is given for a sparse vector that is added to a collection (reference 7.5)."""

    modifier: Literal["none", "idf"] | None = None
    datatype: Datatype | None = None


AnyVectorParams = VectorParams | SparseVectorParams


class _Sparse(Struct, frozen=True):
    sparse: SparseVectorParams


_dense_decoder = msgspec.json.Decoder(VectorParams)
_sparse_decoder = msgspec.json.Decoder(_Sparse)
_SPARSE_START = b'{"sparse":'


def encode_vector_params(params: AnyVectorParams) -> bytes:
    """Return the JSON that ``protos.operations.AddVectorName`` carries."""
    return msgspec.json.encode(_Sparse(params) if isinstance(params, SparseVectorParams) else params)


def decode_vector_params(data: bytes) -> AnyVectorParams:
    if data.startswith(_SPARSE_START):
        return _sparse_decoder.decode(data).sparse
    return _dense_decoder.decode(data)
