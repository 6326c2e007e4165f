"""What a line of the audit log says, and which lines are asked for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from protos.errors import InvalidField
from router.auth.credentials import Headers
from router.auth.gate import Decision

LIMIT_DEFAULT, LIMIT_MAX = 100, 10_000
TRACING_CHARS_MAX: Final = 256  # reference 2.1
_TRACING = ("x-request-id", "x-tracing-id", "traceparent")
_FORWARDED = ("x-forwarded-for", "x-real-ip")
UNRECORDED = frozenset(("GET /metrics", "GET /telemetry", "GET /cluster/telemetry"))  # asked all the time


class Entry(Struct, frozen=True, omit_defaults=True):
    """``method``: the operation; ``api``: its route, or its method's full name."""

    timestamp: str
    method: str
    auth_type: str
    result: str
    api: str | None = None
    subject: str | None = None
    remote: str | None = None
    collection: str | None = None
    tracing_id: str | None = None
    error: str | None = None


class Shown(Struct, frozen=True):
    """What an operator wants to see of each request. ``forwarded``: believe what proxies say of callers."""

    api: bool = True
    forwarded: bool = False


def entry_of(decision: Decision, shown: Shown, now: datetime) -> Entry:
    asked, access, error = decision.asked, decision.access, decision.error
    forwarded = _first(asked.headers, _FORWARDED) if shown.forwarded else None
    tracing = _first(asked.headers, _TRACING)
    return Entry(
        timestamp=timestamp(now),
        method=snake_case(asked.operation),
        auth_type=access.kind.value,
        result="ok" if error is None else "denied",
        api=asked.api if shown.api else None,
        subject=access.subject,
        remote=forwarded.split(",")[0].strip() if forwarded else host_of(asked.remote()),
        collection=asked.collection,
        tracing_id=tracing[:TRACING_CHARS_MAX] if tracing else None,
        error=None if error is None else str(error),
    )


def timestamp(moment: datetime) -> str:
    """To the millisecond; as texts in the order of time."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def snake_case(operation: str) -> str:
    """``Upsert points`` and ``UpsertPoints`` become ``upsert_points``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", operation)
    return "_".join(re.findall(r"\w+", words)).lower()


def host_of(peer: str | None) -> str | None:
    """An address without what gRPC writes around it (``ipv4:10.0.0.1:5678``)."""
    if peer is None or not peer.startswith(("ipv4:", "ipv6:")):
        return peer
    return peer[5:].rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")


def _first(headers: Headers, names: Iterable[str]) -> str | None:
    found = next((value for value in map(headers.get, names) if value), None)
    return found.decode("latin-1") if isinstance(found, bytes) else found


# --- asking ------------------------------------------------------------------------------------------------


class Wanted(Struct, frozen=True):
    """The newest ``limit`` entries of a time, both ends included, that have the values of ``filters``."""

    time_from: datetime | None = None
    time_to: datetime | None = None
    limit: int = LIMIT_DEFAULT
    filters: dict[str, Any] = {}

    def check(self) -> None:
        """Raises: InvalidField."""
        if not 1 <= self.limit <= LIMIT_MAX:
            raise InvalidField("limit", f"value {self.limit} invalid, must be from 1 to {LIMIT_MAX}")

    @property
    def earliest(self) -> str:
        return "" if self.time_from is None else timestamp(_aware(self.time_from))

    @property
    def latest(self) -> str:
        return "~" if self.time_to is None else timestamp(_aware(self.time_to))  # after any digit

    def admits(self, entry: Mapping[str, Any]) -> bool:
        """But for the time."""
        return all(entry.get(field) == value for field, value in self.filters.items())


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def newest(parts: Iterable[list[dict[str, Any]]], limit: int) -> list[dict[str, Any]]:
    """Of the entries of several nodes; each part is the newest first."""
    found = [entry for part in parts for entry in part]
    found.sort(key=lambda entry: str(entry.get("timestamp")), reverse=True)
    return found[:limit]


encode = msgspec.json.Encoder().encode
