"""Our ``.proto`` files and those of Qdrant's client say the same on the wire."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import qdrant_client.grpc

import protos.qdrant
from protos.qdrant import points_pb2
from protos.qdrant.pool import PUBLIC_POOL

Facts = dict[str, object]


def modules(package: ModuleType) -> Iterator[Any]:
    for found in pkgutil.iter_modules(package.__path__):
        if found.name.endswith("_pb2"):
            yield importlib.import_module(f"{package.__name__}.{found.name}")


def facts(package: ModuleType) -> Facts:
    """Everything that client and server have to agree on, by full name."""
    found: Facts = {}
    for module in modules(package):
        file = module.DESCRIPTOR
        for message in file.message_types_by_name.values():
            found.update(message_facts(message))
        for enum in file.enum_types_by_name.values():
            found[enum.full_name] = values(enum)
        for service in file.services_by_name.values():
            found.update(service_facts(service))
    return found


def message_facts(message: Any) -> Iterator[tuple[str, object]]:
    yield message.full_name, {field.number: field_facts(field) for field in message.fields}
    for nested in message.nested_types:
        yield from message_facts(nested)
    for enum in message.enum_types:
        yield enum.full_name, values(enum)


def field_facts(field: Any) -> tuple[object, ...]:
    """Name, type, whether it repeats, whether an unset one is told from a zero, the choice it is part of."""
    kind = field.message_type or field.enum_type
    oneof = field.containing_oneof
    return (
        field.name,
        field.type,
        kind and kind.full_name,
        field.is_repeated,
        field.has_presence,
        oneof and oneof.name,
    )


def values(enum: Any) -> dict[str, int]:
    return {value.name: value.number for value in enum.values}


def service_facts(service: Any) -> Iterable[tuple[str, object]]:
    yield service.full_name, sorted(service.methods_by_name)
    for method in service.methods:
        yield (
            method.full_name,
            (
                method.input_type.full_name,
                method.output_type.full_name,
                method.client_streaming,
                method.server_streaming,
            ),
        )


def test_every_message_field_enum_and_method_agrees_with_the_client() -> None:
    ours, theirs = facts(protos.qdrant), facts(qdrant_client.grpc)
    assert len(theirs) > 300
    assert ours.keys() == theirs.keys()
    assert {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]} == {}


def test_messages_travel_between_both_in_one_process() -> None:
    sent = qdrant_client.grpc.PointStruct(id=qdrant_client.grpc.PointId(num=7))
    assert points_pb2.PointStruct.FromString(sent.SerializeToString()).id.num == 7
    assert points_pb2.PointStruct.DESCRIPTOR is PUBLIC_POOL.FindMessageTypeByName("qdrant.PointStruct")
    assert points_pb2.PointStruct.DESCRIPTOR is not qdrant_client.grpc.PointStruct.DESCRIPTOR
