"""The library's transport over a ``Wire``: messages become bytes, links become connected nodes.

Lives here: the port that carries bytes between members, and its adapter to the library.
May not live here: sockets, addresses, handshakes; those belong to whoever implements ``Wire``.

A wire delivers in order and at most once, and loses rather than repeats: a forwarded command has no
identity in Raft, so delivering it twice would apply it twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from pysyncobj.node import Node
from pysyncobj.transport import Transport

from consensus.raft import messages

Receiver = Callable[["Event"], None]
BACKLOG_BYTES_MAX = 8 << 20  # of one link; a snapshot waits when that much is under way


class Event:
    """What happened on the wire. ``data`` None: the link to ``peer`` came up or went down."""

    __slots__ = ("data", "peer", "up")

    def __init__(self, peer: str, *, up: bool = True, data: bytes | None = None) -> None:
        self.peer, self.up, self.data = peer, up, data


class Wire(Protocol):
    """Links to other members, by their Raft id. Every method may be called from the Raft thread."""

    def attach(self, receiver: Receiver) -> None:
        """Hand each event to ``receiver``, in order, from one thread; first, which links are up already."""
        ...

    def watch(self, peers: frozenset[str]) -> None:
        """Keep links with these peers, and no others."""
        ...

    def send(self, peer: str, data: bytes) -> bool:
        """Send, or drop when there is no link; False if it is known to be dropped."""
        ...

    def backlog(self, peer: str) -> int:
        """Bytes accepted for ``peer`` and not yet sent."""
        ...

    def reset(self, peer: str, reason: str) -> None:
        """End the links with ``peer``, which sends what makes no sense; they may be made anew."""
        ...


class WireTransport(Transport):  # type: ignore[misc]
    """All methods on the Raft thread."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(None, None, [])
        self._wire = wire
        self._watched: set[str] = set()
        self._up: set[str] = set()

    def addNode(self, node: Node) -> None:  # noqa: N802
        self._watched.add(node.id)
        self._wire.watch(frozenset(self._watched))

    def dropNode(self, node: Node) -> None:  # noqa: N802
        self._watched.discard(node.id)
        self._wire.watch(frozenset(self._watched))

    def send(self, node: Node, message: Any) -> bool:
        return node.id in self._up and self._wire.send(node.id, messages.encode(message))

    def may_send_more(self, node: Node) -> bool:
        return self._wire.backlog(node.id) < BACKLOG_BYTES_MAX

    def handle(self, event: Event) -> None:
        node = Node(event.peer)
        if event.data is not None:
            self._receive(node, event.data)
        elif event.up:
            self._up.add(event.peer)
            self._onNodeConnected(node)
        elif event.peer in self._up:
            self._up.discard(event.peer)
            self._onNodeDisconnected(node)

    def _receive(self, node: Node, data: bytes) -> None:
        try:
            message = messages.decode(data)
        except messages.MalformedMessage as error:
            self._wire.reset(node.id, str(error))
            return
        self._onMessageReceived(node, message)
