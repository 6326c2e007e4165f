"""Whose points a replica holds, if it is a copy of some other shard's. Pure."""

from __future__ import annotations

from msgspec import Struct

from node.replication.terms import EMPTY_SEQ


class Origin(Struct, frozen=True, array_like=True):
    """The points are those of the checkpoint ``stamp`` (``node.transfer.export``) as long as the last
    operation is ``seq``; empty: they are the replica's own."""

    stamp: str = ""
    seq: int = EMPTY_SEQ

    def at(self, seq: int) -> str:
        """Its stamp, if the points are still what they were when operation ``seq`` is applied."""
        return self.stamp if seq == self.seq else ""

    def configured(self, seq: int) -> Origin:
        """After an operation that leaves the points alone."""
        return Origin(self.stamp, seq) if self.stamp and seq == self.seq + 1 else self


NO_ORIGIN = Origin()
