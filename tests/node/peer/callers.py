"""Bare ends of the peer port on loopback: calls and mail without a metadata log."""

from __future__ import annotations

from typing import Any

import grpc.aio

from node.peer import service
from node.peer.grpc_calls import GrpcCalls
from node.peer.mail import LinkMail
from protos.peer.peer_pb2 import Hello, Refusal


class Caller:
    """One side, and its ``Door``."""

    def __init__(self, peer_id: int, *, incarnation: int = 1, connect_s: float = 1.0) -> None:
        self.peer_id, self.incarnation = peer_id, incarnation
        self.uris: dict[int, str] = {}
        self.unwanted: dict[int, Refusal] = {}
        self.refusals: list[Refusal] = []
        self.calls = GrpcCalls(self, own=peer_id, connect_s=connect_s)
        self.mail = LinkMail(self)
        self.letters: list[tuple[int, str, int, bytes]] = []
        self.mail.receive(lambda *letter: self.letters.append(letter))
        self.port = 0
        self._server: Any = None

    async def serve(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self._server = grpc.aio.server(options=service.SERVER_OPTIONS)
        self._server.add_generic_rpc_handlers(
            (
                service.links_handler(service.MAIL, self.mail.accept),
                service.calls_handler(self.calls.serve_call, self.calls.serve_stream),
            )
        )
        self.port = self._server.add_insecure_port(f"{host}:{port}")
        self.mail.start()
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    async def close(self) -> None:
        await self.calls.close()
        await self.mail.close()
        await self.stop()

    def knows(self, other: Caller) -> None:
        self.uris[other.peer_id] = f"http://127.0.0.1:{other.port}"

    # --- the door

    def hello(self, peer_id: int) -> Hello:
        return Hello(
            cluster_id="c", peer_id=self.peer_id, incarnation=self.incarnation, wanted_peer_id=peer_id
        )

    def why_refuse(self, hello: Hello) -> Refusal | None:
        if hello.wanted_peer_id != self.peer_id:
            return Refusal(reason=Refusal.STRANGER, text=f"this is peer {self.peer_id}")
        return self.unwanted.get(hello.peer_id)

    def uri_of(self, peer_id: int) -> str | None:
        return self.uris.get(peer_id)

    def met(self, hello: Hello) -> None:
        self.calls.renew(hello.peer_id, hello.incarnation)

    def refused(self, peer_id: int, refusal: Refusal) -> None:
        self.refusals.append(refusal)
