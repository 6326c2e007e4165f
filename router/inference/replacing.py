"""The objects of a request, and the same request with their vectors in their places.

Requests are trees of structs. They are walked as they are, so that a new kind of query or a new place for a
vector needs nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from protos.filters import Filter
from protos.shard import OrderBy, Projection, SearchParams, SparseVector
from router.inference.objects import InferenceObject
from router.vectors import SparseValues, VectorRows, VectorValues

T = TypeVar("T")

_NUMBERS: Final = (float, int, list)  # what vectors begin with
# Hold no objects; some are large.
_LEAVES: Final = frozenset(
    {
        *(type(None), bool, int, float, str, bytes, np.ndarray, SparseVector, SparseValues),
        *(Filter, OrderBy, Projection, SearchParams),
    }
)


def objects_in(value: object) -> list[InferenceObject]:
    """Those in a struct, in a tuple of structs, and below."""
    found: list[InferenceObject] = []
    _find(value, found)
    return found


def _find(value: object, found: list[InferenceObject]) -> None:
    kind = type(value)
    if kind in _LEAVES:
        return
    if isinstance(value, InferenceObject):
        found.append(value)
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            _find(getattr(value, name), found)
    elif isinstance(value, tuple | list) and value and type(value[0]) not in _NUMBERS:
        for child in value:
            _find(child, found)


def replaced(value: T, vectors: Mapping[InferenceObject, VectorValues]) -> T:
    """``value`` with vectors in place of the objects in it; itself if it has none."""
    if isinstance(value, InferenceObject):
        return vectors[value]  # type: ignore[return-value]  # of the type that stands there otherwise
    if not objects_in(value):
        return value
    if isinstance(value, Struct):
        fields: dict[str, Any] = {
            name: replaced(getattr(value, name), vectors) for name in value.__struct_fields__
        }
        return replace(value, **fields)
    assert isinstance(value, tuple | list)
    return type(value)(replaced(child, vectors) for child in value)


# --- writes ----------------------------------------------------------------------------------------------


def objects_of_rows(drafts: Mapping[str, VectorRows]) -> Iterator[InferenceObject]:
    for rows in drafts.values():
        yield from rows.objects.values()


def fill_rows(drafts: Mapping[str, VectorRows], vectors: Mapping[InferenceObject, VectorValues]) -> None:
    """Put vectors where objects were, in place."""
    for rows in drafts.values():
        for place, found in rows.objects.items():
            rows.values[place] = vectors[found]
        rows.objects.clear()
