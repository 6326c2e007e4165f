"""The barrier of a consistent cut. Pure: the coordinator's part, and the part of each primary.

A primary that is *held* has logged nothing behind its position since it said so, and logs nothing until it is
released, or its patience ends. A cut is good if, after **all** primaries were held, **each** has said once
more that it is still held and still leads under a lease. Then there was a moment at which none of the shards
had acknowledged anything behind its position: everything acknowledged before that moment is in the cut, and
nothing in it was sent after something was acknowledged that is not.

Invariants: a confirmation is asked for only when all are held; a cut is good only when all have confirmed;
whatever happens, every primary that may be held is told to go on.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from msgspec import Struct

ShardKey = tuple[str, int]  # collection uuid, shard id


class CutAt(Struct, frozen=True):
    """The last operation in the cut of one shard, and the term its primary leads in."""

    term: int
    seq: int


class Phase(enum.Enum):
    HOLDING = "holding"
    CONFIRMING = "confirming"
    GOOD = "good"
    FAILED = "failed"


class Ask(enum.Enum):
    """What to ask of all primaries next."""

    CONFIRM = "confirm"
    RELEASE = "release"


class Barrier:
    """The coordinator's part. Each event returns what to ask of all primaries now; None: nothing."""

    def __init__(self, shards: Iterable[ShardKey]) -> None:
        self._missing = set(shards)
        self._unconfirmed = set(self._missing)
        self.phase = Phase.HOLDING if self._missing else Phase.GOOD
        self.cut: dict[ShardKey, CutAt] = {}
        self.failure = ""

    def held(self, shard: ShardKey, at: CutAt) -> Ask | None:
        if self.phase is not Phase.HOLDING or shard not in self._missing:
            return None
        self._missing.discard(shard)
        self.cut[shard] = at
        if self._missing:
            return None
        self.phase = Phase.CONFIRMING
        return Ask.CONFIRM

    def confirmed(self, shard: ShardKey) -> Ask | None:
        if self.phase is not Phase.CONFIRMING:
            return None
        self._unconfirmed.discard(shard)
        if self._unconfirmed:
            return None
        self.phase = Phase.GOOD
        return Ask.RELEASE

    def failed(self, why: str) -> Ask | None:
        if self.phase in (Phase.GOOD, Phase.FAILED):
            return None
        self.phase, self.failure = Phase.FAILED, why
        return Ask.RELEASE


class Hold:
    """A primary's part: from the moment it is held. Times are of its own monotonic clock."""

    def __init__(self, at: CutAt, now_ms: int, *, patience_ms: int) -> None:
        self.at = at
        self._until_ms = now_ms + patience_ms
        self._over = False

    def lasts(self, now_ms: int) -> bool:
        """Must it go on holding still?"""
        return not self._over and now_ms < self._until_ms

    def confirm(self, now_ms: int, *, leads_in: int | None) -> bool:
        """Was it held all the time? ``leads_in``: the term it leads in under a lease that runs now; None: it
        does not. Once it could not confirm, it never will."""
        self._over = self._over or not (self.lasts(now_ms) and leads_in == self.at.term)
        return not self._over

    def release(self) -> None:
        self._over = True
