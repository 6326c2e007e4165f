# mypy: ignore-errors
# ruff: noqa
# fmt: off
from protos.qdrant import legacy_pb2 as _legacy_pb2
from protos.qdrant import queries_pb2 as _queries_pb2
from protos.qdrant import updates_pb2 as _updates_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
