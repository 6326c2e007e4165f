"""A Raft cluster on virtual time: one seed decides every delay, loss, repeat, partition and crash.

The members are the real driver (or the stock library, as a control) over an in-memory network and a disk
that loses what was not synced. The same seed gives the same run.
"""

from __future__ import annotations

import heapq
import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import msgspec
import pysyncobj.node
import pysyncobj.syncobj as library
from pysyncobj import FAIL_REASON, SyncObj
from pysyncobj.transport import Transport

from consensus.raft.hardened import HardenedSyncObj, configuration
from consensus.raft.journal import DurableJournal

STEP_S = 0.02


class Clock:
    """Advances a little at each reading, so that loops bounded by time end."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 1e-5
        return self.now


class Node(pysyncobj.node.Node):  # type: ignore[misc]
    def __hash__(self) -> int:  # stable over runs, so that sets iterate alike
        return zlib.crc32(self.id.encode())


class Disk:
    """The files port in memory. A crash keeps a random part of what was appended but not synced."""

    def __init__(self) -> None:
        self._content: dict[str, bytearray] = {}
        self._durable: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        content = self._content.get(name)
        return None if content is None else bytes(content)

    def append(self, name: str, data: bytes) -> None:
        self._content.setdefault(name, bytearray()).extend(data)

    def truncate(self, name: str, size: int) -> None:
        del self._content.setdefault(name, bytearray())[size:]

    def sync(self, name: str) -> None:
        self._durable[name] = bytes(self._content.get(name, b""))

    def replace(self, name: str, data: bytes) -> None:
        self._content[name] = bytearray(data)
        self._durable[name] = data

    def crash(self, rng: random.Random) -> None:
        for name, content in self._content.items():
            durable = self._durable.get(name, b"")
            if content.startswith(durable):
                kept = rng.randint(len(durable), len(content))
                self._content[name] = content[:kept]
            else:
                self._content[name] = bytearray(durable)
            self._durable[name] = bytes(self._content[name])


class Ledger:
    """The state machine: an ordered list of commands."""

    def __init__(self) -> None:
        self.applied: list[tuple[int, bytes]] = []

    def apply(self, *, index: int, term: int, command: bytes) -> object:
        self.applied.append((index, command))
        return len(self.applied)

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self.applied)

    def restore(self, data: bytes) -> None:
        self.applied = msgspec.msgpack.decode(data, type=list[tuple[int, bytes]])


class StockSyncObj(SyncObj):  # type: ignore[misc]
    """The control: the library as it comes. It never syncs; snapshots, where it has more defects, are off."""

    def __init__(
        self, self_node: Any, others: list[Any], *, files: Disk, machine: Ledger, **arguments: Any
    ) -> None:
        self._machine = machine
        conf = configuration(_UnsyncedJournal(files), **(arguments.pop("conf", None) or {}))
        conf.logCompactionMinEntries = conf.logCompactionMinTime = 10**9
        super().__init__(self_node, others, conf, **arguments)

    def propose(self, command: bytes, callback: Any) -> None:
        self._applyCommand(command, callback, library._COMMAND_TYPE.REGULAR)

    @property
    def last_index(self) -> int:
        return int(self._SyncObj__getCurrentLogIndex())

    def _SyncObj__doApplyCommand(self, command: bytes) -> object:
        if command[:1] != b"\x00":
            return super()._SyncObj__doApplyCommand(command)
        index = self.raftLastApplied + 1
        return index, 0, self._machine.apply(index=index, term=0, command=command[1:])


class _UnsyncedJournal(DurableJournal):
    def sync(self) -> None:
        """The library's own journal writes through a memory map and leaves the rest to luck."""


