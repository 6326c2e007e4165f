"""Points that have moved to another shard: reads are made anew, writes go after them, once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from msgspec.structs import replace

from consensus.buckets import owned_buckets, shard_of, unpack_buckets
from consensus.commands import MoveReady, MoveWhole, SourceReleased, StartResharding
from consensus.state import ClusterState, CollectionState
from consensus.transitions import apply, rejection
from protos.collections import decode_create
from protos.errors import PointsMoved, ShardUnavailable, Timeout
from protos.filters import Filter, HasId, InBuckets
from protos.ids import id_key
from protos.operations import DeletePoints, Upsert
from router.points import WriteOptions
from router.queries.requests import ReadOptions
from router.shards import moved_parts, owning_shards, shards_to_read, split_change
from tests.consensus.test_resharding import cluster
from tests.router.fake_cluster import LOST_ANSWER, FakeCluster, Front, upsert
from tests.router.virtual_time import run_virtually

MOVED = PointsMoved("the points have moved")
WAIT = WriteOptions(wait=True)
IDS = list(range(1, 60))


def run(test: Coroutine[Any, Any, None]) -> None:
    run_virtually(test)


class Cluster(FakeCluster):
    """Collection ``c``: two shards on three peers."""

    def __init__(self) -> None:
        super().__init__()
        self.front = Front(self)

    async def created(self) -> Cluster:
        params = {"shard_number": 2, "replication_factor": 3}
        body = {"vectors": {"size": 2, "distance": "Dot"}, **params}
        self.front.started()
        await self.front.collections.create("c", decode_create(body))
        self.asked.clear()
        return self

    @property
    def collection(self) -> CollectionState:
        return self.log.state.collections["c"]

    async def begin_growing(self) -> None:
        await self.log.propose(StartResharding("c", self.collection.uuid, "op", "up", 1, (1, 2, 3)))
        for peer in (1, 2, 3):
            self.reconcile(peer)

    async def switch(self) -> None:
        resharding = self.collection.resharding
        assert resharding is not None
        for move in resharding.moves:
            ends = ("c", self.collection.uuid, "op", move.source, move.target, move.session)
            await self.log.propose(MoveReady(*ends))
        step = self.collection.buckets_step
        for move in resharding.moves:
            ends = ("c", self.collection.uuid, "op", move.source, move.target, move.session)
            await self.log.propose(MoveWhole(*ends, step))

    def fail_all(self, error: Exception, times: int = 1) -> None:
        for peer in (1, 2, 3):
            self.fail(peer, *[error] * times)


def grown() -> tuple[CollectionState, CollectionState]:
    """A collection of two shards, and with a third one that has taken over its share."""
    before, state = _state(), _cluster_state()
    collection = state.collections["c"]
    state = _after(state, StartResharding("c", collection.uuid, "op", "up", 1, (1,)))
    for kind in (MoveReady, MoveWhole):
        resharding, step = state.collections["c"].resharding, state.collections["c"].buckets_step
        assert resharding is not None
        for move in resharding.moves:
            ends = ("c", collection.uuid, "op", move.source, move.target, move.session)
            state = _after(state, MoveReady(*ends) if kind is MoveReady else MoveWhole(*ends, step))
    return before, state.collections["c"]


def _state() -> CollectionState:
    return _cluster_state().collections["c"]


def _cluster_state() -> ClusterState:
    return cluster(2)


def _after(state: ClusterState, command: Any) -> ClusterState:
    after, events = apply(state, command)
    assert rejection(events) is None, events
    return after


# --- which shards ------------------------------------------------------------------------------------------


def test_a_shard_that_owns_nothing_yet_is_asked_nothing() -> None:
    state = _after(_cluster_state(), StartResharding("c", "u", "op", "up", 1, (1,)))
    collection = state.collections["c"]
    assert sorted(collection.shards) == [0, 1, 2]
    assert owning_shards(collection) == shards_to_read(collection, None) == [0, 1]
    by_filter = split_change(collection, DeletePoints(filter=Filter()), None)
    assert sorted(by_filter) == [0, 1]
    by_ids = split_change(collection, DeletePoints(ids=list(IDS)), None)
    assert sorted(by_ids) == [0, 1]


def test_a_part_by_ids_follows_its_points() -> None:
    then, now = grown()
    change = Upsert(list(IDS), (), [b'{"n":%d}' % each for each in IDS])
    for shard, part in split_change(then, change, None).items():
        parts = moved_parts(then, now, shard, part)
        assert sorted(parts) == [shard, 2]
        assert sorted(point for each in parts.values() for point in each.ids or ()) == sorted(part.ids or ())
        for at, piece in parts.items():
            assert isinstance(piece, Upsert)
            assert all(shard_of(now, id_key(point_id)) == at for point_id in piece.ids)
            assert piece.payloads == [b'{"n":%d}' % point_id for point_id in piece.ids]


def test_a_part_by_filter_counts_for_the_points_that_were_the_shards() -> None:
    then, now = grown()
    wanted = Filter(must=(HasId((1,)),))
    part = DeletePoints(filter=wanted)
    seen = []
    for shard in (0, 1):
        parts = moved_parts(then, now, shard, part)
        assert sorted(parts) == [shard, 2]
        assert parts[shard] == part, "all that it still owns was its own"
        moved = parts[2]
        assert isinstance(moved, DeletePoints)
        assert moved.filter is not None
        original, restriction = moved.filter.must or ()
        assert original == wanted
        assert isinstance(restriction, Filter)
        (condition,) = restriction.must or ()
        assert isinstance(condition, InBuckets)
        seen.append(unpack_buckets(condition.buckets))
    assert not (seen[0] & seen[1]).any(), "a point would be changed twice"
    assert ((seen[0] | seen[1]) == unpack_buckets(owned_buckets(now, 2))).all()


def test_nothing_changes_where_nothing_has_moved() -> None:
    then, _ = grown()
    for part in (
        DeletePoints(filter=Filter()),
        DeletePoints(ids=[1]),
        DeletePoints(ids=[1], filter=Filter()),
    ):
        for shard, piece in split_change(then, part, None).items():
            assert moved_parts(then, then, shard, piece) == {shard: piece}


# --- reads -------------------------------------------------------------------------------------------------


def test_a_read_that_looked_in_the_wrong_place_is_made_anew() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        await cluster.front.points.apply("c", upsert(*IDS), WAIT)
        cluster.fail(1, MOVED)
        options = ReadOptions(consistency=1)
        assert await cluster.front.searches.count("c", None, options, exact=True) == len(IDS)
        assert all(session.answers_since == 0 for _, session in cluster.sessions if session.answers_since)

    run(test())


def test_a_read_hears_in_the_end_that_points_are_nowhere() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        cluster.fail_all(MOVED, times=2000)
        with pytest.raises(PointsMoved):
            await cluster.front.searches.count("c", None, ReadOptions(), exact=True)

    run(test())


def test_a_failed_replica_does_not_hide_that_points_have_moved() -> None:
    """The one that is down says nothing of it: the read is made anew all the same."""

    async def test() -> None:
        cluster = await Cluster().created()
        await cluster.front.points.apply("c", upsert(*IDS), WAIT)
        cluster.down = {1}
        cluster.fail(2, MOVED)
        cluster.fail(3, MOVED)
        assert await cluster.front.searches.count("c", None, ReadOptions(), exact=True) == len(IDS)

    run(test())


# --- writes ------------------------------------------------------------------------------------------------


def test_a_write_follows_its_points_and_says_what_it_was_a_part_of() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        await cluster.begin_growing()
        primaries = {shard: cluster.primary("c", shard) for shard in (0, 1)}
        for peer in set(primaries.values()):
            cluster.fail(peer, *[MOVED] * 3)
        writing = asyncio.create_task(cluster.front.points.apply("c", upsert(*IDS), WAIT))
        await asyncio.sleep(0.01)
        await cluster.switch()
        await writing
        held = [cluster.points("c", shard, 1) for shard in (0, 1, 2)]
        for shard, points in enumerate(held):
            assert points == [each for each in IDS if shard_of(cluster.collection, id_key(each)) == shard]
        assert all(held)
        parted = [request for request in cluster.requests if request.former_ids]
        assert len({request.operation_id for request in cluster.requests}) == len(cluster.requests)
        assert len(parted) >= 2
        since = cluster.collection.buckets_step
        assert all(request.answers_since == since for request in parted)

    run(test())


def test_a_write_waits_where_its_points_are_about_to_move() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        peer = cluster.primary("c", shard_of(cluster.collection, id_key(1)))
        cluster.fail(peer, MOVED, MOVED, MOVED)
        await cluster.front.points.apply("c", upsert(1), WAIT)
        (request,) = cluster.requests
        assert not request.former_ids

    run(test())


def test_a_write_whose_points_stay_on_their_way_times_out() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        cluster.fail_all(MOVED, times=5000)
        options = replace(WAIT, timeout_ms=2000)
        with pytest.raises(Timeout):
            await cluster.front.points.apply("c", upsert(1), options)

    run(test())


def test_what_may_have_been_done_before_points_moved_is_not_told_as_refused() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        peer = cluster.primary("c", shard_of(cluster.collection, id_key(1)))
        nothing = ShardUnavailable("nobody is there")
        cluster.fail(peer, LOST_ANSWER, MOVED, *[nothing] * 5000)
        options = replace(WAIT, timeout_ms=3000)
        with pytest.raises(Timeout):
            await cluster.front.points.apply("c", upsert(1), options)

    run(test())


def test_the_same_key_is_another_write_once_the_points_of_a_shard_are_others() -> None:
    """Or the part of a shard that took over points would pass for done."""

    async def test() -> None:
        cluster = await Cluster().created()
        options = replace(WAIT, idempotency_key="k")
        await cluster.front.points.apply("c", upsert(*IDS), options)
        await cluster.front.points.apply("c", upsert(*IDS), options)
        first = {request.operation_id for request in cluster.requests}
        assert len(first) == 2
        await cluster.begin_growing()
        await cluster.switch()
        resharding = cluster.collection.resharding
        assert resharding is not None
        step = cluster.collection.buckets_step
        for source in (0, 1):
            await cluster.log.propose(SourceReleased("c", cluster.collection.uuid, "op", source, step))
        await cluster.front.points.apply("c", upsert(*IDS), options)
        assert len({request.operation_id for request in cluster.requests}) == 5

    run(test())
