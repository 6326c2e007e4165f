"""Leases: until when a replica may answer strong reads, by whose clock.

Lives here: the arithmetic. May not live here: who gets a lease (``primary``).

A lease begins at a moment that its holder can date: the sending of its own reply, whose time the primary
sends back. So no assumption about delays is needed, only about the speed of clocks.

A follower's lease never outlasts its primary's, or a deposed primary, cut off together with one follower,
could keep that follower answering after the others have moved on. A primary's own lease lasts while every
replica that may be promoted has answered a message that it sent less than ``read_lease_ms`` ago: the one that
is promoted stops answering when it learns of it, and waits ``lease_wait_ms`` from then.
"""

from __future__ import annotations

from collections.abc import Iterable

from node.replication.messages import Grant

FOREVER_MS = 1 << 62


class HeldLease:
    """A follower's; ends with the term."""

    def __init__(self) -> None:
        self._until_ms = -1

    def renew(self, grant: Grant, *, incarnation: int) -> None:
        if grant.incarnation == incarnation:
            self._until_ms = max(self._until_ms, grant.clock_ms + grant.lease_ms)

    def drop(self) -> None:
        self._until_ms = -1

    def runs(self, now_ms: int) -> bool:
        return now_ms < self._until_ms


def own_until_ms(answered_ms: Iterable[int | None], read_lease_ms: int) -> int:
    """Until when a primary holds its own lease, given the send times of the latest messages that each
    follower it waits for has answered (None: none yet)."""
    until = FOREVER_MS
    for sent_ms in answered_ms:
        if sent_ms is None:
            return -1
        until = min(until, sent_ms + read_lease_ms)
    return until
