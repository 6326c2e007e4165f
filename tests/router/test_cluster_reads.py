"""Reads through one of several nodes: who is asked, who stands in, what must agree."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from consensus.state import ReplicaState
from protos.collections import decode_create, decode_update
from protos.errors import NotFound, ServiceError, ShardUnavailable
from protos.shard import Position, Projection, ScrollRequest
from router.points import WriteOptions
from router.queries.requests import NearestPoint, NearestVector, QueryRequest, RandomSample, ReadOptions
from router.replicas.consistency import Consistency, ReadConsistency
from router.shards import KeyWithFallback, ShardSelector
from router.tokens import Positions, decode_tokens, encode_token
from tests.router.fake_cluster import HANG, FakeCluster, Front, ids_of, upsert
from tests.router.virtual_time import run_virtually

A, D, P = ReplicaState.ACTIVE, ReplicaState.DEAD, ReplicaState.PARTIAL
EVERY = (Consistency.MAJORITY, Consistency.QUORUM, Consistency.ALL)
WAIT = WriteOptions(wait=True)
POINTS = list(range(1, 21))


class Cluster(FakeCluster):
    """Collection ``c`` with twenty points, every shard on all three peers; the router is peer 1's."""

    def __init__(self) -> None:
        super().__init__()
        self.front = Front(self)

    async def created(self, **params: Any) -> Cluster:
        body = {"vectors": {"size": 2, "distance": "Dot"}, "shard_number": 1, "replication_factor": 3}
        await self.front.collections.create("c", decode_create({**body, **params}))
        if not self.log.state.collections["c"].custom_sharding:
            await self.front.points.apply("c", upsert(*POINTS), WAIT)
        self.forget()
        return self

    def forget(self) -> None:
        self.asked.clear()
        self.sessions.clear()

    async def count(self, consistency: ReadConsistency | None = None, **how: Any) -> int:
        options = ReadOptions(consistency=consistency, affinity=how.get("affinity", b""))
        return await self.front.searches.count("c", None, options, exact=True, keys=how.get("keys"))

    async def scroll(
        self, consistency: ReadConsistency | None = None, keys: ShardSelector | None = None
    ) -> list[Any]:
        page = await self.front.searches.scroll(
            "c", ScrollRequest(limit=100), ReadOptions(consistency=consistency), keys
        )
        return ids_of(page.records)

    async def query(self, request: QueryRequest, consistency: ReadConsistency | None = None) -> list[Any]:
        (hits,) = await self.front.searches.query("c", [request], ReadOptions(consistency=consistency))
        return ids_of(hits.records)


def run(test: Coroutine[Any, Any, None]) -> None:
    run_virtually(test)


def test_the_replica_here_is_read_first() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        assert await cluster.count() == 20
        assert cluster.asked == {1: 1}
        assert [session.strong for _, session in cluster.sessions] == [False]

    run(test())


def test_a_sole_replica_here_is_read_without_any_choosing() -> None:
    async def test() -> None:
        cluster = await Cluster().created(replication_factor=1)
        front = Front(cluster, cluster.primary("c", 0)).started()
        assert await front.searches.count("c", None, ReadOptions(), exact=True) == 20
        assert cluster.sessions == []

    run(test())


def test_remote_replicas_take_turns() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        cluster.set_states("c", 0, P, A, A)
        for _ in range(10):
            await cluster.count()
        assert cluster.asked == {2: 5, 3: 5}

    run(test())


def test_callers_with_an_affinity_meet_the_same_replica_on_every_node() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        met: dict[bytes, set[int]] = {}
        fronts = [Front(cluster, peer).started() for peer in (1, 2, 3)]
        for number in range(8):
            affinity = b"%d" % number
            for front in fronts:
                cluster.forget()
                await front.searches.count("c", None, ReadOptions(affinity=affinity), exact=True)
                met.setdefault(affinity, set()).update(cluster.asked)
        assert all(len(peers) == 1 for peers in met.values())
        assert len(set.union(*met.values())) > 1

    run(test())


