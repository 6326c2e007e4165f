"""Whom a router follows, and when it leaves. Pure: chance and time are arguments.

Every peer knows the whole state, so any will do; routers choose at random, and so spread over the peers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from consensus.state import Peer
from node.peer.feed_wire import Told

if TYPE_CHECKING:
    import random

PAUSE_S, PAUSE_S_MAX, DOUBLINGS_MAX = 0.1, 1.0, 10  # between two tries
LEADERLESS_S = 3.0  # an election takes less; a peer that knows no leader for longer is cut off, perhaps alone
BEHIND_S = 3.0  # a peer that has just joined, or come back, may know less than another one told already


class Candidate(Struct, frozen=True):
    """``peer_id`` None: nobody has said yet who is there."""

    uri: str
    peer_id: int | None = None


def candidates(peers: Iterable[Peer], bootstrap: Iterable[str]) -> list[Candidate]:
    """Those that the state names, or none: where the peers are that it does not know yet, or any more."""
    known = [Candidate(peer.uri, peer.id) for peer in peers if peer.uri]
    uris = {each.uri for each in known}
    return known + [Candidate(uri) for uri in dict.fromkeys(bootstrap) if uri not in uris]


def next_to_follow(
    among: Iterable[Candidate], failed_at_s: Mapping[str, float], rng: random.Random
) -> Candidate | None:
    """Who has not failed yet, peers that the state names first; else who failed longest ago.

    ``failed_at_s``: when following ended, by URI.
    """

    def rank(candidate: Candidate) -> tuple[float, bool, float]:
        return failed_at_s.get(candidate.uri, float("-inf")), candidate.peer_id is None, rng.random()

    return min(among, key=rank, default=None)


def pause_s(misses: int) -> float:
    """Before the next try; ``misses``: how many there were since somebody was followed."""
    return float(min(PAUSE_S * 2 ** min(misses, DOUBLINGS_MAX), PAUSE_S_MAX))


class Watched(Struct, frozen=True):
    """What is known of the peer that is followed. ``leaderless_s``: since when it knows no leader;
    ``behind_s``: since when it knows less than the router does. None: it is not so."""

    leaderless_s: float | None = None
    behind_s: float | None = None
    stopped: bool = False


def watched(before: Watched, told: Told, *, index: int, now_s: float) -> Watched:
    """``index``: how far the router's copy goes."""
    leaderless = told.leader is None
    behind = told.index < index
    return Watched(
        _since(before.leaderless_s, now_s) if leaderless else None,
        _since(before.behind_s, now_s) if behind else None,
        told.stopped,
    )


def why_leave(seen: Watched, now_s: float) -> str | None:
    """None: stay."""
    if seen.stopped:
        return "it is no member any more, or its metadata log has failed"
    if seen.leaderless_s is not None and now_s - seen.leaderless_s > LEADERLESS_S:
        return "it knows of no leader"
    if seen.behind_s is not None and now_s - seen.behind_s > BEHIND_S:
        return "it knows less of the cluster than this router does"
    return None


def _since(before_s: float | None, now_s: float) -> float:
    return now_s if before_s is None else before_s
