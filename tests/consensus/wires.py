"""A wire between Raft members of one process, to cut and mend."""

from __future__ import annotations

import threading

from consensus.raft.transport import Event, Receiver


class Hub:
    """Members are up to each other while both are attached, neither is cut off, and one watches the other."""

    def __init__(self) -> None:
        self.wires: dict[str, HubWire] = {}
        self.cut_off: set[str] = set()
        self.lock = threading.RLock()
        self._up: set[tuple[str, str]] = set()

    def wire(self, member: int) -> HubWire:
        return HubWire(self, str(member))

    def cut(self, member: int) -> None:
        self.cut_off.add(str(member))
        self.settle()

    def mend(self, member: int) -> None:
        self.cut_off.discard(str(member))
        self.settle()

    def settle(self) -> None:
        """Tell each member which links came up or went down."""
        with self.lock:
            names = set(self.wires) - self.cut_off
            up = {
                (one, other)
                for one in names
                for other in names
                if one != other and (other in self.wires[one].watched or one in self.wires[other].watched)
            }
            changes = [(pair, False) for pair in self._up - up] + [(pair, True) for pair in up - self._up]
            self._up = up
            for (one, other), came in changes:
                if one in self.wires:
                    self.wires[one].receive(Event(other, up=came))

    def deliver(self, source: str, target: str, data: bytes) -> bool:
        with self.lock:
            if (source, target) not in self._up:
                return False
            self.wires[target].receive(Event(source, data=data))
            return True


class HubWire:
    """A ``consensus.raft.transport.Wire``."""

    def __init__(self, hub: Hub, me: str) -> None:
        self._hub, self._me = hub, me
        self._receiver: Receiver | None = None
        self.watched: frozenset[str] = frozenset()
        self.resets: list[str] = []

    def attach(self, receiver: Receiver) -> None:
        self._receiver = receiver
        with self._hub.lock:
            self._hub.wires[self._me] = self
            self._hub.settle()

    def detach(self) -> None:
        with self._hub.lock:
            self._hub.wires.pop(self._me, None)
            self._hub.settle()

    def receive(self, event: Event) -> None:
        assert self._receiver is not None
        self._receiver(event)

    def watch(self, peers: frozenset[str]) -> None:
        self.watched = peers
        self._hub.settle()

    def send(self, peer: str, data: bytes) -> bool:
        return self._hub.deliver(self._me, peer, data)

    def backlog(self, peer: str) -> int:
        return 0

    def reset(self, peer: str, reason: str) -> None:
        self.resets.append(f"{peer}: {reason}")