@pytest.mark.parametrize("kind", ["count", "scroll", "query", "retrieve"])
def test_a_failed_replica_is_replaced_within_the_request(kind: str) -> None:
    async def test() -> None:
        cluster = await Cluster().created(shard_number=2)
        cluster.down.add(1)
        searches, options = cluster.front.searches, ReadOptions()
        if kind == "count":
            assert await cluster.count() == 20
        elif kind == "scroll":
            assert await cluster.scroll() == POINTS
        elif kind == "query":
            request = QueryRequest(query=NearestVector([1.0, 0.0]), limit=20, projection=Projection(True))
            assert await cluster.query(request) == POINTS[::-1]
        else:
            assert ids_of(await searches.retrieve("c", POINTS, Projection(), options)) == POINTS
        assert {2, 3} & set(cluster.asked)

    run(test())


def test_a_slow_replica_is_hedged_after_the_collections_delay() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        diff = {"params": {"read_fan_out_delay_ms": 40}}
        await cluster.front.collections.update("c", decode_update(diff))
        cluster.fail(1, HANG)
        assert await cluster.count() == 20
        assert asyncio.get_running_loop().time() == pytest.approx(0.04)

    run(test())


def test_a_fan_out_factor_asks_that_many_more_at_once() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        await cluster.front.collections.update("c", decode_update({"params": {"read_fan_out_factor": 1}}))
        cluster.fail(1, HANG)
        assert await cluster.count() == 20
        assert asyncio.get_running_loop().time() == 0.0
        assert cluster.asked.total() == 2

    run(test())


@pytest.mark.parametrize("consistency", EVERY)
def test_shares_of_the_replicas_are_asked_over_all_shards(consistency: Consistency) -> None:
    async def test() -> None:
        cluster = await Cluster().created(shard_number=2)
        assert await cluster.count(consistency) == 20
        asked = {Consistency.MAJORITY: 3, Consistency.QUORUM: 2, Consistency.ALL: 3}[consistency]
        assert cluster.asked.total() == 2 * asked
        assert all(session.strong for _, session in cluster.sessions)
        assert await cluster.scroll(consistency) == POINTS
        request = QueryRequest(query=NearestVector([1.0, 0.0]), limit=3, projection=Projection(True))
        assert await cluster.query(request, consistency) == [20, 19, 18]

    run(test())


@pytest.mark.parametrize("consistency", [*EVERY, 3])
def test_what_one_replica_lacks_is_not_agreed_on(consistency: ReadConsistency) -> None:
    """A damaged replica: it has applied as much as the others, and yet lacks a point."""

    async def test() -> None:
        cluster = await Cluster().created()
        del cluster.copies["c", 0, 2].points[7]
        found = await cluster.scroll(consistency)
        assert (7 in found) == (consistency is Consistency.MAJORITY)
        assert len(found) >= 19

    run(test())


def test_too_few_replicas_are_told_as_documented() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        cluster.set_states("c", 0, A, D, D)
        text = "The replica set for shard 0 on peer 1 does not have enough active replicas"
        for consistency in EVERY:
            with pytest.raises(ServiceError, match=text):
                await cluster.count(consistency)
        assert await cluster.count() == 20

    run(test())


def test_a_shard_that_has_moved_is_found_where_it_is_now() -> None:
    """This node hears last of a move: the peer it asks has nothing any more."""

    async def test() -> None:
        cluster = await Cluster().created()
        cluster.edit("c", 0, replicas={2: A}, primary=2)
        read = asyncio.create_task(cluster.count())
        cluster.down.add(2)
        await asyncio.sleep(0.1)
        assert not read.done()
        cluster.edit("c", 0, replicas={3: A}, primary=3)
        cluster.copies["c", 0, 3].points.clear()
        assert await read == 0

    run(test())


def test_a_shard_that_nobody_answers_for_is_unavailable() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        cluster.down |= {1, 2, 3}
        with pytest.raises(ShardUnavailable):
            await cluster.count()
        assert cluster.asked == {1: 1, 2: 1, 3: 1}

    run(test())


