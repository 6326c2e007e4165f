"""A stand-in for the cluster's agreement on one shard: an ordered list of replica sets.

Commands take effect late, twice or never; each node learns of the results late.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from msgspec.structs import replace

from node.replication.events import ReplicaSet


class State(enum.Enum):
    ACTIVE = "Active"
    PARTIAL = "Partial"
    DEAD = "Dead"


class Command(NamedTuple):
    """``kind``: evict, promote, admit, register or recover. evict and admit name a life of the replica."""

    kind: str
    peer: int
    term: int
    epoch: int = 0
    lost: bool = False  # with promote: the old primary becomes Dead


class Agreement:
    def __init__(self, peers: range, *, factor: int, check_epoch: bool = True) -> None:
        self._check_epoch = check_epoch
        self._states = dict.fromkeys(peers, State.ACTIVE)
        self._epochs = dict.fromkeys(peers, 0)
        self._filled: frozenset[int] = frozenset()
        self._primary, self._term = 0, 1
        everyone = frozenset(peers)
        self.history = [ReplicaSet(0, 1, 0, everyone, everyone, everyone, frozenset(), factor)]
        self.to_be_filled = [self._filled]  # by version: who is given a base

    @property
    def latest(self) -> ReplicaSet:
        return self.history[-1]

    def state(self, peer: int) -> State:
        return self._states[peer]

    def apply(self, command: Command) -> bool:
        """Total, like the real one; False: rejected."""
        if command.term != self._term or not getattr(self, f"_{command.kind}")(command):
            return False
        in_sync, joining = self._of(State.ACTIVE), self._of(State.PARTIAL)
        assert in_sync, "the last in-sync replica was evicted"
        self.history.append(
            replace(
                self.latest,
                version=self.latest.version + 1,
                term=self._term,
                primary=self._primary,
                in_sync=in_sync,
                logging=in_sync | joining,
                joining=joining,
                epochs=dict(self._epochs),
            )
        )
        self._filled &= joining
        self.to_be_filled.append(self._filled)
        return True

    def _of(self, state: State) -> frozenset[int]:
        return frozenset(peer for peer, its in self._states.items() if its is state)

    def _begin(self, peer: int, state: State) -> bool:
        """A new life of the peer's replica."""
        self._states[peer] = state
        self._epochs[peer] += 1
        return True

    def _moved_on(self, command: Command) -> bool:
        return self._check_epoch and command.epoch != self._epochs[command.peer]

    def _evict(self, command: Command) -> bool:
        peer = command.peer
        if self._states[peer] is State.DEAD or peer == self._primary or self._of(State.ACTIVE) == {peer}:
            return False
        return not self._moved_on(command) and self._begin(peer, State.DEAD)

    def _promote(self, command: Command) -> bool:
        if self._states[command.peer] is not State.ACTIVE:
            return False
        if command.lost and command.peer != self._primary:
            self._begin(self._primary, State.DEAD)
        self._primary = command.peer
        self._term += 1
        return True

    def _admit(self, command: Command) -> bool:
        if self._states[command.peer] is not State.PARTIAL or self._moved_on(command):
            return False
        self._states[command.peer] = State.ACTIVE
        return True

    def _register(self, command: Command) -> bool:
        return self._states[command.peer] is State.DEAD and self._begin(command.peer, State.PARTIAL)

    def _recover(self, command: Command) -> bool:
        if self._states[command.peer] is State.ACTIVE or command.peer in self._filled:
            return False
        self._filled |= {command.peer}
        return self._begin(command.peer, State.PARTIAL)
