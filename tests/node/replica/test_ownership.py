"""What a shard admits while buckets move: reads, writes, copies that come in, and its own points alone."""

from __future__ import annotations

import numpy as np
import pytest

from consensus.buckets import BUCKETS, bucket_of, pack_buckets
from consensus.ownership import Ownership
from node import query
from node.replica.ownership import (
    ShardBuckets,
    admitted,
    answers_for,
    check_cleaning,
    check_intake,
    check_read,
    cleaning,
    encode_ownership,
    own_ids,
    ownership_is_stale,
)
from node.replica.ownership import after as after_operation
from node.replica.replica import ShardReplica
from protos.errors import IntakeOver, PointsMoved, ShardUnavailable
from protos.filters import Filter, HasId, InBuckets
from protos.ids import PointId, id_key
from protos.operations import (
    BeginIntake,
    DeletePoints,
    Noop,
    PointChange,
    SetOwnership,
    SetPayload,
    Upsert,
)
from protos.shard import Intake, UpdateRequest
from tests.node.replica.conftest import Shards
from tests.node.replica.points import config_of, contents, having, upsert, write

EVEN = np.arange(BUCKETS) % 2 == 0
ALL, NONE = pack_buckets(np.ones(BUCKETS, bool)), pack_buckets(np.zeros(BUCKETS, bool))
IN, OUT = pack_buckets(EVEN), pack_buckets(~EVEN)
INSIDE = [point_id for point_id in range(1, 40) if EVEN[bucket_of(id_key(point_id))]]
OUTSIDE = [point_id for point_id in range(1, 40) if not EVEN[bucket_of(id_key(point_id))]]
ANY = Filter(must=(HasId((1,)),))


def owning(answers: bytes, takes: bytes | None = None, **more: object) -> ShardBuckets:
    owned = Ownership(3, 2, answers, answers if takes is None else takes, **more)  # type: ignore[arg-type]
    return ShardBuckets(owned)


def put(*ids: PointId) -> Upsert:
    return Upsert(list(ids), (), [b"{}"] * len(ids))


def test_a_shard_that_never_moved_anything_admits_everything() -> None:
    change = DeletePoints(filter=ANY)
    assert admitted(ShardBuckets(), change, 0) is change
    check_read(ShardBuckets(), 0)
    check_read(ShardBuckets(), None)


def test_a_router_that_knows_more_than_the_shard_has_to_wait() -> None:
    with pytest.raises(PointsMoved):
        admitted(ShardBuckets(), put(1), 2)
    with pytest.raises(PointsMoved):
        check_read(ShardBuckets(), 2)


@pytest.mark.parametrize("since", [0, 1, 3])
def test_reads_are_answered_for_those_who_know_what_the_shard_answers_for(since: int) -> None:
    check_read(owning(IN), 2)
    with pytest.raises(PointsMoved):
        check_read(owning(IN), since)


def test_writes_by_ids_are_judged_by_their_buckets_alone() -> None:
    assert admitted(owning(IN), put(*INSIDE), 0)
    with pytest.raises(PointsMoved):
        admitted(owning(IN), put(*INSIDE, OUTSIDE[0]), 2)
    with pytest.raises(PointsMoved):
        admitted(owning(ALL, takes=IN), put(OUTSIDE[0]), 2)  # fenced
    assert admitted(owning(ALL, takes=IN), put(INSIDE[0]), 2)


def test_writes_by_filter_wait_while_points_are_fenced() -> None:
    for change in (DeletePoints(filter=ANY), SetPayload(b"{}", filter=ANY)):
        assert admitted(owning(IN), change, 2) is not None
        with pytest.raises(PointsMoved):
            admitted(owning(IN), change, 0)
        with pytest.raises(PointsMoved):
            admitted(owning(ALL, takes=IN), change, 2)