class Network:
    """Delivers messages late, twice, out of order or not at all, as the rates say."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self._clock, self._rng = clock, rng
        self._queue: list[tuple[float, int, str, str, Any]] = []
        self._sent = 0
        self.members: dict[str, MemoryTransport] = {}
        self.cut: set[tuple[str, str]] = set()
        self.loss = self.repeat = 0.0
        self.delay_max_s = 0.01
        self.admits: Callable[[str, str], bool] = lambda _host, _guest: True

    def linked(self, one: str, other: str) -> bool:
        """Either dials those whom it watches, and is let in or not."""
        return self.connected(one, other) and (
            (self.members[one].watches(other) and self.admits(other, one))
            or (self.members[other].watches(one) and self.admits(one, other))
        )

    def connected(self, source: str, target: str) -> bool:
        return source in self.members and target in self.members and not {
            (source, target), (target, source)
        } & self.cut  # fmt: skip

    def send(self, source: str, target: str, message: Any) -> None:
        # A forwarded command has no identity in Raft: it relies on a transport that delivers at most once.
        repeatable = message["type"] != "apply_command"
        for _ in range(1 + (repeatable and self._rng.random() < self.repeat)):
            if self._rng.random() >= self.loss:
                self._sent += 1
                due = self._clock.now + self._rng.random() * self.delay_max_s
                heapq.heappush(self._queue, (due, self._sent, source, target, deepcopy(message)))

    def deliver(self) -> None:
        while self._queue and self._queue[0][0] <= self._clock.now:
            _, _, source, target, message = heapq.heappop(self._queue)
            if self.connected(source, target):
                self.members[target].receive(source, message)

    def forget(self, member: str) -> None:
        """Drop what is under way from or to a crashed member."""
        self.members.pop(member, None)
        self._queue = [item for item in self._queue if member not in item[2:4]]
        heapq.heapify(self._queue)


class MemoryTransport(Transport):  # type: ignore[misc]
    network: Network  # set by the world before a member is made: the library makes its own transport

    def __init__(self, sync_obj: Any, self_node: Any, others: set[Any]) -> None:
        super().__init__(sync_obj, self_node, others)
        self._me: str = self_node.id
        self._nodes = {node.id: node for node in others}
        self._connected: set[str] = set()
        self.network.members[self._me] = self

    def addNode(self, node: Any) -> None:
        self._nodes[node.id] = node

    def dropNode(self, node: Any) -> None:
        self._nodes.pop(node.id, None)
        if node.id in self._connected:
            self._connected.discard(node.id)
            self._onNodeDisconnected(node)

    def watches(self, name: str) -> bool:
        return name in self._nodes

    def notice_connections(self) -> None:
        for name in sorted({*self.network.members, *self._connected} - {self._me}):
            up = self.network.linked(self._me, name)
            if up and name not in self._connected:
                self._connected.add(name)
                self._onNodeConnected(self._node(name))
            elif not up and name in self._connected:
                self._connected.discard(name)
                self._onNodeDisconnected(self._node(name))

    def send(self, node: Any, message: Any) -> bool:
        if node.id not in self._connected:
            return False
        self.network.send(self._me, node.id, message)
        return True

    def receive(self, source: str, message: Any) -> None:
        if self.network.linked(self._me, source):
            self._onMessageReceived(self._node(source), message)

    def _node(self, name: str) -> Node:
        return self._nodes.get(name) or Node(name)


class World:
    """Members by name; crashed ones keep their disk. ``acknowledged`` holds what callers were promised."""

    def __init__(
        self, seed: int, *, members: int = 3, member_class: Callable[..., Any] = HardenedSyncObj
    ) -> None:
        self.rng = random.Random(seed)
        self.clock = Clock()
        self.network = Network(self.clock, self.rng)
        self.names = [f"n{i}" for i in range(members)]
        self.disks = {name: Disk() for name in self.names}
        self.members: dict[str, Any] = {}
        self.ledgers: dict[str, Ledger] = {}
        self.acknowledged: set[bytes] = set()
        self._member_class = member_class
        self._proposed = 0
        self.reports: dict[str, int] = {}  # how often what happened, for whoever runs many seeds
        self._history: dict[int, bytes] = {}

    @contextmanager
    def running(self) -> Iterator[World]:
        """The library reads its clock and its random numbers from module globals: lend it ours."""
        kept = library.monotonicTime, library.random
        library.monotonicTime, library.random = self.clock, self.rng
        try:
            for name in self.names:
                self.start(name)
            yield self
        finally:
            library.monotonicTime, library.random = kept
            for member in self.members.values():
                member.destroy()

    def start(self, name: str) -> None:
        self.start_member(name, [other for other in self.names if other != name], Ledger())

    def start_member(self, name: str, others: list[str], ledger: Ledger, **arguments: Any) -> None:
        MemoryTransport.network = self.network
        self.ledgers[name] = ledger
        self.members[name] = self._member_class(
            Node(name),
            [Node(other) for other in others],
            files=self.disks[name],
            machine=ledger,
            conf={"logCompactionMinEntries": 40, "logCompactionMinTime": 10**9},
            nodeClass=Node,
            transportClass=MemoryTransport,
            **arguments,
        )

    def crash(self, name: str) -> None:
        self.network.forget(name)
        self.members.pop(name).destroy()
        del self.ledgers[name]
        self.disks[name].crash(self.rng)

    def propose(self, name: str) -> None:
        self._proposed += 1
        self.propose_command(name, b"c%d" % self._proposed)

    def propose_command(self, name: str, command: bytes) -> None:
        def answered(result: object, reason: int) -> None:
            if reason == FAIL_REASON.SUCCESS:
                self.acknowledged.add(command)

        self.members[name].propose(command, answered)

    def step(self) -> None:
        self.clock.now += STEP_S
        for name in sorted(self.network.members):
            self.network.members[name].notice_connections()
        for name in sorted(self.members):
            self.members[name].doTick(0.0)
        self.network.deliver()
        self.check()

    def check(self) -> None:
        """Invariant of every step: what is applied at an index is the same everywhere, for ever."""
        for name, ledger in self.ledgers.items():
            for index, command in ledger.applied[-3:]:
                assert self._history.setdefault(index, command) == command, (
                    f"{name} applied {command!r} at {index}, {self._history[index]!r} was applied there"
                )

    def disturb(self) -> None:
        """One random fault, or the end of one."""
        live, down = sorted(self.members), sorted(set(self.names) - set(self.members))
        match self.rng.randrange(8):
            case 0 if len(live) > 1:
                self.crash(self.rng.choice(live))
            case 1 | 2 if down:
                self.start(self.rng.choice(down))
            case 3:
                alone = self.rng.choice(self.names)
                self.network.cut |= {(alone, other) for other in self.names}
            case 4:
                self.network.cut.add((self.rng.choice(self.names), self.rng.choice(self.names)))
            case 5 | 6:
                self.network.cut.clear()
            case _:
                self.network.loss = self.rng.choice([0.0, 0.0, 0.1, 0.3])
                self.network.repeat = self.rng.choice([0.0, 0.2])
                self.network.delay_max_s = self.rng.choice([0.01, 0.05, 0.3])

    def heal(self) -> None:
        self.network.cut.clear()
        self.network.loss = self.network.repeat = 0.0
        self.network.delay_max_s = 0.01
        for name in sorted(set(self.names) - set(self.members)):
            self.start(name)

    def settled(self) -> bool:
        """One leader, all of whose log is committed, and every member has applied it."""
        leaders = [member for member in self.members.values() if member._isLeader()]
        if len(leaders) != 1:
            return False
        end = leaders[0].last_index
        return all(member.raftLastApplied == end for member in self.members.values())


def run_chaos(world: World, *, steps: int) -> None:
    """Proposals and faults for ``steps`` steps, then peace until the cluster settles.

    Raises: AssertionError naming what was lost, or that the healed cluster did not settle.
    """
    with world.running():
        for _ in range(steps):
            if world.rng.random() < 0.5 and world.members:
                world.propose(world.rng.choice(sorted(world.members)))
            if world.rng.random() < 0.02:
                world.disturb()
            world.step()
        world.heal()
        for _ in range(1500):
            world.step()
            if world.settled():
                break
        assert world.settled(), "the healed cluster did not settle within 30 s"
        for name, ledger in world.ledgers.items():
            commands = [command for _, command in ledger.applied]
            once = [command for command in commands if command.startswith(b"c")]
            assert len(set(once)) == len(once), f"{name} applied a command twice"
            lost = world.acknowledged - set(commands)
            assert not lost, f"{name} lost {len(lost)} of {len(world.acknowledged)} acknowledged commands"
