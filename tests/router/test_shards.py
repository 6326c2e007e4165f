"""Splitting changes over shards."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from consensus.buckets import deal_buckets, shard_of
from consensus.state import CollectionState, ReplicaState, ShardGroup, ShardKey, ShardState
from protos.collections import CollectionConfig, CollectionParams, Distance, VectorParams
from protos.errors import BadInput, NotFound, ShardUnavailable
from protos.filters import Filter
from protos.ids import id_key
from protos.operations import DeletePoints, DeleteVectors, UpdateVectors, Upsert, VectorBatch
from router.shards import KeyWithFallback, selected_shards, shards_to_read, split_change, split_ids

IDS: list[int | str] = [*range(40), "550e8400-e29b-41d4-a716-446655440000"]


def _collection(*groups: tuple[ShardKey | None, tuple[int, ...]]) -> CollectionState:
    custom = groups[0][0] is not None
    params = CollectionParams(
        {"": VectorParams(1, Distance.DOT)}, sharding_method="custom" if custom else None
    )
    shards = {
        shard: ShardState(shard, {1: ReplicaState.ACTIVE}, 1, key=key) for key, ids in groups for shard in ids
    }
    dealt = tuple(ShardGroup(ids, deal_buckets(ids), key) for key, ids in groups)
    return CollectionState("c", "u", CollectionConfig(params), shards, dealt)


THREE = _collection((None, (0, 1, 2)))
KEYED = _collection(("a", (0, 1)), (7, (2,)))


def test_each_id_goes_to_the_shard_that_owns_it() -> None:
    parts = split_ids(THREE, IDS, None)
    assert parts.keys() == {0, 1, 2}
    for shard, indices in parts.items():
        assert all(shard_of(THREE, id_key(IDS[index])) == shard for index in indices)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(IDS)))


def test_one_shard_gets_the_change_as_it_is() -> None:
    change = DeletePoints(ids=IDS)
    assert split_change(_collection((None, (4,))), change, None) == {4: change}


def test_vectors_and_payloads_stay_with_their_points() -> None:
    every = VectorBatch("", 1, np.arange(len(IDS), dtype="<f4").tobytes())
    owners = np.arange(0, len(IDS), 2, dtype="<u4")
    some = VectorBatch("even", 1, owners.astype("<f4").tobytes(), owners.tobytes())
    change = Upsert(IDS, (every, some), [b"%d" % index for index in range(len(IDS))])
    for part in split_change(THREE, change, None).values():
        assert isinstance(part, Upsert)
        places = [IDS.index(point_id) for point_id in part.ids]
        assert part.payloads == [b"%d" % place for place in places]
        batches = {batch.name: batch for batch in part.vectors}
        assert batches[""].rows == b""
        assert batches[""].matrix()[:, 0].tolist() == places
        rows = batches["even"].row_of_point(len(part.ids))
        assert [row >= 0 for row in rows] == [place % 2 == 0 for place in places]
        assert [batches["even"].matrix()[row, 0] for row in rows if row >= 0] == [
            place for place in places if place % 2 == 0
        ]


def test_a_shard_without_a_vector_of_some_name_gets_no_batch_of_it() -> None:
    only_first = VectorBatch("x", 1, np.zeros(1, "<f4").tobytes(), np.zeros(1, "<u4").tobytes())
    parts = split_change(THREE, UpdateVectors(IDS, (only_first,)), None)
    owner = shard_of(THREE, id_key(IDS[0]))
    names = {shard: [batch.name for batch in part.vectors] for shard, part in parts.items()}  # type: ignore[union-attr]
    assert names == {shard: ["x"] if shard == owner else [] for shard in (0, 1, 2)}


def test_a_filter_goes_to_every_shard() -> None:
    change = DeletePoints(filter=Filter())
    assert split_change(THREE, change, None) == {0: change, 1: change, 2: change}


def test_ids_and_filter_both_reach_the_shards_they_concern() -> None:
    parts = split_change(THREE, DeleteVectors(("a",), ids=[1], filter=Filter()), None)
    owner = shard_of(THREE, id_key(1))
    assert parts == {
        shard: DeleteVectors(("a",), ids=[1] if shard == owner else None, filter=Filter())
        for shard in (0, 1, 2)
    }


def test_shard_keys_choose_the_shards() -> None:
    assert selected_shards(KEYED, None) == [0, 1, 2]
    assert selected_shards(KEYED, ("a",)) == [0, 1]
    assert split_change(KEYED, DeletePoints(ids=IDS), (7,)).keys() == {2}
    assert split_change(KEYED, DeletePoints(filter=Filter()), ("a",)).keys() == {0, 1}


def test_ids_of_a_keyed_collection_need_a_key() -> None:
    with pytest.raises(BadInput, match="Shard key not specified"):
        split_change(KEYED, DeletePoints(ids=[1]), None)


@pytest.mark.parametrize("collection", [THREE, KEYED])
def test_an_unknown_key_is_refused(collection: CollectionState) -> None:
    with pytest.raises(BadInput, match="Shard key"):
        split_change(collection, DeletePoints(ids=[1]), ("nope",))


# --- fallbacks (reference 14.1) ----------------------------------------------------------------------

A, R, P, D = ReplicaState.ACTIVE, ReplicaState.ACTIVE_READ, ReplicaState.PARTIAL, ReplicaState.DEAD
TARGET, FALLBACK = {0, 1}, {2}
BOTH = KeyWithFallback("a", 7)


def _with_states(*states: tuple[ReplicaState, ...]) -> CollectionState:
    """``KEYED``, with the states of each shard's replicas."""
    shards = {
        shard: replace(KEYED.shards[shard], replicas=dict(enumerate(held, 1)))
        for shard, held in enumerate(states)
    }
    return replace(KEYED, shards=shards)


