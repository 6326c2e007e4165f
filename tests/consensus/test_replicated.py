"""Sessions: a proposal that is in the log several times is applied once, and answered alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import replicated
from consensus.commands import RegisterPeer, RemovePeer, SetClusterMetadata, encode_command
from consensus.events import ClusterMetadataChanged, Event, Rejected
from consensus.replicated import FORMAT, RESULTS_MAX, Envelope, Replicated, UnknownFormat, result_of, step
from consensus.state import Peer, founding_state

START = Replicated(FORMAT, 3, founding_state(Peer(1)))


def envelope(number: int, *, client: int = 1, incarnation: int = 1, floor: int = 0) -> Envelope:
    command = encode_command(SetClusterMetadata(f"{client}.{number}", number))
    return Envelope(FORMAT, client, incarnation, number, floor, command)


def test_a_repeat_changes_nothing_and_has_the_first_result() -> None:
    once = step(START, 4, envelope(1))
    twice = step(once.state, 5, envelope(1))
    assert twice.repeated
    assert twice.events == once.events == (ClusterMetadataChanged("1.1"),)
    assert twice.state.cluster is once.state.cluster
    assert twice.state.index == 5


def test_a_rejection_is_remembered_too() -> None:
    removal = Envelope(FORMAT, 1, 1, 1, 0, encode_command(RemovePeer(1)))
    once = step(START, 4, removal)
    assert isinstance((once.events or ())[0], Rejected)
    assert step(once.state, 5, removal).events == once.events


def test_numbers_may_come_in_any_order() -> None:
    state = step(START, 4, envelope(2)).state
    late = step(state, 5, envelope(1))
    assert late.events == (ClusterMetadataChanged("1.1"),)


def test_a_number_that_was_given_up_is_not_applied_any_more() -> None:
    state = step(START, 4, envelope(5, floor=5)).state
    late = step(state, 5, envelope(4))
    assert late.events is None
    assert "1.4" not in late.state.cluster.metadata


def test_a_process_that_is_over_is_not_heard_any_more() -> None:
    state = step(START, 4, envelope(1, incarnation=2)).state
    assert step(state, 5, envelope(2, incarnation=1)).events is None
    assert result_of(state, 1, 2, 1) == (ClusterMetadataChanged("1.1"),)
    assert result_of(state, 1, 1, 1) is None


def test_only_peers_are_heard_and_a_removed_one_is_forgotten() -> None:
    assert step(START, 4, envelope(1, client=2)).events is None
    add = Envelope(FORMAT, 1, 1, 1, 0, encode_command(RegisterPeer(2, "http://b:1/", incarnation=1)))
    state = step(START, 4, add).state
    state = step(state, 5, envelope(1, client=2)).state
    assert set(state.sessions) == {1, 2}
    remove = Envelope(FORMAT, 1, 1, 2, 0, encode_command(RemovePeer(2)))
    assert set(step(state, 6, remove).state.sessions) == {1}


def test_a_session_is_bounded() -> None:
    state = START
    for number in range(1, RESULTS_MAX + 50):
        state = step(state, number, Envelope(FORMAT, 1, 1, number, 0, b"")).state
    assert len(state.sessions[1].results) == RESULTS_MAX
    assert step(state, 9999, envelope(1)).events is None


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UnknownFormat, match="entry format 2"):
        step(START, 4, Envelope(FORMAT + 1, 1, 1, 1, 0, b""))


def test_a_state_of_a_newer_program_is_refused() -> None:
    with pytest.raises(UnknownFormat, match="state format 2"):
        replicated.decode(replicated.encode(Replicated(FORMAT + 1, 3, START.cluster)))


@given(st.lists(st.integers(1, 12), max_size=40))
def test_members_that_load_a_snapshot_midway_go_on_alike(numbers: list[int]) -> None:
    state = loaded = START
    for at, number in enumerate(numbers):
        state = step(state, at + 4, envelope(number, floor=number - 4)).state
        loaded = replicated.decode(replicated.encode(loaded))
        loaded = step(loaded, at + 4, envelope(number, floor=number - 4)).state
    assert replicated.encode(loaded) == replicated.encode(state)
    assert state.cluster.version == START.cluster.version + len(state.cluster.metadata)


def test_every_event_survives_being_remembered() -> None:
    from typing import get_args

    for kind in get_args(Event):
        assert kind.__name__ in replicated._EVENTS
    events = (ClusterMetadataChanged("k"), Rejected("BadInput", "why"))
    assert replicated.decode_events(replicated.encode_events(events)) == events
    with pytest.raises(UnknownFormat):
        replicated.decode_events([("NotYetInvented", {})])
