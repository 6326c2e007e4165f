"""What the parts of the peer port need to know of this member and of the cluster."""

from __future__ import annotations

from typing import Protocol

from protos.peer.peer_pb2 import Hello, Refusal


class Door(Protocol):
    def hello(self, peer_id: int) -> Hello:
        """How this member presents itself to a peer."""
        ...

    def why_refuse(self, hello: Hello) -> Refusal | None: ...

    def uri_of(self, peer_id: int) -> str | None: ...

    def met(self, hello: Hello) -> None:
        """A peer has presented itself, and was let in."""
        ...

    def refused(self, peer_id: int, refusal: Refusal) -> None:
        """A peer does not let this member in."""
        ...