def _written(collection: CollectionState, selector: KeyWithFallback = BOTH) -> set[int]:
    by_filter = set(split_change(collection, DeletePoints(filter=Filter()), selector))
    assert set(split_change(collection, DeletePoints(ids=IDS), selector)) == by_filter
    return by_filter


@pytest.mark.parametrize(
    ("states", "written", "read"),
    [
        (((A,), (A, D), (A,)), TARGET, TARGET),
        (((A, R), (A,), (D,)), TARGET, TARGET),
        (((R,), (A,), (A,)), TARGET | FALLBACK, TARGET),
        (((R, P), (R,), (A,)), TARGET | FALLBACK, TARGET),
        (((R,), (P,), (A,)), TARGET | FALLBACK, FALLBACK),
        (((P,), (A,), (A,)), FALLBACK, FALLBACK),
        (((P,), (P,), (A,)), FALLBACK, FALLBACK),
        (((D,), (D,), (R,)), FALLBACK, FALLBACK),
    ],
)
def test_a_fallback_serves_until_the_target_does(
    states: tuple[tuple[ReplicaState, ...], ...], written: set[int], read: set[int]
) -> None:
    collection = _with_states(*states)
    assert _written(collection) == written
    assert set(shards_to_read(collection, BOTH)) == read


def test_a_missing_target_is_replaced_and_a_missing_fallback_not_missed() -> None:
    assert _written(KEYED, KeyWithFallback("new", 7)) == FALLBACK
    assert _written(KEYED, KeyWithFallback("a", "gone")) == TARGET
    assert _written(_with_states((R,), (A,), (A,)), KeyWithFallback("a", "gone")) == TARGET


def test_keys_that_look_alike_are_two() -> None:
    assert shards_to_read(KEYED, (7,)) == [2]
    with pytest.raises(BadInput, match='Shard key "7" not found'):
        shards_to_read(KEYED, ("7",))


def test_fallbacks_that_cannot_serve_say_why() -> None:
    nowhere = _with_states((P,), (A,), (D,))
    for call in (lambda: shards_to_read(nowhere, BOTH), lambda: _written(nowhere)):
        with pytest.raises(
            ShardUnavailable, match='target shard key "a" nor fallback shard key 7 have active'
        ):
            call()
    unknown = KeyWithFallback("x", 8)
    for call in (lambda: shards_to_read(KEYED, unknown), lambda: _written(KEYED, unknown)):
        with pytest.raises(
            NotFound, match=r'^Not found: Neither target shard key "x" nor fallback shard key 8 exist$'
        ):
            call()
    for call in (lambda: shards_to_read(THREE, BOTH), lambda: _written(THREE)):
        with pytest.raises(BadInput, match='Shard key "a" not found'):
            call()


def test_reads_of_everything_leave_out_keyed_shards_that_nobody_can_read() -> None:
    assert shards_to_read(_with_states((A,), (P,), (D, A)), None) == [0, 2]
    assert shards_to_read(_with_states((A,), (P,), (A,)), ("a",)) == [0, 1]
    dead = {0: replace(THREE.shards[0], replicas={1: D})}
    assert shards_to_read(replace(THREE, shards={**THREE.shards, **dead}), None) == [0, 1, 2]
