"""What the Raft log's commands add up to: the cluster state, and who has been answered what.

Lives here: the envelope a command travels in, and ``step``, which applies one. Pure: no clock, no thread.
May not live here: what commands mean (``transitions``), how they get into the log (``raft_log``).

A proposer that hears nothing sends its command again, so the log may hold it twice. Each envelope names
its client (a peer), that client's process (its incarnation) and a number; ``sessions`` keep the numbers
applied and their results, so a repeat changes nothing (Ongaro, "Consensus: Bridging Theory and Practice",
6.3). All of it is part of the replicated state: every member forgets the same results at the same entry.

Invariants: a number of a client's process is applied at most once; a session holds at most
``RESULTS_MAX`` results; only peers of the cluster have one.
"""

from __future__ import annotations

from typing import Any, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from consensus.commands import decode_command
from consensus.events import Event
from consensus.state import FEATURE_LEVEL, ClusterState
from consensus.transitions import Events, apply
from protos.structs import learn

FORMAT = 1
RESULTS_MAX = 1024


class UnknownFormat(Exception):
    """An entry or a state that a newer program wrote: going on would be diverging."""


class Envelope(Struct, frozen=True, array_like=True):
    """``floor``: numbers below it were answered, or given up. No ``command``: it marks a place in the log."""

    format: int
    client: int
    incarnation: int
    number: int
    floor: int
    command: bytes


class Session(Struct, frozen=True, array_like=True):
    """Results by number, for the numbers from ``floor`` on that were applied."""

    incarnation: int
    floor: int = 0
    results: dict[int, list[tuple[str, Any]]] = {}


class Replicated(Struct, frozen=True):
    """``index``: of the last entry in it."""

    format: int
    index: int
    cluster: ClusterState
    sessions: dict[int, Session] = {}


class Step(Struct, frozen=True):
    """``events`` None: the envelope was too old to be applied, or to know what became of it."""

    state: Replicated
    events: Events | None
    repeated: bool = False


def step(state: Replicated, index: int, envelope: Envelope) -> Step:
    """Apply the envelope that the log holds at ``index``.

    Raises: UnknownFormat, msgspec.MsgspecError if this program does not know it.
    """
    if envelope.format != FORMAT:
        raise UnknownFormat(f"entry format {envelope.format} (this program knows {FORMAT})")
    state = replace(state, index=index)
    session = _session(state, envelope)
    if session is None or envelope.number < session.floor:
        return Step(state, None)
    known = session.results.get(envelope.number)
    if known is not None:
        return Step(state, decode_events(known), repeated=True)
    cluster = state.cluster
    events: Events = ()
    if envelope.command:
        cluster, events = apply(cluster, decode_command(envelope.command))
    session = _remember(session, envelope, events)
    sessions = {**state.sessions, envelope.client: session}
    if cluster.peers is not state.cluster.peers:
        sessions = {client: kept for client, kept in sessions.items() if client in cluster.peers}
    return Step(Replicated(FORMAT, index, cluster, sessions), events)


def result_of(state: Replicated, client: int, incarnation: int, number: int) -> Events | None:
    """The result of an envelope, if it was applied and is remembered."""
    session = state.sessions.get(client)
    if session is None or session.incarnation != incarnation:
        return None
    known = session.results.get(number)
    return None if known is None else decode_events(known)


def encode(state: Replicated) -> bytes:
    return msgspec.msgpack.encode(state)


_decoder = msgspec.msgpack.Decoder(Replicated)


def decode(data: bytes) -> Replicated:
    """Raises: UnknownFormat, msgspec.MsgspecError."""
    state = _decoder.decode(data)
    if state.format != FORMAT:
        raise UnknownFormat(f"state format {state.format} (this program knows {FORMAT})")
    level = state.cluster.feature_level
    if level > FEATURE_LEVEL:
        raise UnknownFormat(f"feature level {level} is in use (this program knows {FEATURE_LEVEL})")
    return state


def founding(cluster: ClusterState, index: int) -> bytes:
    """The first state of a Raft group, as bytes."""
    return encode(Replicated(FORMAT, index, cluster))


def _session(state: Replicated, envelope: Envelope) -> Session | None:
    """The session of the envelope's process; None if it is over, or the client is no peer."""
    if envelope.client not in state.cluster.peers:
        return None
    session = state.sessions.get(envelope.client)
    if session is None or session.incarnation < envelope.incarnation:
        return Session(envelope.incarnation)
    return session if session.incarnation == envelope.incarnation else None


def _remember(session: Session, envelope: Envelope, events: Events) -> Session:
    results = {**session.results, envelope.number: encode_events(events)}
    floor = max(session.floor, envelope.floor)
    if len(results) > RESULTS_MAX:
        floor = max(floor, min(results) + 1)
    kept = {number: result for number, result in results.items() if number >= floor}
    return replace(session, floor=floor, results=kept)


# --- events as plain values: a session outlives the program that wrote it -------------------------------

_EVENTS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Event)}


def encode_events(events: Events) -> list[tuple[str, Any]]:
    return [(type(event).__name__, msgspec.to_builtins(event)) for event in events]


def decode_events(encoded: list[tuple[str, Any]]) -> Events:
    """Raises: UnknownFormat if there is an event this program does not know."""
    unknown = [name for name, _ in encoded if name not in _EVENTS]
    if unknown:
        raise UnknownFormat(f"events {unknown}")
    return tuple(msgspec.convert(fields, _EVENTS[name]) for name, fields in encoded)


learn(*_EVENTS.values())
