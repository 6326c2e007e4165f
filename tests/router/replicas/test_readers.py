"""A shard's reads while it is led anew: how long they are tried, and when not. On virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from consensus.state import CollectionState, ReplicaState
from protos.errors import BadRequest, ServiceError, ShardUnavailable, VecraftError
from protos.filters import Filter
from protos.shard import ReadSession
from router.replicas.consistency import Consistency, ReadConsistency
from router.replicas.readers import FAIL_OVER_S, ShardReaders
from router.watch import StateWatch
from tests.router.cluster.fakes import ClusterLog
from tests.router.virtual_time import run_virtually


class Replica:
    """Answers from ``since_s`` on; until then it raises ``error``."""

    def __init__(self, since_s: float, error: VecraftError) -> None:
        self._since_s, self._error = since_s, error

    def open(self, _: ReadSession) -> Replica:
        return self

    async def count(self, _filter: Filter | None, *, exact: bool) -> int:
        del exact
        if asyncio.get_running_loop().time() < self._since_s:
            raise self._error
        return 7


class Node:
    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def replica(self, _collection: CollectionState, _shard_id: int, _peer_id: int) -> Any:
        return self._replica


NO_LEASE = ShardUnavailable("this replica holds no lease for reads at present")


def read(
    consistency: ReadConsistency, since_s: float, error: VecraftError = NO_LEASE, *, dead: int = 0
) -> tuple[int, float]:
    """Counts on a shard of three replicas, of which ``dead`` are. Returns: the answer, and when it came."""

    async def count() -> tuple[int, float]:
        log = ClusterLog()
        log.add_collection(shards=((2, 3, 1),), factor=3)
        for peer in range(1, dead + 1):
            log.set_replica(0, peer, ReplicaState.DEAD)
        readers = ShardReaders(StateWatch(log), Node(Replica(since_s, error)))  # type: ignore[arg-type]
        found = await readers.open(log.collection(), 0, consistency).count(None, exact=True)
        return found, asyncio.get_running_loop().time()

    return run_virtually(count())


@pytest.mark.parametrize("consistency", [*Consistency, 2])
def test_a_strong_read_waits_for_a_shard_that_is_led_anew(consistency: ReadConsistency) -> None:
    found, at_s = read(consistency, 3.0)
    assert found == 7
    assert 3.0 <= at_s < 4.0


def test_it_does_not_wait_for_ever() -> None:
    with pytest.raises(ShardUnavailable):
        read(Consistency.MAJORITY, FAIL_OVER_S + 2)


def test_a_read_of_any_replica_needs_no_lease_and_does_not_wait() -> None:
    with pytest.raises(ShardUnavailable):
        read(1, 3.0)


def test_replicas_that_are_known_to_be_too_few_are_not_waited_for() -> None:
    with pytest.raises(ServiceError):
        read(Consistency.MAJORITY, 0.0, dead=2)


def test_what_is_the_callers_fault_is_told_at_once() -> None:
    with pytest.raises(BadRequest):
        read(Consistency.MAJORITY, 3.0, BadRequest("no such vector"))
