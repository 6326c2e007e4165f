"""Something to make a vector of, and the port of a model that can."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from protos.errors import InvalidField, MalformedBody

BM25_NAMES = ("qdrant/bm25", "bm25")  # in any case of letters


class ObjectKind(enum.Enum):
    TEXT = "text"
    IMAGE = "image"
    OBJECT = "object"


class InferenceObject(Struct, frozen=True):
    """``data`` and ``options`` (an object) are JSON, so that equal ones compare equal."""

    kind: ObjectKind
    data: bytes
    model: str
    options: bytes = b"{}"


class LocalModel(Protocol):
    """A model of this process. Called in any thread."""

    def embed(
        self, text: str, options: Mapping[str, Any], *, searching: bool
    ) -> tuple[list[int], list[float]]:
        """Indices, ascending, and values of a sparse vector. Raises: ValueError: the options are wrong."""
        ...


def inference_object(
    kind: ObjectKind, data: object, model: object, options: object, path: str
) -> InferenceObject:
    """``path``: where it stands in the request. Raises: MalformedBody, InvalidField."""
    if not isinstance(model, str):
        raise MalformedBody(f"invalid type in `{path}.model`: a string is expected")
    if not model:
        raise InvalidField(f"{path}.model", "value invalid, must not be empty")
    if kind is ObjectKind.TEXT and not isinstance(data, str):
        raise MalformedBody(f"invalid type in `{path}.text`: a string is expected")
    if options is not None and not isinstance(options, dict):
        raise MalformedBody(f"invalid type in `{path}.options`: an object is expected")
    encode = msgspec.json.encode
    return InferenceObject(kind, encode(data), model, encode(options or {}, order="deterministic"))
