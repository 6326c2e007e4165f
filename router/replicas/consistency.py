"""Read consistency: which replicas of a shard to ask, and how their answers become one. Pure.

Lives here: the plan of a read and the resolution of its answers (reference 14.6).
May not live here: asking (``router.replicas.asking``), clocks, sockets, randomness.

An in-sync replica holds every acknowledged write, so answers differ only by writes in flight, by what an
approximate search found, or because a replica is damaged. Each answer says as of which position of the
shard's log it was given. A replica that is behind another is asked again before a point on which they
differ is dropped; that is why a point that is being overwritten never disappears.
"""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from msgspec import Struct

from consensus.replica_sets import IN_SYNC
from consensus.state import ReplicaState
from protos.errors import ServiceError
from protos.facets import FacetHit, ordered_facets
from protos.idf import Frequencies
from protos.ids import PointId
from protos.shard import Hits, Position, Record

T = TypeVar("T")

# Replicas add up the same numbers in different orders (by graph, by rows): the last bits may differ.
SCORE_TOLERANCE = 1e-5


class Consistency(enum.Enum):
    MAJORITY = "majority"
    QUORUM = "quorum"
    ALL = "all"


ReadConsistency = int | Consistency  # a number: as many replicas must agree


class Plan(Struct, frozen=True):
    """Whom to ask.

    ``ask`` at once, best first; ``spare`` for hedging and in place of those that fail, best first.
    ``wanted`` answers are waited for while replicas are left to give them, unless fewer are unanimous; at
    least ``votes`` are needed, and a point needs ``votes`` equal ones.
    """

    consistency: ReadConsistency
    ask: tuple[int, ...]
    spare: tuple[int, ...]
    wanted: int
    votes: int


class Answer(Struct, Generic[T], frozen=True):
    """What one replica said; ``position`` None: it does not tell as of when."""

    peer: int
    value: T
    position: Position | None = None


class Resolved(Struct, Generic[T], frozen=True):
    """``unanimous``: the answers are so alike that further ones could not change the value."""

    value: T
    unanimous: bool = True


class AskAgain(Struct, frozen=True):
    """Ask ``peers`` for their state at ``at_least`` or later: they differ and are behind."""

    peers: tuple[int, ...]
    at_least: Position


# --- whom to ask -----------------------------------------------------------------------------------


def choose(
    replicas: Mapping[int, ReplicaState],
    consistency: ReadConsistency,
    *,
    shard_id: int,
    local_peer: int,
    load: Mapping[int, int] | None = None,
    affinity: bytes = b"",
    extra: int = 0,
    turn: int = 0,
) -> Plan:
    """The plan of one read of one shard.

    Args:
        replicas: every replica of the shard with its state, by peer.
        local_peer: asked first if it is readable (an ``affinity`` overrules this).
        load: requests under way by peer; the least loaded remote goes first.
        affinity: reads with the same value meet the same replicas in the same order on every node.
        extra: replicas to ask beyond those needed (``read_fan_out_factor``).
        turn: a counter of reads, by which equally loaded replicas take turns.
    Raises: ServiceError if too few replicas are readable (reference 14.6).
    """
    total = len(replicas)
    votes = votes_needed(consistency, total)
    readable = sorted(peer for peer, state in replicas.items() if state in IN_SYNC)
    if len(readable) < votes or not readable:
        raise not_enough_replicas(shard_id, local_peer)
    ranked = _ranked(readable, local_peer, load or {}, affinity, turn)
    everyone = consistency is Consistency.MAJORITY
    asked = len(ranked) if everyone else min(votes + extra, len(ranked))
    wanted = asked if everyone else votes
    return Plan(consistency, tuple(ranked[:asked]), tuple(ranked[asked:]), wanted, votes)


def votes_needed(consistency: ReadConsistency, total: int) -> int:
    """How many of ``total`` replicas must agree; a number is clamped to what there is."""
    if consistency is Consistency.ALL:
        return total
    if isinstance(consistency, Consistency):
        return total // 2 + 1
    return max(1, min(consistency, total))


def not_enough_replicas(shard_id: int, peer: int) -> ServiceError:
    return ServiceError(
        f"The replica set for shard {shard_id} on peer {peer} does not have enough active replicas"
    )


def _ranked(
    readable: list[int], local_peer: int, load: Mapping[int, int], affinity: bytes, turn: int
) -> list[int]:
    if affinity:
        return sorted(readable, key=lambda peer: _affinity_rank(affinity, peer))
    places = {peer: (place - turn) % len(readable) for place, peer in enumerate(readable)}
    return sorted(readable, key=lambda peer: (peer != local_peer, load.get(peer, 0), places[peer]))


def _affinity_rank(affinity: bytes, peer: int) -> bytes:
    """Rendezvous hashing (Thaler and Ravishankar, 1998): a lost replica moves only its own callers."""
    return hashlib.blake2b(affinity, key=str(peer).encode(), digest_size=8).digest()


# --- what the answers say --------------------------------------------------------------------------


