"""The first files of a member: of the one that founds a group, and of those that join it.

A group's first snapshot stands at entry 3 and its log begins at entry 2, so the log that a joining member
starts with, entry 1, never continues: each begins by receiving a snapshot, which names the members.
"""

from __future__ import annotations

from collections.abc import Sequence

import pysyncobj.syncobj as library

from consensus.raft.files import Files
from consensus.raft.journal import LOG, META, DurableJournal, Entry, encode_record
from consensus.raft.snapshots import FORMAT, SNAPSHOT, Snapshot, encode

FOUNDING_INDEX = 3

_NO_OP = bytes([library._COMMAND_TYPE.NO_OP])


class RaftFilesMissing(Exception):
    """A member that has voted and acknowledged lost its files: it must not come back as the same one."""


def found(files: Files, members: Sequence[str], state: bytes) -> None:
    """Make the files of each of a group's first ``members``, who begin alike. There must be none yet."""
    previous: Entry = (_NO_OP, FOUNDING_INDEX - 1, 0)
    last: Entry = (_NO_OP, FOUNDING_INDEX, 0)
    files.replace(SNAPSHOT, encode(Snapshot(FORMAT, state, last, previous, sorted(members))))
    _write(files, [previous, last])


def prepare(files: Files) -> None:
    """Make the files of a member that will join a group. There must be none yet."""
    _write(files, [(_NO_OP, 1, 0)])


def check(files: Files) -> None:
    """Raises: RaftFilesMissing."""
    for name in (LOG, META):
        if files.read(name) is None:
            raise RaftFilesMissing(
                f"{name} is missing: this peer may have forgotten a vote. Remove it from the cluster, "
                "empty its storage, and let it join as a new peer"
            )
    if DurableJournal(files)[:1] != [(_NO_OP, 1, 0)] and files.read(SNAPSHOT) is None:
        raise RaftFilesMissing(f"{SNAPSHOT} is missing, and {LOG} does not begin with the first entry")


def _write(files: Files, entries: list[Entry]) -> None:
    files.replace(LOG, b"".join(encode_record(entry) for entry in entries))
    DurableJournal(files).setCurrentTerm(0, None)