def test_a_random_sample_is_drawn_by_one_replica_and_confirmed_by_all() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        cluster.copies["c", 0, 1].points = dict(reversed(cluster.copies["c", 0, 1].points.items()))
        request = QueryRequest(query=RandomSample(), limit=5, projection=Projection(True))
        assert len(set(await cluster.query(request, Consistency.ALL))) == 5

    run(test())


# --- shard keys ------------------------------------------------------------------------------------


async def _keyed() -> Cluster:
    """Keys ``a`` (points 1, 2) and 7 (points 3, 4), each with one shard on three peers."""
    cluster = await Cluster().created(sharding_method="custom")
    for key, ids in (("a", (1, 2)), (7, (3, 4))):
        await cluster.front.collections.create_shard_key("c", key)
        await cluster.front.points.apply("c", upsert(*ids, shard_keys=(key,)), WAIT)
    cluster.forget()
    return cluster


def test_reads_name_one_key_several_or_none() -> None:
    async def test() -> None:
        cluster = await _keyed()
        assert await cluster.scroll(keys=("a",)) == [1, 2]
        assert await cluster.scroll(keys=(7,)) == [3, 4]
        assert await cluster.scroll(keys=("a", 7)) == [1, 2, 3, 4]
        assert await cluster.scroll() == [1, 2, 3, 4]

    run(test())


def test_points_show_their_shard_key() -> None:
    async def test() -> None:
        cluster = await _keyed()
        page = await cluster.front.searches.scroll("c", ScrollRequest(limit=9), ReadOptions())
        assert [record.shard_key for record in page.records] == ["a", "a", 7, 7]
        request = QueryRequest(query=NearestVector([1.0, 0.0]), projection=Projection(True))
        (hits,) = await cluster.front.searches.query("c", [request], ReadOptions())
        assert [record.shard_key for record in hits.records] == [7, 7, "a", "a"]

    run(test())


def test_reads_of_all_keys_skip_those_that_cannot_be_read() -> None:
    async def test() -> None:
        cluster = await _keyed()
        cluster.set_states("c", 1, P, D, D)
        assert await cluster.scroll() == [1, 2]
        with pytest.raises(ServiceError, match="does not have enough active replicas"):
            await cluster.scroll(keys=(7,))

    run(test())


def test_a_fallback_is_read_until_the_target_can_be() -> None:
    async def test() -> None:
        cluster = await _keyed()
        selector = KeyWithFallback("a", 7)
        assert await cluster.scroll(keys=selector) == [1, 2]
        cluster.set_states("c", 0, P, D, D)
        assert await cluster.scroll(keys=selector) == [3, 4]
        cluster.set_states("c", 0, ReplicaState.ACTIVE_READ, P, D)
        assert await cluster.scroll(keys=selector) == [1, 2]
        assert await cluster.scroll(keys=KeyWithFallback("x", 7)) == [3, 4]

    run(test())


def test_fallbacks_that_do_not_serve_are_told_apart() -> None:
    async def test() -> None:
        cluster = await _keyed()
        with pytest.raises(NotFound, match='Neither target shard key "x" nor fallback shard key 8 exist'):
            await cluster.count(keys=KeyWithFallback("x", 8))
        for shard_id in (0, 1):
            cluster.set_states("c", shard_id, D, D, D)
        with pytest.raises(ShardUnavailable, match="have active replicas"):
            await cluster.count(keys=KeyWithFallback("a", 7))

    run(test())


def test_an_example_is_looked_up_under_its_own_key() -> None:
    async def test() -> None:
        cluster = await _keyed()
        query = NearestPoint(3, "c", lookup_keys=(7,))
        assert await cluster.query(QueryRequest(query=query, shard_keys=("a",))) == [2, 1]
        lost = NearestPoint(3, "c", lookup_keys=("a",))
        with pytest.raises(NotFound, match="No point with id 3 found"):
            await cluster.query(QueryRequest(query=lost, shard_keys=("a",)))

    run(test())


