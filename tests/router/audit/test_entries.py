"""What the audit log says of a request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from protos.errors import Forbidden, InvalidField
from router.audit.entries import Shown, Wanted, entry_of, host_of, newest, snake_case
from router.auth.access import FULL, NOBODY, Access, AuthKind, Everywhere
from router.auth.gate import Asked, Decision

EVERYTHING = Shown()
NOW = datetime(2026, 2, 3, 4, 5, 6, 789_123, tzinfo=UTC)


def asked(headers: dict[str, str] | None = None, remote: str | None = "10.0.0.1") -> Asked:
    api = "PUT /collections/{collection_name}/points"
    return Asked("Upsert points", api, "c", headers or {}, lambda: remote)


def told(decision: Decision, shown: Shown = EVERYTHING) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(entry_of(decision, shown, NOW))
    return found


def test_what_was_allowed_is_told_with_all_that_is_known() -> None:
    access = Access(Everywhere.READ, kind=AuthKind.JWT, subject="ann")
    assert told(Decision(asked({"x-request-id": "r" * 300}), access)) == {
        "timestamp": "2026-02-03T04:05:06.789Z",
        "method": "upsert_points",
        "api": "PUT /collections/{collection_name}/points",
        "auth_type": "Jwt",
        "subject": "ann",
        "remote": "10.0.0.1",
        "collection": "c",
        "tracing_id": "r" * 256,
        "result": "ok",
    }


def test_what_was_denied_is_told_with_the_reason() -> None:
    entry = told(Decision(asked(remote=None), NOBODY, Forbidden("no")), Shown(api=False))
    assert (entry["result"], entry["error"], entry["auth_type"]) == ("denied", "Forbidden: no", "None")
    assert entry.keys().isdisjoint({"api", "remote", "subject", "tracing_id"})


@pytest.mark.parametrize(
    ("headers", "trusted", "remote"),
    [
        ({"x-forwarded-for": "1.2.3.4, 5.6.7.8"}, True, "1.2.3.4"),
        ({"x-real-ip": "1.2.3.4"}, True, "1.2.3.4"),
        ({"x-forwarded-for": "1.2.3.4"}, False, "10.0.0.1"),
        ({}, True, "10.0.0.1"),
    ],
)
def test_proxies_are_believed_only_if_that_is_configured(
    headers: dict[str, str], trusted: bool, remote: str
) -> None:
    entry = told(Decision(asked(headers), FULL), Shown(forwarded=trusted))
    assert entry["remote"] == remote


def test_the_first_tracing_id_counts() -> None:
    headers = {"traceparent": "t", "x-tracing-id": "x"}
    assert told(Decision(asked(headers), FULL))["tracing_id"] == "x"


def test_names_of_operations_are_alike_over_both_protocols() -> None:
    assert snake_case("UpsertPoints") == snake_case("Upsert points") == "upsert_points"
    assert snake_case("Search points, grouped (legacy)") == "search_points_grouped_legacy"


@pytest.mark.parametrize(
    ("peer", "host"),
    [("ipv4:10.0.0.1:567", "10.0.0.1"), ("ipv6:%5B::1%5D:567", "::1"), ("::1", "::1"), (None, None)],
)
def test_addresses_are_without_ports(peer: str | None, host: str | None) -> None:
    assert host_of(peer) == host


def test_times_are_compared_in_one_zone() -> None:
    east = timezone(timedelta(hours=2))
    wanted = Wanted(datetime(2026, 1, 1, 2, tzinfo=east), datetime(2026, 1, 1))
    assert wanted.earliest == wanted.latest == "2026-01-01T00:00:00.000Z"


@pytest.mark.parametrize("limit", [0, -1, 10_001])
def test_a_limit_has_bounds(limit: int) -> None:
    with pytest.raises(InvalidField):
        Wanted(limit=limit).check()


def test_the_newest_of_all_nodes_come_first() -> None:
    parts = [[{"timestamp": "3"}, {"timestamp": "1"}], [{"timestamp": "2"}]]
    assert [entry["timestamp"] for entry in newest(parts, 2)] == ["3", "2"]
