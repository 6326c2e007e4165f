"""Who votes, as the log says: a base, and the membership entries after it (Raft, section 6).

A change counts from the moment it is in the log, committed or not, and stops counting when it is cut from
it. So after a restart, too, the members are read from the whole log and not from what is applied.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pysyncobj.syncobj as library

from consensus.raft.compat import MembershipCodec
from consensus.raft.journal import DurableJournal

ADD: Final = "add"
REMOVE: Final = "rem"

_MEMBERSHIP = bytes([library._COMMAND_TYPE.MEMBERSHIP])


class Members:
    """``now``: with every change in the log. The base holds those up to some index of the log."""

    def __init__(self, members: Iterable[str], journal: DurableJournal) -> None:
        self._journal = journal
        self.base(0, members)

    def base(self, index: int, members: Iterable[str]) -> None:
        self._index, self._base = index, frozenset(members)
        self.read()

    def rebase(self, index: int) -> frozenset[str]:
        """Move the base up to ``index``, whose entries are about to leave the log."""
        self._base, self._index = self._up_to(index), index
        return self._base

    def read(self) -> None:
        """Read the log anew, after entries came or went."""
        self.now = self._up_to(None)

    def change(self, request: list[str]) -> None:
        """Count a change that is about to be logged."""
        self.now = _changed(self.now, request)

    def _up_to(self, index: int | None) -> frozenset[str]:
        members = self._base
        for command, at, _ in self._journal[:]:
            if at > self._index and (index is None or at <= index) and command[:1] == _MEMBERSHIP:
                members = _changed(members, MembershipCodec.loads(command[1:]))
        return members


def _changed(members: frozenset[str], request: list[str]) -> frozenset[str]:
    verb, member = request
    return members | {member} if verb == ADD else members - {member}
