"""A router's copy of the state: it is what the peers have, and never goes back."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.commands import Command, SetClusterMetadata, encode_command
from consensus.state import FEATURE_LEVEL, ClusterState, Peer, founding_state
from consensus.transitions import apply
from node.following.copy import Copy, Parted, TooNew, begun_anew, take
from node.peer import feed_wire as wire
from node.peer.feed_wire import Change, Part, Piece, Told
from tests.consensus.test_transitions import add

FIRST = 5  # the index of the first state
COMMANDS: list[Command] = [
    add("c"),
    SetClusterMetadata("k", 1),
    SetClusterMetadata("k", 1),  # changes nothing
    add("d"),
    SetClusterMetadata("k", 2),
]


def history(commands: Sequence[Command]) -> list[tuple[int, ClusterState, bytes]]:
    """Index, state and command of each entry; the first has no command."""
    found = [(FIRST, founding_state(Peer(1)), b"")]
    for index, command in enumerate(commands, FIRST + 1):
        state, _ = apply(found[-1][1], command)
        found.append((index, state, encode_command(command)))
    return found


HISTORY = history(COMMANDS)


def told_by_a_peer(begins: int, ends: int) -> list[Part]:
    """What a peer tells that is at the history's place ``begins`` when it is asked, until ``ends``."""
    index, state, _ = HISTORY[begins]
    parts: list[Part] = [*pieces(state, index)]
    for place in range(begins + 1, ends + 1):
        index, after, command = HISTORY[place]
        if after is not HISTORY[place - 1][1]:
            parts.append(Change(index, after.version, command))
        parts.append(Told(index, 1, index, 1, (1,), has_quorum=True, stopped=False))
    return parts


def pieces(state: ClusterState, index: int, size: int = 100) -> list[Piece]:
    whole = next(wire.pieces(state, index)).data
    cuts = [whole[start : start + size] for start in range(0, len(whole), size)]
    return [Piece(index, cut, last=number == len(cuts) - 1) for number, cut in enumerate(cuts)]


def taken(copy: Copy, parts: Sequence[Part]) -> Copy:
    for part in parts:
        before = copy
        copy, events = take(copy, part)
        assert copy.index >= before.index, "it went back"
        assert (events is not None) == (copy.state is not before.state)
    return copy


def test_a_copy_is_what_the_peer_has() -> None:
    copy = taken(Copy(), told_by_a_peer(0, len(COMMANDS)))
    index, state, _ = HISTORY[-1]
    assert (copy.index, copy.state, copy.coming) == (index, state, ())


@given(
    st.lists(
        st.tuples(st.integers(0, len(COMMANDS)), st.integers(0, len(COMMANDS)), st.integers(0, 100)),
        min_size=1,
        max_size=6,
    )
)
def test_whoever_is_followed_and_wherever_it_is_cut_off_the_copy_is_of_its_index(
    follows: list[tuple[int, int, int]],
) -> None:
    """Peers are at different places of the log; a connection ends after any part, even within a state."""
    copy = Copy()
    for one, other, count in follows:
        parts = told_by_a_peer(min(one, other), max(one, other))
        copy = taken(begun_anew(copy), parts[:count])
        if copy.index:
            assert copy.state == HISTORY[copy.index - FIRST][1]


def test_changes_of_a_state_that_was_not_told_are_refused() -> None:
    with pytest.raises(Parted):
        take(Copy(), told_by_a_peer(0, 1)[-1])


def test_a_change_that_leads_elsewhere_is_refused() -> None:
    copy = taken(Copy(), told_by_a_peer(0, 1))
    index, state, command = HISTORY[2]
    with pytest.raises(Parted):
        take(copy, Change(index, state.version + 1, command))


def test_what_this_program_does_not_know_ends_it() -> None:
    copy = taken(Copy(), told_by_a_peer(0, 1))
    with pytest.raises(TooNew):
        take(copy, Change(copy.index + 1, 1, msgspec.msgpack.encode({"type": "OfTheFuture"})))
    newer = msgspec.structs.replace(HISTORY[0][1], feature_level=FEATURE_LEVEL + 1)
    with pytest.raises(TooNew, match=f"this program knows {FEATURE_LEVEL}"):
        taken(Copy(), pieces(newer, 7))
