"""Any message of a protobuf type, with words and numbers that mean something to a collection."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import strategies as st

from tests.congruence.bodies import DEPTH_MAX, NAMES, POINTS

_INTEGERS = st.integers(0, POINTS + 1) | st.sampled_from((2**31 - 1, 2**32 - 1))
_NUMBERS = st.sampled_from((0.0, 1.0, -1.0, 0.5, 2.5, -0.25, 1e30, float("nan"), float("inf")))
_TEXTS = st.sampled_from((*NAMES, "2021-03-04T05:06:07Z", "0b5a7e5e-6c1b-4f0e-9a53-0d2a4f8f0a11", ""))
_SIGNED = {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64}
_UNSIGNED = {FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64}
_FLOATS = {FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE}


def messages(kind: type[Any], right: dict[str, Any], collection: str) -> st.SearchStrategy[Any]:
    """Of the generated class ``kind``: ``right``, which would be answered, with any members instead.

    What names a collection says ``collection``, so that it can be searched.
    """
    return _fields(kind.DESCRIPTOR, DEPTH_MAX).map(lambda some: _named(_made(kind, right, some), collection))


def _made(kind: type[Any], right: dict[str, Any], members: dict[str, Any]) -> Any:
    made = kind(**{name: value for name, value in right.items() if name not in members})
    made.MergeFrom(kind(**members))
    return made


def _named(message: Any, collection: str) -> Any:
    if "collection_name" in message.DESCRIPTOR.fields_by_name:
        message.collection_name = collection
    for field, value in message.ListFields():
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for each in value if field.is_repeated else [value]:
                if "collection_name" in each.DESCRIPTOR.fields_by_name and each.collection_name != "other":
                    each.collection_name = collection
    return message


def _fields(kind: Descriptor, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    """Few members at a time, and of those that exclude each other one."""
    groups: dict[str, list[FieldDescriptor]] = {}
    for field in kind.fields:
        owner = field.containing_oneof
        groups.setdefault(field.name if owner is None else owner.name, []).append(field)
    return st.deferred(lambda: _some(groups, depth))


def _some(groups: dict[str, list[FieldDescriptor]], depth: int) -> st.SearchStrategy[dict[str, Any]]:
    names = st.lists(st.sampled_from(sorted(groups)), unique=True, max_size=3) if groups else st.just([])
    return names.flatmap(
        lambda chosen: st.tuples(*(st.sampled_from(groups[name]) for name in chosen)).flatmap(
            lambda fields: st.fixed_dictionaries({field.name: _value(field, depth - 1) for field in fields})
        )
    )


def _value(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return st.dictionaries(_TEXTS, _one(kind.fields_by_name["value"], depth), max_size=2)
    if not field.is_repeated:
        return _one(field, depth)
    if field.cpp_type in _FLOATS:  # most often as many as the vectors have
        fitting = st.lists(st.sampled_from((0.0, 1.0, -1.0)), min_size=3, max_size=3)
        return fitting | st.lists(_NUMBERS, max_size=4)
    return st.lists(_one(field, depth), max_size=2 if depth > 0 else 1)


def _one(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        made = field.message_type._concrete_class
        return st.just(made()) if depth <= 0 else _fields(field.message_type, depth).map(lambda f: made(**f))
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values]) | st.just(99)
    if field.cpp_type in _FLOATS:
        return _NUMBERS
    if field.cpp_type in _UNSIGNED:
        return _INTEGERS
    if field.cpp_type in _SIGNED:
        return _INTEGERS.map(lambda number: min(number, 2**31 - 1)) | st.just(-1)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=4)
    return st.sampled_from(("dense", "several", "words")) if field.name == "using" else _TEXTS