def test_a_filter_finds_the_shards_own_points_alone() -> None:
    change = admitted(owning(IN, strangers=True), DeletePoints(filter=ANY), 2)
    assert isinstance(change, DeletePoints)
    assert change.filter == Filter(must=(ANY, Filter(must=(InBuckets(IN),))))
    assert own_ids(owning(IN, strangers=True), [*INSIDE, *OUTSIDE]) == INSIDE


def test_copies_come_in_by_one_session_for_the_buckets_that_are_expected() -> None:
    buckets = owning(NONE, receives=IN, strangers=True)
    begin = Intake(7, (4, 1))
    check_intake(buckets, begin)
    with pytest.raises(IntakeOver):
        check_intake(buckets, Intake(7, (4, 1), put(INSIDE[0])))
    buckets = after_operation(buckets, BeginIntake(7, 4, 1))
    check_intake(buckets, Intake(7, (4, 1), put(INSIDE[0])))
    check_intake(buckets, Intake(7, (4, 1), known=[b"x"]))
    for wrong in (
        begin,  # again
        Intake(7, (3, 9)),
        Intake(7, (3, 9), put(INSIDE[0])),
        Intake(7, (4, 2), put(INSIDE[0])),
        Intake(8, (4, 1), put(INSIDE[0])),
        Intake(7, (4, 1), put(OUTSIDE[0])),
    ):
        with pytest.raises(IntakeOver):
            check_intake(buckets, wrong)
    check_intake(buckets, Intake(7, (4, 2)))


def test_nothing_comes_in_where_nothing_is_expected() -> None:
    for buckets in (ShardBuckets(), owning(ALL)):
        with pytest.raises(ShardUnavailable):
            check_intake(buckets, Intake(7, (4, 1)))


def test_cleaning_touches_nothing_that_is_the_shards_own() -> None:
    buckets = owning(IN, strangers=True)
    assert cleaning(buckets) == Filter(must=(InBuckets(OUT),))
    check_cleaning(buckets, DeletePoints(ids=OUTSIDE))
    with pytest.raises(PointsMoved):
        check_cleaning(buckets, DeletePoints(ids=[*OUTSIDE, INSIDE[0]]))
    receiving = owning(IN, receives=OUT, strangers=True)
    assert cleaning(receiving) is None
    with pytest.raises(PointsMoved):
        check_cleaning(receiving, DeletePoints(ids=OUTSIDE))


def test_who_still_answers_for_what_is_copied() -> None:
    assert answers_for(ShardBuckets(), IN)
    assert answers_for(owning(ALL, takes=OUT), IN)
    assert not answers_for(owning(OUT), IN)


def test_an_older_step_does_not_take_back_a_later_one() -> None:
    buckets = owning(IN)
    for step, stale in ((2, True), (3, True), (4, False)):
        operation = SetOwnership(encode_ownership(Ownership(step, 2, ALL, ALL)))
        assert ownership_is_stale(buckets, operation) is stale
    assert not ownership_is_stale(buckets, Noop())


# --- on real files -----------------------------------------------------------------------------------------


async def own(replica: ShardReplica, **fields: object) -> None:
    """Have the log say what the shard does."""
    owned = {"step": 3, "answers_since": 2, "answers": IN, "takes": IN} | fields
    operation = SetOwnership(encode_ownership(Ownership(**owned)))  # type: ignore[arg-type]
    await replica.apply_config(operation)


async def take(
    replica: ShardReplica, change: PointChange | None = None, *, number: int = 1, operation_id: bytes = b""
) -> None:
    await replica._updates.take(Intake(7, (1, number), change, [], operation_id))


def counted(replica: ShardReplica, filter: Filter | None) -> int:
    return query.count(replica.view, filter, exact=True)


async def test_ownership_outlives_a_crash_and_a_checkpoint(shards: Shards) -> None:
    replica = await shards.open()
    await own(replica, receives=OUT, strangers=True)
    await take(replica)
    expected = replica.view.buckets
    assert expected.intakes == {7: (1, 1)}
    shards.crash()
    replica = await shards.open()
    assert replica.view.buckets == expected
    await replica.checkpoint()
    shards.crash()
    assert (await shards.open()).view.buckets == expected


