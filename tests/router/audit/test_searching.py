"""The audit logs of several nodes as one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from consensus.state import Peer
from protos.errors import BadRequest, InvalidField, ServiceError
from router.audit.entries import Wanted
from router.audit.files import AuditLog
from router.audit.searching import AuditSearch
from router.auth.access import FULL
from router.auth.gate import Asked, Decision
from tests.router.cluster.fakes import FakeCluster
from tests.router.fakes import FakeLog


@pytest.fixture
def own(tmp_path: Path) -> Iterator[AuditLog]:
    made = AuditLog(tmp_path)
    made.record(Decision(Asked("here", "PUT /x", None, {}, lambda: None), FULL))
    yield made
    made.close()


async def test_a_node_on_its_own_tells_what_it_has(own: AuditLog) -> None:
    found = await AuditSearch(own, FakeLog(), None).everywhere(Wanted())
    assert [entry["method"] for entry in found.entries] == ["here"]
    assert "missing_peers" not in msgspec.to_builtins(found)


async def test_all_peers_are_asked_and_those_that_are_silent_are_named(own: AuditLog) -> None:
    log = FakeLog(Peer(1), Peer(2), Peer(3))
    cluster = FakeCluster()
    cluster.audits[2] = b'[{"timestamp": "9", "method": "there"}, {"timestamp": "0"}]'
    search = AuditSearch(own, log, cluster)
    found = await search.everywhere(Wanted(limit=2))
    assert [entry.get("method") for entry in found.entries] == ["there", "here"]
    assert found.missing_peers == [3]


async def test_a_peer_answers_what_it_is_asked(own: AuditLog) -> None:
    search = AuditSearch(own, FakeLog(), None)
    request = msgspec.json.encode(Wanted(filters={"method": "here"}))
    assert [entry["method"] for entry in json.loads(await search.for_peers(request))] == ["here"]
    assert await AuditSearch(None, FakeLog(), None).for_peers(request) == b"[]"
    with pytest.raises(ServiceError):
        await search.for_peers(b"{")


async def test_without_an_audit_log_there_is_nothing_to_search() -> None:
    with pytest.raises(BadRequest, match="not enabled"):
        await AuditSearch(None, FakeLog(), None).everywhere(Wanted())


async def test_limits_are_checked_first() -> None:
    with pytest.raises(InvalidField):
        await AuditSearch(None, FakeLog(), None).everywhere(Wanted(limit=0))