def test_writes_follow_a_target_from_its_fallback_to_itself() -> None:
    async def test() -> None:
        cluster = await _keyed()
        selector, points = KeyWithFallback("a", 7), cluster.front.points

        async def written(point: int) -> list[Any]:
            await points.apply("c", upsert(point, shard_keys=selector), WAIT)
            return [key for key in ("a", 7) if point in await cluster.scroll(keys=(key,))]

        assert await written(10) == ["a"]
        cluster.set_states("c", 0, ReplicaState.ACTIVE_READ, P, D)
        cluster.edit("c", 0, primary=1)
        assert await written(11) == ["a", 7]
        cluster.set_states("c", 0, P, D, D)
        await points.apply("c", upsert(12, shard_keys=selector), WAIT)
        assert 12 in await cluster.scroll(keys=(7,))
        assert 12 not in cluster.points("c", 0, 1)

    run(test())


def test_what_is_known_of_dropped_shards_is_forgotten() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        readers = cluster.front.searches._readers
        for _ in range(5):
            await cluster.count()
            await cluster.front.collections.delete("c")
            await cluster.created()
        await cluster.count()
        assert len(readers._known) == 1

    run(test())


# --- reading one's own writes ----------------------------------------------------------------------------


async def written(cluster: Cluster, *ids: int) -> Positions:
    """Where a write stands, by a token that has gone to the client and come back."""
    options = WriteOptions(wait=True)
    await cluster.front.points.apply("c", upsert(*ids), options)
    token = encode_token(options.written, options.known)
    assert token is not None
    cluster.forget()
    return decode_tokens(token)


@pytest.mark.parametrize("consistency", [None, *EVERY])
def test_a_read_with_a_token_sees_the_write_whichever_replica_is_behind(
    consistency: ReadConsistency | None,
) -> None:
    async def test() -> None:
        for behind in (2, 3):
            cluster = await Cluster().created(shard_number=2)
            for shard_id in range(2):
                await cluster.promote("c", shard_id, 1)
            front = Front(cluster, behind).started()  # the node that is asked has the replica that is behind
            cluster.held = {behind}
            positions = await written(cluster, *range(30, 40))
            assert len(positions) == 2
            plain, token = ReadOptions(), ReadOptions(consistency=consistency, at_least=positions)
            assert await front.searches.count("c", None, plain, exact=True) == 20
            if consistency is Consistency.ALL:
                with pytest.raises(ShardUnavailable):
                    await front.searches.count("c", None, token, exact=True)
                continue
            assert await front.searches.count("c", None, token, exact=True) == 30
            nearest = QueryRequest(NearestVector([1.0, 0.0]), limit=1)
            (hits,) = await front.searches.query("c", [nearest], token)
            assert ids_of(hits.records) == [39]
            page = await front.searches.scroll("c", ScrollRequest(limit=100), token)
            assert len(page.records) == 30
            records = await front.searches.retrieve("c", [5, 35], Projection(), token)
            assert ids_of(records) == [5, 35]

    run(test())


def test_a_token_that_nobody_can_serve_is_unavailable_until_somebody_can() -> None:
    async def test() -> None:
        cluster = await Cluster().created()
        positions = await written(cluster, 30)
        ahead = {place: Position(1, each.seq + 1) for place, each in positions.items()}
        options = ReadOptions(at_least=ahead)
        with pytest.raises(ShardUnavailable, match="still applying"):
            await cluster.front.searches.count("c", None, options, exact=True)
        assert {peer for peer, _ in cluster.sessions} == {1, 2, 3}
        await cluster.front.points.apply("c", upsert(31), WAIT)
        assert await cluster.front.searches.count("c", None, options, exact=True) == 22

    run(test())


def test_a_token_of_another_collection_means_nothing() -> None:
    async def test() -> None:
        cluster = await Cluster().created(replication_factor=1)
        options = ReadOptions(at_least={("other", 0): Position(9, 9)})
        assert await cluster.front.searches.count("c", None, options, exact=True) == 20
        assert not cluster.sessions, "the sole replica is read without choosing"

    run(test())