async def test_points_of_buckets_are_found_while_they_change_and_move(shards: Shards) -> None:
    """As by the ids themselves: after deletes, rewrites, seals, compactions and another opening."""
    config = config_of(indexing_threshold=1, deleted_threshold=0.1, vacuum_min_vector_number=100)
    replica = await shards.open(config)
    rng = np.random.default_rng(1)
    there: set[int] = set()
    for round_number in range(6):
        ids = rng.choice(3000, size=500, replace=False).tolist()
        await write(replica, upsert(ids))
        there |= set(ids)
        gone = rng.choice(sorted(there), size=150, replace=False).tolist()
        await write(replica, DeletePoints(ids=gone))
        there -= set(gone)
        if round_number == 3:
            await replica.checkpoint()
            shards.crash()
            replica = await shards.open(config)
        expected = sum(EVEN[bucket_of(id_key(point_id))] for point_id in there)
        assert counted(replica, Filter(must=(InBuckets(IN),))) == expected
        assert counted(replica, Filter(must=(InBuckets(OUT),))) == len(there) - expected
        assert counted(replica, Filter(must_not=(InBuckets(IN),))) == len(there) - expected
        assert counted(replica, Filter(should=(InBuckets(IN), having("n", -1)))) == expected
        assert counted(replica, Filter(must=(InBuckets(ALL),))) == len(there)
        assert counted(replica, Filter(must=(InBuckets(NONE),))) == 0


async def test_the_points_that_a_shard_tells_of_are_its_own(shards: Shards) -> None:
    replica = await shards.open()
    await write(replica, upsert([*INSIDE, *OUTSIDE]))
    await own(replica, strangers=True)
    assert (await replica.info()).points == len(INSIDE)
    await write(replica, DeletePoints(filter=Filter(must_not=(having("n", -1),))), answers_since=2)
    assert sorted((await contents(replica)).keys()) == OUTSIDE
    await replica._updates.clean(list(OUTSIDE))
    assert await contents(replica) == {}


async def test_a_late_attempt_of_a_copy_changes_nothing(shards: Shards) -> None:
    replica = await shards.open()
    await own(replica, answers=NONE, takes=NONE, receives=ALL, strangers=True)
    await take(replica)
    first, second = upsert([5], [{"v": 1}]), upsert([5], [{"v": 2}])
    await take(replica, first, operation_id=b"a")
    await take(replica, second, operation_id=b"b")
    await take(replica, first, operation_id=b"a")
    assert (await contents(replica))[5][0] == {"v": 2}
    await take(replica, number=2)
    with pytest.raises(IntakeOver):
        await take(replica, first, number=1, operation_id=b"c")
    assert (await contents(replica))[5][0] == {"v": 2}


async def test_an_operation_that_was_done_where_its_points_were_is_not_done_again(shards: Shards) -> None:
    replica = await shards.open()
    await own(replica, answers=NONE, takes=NONE, receives=ALL, strangers=True)
    await take(replica)
    await replica._updates.take(Intake(7, (1, 1), None, [b"whole"], b"k"))
    await own(replica, step=4, answers=ALL, takes=ALL)
    shards.crash()
    replica = await shards.open()
    request = UpdateRequest(upsert([5]), wait=True, operation_id=b"part", former_ids=[b"whole"])
    await replica.update(request)
    assert await contents(replica) == {}
    await replica.update(UpdateRequest(upsert([5]), wait=True, operation_id=b"part", former_ids=[b"other"]))
    assert list(await contents(replica)) == [5]


async def test_a_step_that_comes_late_changes_nothing(shards: Shards) -> None:
    replica = await shards.open()
    await own(replica, step=5)
    before = replica.view.buckets
    await own(replica, step=4, answers=ALL, takes=ALL)
    assert replica.view.buckets == before
