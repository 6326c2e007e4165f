"""The copy that a router has of the cluster's state, made of what a peer tells. Pure.

Invariants: the copy never goes back, whoever is followed next; a change is applied once; a copy of which two
peers would tell different things is noticed (``Parted``), and never kept.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from consensus.commands import decode_command
from consensus.state import FEATURE_LEVEL, ClusterState, decode_state
from consensus.transitions import Events, apply
from node.peer.feed_wire import Change, Part, Piece


class Parted(Exception):
    """What is told does not follow from what was told before; only the whole state helps."""


class TooNew(Exception):
    """The cluster speaks of what this program does not know."""


class Copy(Struct, frozen=True):
    """``index``: of the log; 0: nothing is known. ``coming``: pieces of a state that is not complete."""

    index: int = 0
    state: ClusterState = ClusterState()
    coming: tuple[bytes, ...] = ()


def begun_anew(copy: Copy) -> Copy:
    """Somebody else, or the same peer again, begins to tell."""
    return replace(copy, coming=())


def take(copy: Copy, part: Part) -> tuple[Copy, Events | None]:
    """Returns: the copy after ``part``, and the events that led to another state (none: it was replaced as a
    whole); None: the state is the same.

    Raises: Parted, TooNew.
    """
    if isinstance(part, Piece):
        return _take_piece(copy, part)
    if copy.index == 0:
        raise Parted("changes come before the state that they are of")
    if part.index <= copy.index:
        return copy, None
    if isinstance(part, Change):
        return _take_change(copy, part)
    return replace(copy, index=part.index), None


def _take_piece(copy: Copy, piece: Piece) -> tuple[Copy, Events | None]:
    coming = (*copy.coming, piece.data)
    if not piece.last:
        return replace(copy, coming=coming), None
    if piece.index <= copy.index:  # who tells is behind: the changes that follow come to where the copy is
        return replace(copy, coming=()), None
    try:
        state = decode_state(b"".join(coming))
    except msgspec.MsgspecError as error:
        raise TooNew(f"the cluster's state cannot be read: {error}") from error
    _check_level(state)
    return Copy(piece.index, state), ()


def _take_change(copy: Copy, change: Change) -> tuple[Copy, Events | None]:
    try:
        command = decode_command(change.command)
    except msgspec.MsgspecError as error:
        raise TooNew(f"a command of the cluster is not known: {error}") from error
    state, events = apply(copy.state, command)
    if state.version != change.version:
        raise Parted(f"version {change.version} of the state was to come, not {state.version}")
    _check_level(state)
    return replace(copy, index=change.index, state=state), events


def _check_level(state: ClusterState) -> None:
    if state.feature_level > FEATURE_LEVEL:
        raise TooNew(
            f"feature level {state.feature_level} is in use, and this program knows {FEATURE_LEVEL}: "
            "a router must be of the nodes' version, or a newer one"
        )
