"""Which replicas a read asks, and what their answers add up to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.state import ReplicaState
from protos.errors import ServiceError
from protos.facets import FacetHit
from protos.idf import Frequencies
from protos.shard import Hits, Position, Record
from router.merge import merge_by_id, merge_hits
from router.replicas.consistency import (
    Answer,
    AskAgain,
    Consistency,
    Plan,
    ReadConsistency,
    Resolved,
    choose,
    resolve_count,
    resolve_facets,
    resolve_frequencies,
    resolve_hits,
    resolve_records,
)

ACTIVE, DEAD = ReplicaState.ACTIVE, ReplicaState.DEAD
THREE = {1: ACTIVE, 2: ACTIVE, 3: ACTIVE}
MAJORITY, QUORUM, ALL = Consistency.MAJORITY, Consistency.QUORUM, Consistency.ALL


def plan_of(consistency: ReadConsistency, replicas: dict[int, ReplicaState] | None = None) -> Plan:
    return choose(replicas or THREE, consistency, shard_id=0, local_peer=2)


# --- whom to ask -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("consistency", "asked", "votes", "wanted"),
    [(1, 1, 1, 1), (2, 2, 2, 2), (9, 3, 3, 3), (QUORUM, 2, 2, 2), (MAJORITY, 3, 2, 3), (ALL, 3, 3, 3)],
)
def test_a_level_says_how_many_are_asked_and_must_agree(
    consistency: ReadConsistency, asked: int, votes: int, wanted: int
) -> None:
    plan = plan_of(consistency)
    assert (len(plan.ask), plan.votes, plan.wanted) == (asked, votes, wanted)
    assert sorted(plan.ask + plan.spare) == [1, 2, 3]


def test_the_local_replica_is_first_and_then_the_least_loaded() -> None:
    plan = choose(
        dict.fromkeys((1, 2, 3, 4), ACTIVE), 2, shard_id=0, local_peer=2, load={1: 5, 2: 99, 3: 0, 4: 2}
    )
    assert plan.ask + plan.spare == (2, 3, 4, 1)


def test_equally_loaded_replicas_take_turns() -> None:
    first = {choose(THREE, 1, shard_id=0, local_peer=9, turn=turn).ask[0] for turn in range(3)}
    assert first == {1, 2, 3}


def test_an_affinity_meets_the_same_replicas_from_every_node_whatever_the_load() -> None:
    plans = {
        choose(THREE, 2, shard_id=0, local_peer=local, load={1: local}, affinity=b"caller", turn=local)
        for local in range(5)
    }
    assert len(plans) == 1


def test_affinities_spread_over_the_replicas_and_only_move_off_a_lost_one() -> None:
    before = {n: _first(THREE, n) for n in range(90)}
    after = {n: _first({1: ACTIVE, 2: DEAD, 3: ACTIVE}, n) for n in range(90)}
    assert all(list(before.values()).count(peer) > 15 for peer in THREE)
    assert all(after[n] == before[n] for n in before if before[n] != 2)


def _first(replicas: dict[int, ReplicaState], caller: int) -> int:
    return choose(replicas, 1, shard_id=0, local_peer=1, affinity=str(caller).encode()).ask[0]


def test_the_fan_out_factor_asks_more_at_once_and_still_needs_as_many() -> None:
    plan = choose(THREE, 1, shard_id=0, local_peer=1, extra=1)
    assert (len(plan.ask), plan.wanted, plan.votes) == (2, 1, 1)


@pytest.mark.parametrize("state", list(ReplicaState))
def test_only_replicas_in_sync_are_asked(state: ReplicaState) -> None:
    plan = plan_of(1, {1: state, 2: ACTIVE})
    in_sync = state in (ACTIVE, ReplicaState.ACTIVE_READ, ReplicaState.RESHARDING_SCALE_DOWN)
    assert plan.ask + plan.spare == ((2, 1) if in_sync else (2,))


@pytest.mark.parametrize(
    ("consistency", "replicas"),
    [
        (1, {1: DEAD}),
        (2, {1: ACTIVE, 2: DEAD}),
        (ALL, {1: ACTIVE, 2: ACTIVE, 3: ReplicaState.PARTIAL}),
        (QUORUM, {1: ACTIVE, 2: DEAD, 3: DEAD}),
        (MAJORITY, {1: ACTIVE, 2: DEAD}),
    ],
)
def test_too_few_readable_replicas_is_the_documented_error(
    consistency: ReadConsistency, replicas: dict[int, ReplicaState]
) -> None:
    with pytest.raises(ServiceError) as error:
        choose(replicas, consistency, shard_id=4, local_peer=7)
    text = "The replica set for shard 4 on peer 7 does not have enough active replicas"
    assert str(error.value) == f"Service internal error: {text}"


def test_a_majority_does_without_a_minority() -> None:
    plan = plan_of(MAJORITY, {1: ACTIVE, 2: ACTIVE, 3: DEAD})
    assert (plan.ask, plan.votes, plan.wanted) == ((2, 1), 2, 2)


# --- counts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("consistency", "counts", "result"),
    [
        (2, [7, 5], 5),
        (QUORUM, [5, 6], 5),
        (ALL, [9, 8, 7], 7),
        (MAJORITY, [1, 9, 8], 8),
        (MAJORITY, [4, 6], 4),
    ],
)
def test_counts_are_the_minimum_or_the_median_of_a_majority(
    consistency: ReadConsistency, counts: list[int], result: int
) -> None:
    answers = [Answer(peer, count) for peer, count in enumerate(counts, 1)]
    assert resolve_count(answers, plan_of(consistency)).value == result


@pytest.mark.parametrize(
    ("consistency", "parts", "result", "unanimous"),
    [
        (1, [{"a": 3, "b": 1}], {"a": 3, "b": 1}, True),
        (ALL, [{"a": 3, "b": 1}] * 3, {"a": 3, "b": 1}, True),
        (QUORUM, [{"a": 3, "b": 4}, {"a": 5, "c": 1}], {"a": 3}, False),
        (MAJORITY, [{"b": 2, "a": 3}, {"b": 4, "c": 1}, {"c": 1}], {"b": 2, "c": 1}, False),
    ],
)
def test_facets_are_settled_value_by_value(
    consistency: ReadConsistency, parts: list[dict[str, int]], result: dict[str, int], unanimous: bool
) -> None:
    answers = [
        Answer(peer, [FacetHit(value, count) for value, count in part.items()])
        for peer, part in enumerate(parts, 1)
    ]
    expected = Resolved([FacetHit(value, count) for value, count in result.items()], unanimous)
    assert resolve_facets(answers, plan_of(consistency)) == expected


def test_statistics_are_those_of_one_replica() -> None:
    """Counts of several replicas would not belong together."""
    answers = [
        Answer(1, [Frequencies(9, [4])]),
        Answer(2, [Frequencies(7, [1])]),
        Answer(3, [Frequencies(8, [2])]),
    ]
    assert resolve_frequencies(answers, plan_of(MAJORITY)) == Resolved([Frequencies(8, [2])], unanimous=False)
    assert resolve_frequencies(answers, plan_of(ALL)) == Resolved([Frequencies(7, [1])], unanimous=False)
    assert resolve_frequencies(answers[:1] * 3, plan_of(ALL)) == Resolved([Frequencies(9, [4])])
    assert resolve_frequencies(answers, plan_of(1)) == Resolved([Frequencies(9, [4])])


# --- records ---------------------------------------------------------------------------------------


def record(point_id: int, payload: bytes = b"{}", vector: tuple[float, ...] = (1.0,)) -> Record:
    return Record(point_id, version=point_id, payload=payload, vectors={"": np.array(vector, np.float32)})


def by_id(parts: list[list[Record]]) -> list[Record]:
    return merge_by_id(parts, 10)


def agreed(consistency: ReadConsistency, *values: list[Record], final: bool = False) -> list[int]:
    """The ids that are left of answers given as of one position."""
    answers = [Answer(peer, value, Position(1, 5)) for peer, value in enumerate(values, 1)]
    outcome = resolve_records(answers, plan_of(consistency), by_id, final=final)
    assert isinstance(outcome, Resolved)
    return [int(found.id) for found in outcome.value]


def test_a_point_needs_all_the_answers_or_more_than_half() -> None:
    values = [record(1), record(2)], [record(1), record(2)], [record(1), record(3)]
    assert agreed(ALL, *values) == [1]
    assert agreed(MAJORITY, *values) == [1, 2]
    assert agreed(2, *values[1:]) == [1]


@pytest.mark.parametrize("other", [record(1, payload=b'{"a":1}'), record(1, vector=(2.0,))])
def test_points_that_differ_in_payload_or_vector_are_not_the_same(other: Record) -> None:
    assert agreed(QUORUM, [record(1)], [other]) == []
    assert agreed(MAJORITY, [record(1)], [other], [record(1)]) == [1]


def test_points_of_an_ordered_page_are_told_apart_by_their_order_value() -> None:
    two, three = Record(1, 0, order_value=2), Record(1, 0, order_value=3)
    answers = [Answer(1, [two, three]), Answer(2, [two])]
    outcome = resolve_records(answers, plan_of(2), lambda parts: parts[0])
    assert isinstance(outcome, Resolved)
    assert outcome.value == [two]


def test_versions_do_not_count() -> None:
    assert agreed(2, [Record(1, version=3)], [Record(1, version=4)]) == [1]


def test_one_answer_is_taken_as_it_is() -> None:
    answer = Answer(1, [record(2), record(1)], Position(1, 1))
    assert resolve_records([answer], plan_of(1), by_id) == Resolved(answer.value)


def hits(*scored: tuple[int, float]) -> Hits:
    return Hits([Record(point_id, 0) for point_id, _ in scored], np.array([s for _, s in scored], np.float32))


def ranked(consistency: ReadConsistency, *values: Hits) -> list[tuple[int, float]]:
    answers = [Answer(peer, [value]) for peer, value in enumerate(values, 1)]
    outcome = resolve_hits(
        answers, plan_of(consistency), lambda _, parts: merge_hits(parts, 3, ascending=False)
    )
    assert isinstance(outcome, Resolved)
    (found,) = outcome.value
    return [
        (int(found_record.id), score) for found_record, score in zip(found.records, found.scores.tolist())
    ]


def test_hits_are_merged_by_score() -> None:
    majority = ranked(MAJORITY, hits((1, 5), (4, 4), (2, 3)), hits((4, 4), (2, 3)), hits((1, 5), (9, 1)))
    assert majority == [(1, 5.0), (4, 4.0), (2, 3.0)]


def test_scores_may_differ_in_their_last_bits_only() -> None:
    assert [point for point, _ in ranked(2, hits((1, 0.5)), hits((1, 0.5 + 1e-7)))] == [1]
    assert ranked(2, hits((1, 0.5)), hits((1, 0.51))) == []


# --- writes in flight ------------------------------------------------------------------------------


def at(seq: int, *records: Record, peer: int = 1, term: int = 1) -> Answer[list[Record]]:
    return Answer(peer, list(records), Position(term, seq))


def test_a_replica_that_is_behind_is_asked_again() -> None:
    answers = [at(7, record(1, b'{"new":1}'), peer=1), at(6, record(1), peer=2)]
    assert resolve_records(answers, plan_of(2), by_id) == AskAgain((2,), Position(1, 7))


def test_a_higher_term_is_ahead_of_a_higher_seq() -> None:
    answers = [at(9, record(1), peer=1, term=1), at(6, peer=2, term=2)]
    assert resolve_records(answers, plan_of(2), by_id) == AskAgain((1,), Position(2, 6))


def test_nobody_is_asked_again_where_answers_agree_or_tell_no_position() -> None:
    for answers in (
        [at(7, record(1), peer=1), at(6, record(1), peer=2)],
        [Answer(1, [record(1)]), at(6, record(1), peer=2)],
    ):
        outcome = resolve_records(answers, plan_of(2), by_id)
        assert isinstance(outcome, Resolved)
        assert [found.id for found in outcome.value] == [1]
    lost = resolve_records([Answer(1, [record(1)]), at(6, peer=2)], plan_of(2), by_id)
    assert lost == Resolved([], unanimous=False)


def test_a_point_that_is_always_being_overwritten_is_there_as_the_oldest_answer_has_it() -> None:
    answers = [at(7, record(1, b'{"new":1}'), record(2), peer=1), at(6, record(1), record(2), peer=2)]
    outcome = resolve_records(answers, plan_of(2), by_id, final=True)
    assert isinstance(outcome, Resolved)
    assert [(found.id, found.payload) for found in outcome.value] == [(1, b"{}"), (2, b"{}")]


def test_a_point_whose_deletion_is_under_way_may_still_be_there_but_not_one_being_inserted() -> None:
    answers = [at(7, record(2), peer=1), at(6, record(1), peer=2)]
    outcome = resolve_records(answers, plan_of(2), by_id, final=True)
    assert isinstance(outcome, Resolved)
    assert [found.id for found in outcome.value] == [1]


State = dict[int, int]


@given(
    log=st.lists(st.tuples(st.integers(1, 3), st.none() | st.integers(0, 9)), max_size=8),
    positions=st.lists(st.integers(0, 8), min_size=3, max_size=3),
    acknowledged=st.integers(0, 8),
    consistency=st.sampled_from([2, QUORUM, MAJORITY, ALL]),
)
def test_whatever_is_in_flight_each_point_is_read_as_it_was_since_the_last_acknowledgement(
    log: list[tuple[int, int | None]],
    positions: list[int],
    acknowledged: int,
    consistency: ReadConsistency,
) -> None:
    """Replicas are prefixes of one log that reach at least to what is acknowledged; a point read must be
    as it was at some moment since then, and may be missing only if it was missing at such a moment."""
    acknowledged = min(acknowledged, len(log))
    seqs = [min(max(position, acknowledged), len(log)) for position in positions]
    plan = plan_of(consistency)
    answers = [
        Answer(
            peer, [_as_record(point, value) for point, value in _state(log, seq).items()], Position(1, seq)
        )
        for peer, seq in zip(plan.ask, seqs)
    ]
    outcome = resolve_records(answers, plan, by_id, final=True)
    assert isinstance(outcome, Resolved)
    found = {int(point.id): int(point.payload or b"0") for point in outcome.value}
    for point in (1, 2, 3):
        allowed = {_state(log, seq).get(point) for seq in range(acknowledged, len(log) + 1)}
        assert found.get(point) in allowed


def _state(log: list[tuple[int, int | None]], seq: int) -> State:
    latest = dict(log[:seq])
    return {point: value for point, value in latest.items() if value is not None}


def _as_record(point: int, value: int) -> Record:
    return record(point, payload=str(value).encode())
