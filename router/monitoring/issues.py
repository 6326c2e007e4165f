"""What operators could improve: payload fields that slow reads filtered by, and that have no index.

Lives here: which fields and which index types (``missing_indexes``, pure), the issues raised so far
(``Issues``), and which reads are slow (``SlowReads``). May not live here: asking shards; formats of REST.
An issue ends with its cause: one whose field got an index, or whose collection is gone, is not listed
any more. Source: reference 3.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from consensus.state import CollectionState
from protos.clock import Clock, SystemClock
from protos.collections import KeywordIndexParams, PayloadSchema, PayloadSchemaType, TextIndexParams
from protos.filters import (
    DatetimeRange,
    Filter,
    GeoBoundingBox,
    GeoPolygon,
    GeoRadius,
    MatchAny,
    MatchExcept,
    MatchPrefix,
    MatchScalar,
    MatchText,
    MatchValue,
    Predicate,
    Range,
    TextMode,
    predicates,
)
from protos.json_path import JsonPath, parse_path

SLOW_READ_S = 1.2
ISSUES_MAX = 256  # the oldest makes room
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Json = dict[str, Any]


class Issue(Struct, frozen=True):
    """``solution`` has one key: ``immediate`` (one HTTP action) or ``immediate_choice`` (several)."""

    id: str
    description: str
    solution: Json
    timestamp: str
    related_collection: str


# --- which indexes are missing ------------------------------------------------------------------------


def missing_indexes(
    filter: Filter, indexed: Mapping[str, PayloadSchema]
) -> dict[JsonPath, list[PayloadSchema]]:
    """The fields without an index, in the filter's order, and the indexes that would serve them.

    Of a type that is wanted with and without parameters only the former is given: it serves both.
    """
    present = {parse_path(field) for field in indexed}
    missing: dict[JsonPath, dict[PayloadSchemaType, PayloadSchema]] = {}
    for path, predicate in predicates(filter):
        wanted = None if path in present else _serving_index(predicate)
        if wanted is not None:
            schemas = missing.setdefault(path, {})
            if wanted.params is not None or wanted.data_type not in schemas:
                schemas[wanted.data_type] = wanted
    return {path: list(schemas.values()) for path, schemas in missing.items()}


def indexed_fields(filter: Filter, indexed: Mapping[str, PayloadSchema]) -> list[str]:
    """The fields that the filter asks about and that have an index, in its order."""
    present = {parse_path(field): field for field in indexed}
    asked = dict.fromkeys(path for path, _ in predicates(filter))
    return [present[path] for path in asked if path in present]


def _serving_index(predicate: Predicate) -> PayloadSchema | None:
    """The index that answers ``predicate``; None if no single type does."""
    match predicate:
        case MatchValue(value=value):
            return PayloadSchema(_type_of(value))
        case MatchAny(values=values) | MatchExcept(values=values):
            return PayloadSchema(_type_of(values[0])) if values else None
        case MatchPrefix():
            return PayloadSchema(PayloadSchemaType.KEYWORD, KeywordIndexParams(prefix=True))
        case MatchText(mode=TextMode.PHRASE):
            return PayloadSchema(PayloadSchemaType.TEXT, TextIndexParams(phrase_matching=True))
        case MatchText():
            return PayloadSchema(PayloadSchemaType.TEXT)
        case Range():  # a float index holds integers too
            return PayloadSchema(PayloadSchemaType.FLOAT)
        case DatetimeRange():
            return PayloadSchema(PayloadSchemaType.DATETIME)
        case GeoBoundingBox() | GeoRadius() | GeoPolygon():
            return PayloadSchema(PayloadSchemaType.GEO)
        case _:
            return None


def _type_of(value: MatchScalar) -> PayloadSchemaType:
    if isinstance(value, bool):
        return PayloadSchemaType.BOOL
    return PayloadSchemaType.INTEGER if isinstance(value, int) else PayloadSchemaType.KEYWORD


# --- issues -------------------------------------------------------------------------------------------


class _Raised(Struct, frozen=True):
    """``uuid`` is the collection's: a later one of the same name has no part in the issue."""

    uuid: str
    field: JsonPath
    issue: Issue


class Issues:
    """The issues raised since the start or the last ``clear``, at most ``limit``."""

    def __init__(self, limit: int = ISSUES_MAX) -> None:
        self._limit = limit
        self._raised: dict[str, _Raised] = {}  # by issue id, the oldest first

    def add_unindexed(self, collection: CollectionState, filter: Filter, unix_ms: int) -> None:
        """Raise an issue for each unindexed field of ``filter``; one raised already stays as it is."""
        for field, schemas in missing_indexes(filter, collection.payload_schema).items():
            issue = _unindexed_field(collection.name, field.text, schemas, unix_ms)
            known = self._raised.get(issue.id)
            if known is None or known.uuid != collection.uuid:
                self._raised.pop(issue.id, None)
                self._raised[issue.id] = _Raised(collection.uuid, field, issue)
        while len(self._raised) > self._limit:
            del self._raised[next(iter(self._raised))]

    def current(self, collections: Mapping[str, CollectionState]) -> list[Issue]:
        """The issues that are not solved in ``collections``; the solved ones are forgotten."""
        self._raised = {
            key: raised
            for key, raised in self._raised.items()
            if _stands(raised, collections.get(raised.issue.related_collection))
        }
        return [raised.issue for raised in self._raised.values()]

    def clear(self) -> None:
        self._raised.clear()


def _stands(raised: _Raised, collection: CollectionState | None) -> bool:
    if collection is None or collection.uuid != raised.uuid:
        return False
    return raised.field not in {parse_path(field) for field in collection.payload_schema}


def _unindexed_field(collection: str, field: str, schemas: list[PayloadSchema], unix_ms: int) -> Issue:
    actions = [_create_index(collection, field, schema) for schema in schemas]
    moment = _EPOCH + timedelta(milliseconds=unix_ms)
    return Issue(
        id=f"UNINDEXED_FIELD/{collection}/{field}",
        description=f"Slow reads of collection '{collection}' filter by '{field}', which has no index.",
        solution={"immediate": actions[0]} if len(actions) == 1 else {"immediate_choice": actions},
        timestamp=moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        related_collection=collection,
    )


def _create_index(collection: str, field: str, schema: PayloadSchema) -> Json:
    field_schema = msgspec.to_builtins(schema.data_type if schema.params is None else schema.params)
    kind = schema.data_type.value
    return {
        "message": f"Create an index of type {kind} for field '{field}' of collection '{collection}'.",
        "action": {
            "method": "PUT",
            "uri": f"/collections/{quote(collection, safe='')}/index",
            "headers": {"content-type": "application/json"},
            "body": {"field_name": field, "field_schema": field_schema},
        },
    }


# --- slow reads ---------------------------------------------------------------------------------------


class SlowReads:
    """Raises issues for the reads that take ``slow_s`` or longer; others cost two looks at the clock."""

    def __init__(
        self, issues: Issues | None = None, *, slow_s: float = SLOW_READ_S, clock: Clock | None = None
    ) -> None:
        self._issues = Issues() if issues is None else issues
        self._slow_ms = slow_s * 1000
        self._clock = clock or SystemClock()

    def start(self) -> int:
        """What ``end`` wants to know of a read that begins now."""
        return self._clock.monotonic_ms()

    def end(self, started: int, collection: CollectionState, filters: Iterable[Filter | None]) -> None:
        """``filters`` is looked at only if the read was slow."""
        if self._clock.monotonic_ms() - started < self._slow_ms:
            return
        for each in filters:
            if each is not None:
                self._issues.add_unindexed(collection, each, self._clock.unix_ms())
