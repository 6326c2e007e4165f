"""PySyncObj with its defects mended, by overriding private methods of the audited source.

Each override names the defect it mends. Raft's own rules are those of Ongaro and Ousterhout, "In Search of
an Understandable Consensus Algorithm" (extended version); section numbers refer to it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import pysyncobj.syncobj as library
from pysyncobj import SyncObj, SyncObjConf
from pysyncobj.node import Node

from consensus.raft import compat
from consensus.raft.files import Files
from consensus.raft.journal import DurableJournal, Entry
from consensus.raft.members import ADD, Members
from consensus.raft.snapshots import Snapshot, Snapshots, StateMachine

compat.install()

COMMAND_BYTES_MAX = 1 << 20  # far below the batch size: larger ones would be sent in fragments
BATCH_BYTES = 4 << 20
Message = dict[str, Any]

REGULAR = b"\x00"
_COUNTED = frozenset({"response_vote", "next_node_idx", "timeout_now"})


class CommittedEntryTruncated(Exception):
    """A leader asked to replace a committed entry: two histories exist, and this node must stop."""


SOON_SHARE = 0.4  # of an election timeout


def configuration(journal: DurableJournal, **overrides: Any) -> SyncObjConf:
    """The library's settings; what is not here was found unsafe or is of no use."""
    settings: dict[str, Any] = {
        "autoTick": False,
        "useFork": False,
        "commandsWaitLeader": False,
        "appendEntriesUseBatch": False,
        "appendEntriesPeriod": 0.1,
        # Longer than a busy leader is silent; one whose connections broke is not waited for so long.
        "raftMinTimeout": 1.0,
        "raftMaxTimeout": 2.0,
        "leaderFallbackTimeout": 3.0,
        "connectionTimeout": 3.5,
        "connectionRetryTime": 0.5,
        "appendEntriesBatchSizeBytes": BATCH_BYTES,
        "commandsQueueSize": 5000,
        "dynamicMembershipChange": True,
        "journalFile": journal,
        "fullDumpFile": None,  # snapshots are ours (``Snapshots``)
    }
    return SyncObjConf(**{**settings, **overrides})


