"""The world around the replicas: virtual time, network, agreement, controller, faults, clients."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from node.replication.events import HandingOver, Leaving, Received
from node.replication.machine import ReplicaMachine
from node.replication.messages import Message
from node.replication.tuning import Tuning
from tests.sim.replication.agreement import Agreement, Command, State
from tests.sim.replication.checker import Checker
from tests.sim.replication.model import Ledger
from tests.sim.replication.node import Request, SimNode

CHAOS_MS = 3000
SETTLE_MS = 15_000
KEYS = 6
TUNING = Tuning(
    read_lease_ms=150,
    heartbeat_ms=40,
    retry_ms=20,
    evict_after_ms=250,
    propose_retry_ms=150,
    append_entries_max=8,
    inflight_messages_max=4,
    recent_bytes_max=600,
    unapplied_bytes_max=2000,
    uncommitted_entries_max=60,
    join_distance_max=30,
)


class World:
    def __init__(
        self,
        seed: int,
        *,
        machine_class: type[ReplicaMachine] = ReplicaMachine,
        flaws: Iterable[str] = (),
        tuning: Tuning = TUNING,
    ) -> None:
        self.rng = random.Random(seed)
        self.machine_class, self.flaws, self.tuning = machine_class, frozenset(flaws), tuning
        self.now = 0.0
        self.counts: Counter[str] = Counter()
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = 0
        peers = range(self.rng.choice((2, 3, 3, 3, 3, 4, 5)))
        self.agreement = Agreement(
            peers,
            factor=self.rng.choice((1, 1, 1, 2)),
            check_epoch="commands name no epoch" not in self.flaws,
        )
        self.ledger = Ledger()
        self.checker = Checker(self)
        self.nodes = [SimNode(self, peer) for peer in peers]
        self.failed_followers: set[int] = set()
        self.cut: set[tuple[int, int]] = set()
        self.calm = False
        self.loss = 0.0
        self.late = 0.007
        self._operations = 0
        self._clients_stop = False
        for node in self.nodes:
            node.start()
        for _ in range(self.rng.randint(2, 4)):
            self.at(self.rng.uniform(0, 50), self._client)
        for _ in range(2):
            self.at(self.rng.uniform(0, 50), self._reader)
        self.at(50, self._control)
        self.at(self.rng.uniform(50, 400), self._fault)

    # --- time ------------------------------------------------------------------------------------------

    def at(self, delay_ms: float, call: Callable[..., None], *args: Any) -> None:
        self._order += 1
        heapq.heappush(self._queue, (self.now + delay_ms, self._order, call, args))

    def run(self, until_ms: float) -> None:
        while self._queue and self._queue[0][0] <= until_ms:
            self.now, _, call, args = heapq.heappop(self._queue)
            self.counts["events"] += 1
            call(*args)
        self.now = until_ms

    def count(self, what: str) -> None:
        self.counts[what] += 1

    # --- network ---------------------------------------------------------------------------------------

    def send(self, source: int, target: int, message: Message) -> None:
        rng = self.rng
        copies = 1
        if not self.calm:
            if rng.random() < self.loss:
                return
            copies = 2 if rng.random() < 0.02 else 1
        for _ in range(copies):
            self.at(self._delay(), self._deliver, source, target, message)

    def _delay(self) -> float:
        rng = self.rng
        luck = rng.random()
        if self.calm or luck < 1 - 4 * self.late:
            return 0.2 + rng.expovariate(1)
        return rng.uniform(5, 80) if luck < 1 - self.late else rng.uniform(80, 1500)

    def _deliver(self, source: int, target: int, message: Message) -> None:
        node = self.nodes[target]
        if node.up and (source, target) not in self.cut:
            node._guarded(node.incarnation, node.step, (Received(source, message),))

    # --- agreement and controller ----------------------------------------------------------------------

    def raft_delay(self) -> float:
        rng = self.rng
        return rng.uniform(2, 20) if self.calm or rng.random() < 0.85 else rng.uniform(20, 900)

    def propose(self, node: SimNode | None, command: Command) -> None:
        lost = (node is not None and node.raft_cut) or (not self.calm and self.rng.random() < 0.05)
        if not lost:
            self.at(self.raft_delay(), self._agree, command)
            if self.rng.random() < 0.05:
                self.at(self.raft_delay() * 3, self._agree, command)

    def _agree(self, command: Command) -> None:
        if self.agreement.apply(command):
            self.count(command.kind)
            self.checker.agreed()

    def _control(self) -> None:
        """Promote when the primary seems lost, report failed followers, bring the dead back."""
        self.at(self.rng.uniform(20, 120), self._control)
        latest, rng = self.agreement.latest, self.rng
        primary = self.nodes[latest.primary]
        seems_lost = not primary.up or primary.raft_cut or primary.paused_until > self.now
        if (seems_lost and rng.random() < 0.4) or (not self.calm and rng.random() < 0.01):
            self._promote_other(latest.term, lost=seems_lost or rng.random() < 0.3)
        for peer in sorted(self.failed_followers):
            self._evict(peer)
        for node in self.nodes:
            state = self.agreement.state(node.peer)
            if state is State.DEAD and node.up and rng.random() < 0.3:
                self.propose(None, Command("register", node.peer, latest.term))
            elif state is not State.DEAD and not node.up and not node.wiped and rng.random() < 0.1:
                self._evict(node.peer)

    def _evict(self, peer: int) -> None:
        latest = self.agreement.latest
        self.propose(None, Command("evict", peer, latest.term, latest.epoch_of(peer)))

    def _promote_other(self, term: int, *, lost: bool) -> None:
        latest = self.agreement.latest
        others = sorted(peer for peer in latest.in_sync if peer != latest.primary and self.nodes[peer].up)
        if others:
            self.propose(None, Command("promote", self.rng.choice(others), term, lost=lost))

    def replace_primary(self, node: SimNode, term: int) -> None:
        if not node.raft_cut and term == self.agreement.latest.term:
            self._promote_other(term, lost=True)

    def begin_transfer(self, target: SimNode) -> None:
        """Give ``target`` the state of its primary as a base, in place of its files."""
        self.count("transfers")
        target.wipe()
        self.at(self.rng.uniform(5, 100), self._end_transfer, target)

    def _end_transfer(self, target: SimNode) -> None:
        source = self.nodes[self.agreement.latest.primary]
        reachable = (source.peer, target.peer) not in self.cut
        leads = source.machine is not None and source.machine.is_ready
        if reachable and leads and (self.calm or self.rng.random() < 0.8):
            target.install(source.disk.log[: source.applied + 1], source.state)
            return
        target.wiped = False
        target.start()

    # --- faults ----------------------------------------------------------------------------------------

    def _fault(self) -> None:
        if self.calm:
            return
        rng = self.rng
        node = rng.choice(self.nodes)
        if rng.random() < 0.4:
            node = self.nodes[self.agreement.latest.primary]
        fault = rng.choice(
            (
                self._crash,
                self._crash,
                self._hand_over,
                self._hand_over_and_drop,
                self._hand_over_and_drop,
                self._stop,
                self._partition,
                self._partition,
                self._isolate_pair,
                self._one_way,
                self._leave_raft,
                self._slow,
                self._pause,
                self._break_disk,
                self._lose,
                self._delay_many,
            )
        )
        self.count(fault.__name__.strip("_"))
        fault(node)
        self.at(rng.expovariate(1 / 250), self._fault)

    def _duration(self) -> float:
        return self.rng.choice(
            (self.rng.uniform(5, 60), self.rng.uniform(60, 300), self.rng.uniform(300, 1200))
        )

    def _crash(self, node: SimNode) -> None:
        if node.up:
            node.crash()
            self.at(self._duration(), self._revive, node)
        if self.rng.random() < 0.1:
            for other in self.nodes:
                if other.up:
                    other.crash()
                    self.at(self._duration(), self._revive, other)

    def _hand_over(self, node: SimNode) -> None:
        """The primary gives its lead away, as before its end, and goes on all the same."""
        node = self.nodes[self.agreement.latest.primary]
        if node.machine is None or node.paused_until > self.now or not node.machine.heirs():
            return
        heir, term = self.rng.choice(node.machine.heirs()), node.machine.term
        node.step(HandingOver(heir))
        self.count("releases")
        self.propose(node, Command("promote", heir, term))

    def _hand_over_and_drop(self, node: SimNode) -> None:
        """Somebody drops a replica that is well, a little before or after, and it hears of nothing."""
        rng, primary = self.rng, self.agreement.latest.primary
        others = sorted(self.agreement.latest.in_sync - {primary})
        if len(others) < 2:
            return
        dropped = rng.choice(others)
        rest = [peer for peer in others if peer != dropped]
        self.nodes[dropped].raft_cut = True
        self._cut(self._links([dropped], rest) | self._links(rest, [dropped]), [self.nodes[dropped]], 400)
        self.at(rng.uniform(0, 60), self._evict_in_latest_term, dropped)
        self.at(rng.uniform(0, 60), self._hand_over, node)

    def _evict_in_latest_term(self, peer: int) -> None:
        latest = self.agreement.latest
        self._agree(Command("evict", peer, latest.term, latest.epoch_of(peer)))

    def _stop(self, node: SimNode) -> None:
        """A process is told to end: it hands over, later leaves, and is gone soon after."""
        self._hand_over(node)
        self.at(self.rng.choice((1, 20, 200)), self._leave, node, node.incarnation)

    def _leave(self, node: SimNode, incarnation: int) -> None:
        if node.up and node.incarnation == incarnation and node.paused_until <= self.now:
            node.step(Leaving())
            self.at(self.rng.choice((0.5, 5, 50)), self._crash, node)

    def term_begins(self, node: SimNode) -> None:
        """A bad moment for a crash."""
        if not self.calm and self.rng.random() < 0.3:
            self.at(self.rng.uniform(0.5, 5), self._crash, node)

    def _revive(self, node: SimNode) -> None:
        if not node.up and not node.wiped:
            node.start()
            self.failed_followers.discard(node.peer)

    def _links(self, sources: Iterable[int], targets: Iterable[int]) -> set[tuple[int, int]]:
        return {(a, b) for a in sources for b in targets if a != b}

    def _partition(self, node: SimNode) -> None:
        """Some nodes are cut from the others; one side from the agreement, too."""
        rng = self.rng
        side = {node.peer} | {other.peer for other in self.nodes if rng.random() < 0.3}
        rest = {other.peer for other in self.nodes} - side
        links = self._links(side, rest) | self._links(rest, side)
        cut_off = [self.nodes[peer] for peer in sorted(rng.choice((side, rest, set())))]
        for other in cut_off:
            other.raft_cut = True
        self._cut(links, cut_off)

    def _isolate_pair(self, node: SimNode) -> None:
        """The primary and one more keep each other company, without the agreement."""
        rng = self.rng
        side = {self.agreement.latest.primary, rng.choice(self.nodes).peer}
        rest = {other.peer for other in self.nodes} - side
        cut_off = [self.nodes[peer] for peer in sorted(side)]
        for other in cut_off:
            other.raft_cut = True
        self._cut(self._links(side, rest) | self._links(rest, side), cut_off, rng.uniform(300, 1500))

    def _one_way(self, node: SimNode) -> None:
        others = [other.peer for other in self.nodes if self.rng.random() < 0.6]
        links = self._links([node.peer], others)
        self._cut({(b, a) for a, b in links} if self.rng.random() < 0.5 else links, [])

    def _cut(self, links: set[tuple[int, int]], cut_off: list[SimNode], for_ms: float | None = None) -> None:
        self.cut |= links
        self.at(for_ms or self._duration(), self._mend, links, cut_off)

    def _mend(self, links: set[tuple[int, int]], cut_off: list[SimNode]) -> None:
        self.cut -= links
        for node in cut_off:
            node.raft_cut = False

    def _leave_raft(self, node: SimNode) -> None:
        node.raft_cut = True
        self.at(self._duration(), self._mend, set(), [node])

    def _slow(self, node: SimNode) -> None:
        node.disk_slowness = self.rng.choice((20, 100, 400))
        self.at(self._duration(), self._quicken, node)

    def _quicken(self, node: SimNode) -> None:
        node.disk_slowness = 1.0

    def _pause(self, node: SimNode) -> None:
        node.paused_until = self.now + self._duration()

    def _break_disk(self, node: SimNode) -> None:
        if self.rng.random() < 0.4 and node.up:
            node.disk_broken = True
            self.at(self._duration(), self._reopen, node)

    def _reopen(self, node: SimNode) -> None:
        if node.up and node.disk_broken:
            node.crash()
            self.at(self._duration(), self._revive, node)

    def _lose(self, _: SimNode) -> None:
        self.loss = self.rng.choice((0.05, 0.3))
        self.at(self._duration(), self._recover_loss)

    def _delay_many(self, _: SimNode) -> None:
        self.late = 0.1
        self.at(self._duration(), self._hasten)

    def _hasten(self) -> None:
        self.late = 0.007

    def _recover_loss(self) -> None:
        self.loss = 0.0

    def heal(self) -> None:
        self.calm = True
        self.cut.clear()
        self.loss = 0.0
        for node in self.nodes:
            node.raft_cut = False
            node.disk_slowness = 1.0
            node.paused_until = 0.0
            if not node.wiped and (not node.up or node.disk_broken):
                node.restart()
        self.failed_followers.clear()

    # --- clients ---------------------------------------------------------------------------------------

    def _client(self) -> None:
        if self._clients_stop:
            return
        rng = self.rng
        self._operations += 1
        kind = rng.choice(("put", "append", "append", "append", "delete", "put if absent"))
        _Attempts(self, self._operations, kind, rng.randrange(KEYS)).go()
        self.at(rng.expovariate(1 / 12), self._client)

    def _reader(self) -> None:
        if self._clients_stop:
            return
        rng = self.rng
        self.at(rng.uniform(0.2, 3), self._read, rng.choice(self.nodes), rng.randrange(KEYS), self._acked())
        self.at(rng.expovariate(1 / 6), self._reader)

    def _acked(self) -> int:
        return self.checker.acknowledged_seq

    def _read(self, node: SimNode, key: int, since: int) -> None:
        if node.paused_until > self.now:
            self.at(node.paused_until - self.now, self._read, node, key, since)
            return
        answer = node.read(key)
        self.count("reads asked")
        if answer is not None:
            self.checker.read(node, key, answer, since)

    # --- a whole run -----------------------------------------------------------------------------------

    def check_all(self) -> None:
        """Chaos, healing, and everything that must hold. Raises: AssertionError."""
        self.run(CHAOS_MS)
        self.heal()
        self.run(self.now + 300)
        self._clients_stop = True
        self._until(self._settled, "the replicas do not come together")
        before = self.checker.acknowledged_seq
        for _ in range(3):
            self._operations += 1
            _Attempts(self, self._operations, "put", 0, patient=True).go()
        self._until(lambda: self.checker.acknowledged_seq >= before + 3, "writes are not acknowledged")
        for node in self.nodes:
            self._until(lambda node=node: node.read(0) is not None, f"no strong read at {node.peer}")  # type: ignore[misc]
            self._read(node, 0, self._acked())
        self._until(self._settled, "the replicas do not come together again")
        self.checker.finish()

    def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        end = self.now + SETTLE_MS
        while not condition():
            assert self.now < end, f"liveness: {otherwise}"
            self.run(self.now + 20)

    def _settled(self) -> bool:
        if self.agreement.latest.in_sync != self.agreement.latest.replicas:
            return False
        machines = [node.machine for node in self.nodes]
        if any(machine is None for machine in machines) or not any(m.is_ready for m in machines if m):
            return False
        places = {(m.last_seq, m.durable, m.applied, m.committed) for m in machines if m}
        return len(places) == 1 and len(set(places.pop())) == 1


class _Attempts:
    """A client's tries to get one operation done."""

    def __init__(
        self, world: World, operation_id: int, kind: str, key: int, *, patient: bool = False
    ) -> None:
        self._world, self._left = world, 1000 if patient else world.rng.choice((1, 3, 10, 30))
        self._visible, self._confirm = world.rng.random() < 0.5, world.rng.random() < 0.1
        self._fields = (operation_id, kind, key)
        self._current = 0
        self._done = False
        self._patient = patient

    def go(self) -> None:
        world, rng = self._world, self._world.rng
        if self._done or not self._left:
            return
        self._left -= 1
        self._current += 1
        number = self._current
        peer = world.agreement.latest.primary
        if rng.random() < 0.3:
            peer = rng.randrange(len(world.nodes))
        request = Request(
            *self._fields, self._visible, self._confirm, lambda outcome: self._hear(number, outcome)
        )
        world.at(rng.uniform(0.2, 3), self._arrive, world.nodes[peer], request)
        world.at(rng.uniform(30, 400), self._hear, number, "timeout")

    def _arrive(self, node: SimNode, request: Request) -> None:
        if node.up:
            node._guarded(node.incarnation, node.request, (request,))

    def _hear(self, number: int, outcome: str) -> None:
        if number != self._current or self._done:
            return
        self._done = outcome == "done"
        self._current += 1
        self._world.at(self._world.rng.uniform(1, 40), self.go)
