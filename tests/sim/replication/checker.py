"""What must hold, after each step and at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.replication.messages import Entry

if TYPE_CHECKING:
    from tests.sim.replication.node import SimNode
    from tests.sim.replication.world import World


def _holds(log: list[Entry], seq: int, term: int) -> bool:
    return seq < 0 or (seq < len(log) and log[seq].term == term)


class Checker:
    def __init__(self, world: World) -> None:
        self._world = world
        self.committed: list[int] = []  # terms by seq
        self.acknowledgements: dict[int, int] = {}  # operation id -> seq
        self.acknowledged_seq = -1
        self._acknowledger: dict[int, int] = {}  # term -> peer

    # --- after each step -------------------------------------------------------------------------------

    def stepped(self, node: SimNode) -> None:
        """What a replica takes as committed is one log for all, for ever."""
        assert node.machine is not None
        committed = node.machine.committed
        if committed <= node.seen_committed:
            return
        for seq in range(node.seen_committed + 1, committed + 1):
            term = node.log[seq].term
            if seq == len(self.committed):
                self.committed.append(term)
            same = seq < len(self.committed) and self.committed[seq] == term
            assert same, f"two entries were committed at seq {seq} (R3)"
        node.seen_committed = committed
        self.agreed()

    def agreed(self) -> None:
        """R2: every replica that may be promoted has, durably, what was committed."""
        seq = len(self.committed) - 1
        if seq < 0:
            return
        for peer in self._world.agreement.latest.in_sync:
            log = self._world.nodes[peer].disk.log
            assert _holds(log, seq, self.committed[seq]), f"in-sync {peer} lacks committed seq {seq} (R2)"

    def stored(self, node: SimNode) -> None:
        """A disk lost something."""
        if node.peer in self._world.agreement.latest.in_sync:
            self.agreed()

    def acknowledged(self, node: SimNode, operation_id: int, seq: int) -> None:
        assert node.machine is not None
        owner = self._acknowledger.setdefault(node.machine.term, node.peer)
        assert owner == node.peer, f"{owner} and {node.peer} acknowledge in term {node.machine.term} (R1)"
        entry = node.log[seq]
        assert getattr(entry.body, "operation_id", None) == operation_id, "acknowledged at a wrong seq"
        known = self.acknowledgements.setdefault(operation_id, seq)
        assert known == seq, f"operation {operation_id} was done twice, at {known} and {seq}"
        self.acknowledged_seq = max(self.acknowledged_seq, seq)
        self._world.count("acknowledged")
        self.stepped(node)
        assert seq < len(self.committed), f"seq {seq} was acknowledged before it was committed"
        assert self.committed[seq] == entry.term, f"another entry was committed at seq {seq}"

    def read(self, node: SimNode, key: int, answer: tuple[int, tuple[int, ...] | None], since: int) -> None:
        """R5. ``since`` is the last seq acknowledged before the read began."""
        seq, marks = answer
        assert seq >= since, f"a strong read at {node.peer} saw seq {seq}, {since} was acknowledged (R5)"
        if since >= 0:
            held = node.log[since].term == self.committed[since]
            assert held, f"a strong read at {node.peer} saw another seq {since} than was acknowledged (R5)"
        place = (node.log[seq].term, seq) if seq >= 0 else (0, -1)
        found = self._world.ledger.state(place).points.get(key)
        expected = None if found is None else found[0]
        assert marks == expected, f"{node.peer} answers {marks} for {key}, its log says {expected}"
        self._world.count("strong reads")

    # --- at the end ------------------------------------------------------------------------------------

    def finish(self) -> None:
        nodes = self._world.nodes
        last = nodes[0].log[-1]
        state = self._world.ledger.state((last.term, last.seq))
        for node in nodes:
            assert (node.log[-1].term, node.log[-1].seq) == (last.term, last.seq)
            assert node.state == state, f"replica {node.peer} differs from what its log says"
        seqs: dict[int, int] = {}
        for entry in nodes[0].disk.log:
            operation_id = getattr(entry.body, "operation_id", None)
            if operation_id is not None:
                assert operation_id not in seqs, f"operation {operation_id} was done twice"
                seqs[operation_id] = entry.seq
        for operation_id, seq in self.acknowledgements.items():
            assert seqs.get(operation_id) == seq, f"acknowledged operation {operation_id} is lost"