class HardenedSyncObj(SyncObj):  # type: ignore[misc]
    """One Raft member. All methods on one thread, which calls ``doTick``.

    ``members``: who votes as long as there is no snapshot to tell; by default this member and the others.
    Any exception out of ``doTick`` is fatal: the process must end, its files are as a crash leaves them.
    Raises on construction: JournalDamaged, SnapshotDamaged.
    """

    _SyncObj__otherNodes: set[Any]
    _SyncObj__readonlyNodes: set[Any]

    def __init__(
        self,
        self_node: Any,
        other_nodes: list[Any],
        *,
        files: Files,
        machine: StateMachine,
        members: Iterable[str] | None = None,
        conf: dict[str, Any] | None = None,
        **library_arguments: Any,
    ) -> None:
        self._journal = DurableJournal(files)
        self._machine = machine
        given = {self_node.id, *(node.id for node in other_nodes)} if members is None else members
        self._members = Members(given, self._journal)
        self._members_changed = False
        self._wanted_learners: frozenset[str] = frozenset()
        self._snapshots = Snapshots(
            files, machine, members_at=self._members.rebase, may_send_more=self._may_send_more
        )
        self._resets: dict[Any, int] = {}
        self._voters: tuple[int, set[str]] = (0, set())
        settings = configuration(self._journal, **(conf or {}))
        super().__init__(self_node, other_nodes, settings, **{"nodeClass": Node, **library_arguments})
        self._SyncObj__serializer = self._snapshots
        kept = self._snapshots.load()
        if kept is not None:
            self._install(kept)
        else:
            self._follow_members()
        if self.is_voter and len(self.voters) == 1:
            self._SyncObj__raftElectionDeadline = 0.0  # nobody to wait for

    def propose(self, command: bytes, callback: Any) -> None:
        """Queue a command; ``callback((index, term, result) | None, FAIL_REASON)`` on the tick thread."""
        assert len(command) <= COMMAND_BYTES_MAX
        self._applyCommand(command, callback, library._COMMAND_TYPE.REGULAR)

    def wake(self) -> None:
        """End the wait of a ``doTick`` that is under way; from any thread."""
        with contextlib.suppress(BlockingIOError):  # the pipe is full of wakes that are still to be seen
            self._SyncObj__pipeNotifier.notify()

    @property
    def last_index(self) -> int:
        return int(self._SyncObj__getCurrentLogIndex())

    @property
    def is_voter(self) -> bool:
        """As this member's log says; a member that joins is none until it learns so."""
        return self.selfNode.id in self._members.now

    @property
    def voters(self) -> frozenset[str]:
        return self._members.now

    def matched(self, member: str) -> int:
        """The last entry known to be on ``member``'s disk; of use on the leader only."""
        if member == self.selfNode.id:
            return self.last_index
        return int(self._SyncObj__raftMatchIndex.get(self._SyncObj__nodeClass(member), 0))

    def set_learners(self, members: frozenset[str]) -> None:
        """Who gets the log without a vote; voters among them count as voters."""
        self._wanted_learners = members - {self.selfNode.id}
        self._follow_members()

    def change_members(self, verb: str, member: str, callback: Any) -> None:
        """``ADD`` or ``REMOVE`` a voter; refused while another change is under way, or if it is none."""
        request = compat.MembershipCodec.dumps([verb, member])
        self._applyCommand(request, callback, library._COMMAND_TYPE.MEMBERSHIP)

    def hand_over(self, member: str) -> None:
        """Have ``member`` campaign at once, if it has the whole log. Best effort."""
        self.transferLeadership(self._SyncObj__nodeClass(member))

    def _may_send_more(self, node: Any) -> bool:
        limit = getattr(self._SyncObj__transport, "may_send_more", None)
        return limit is None or bool(limit(node))

    # --- applying: total, on raw bytes -------------------------------------------------------------

    def _SyncObj__doApplyCommand(self, command: bytes) -> object:  # noqa: N802
        index = self.raftLastApplied + 1
        [(_, _, term)] = self._SyncObj__getEntries(index, 1)
        if command[:1] != REGULAR:
            # Members change when the entry is logged. The library would change them again here, and
            # so bring back those that a later entry, logged already, removes.
            return index, term, None
        result = self._machine.apply(index=index, term=term, command=command[1:])
        return index, term, result

    # --- messages ----------------------------------------------------------------------------------

    def _SyncObj__onMessageReceived(self, node: Any, message: Message) -> None:  # noqa: N802
        kind = message["type"]
        if kind in _COUNTED and not self._is_known(node):
            return  # a removed member does not take part
        # A vote is asked for, and entries are sent, also by members this log does not tell of yet:
        # the transport lets in no others, and refusing them could leave no majority.
        if kind == "append_entries" and message["term"] >= self.raftCurrentTerm:
            self._on_append(node, message)
            if self._members_changed:
                self._follow_members()
        elif kind == "next_node_idx":
            self._on_acknowledgement(node, message)
        elif kind == "response_vote":
            self._on_vote(node, message)
        else:
            super()._SyncObj__onMessageReceived(node, message)

    def _is_known(self, node: Any) -> bool:
        return node in self._SyncObj__otherNodes or node in self._SyncObj__readonlyNodes

    def _on_append(self, node: Any, message: Message) -> None:
        if "prevLogIdx" not in message:
            # It verifies nothing of the log, so it must not move the commit index.
            unverified = {**message, "commit_index": min(message["commit_index"], self.raftCommitIndex)}
            chunk = unverified.pop("serialized", None)
            super()._SyncObj__onMessageReceived(node, unverified)
            if chunk is not None:
                self._on_chunk(node, chunk)
            return
        trimmed = self._without_known_prefix(message)
        if trimmed is None:
            self._acknowledge_known(node, message)
        else:
            super()._SyncObj__onMessageReceived(node, trimmed)

    def _without_known_prefix(self, message: Message) -> Message | None:
        """The append without the entries this log has already; None if it has all of them (5.3).

        The library truncates everything after ``prevLogIdx``, identical entries too: a repeated append
        would drop entries that this node has acknowledged.
        """
        previous, entries = message["prevLogIdx"], message.get("entries", [])
        own: list[Entry] = self._SyncObj__getEntries(previous)
        if not own or own[0][2] != message["prevLogTerm"]:
            return message  # refused by the library's own check
        known = 0
        while known < min(len(entries), len(own) - 1) and own[known + 1][2] == entries[known][2]:
            known += 1
        if known == len(entries):
            return None
        if known < len(own) - 1 and previous + known + 1 <= self.raftCommitIndex:
            raise CommittedEntryTruncated(f"index {previous + known + 1} is committed here")
        return {
            **message,
            "prevLogIdx": previous + known,
            "prevLogTerm": own[known][2],
            "entries": entries[known:],
        }

    def _acknowledge_known(self, node: Any, message: Message) -> None:
        verified = message["prevLogIdx"] + len(message.get("entries", []))
        heartbeat = {
            "type": "append_entries",
            "term": message["term"],
            "commit_index": min(message["commit_index"], verified),
        }
        super()._SyncObj__onMessageReceived(node, heartbeat)
        self._SyncObj__sendNextNodeIdx(node, nextNodeIdx=verified + 1, success=True)

    def _on_acknowledgement(self, node: Any, message: Message) -> None:
        if message.get("term") != self.raftCurrentTerm:
            return  # of an earlier leadership: it says nothing about this log
        if node not in self._SyncObj__raftMatchIndex:
            return
        end = self._SyncObj__getCurrentLogIndex()
        if message["next_node_idx"] > end + 1:
            message = {**message, "next_node_idx": end + 1, "success": False}
        if message["reset"] and not message["success"]:
            last = self._resets.get(node)
            if last is not None and message["next_node_idx"] >= last:
                return  # one decreasing reset per round: repeats of a pipelined refusal livelock
            self._resets[node] = message["next_node_idx"]
            matched = self._SyncObj__raftMatchIndex[node]
            message = {**message, "next_node_idx": max(message["next_node_idx"], matched + 1)}
        super()._SyncObj__onMessageReceived(node, message)

    def _on_vote(self, node: Any, message: Message) -> None:
        term, voters = self._voters
        if term != message["term"]:
            voters = set()
            self._voters = (message["term"], voters)
        if node.id not in voters and node.id in self._members.now:  # a repeated reply is still one vote
            voters.add(node.id)
            super()._SyncObj__onMessageReceived(node, message)

    def _SyncObj__sendAppendEntries(self) -> None:  # noqa: N802
        self._resets.clear()
        super()._SyncObj__sendAppendEntries()

    def _SyncObj__sendNextNodeIdx(  # noqa: N802
        self,
        node: Any,
        reset: bool = False,
        nextNodeIdx: int | None = None,  # noqa: N803
        success: bool = False,
    ) -> None:
        end = self._SyncObj__getCurrentLogIndex()
        self._journal.sync()  # what is acknowledged is on disk
        message = {
            "type": "next_node_idx",
            "next_node_idx": end + 1 if nextNodeIdx is None else nextNodeIdx,
            "reset": reset,
            "success": success,
            "term": self.raftCurrentTerm,
        }
        self._SyncObj__transport.send(node, message)

    # --- snapshots ---------------------------------------------------------------------------------

    def _on_chunk(self, node: Any, chunk: Any) -> None:
        received = self._snapshots.receive(chunk)
        if received is None:
            return
        if received.last[1] > self.raftLastApplied:
            self._snapshots.keep(received)
            self._install(received)
        # Only the snapshot is verified; entries kept after it may still conflict with the leader's.
        self._SyncObj__sendNextNodeIdx(node, nextNodeIdx=received.last[1] + 1, success=True)

    def _install(self, snapshot: Snapshot) -> None:
        """Restore the state and keep the log's suffix if it continues the snapshot (section 7)."""
        _, index, term = snapshot.last
        suffix: list[Entry] = []
        continues = False
        for entry in self._journal[:]:
            if continues:
                suffix.append(entry)
            continues = continues or (entry[1] == index and entry[2] == term)
        wanted = [snapshot.previous, snapshot.last, *suffix]
        if self._journal[:] != wanted:
            self._journal.replace(wanted)
        self._machine.restore(snapshot.state)
        self._SyncObj__raftLastApplied = index
        self._SyncObj__raftCommitIndex = max(index, self._journal.getRaftCommitIndex())
        self._members.base(index, snapshot.members)
        self._follow_members()

    # --- elections and membership ------------------------------------------------------------------

    def _SyncObj__connectedToAnyone(self) -> bool:  # noqa: N802
        # Without a connected majority a campaign only inflates the term, to depose a healthy leader later.
        return self.is_voter and bool(self.hasQuorum)

    def _SyncObj__onNodeConnected(self, node: Any) -> None:  # noqa: N802
        had_quorum = self.hasQuorum
        super()._SyncObj__onNodeConnected(node)
        if not had_quorum and self.hasQuorum:
            self._SyncObj__raftElectionDeadline = self._soon()

    def _SyncObj__onNodeDisconnected(self, node: Any) -> None:  # noqa: N802
        super()._SyncObj__onNodeDisconnected(node)
        if node == self._getLeader():  # dead, or it dials anew at once and is heard again in time
            deadline = self._SyncObj__raftElectionDeadline
            self._SyncObj__raftElectionDeadline = min(deadline, self._soon())

    def postpone_election(self) -> None:
        """Whoever could not hear a leader has no reason to depose it: wait for messages that are due."""
        if len(self.voters) > 1:
            deadline = self._SyncObj__raftElectionDeadline
            self._SyncObj__raftElectionDeadline = max(deadline, self._soon())

    def _soon(self) -> float:
        """When to campaign if no leader is heard; several of its messages are due before."""
        timeout = float(self._SyncObj__generateRaftTimeout()) * SOON_SHARE
        return float(library.monotonicTime()) + timeout

    def _SyncObj__changeCluster(self, request: list[str]) -> bool:  # noqa: N802
        verb, member = request
        present = member in self._members.now
        if present is (verb == ADD) or member == self.selfNode.id:
            return False
        accepted = bool(super()._SyncObj__changeCluster(request))
        if accepted:
            # The library's guard against a second change before the first is applied is never set.
            self._SyncObj__changeClusterIDx = self._SyncObj__getCurrentLogIndex() + 1
            self._members.change(request)
            self._members_changed = False  # the log does not have the entry yet
            self._follow_members()
        return accepted

    def _SyncObj__doChangeCluster(self, *_: Any, **__: Any) -> bool:  # noqa: N802
        # Called for each change that enters the log or is cut from it. The library undoes and redoes them
        # one by one, which goes wrong for changes that name this member; the whole log is read instead.
        self._members_changed = True
        return True

    def _follow_members(self) -> None:
        """Make the library's sets of nodes what the log, and ``set_learners``, say."""
        if self._members_changed:
            self._members.read()
            self._members_changed = False
        make, own = self._SyncObj__nodeClass, self.selfNode.id
        voters = {make(member) for member in sorted(self._members.now) if member != own}
        learners = {make(member) for member in sorted(self._wanted_learners)} - voters
        others = self._SyncObj__otherNodes
        before = others | self._SyncObj__readonlyNodes
        for node in before - voters - learners:
            self._SyncObj__raftNextIndex.pop(node, None)
            self._SyncObj__raftMatchIndex.pop(node, None)
            self._SyncObj__transport.dropNode(node)
        for node in (voters | learners) - before:
            self._SyncObj__raftNextIndex[node] = self._SyncObj__getCurrentLogIndex() + 1
            self._SyncObj__raftMatchIndex[node] = 0
            self._SyncObj__transport.addNode(node)
        for node in voters - others:
            self._SyncObj__lastResponseTime[node] = library.monotonicTime()
        self._SyncObj__otherNodes, self._SyncObj__readonlyNodes = voters, learners
