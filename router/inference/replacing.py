"""The objects of a request, and the same request with their vectors in their places.

Requests are trees of structs. They are walked as they are, so that a new kind of query or a new place for a
vector needs nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from protos.filters import Filter
from protos.shard import OrderBy, Projection, SearchParams
from router.inference.objects import InferenceObject
from router.vectors import VectorRows, VectorValues

T = TypeVar("T")

_WITHOUT = (Filter, OrderBy, Projection, SearchParams)  # hold no vectors, and may be large


def objects_in(value: object) -> Iterator[InferenceObject]:
    """Those in a struct, in a tuple of structs, and below."""
    if isinstance(value, InferenceObject):
        yield value
    else:
        for child in _children(value):
            yield from objects_in(child)


def replaced(value: T, vectors: Mapping[InferenceObject, VectorValues]) -> T:
    """``value`` with vectors in place of the objects in it; itself if it has none."""
    if isinstance(value, InferenceObject):
        return vectors[value]  # type: ignore[return-value]  # of the type that stands there otherwise
    if not any(True for _ in objects_in(value)):
        return value
    if isinstance(value, Struct):
        fields: dict[str, Any] = {
            name: replaced(getattr(value, name), vectors) for name in value.__struct_fields__
        }
        return replace(value, **fields)
    assert isinstance(value, tuple | list)
    return type(value)(replaced(child, vectors) for child in value)


def _children(value: object) -> Iterable[object]:
    if isinstance(value, Struct):
        return () if isinstance(value, _WITHOUT) else map(value.__getattribute__, value.__struct_fields__)
    if isinstance(value, tuple | list) and value and isinstance(value[0], Struct | tuple):
        return value
    return ()


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
