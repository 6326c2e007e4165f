"""Payload index schemas: which type a field is indexed as, and that index's parameters.

``PayloadIndexParams`` is a union tagged by ``type``, as on the wire. ``PayloadSchema`` remembers
whether the client gave a parameters object or only a type, since info shows the difference.
Source: reference 11.
"""

from __future__ import annotations

import enum
from typing import Any, ClassVar, Literal

import msgspec
from msgspec import Struct

from protos.collections.languages import StemmerLanguage, StopwordsLanguage
from protos.collections.tuning import Memory, Unsigned


class PayloadSchemaType(enum.Enum):
    KEYWORD = "keyword"
    INTEGER = "integer"
    FLOAT = "float"
    GEO = "geo"
    TEXT = "text"
    BOOL = "bool"
    DATETIME = "datetime"
    UUID = "uuid"


class IndexParams(Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """What every payload index has; ``memory`` unset means pinned, or cold when ``on_disk``."""

    data_type: ClassVar[PayloadSchemaType]

    on_disk: bool | None = None
    memory: Memory | None = None
    enable_hnsw: bool | None = None

    @property
    def placement(self) -> Memory:
        return self.memory or (Memory.COLD if self.on_disk else Memory.PINNED)


class KeywordIndexParams(IndexParams, frozen=True, kw_only=True, tag="keyword"):
    data_type = PayloadSchemaType.KEYWORD

    is_tenant: bool | None = None
    prefix: bool | None = None


class IntegerIndexParams(IndexParams, frozen=True, kw_only=True, tag="integer"):
    """``lookup`` and ``range`` default to true; at least one of them is."""

    data_type = PayloadSchemaType.INTEGER

    lookup: bool | None = None
    range: bool | None = None
    is_principal: bool | None = None


class FloatIndexParams(IndexParams, frozen=True, kw_only=True, tag="float"):
    data_type = PayloadSchemaType.FLOAT

    is_principal: bool | None = None


class GeoIndexParams(IndexParams, frozen=True, kw_only=True, tag="geo"):
    data_type = PayloadSchemaType.GEO


class BoolIndexParams(IndexParams, frozen=True, kw_only=True, tag="bool"):
    data_type = PayloadSchemaType.BOOL


class DatetimeIndexParams(IndexParams, frozen=True, kw_only=True, tag="datetime"):
    data_type = PayloadSchemaType.DATETIME

    is_principal: bool | None = None


class UuidIndexParams(IndexParams, frozen=True, kw_only=True, tag="uuid"):
    data_type = PayloadSchemaType.UUID

    is_tenant: bool | None = None


class StopwordsSet(Struct, frozen=True, omit_defaults=True):
    languages: tuple[StopwordsLanguage, ...] | None = None
    custom: tuple[str, ...] | None = None


class StemmingAlgorithm(Struct, frozen=True, omit_defaults=True):
    """``snowball`` needs a language; ``none`` switches stemming off."""

    type: Literal["snowball", "none"]
    language: StemmerLanguage | None = None


class TextIndexParams(IndexParams, frozen=True, kw_only=True, tag="text"):
    data_type = PayloadSchemaType.TEXT

    tokenizer: Literal["prefix", "whitespace", "word", "multilingual"] | None = None
    min_token_len: Unsigned | None = None
    max_token_len: Unsigned | None = None
    lowercase: bool | None = None
    ascii_folding: bool | None = None
    phrase_matching: bool | None = None
    stopwords: StopwordsLanguage | StopwordsSet | None = None
    stemmer: StemmingAlgorithm | None = None


PayloadIndexParams = (
    KeywordIndexParams
    | IntegerIndexParams
    | FloatIndexParams
    | GeoIndexParams
    | BoolIndexParams
    | DatetimeIndexParams
    | UuidIndexParams
    | TextIndexParams
)

_DEFAULTS: dict[PayloadSchemaType, PayloadIndexParams] = {
    PayloadSchemaType.KEYWORD: KeywordIndexParams(),
    PayloadSchemaType.INTEGER: IntegerIndexParams(),
    PayloadSchemaType.FLOAT: FloatIndexParams(),
    PayloadSchemaType.GEO: GeoIndexParams(),
    PayloadSchemaType.TEXT: TextIndexParams(),
    PayloadSchemaType.BOOL: BoolIndexParams(),
    PayloadSchemaType.DATETIME: DatetimeIndexParams(),
    PayloadSchemaType.UUID: UuidIndexParams(),
}


class PayloadSchema(Struct, frozen=True, omit_defaults=True):
    """One field's index. ``params`` is None when only the type was given."""

    data_type: PayloadSchemaType
    params: PayloadIndexParams | None = None

    @property
    def effective(self) -> PayloadIndexParams:
        """The parameters that apply: those given, or the type's defaults."""
        return self.params if self.params is not None else default_index_params(self.data_type)


def default_index_params(data_type: PayloadSchemaType) -> PayloadIndexParams:
    return _DEFAULTS[data_type]


_decoder: msgspec.json.Decoder[PayloadIndexParams] = msgspec.json.Decoder(PayloadIndexParams)


def encode_index_params(params: PayloadIndexParams) -> bytes:
    """Return the JSON that ``protos.operations.CreateIndex`` carries as ``schema``."""
    return msgspec.json.encode(params)


def decode_index_params(data: bytes) -> PayloadIndexParams:
    return _decoder.decode(data)


def echo_index(schema: PayloadSchema, points: int) -> dict[str, Any]:
    """Return one entry of info's ``payload_schema``."""
    shown: dict[str, Any] = msgspec.to_builtins(schema)
    return {**shown, "points": points}