def resolve_count(answers: Sequence[Answer[int]], plan: Plan) -> Resolved[int]:
    """The median for a majority (the lower of two), else the minimum."""
    counts = sorted(answer.value for answer in answers)
    chosen = counts[(len(counts) - 1) // 2] if plan.consistency is Consistency.MAJORITY else counts[0]
    return Resolved(chosen, unanimous=counts[0] == counts[-1])


def resolve_facets(answers: Sequence[Answer[list[FacetHit]]], plan: Plan) -> Resolved[list[FacetHit]]:
    """Per value as ``resolve_count``; a replica that does not name a value counts none of it."""
    if plan.votes == 1:
        return Resolved(answers[0].value)
    # Values of one answer are of one type, so 1 and True do not meet here.
    parts = [{hit.value: hit.count for hit in answer.value} for answer in answers]
    counted = {
        value: resolve_count([Answer(0, part.get(value, 0)) for part in parts], plan).value
        for value in dict.fromkeys(value for part in parts for value in part)
    }
    return Resolved(ordered_facets(counted), unanimous=all(part == parts[0] for part in parts))


def resolve_frequencies(
    answers: Sequence[Answer[list[Frequencies]]], plan: Plan
) -> Resolved[list[Frequencies]]:
    """Each request's as one replica has them: that with the count of points that ``resolve_count`` takes."""
    if plan.votes == 1:
        return Resolved(answers[0].value)
    found = []
    for parts in zip(*(answer.value for answer in answers), strict=True):
        points = resolve_count([Answer(0, part.points) for part in parts], plan).value
        found.append(next(part for part in parts if part.points == points))
    return Resolved(found, unanimous=all(answer.value == answers[0].value for answer in answers))


def resolve_records(
    answers: Sequence[Answer[list[Record]]],
    plan: Plan,
    merge: Callable[[list[list[Record]]], list[Record]],
    *,
    final: bool = False,
) -> Resolved[list[Record]] | AskAgain:
    """The records that enough replicas agree on.

    Args:
        answers: at least ``plan.votes``, one per replica.
        merge: puts lists of records, each in the order of the read, into one without repeats.
        final: settle now instead of asking again.
    """
    if plan.votes == 1:
        return Resolved(answers[0].value)
    ballots = [[_Ballot(record) for record in answer.value] for answer in answers]
    settled = _settle(answers, ballots, plan.votes, final=final)
    if isinstance(settled, AskAgain):
        return settled
    merged = merge([[ballot.record for ballot in kept] for kept in settled.value])
    return Resolved(merged, settled.unanimous)


def resolve_hits(
    answers: Sequence[Answer[list[Hits]]],
    plan: Plan,
    merge: Callable[[int, list[Hits]], Hits],
    *,
    final: bool = False,
) -> Resolved[list[Hits]] | AskAgain:
    """As ``resolve_records`` for each search of a batch; ``merge`` is told which search it is."""
    if plan.votes == 1:
        return Resolved(answers[0].value)
    found: list[Hits] = []
    unanimous = True
    for place in range(len(answers[0].value)):
        ballots = [_of_hits(answer.value[place]) for answer in answers]
        settled = _settle(answers, ballots, plan.votes, final=final)
        if isinstance(settled, AskAgain):
            return settled
        found.append(merge(place, [_to_hits(kept) for kept in settled.value]))
        unanimous &= settled.unanimous
    return Resolved(found, unanimous)


class _Ballot:
    """One point of one answer. ``key``: all that must be equal but the score, which need only be close."""

    __slots__ = ("key", "record", "score")

    def __init__(self, record: Record, score: float = 0.0) -> None:
        vectors = tuple(sorted((name, value.tobytes()) for name, value in (record.vectors or {}).items()))
        self.key: tuple[Any, ...] = (record.id, record.order_value, record.payload, vectors)
        self.record = record
        self.score = score

    def agrees(self, other: _Ballot) -> bool:
        return math.isclose(self.score, other.score, rel_tol=SCORE_TOLERANCE, abs_tol=SCORE_TOLERANCE)


def _of_hits(hits: Hits) -> list[_Ballot]:
    return [_Ballot(record, score) for record, score in zip(hits.records, hits.scores.tolist())]


def _to_hits(ballots: list[_Ballot]) -> Hits:
    return Hits(
        [ballot.record for ballot in ballots],
        np.array([ballot.score for ballot in ballots], dtype=np.float32),
    )


def _settle(
    answers: Sequence[Answer[Any]], ballots: list[list[_Ballot]], votes: int, *, final: bool
) -> Resolved[list[list[_Ballot]]] | AskAgain:
    """Each answer's ballots that are elected; or whom to ask again first."""
    elected = _elected(ballots, votes)
    decided = {ballot.record.id for part in elected for ballot in part}
    disputed = any(ballot.record.id not in decided for part in ballots for ballot in part)
    positions = [answer.position for answer in answers if answer.position is not None]
    if not disputed or len(positions) < len(answers) or min(positions) == max(positions):
        return Resolved(elected, unanimous=not disputed)
    if not final:
        newest = max(positions)
        behind = [answer.peer for answer, position in zip(answers, positions) if position < newest]
        return AskAgain(tuple(behind), newest)
    oldest = ballots[positions.index(min(positions))]
    return Resolved(_with_oldest(elected, oldest, decided), unanimous=False)


def _elected(ballots: list[list[_Ballot]], votes: int) -> list[list[_Ballot]]:
    by_key: dict[tuple[Any, ...], list[_Ballot]] = {}
    for part in ballots:
        for ballot in part:
            by_key.setdefault(ballot.key, []).append(ballot)
    return [[ballot for ballot in part if _supporters(ballot, by_key) >= votes] for part in ballots]


def _supporters(ballot: _Ballot, by_key: dict[tuple[Any, ...], list[_Ballot]]) -> int:
    return sum(ballot.agrees(other) for other in by_key[ballot.key])


def _with_oldest(
    elected: list[list[_Ballot]], oldest: list[_Ballot], decided: set[PointId]
) -> list[list[_Ballot]]:
    """Let the oldest answer decide the points on which no agreement came about.

    Its state is one that all answering replicas have been through, so it holds all that was acknowledged
    before the read and nothing that any of them lacks.
    """
    return [*elected, [ballot for ballot in oldest if ballot.record.id not in decided]]
