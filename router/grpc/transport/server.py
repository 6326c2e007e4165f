"""A server of methods on a port."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping

from router.grpc.transport.calls import Method
from router.grpc.transport.connection import ServerConnection

BACKLOG = 1024


class GrpcServer:
    """``stopping``: set when the end has begun, for methods that would never end by themselves."""

    def __init__(self, *, metadata_bytes_max: int) -> None:
        self.methods: dict[str, Method] = {}
        self.metadata_bytes_max = metadata_bytes_max
        self.stopping = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self._connections: set[ServerConnection] = set()
        self._sent_away: set[ServerConnection] = set()
        self._quiet = asyncio.Event()  # without connections
        self._quiet.set()

    @property
    def calls(self) -> int:
        """How many are under way."""
        return sum(connection.calls for connection in self._connections)

    @property
    def connections(self) -> int:
        return len(self._connections)

    def add(self, methods: Mapping[str, Method]) -> None:
        """``methods``: by their paths, as "/qdrant.Points/Query"."""
        assert not self.methods.keys() & methods.keys(), "a path has one method"
        self.methods.update(methods)

    async def listen(self, host: str, port: int, context: ssl.SSLContext | None = None) -> int:
        """Answer calls from now on; without ``context`` in plain text. ``port`` 0: any that is free.

        Returns: the port. Raises: OSError if it cannot be used.
        """
        assert self._listener is None, "it listens already"
        loop = asyncio.get_running_loop()

        def connection() -> ServerConnection:
            return ServerConnection(self)

        if host in ("::", "[::]"):  # both families, as Qdrant has it
            both = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
            self._listener = await loop.create_server(connection, sock=both, ssl=context, backlog=BACKLOG)
        else:
            self._listener = await loop.create_server(
                connection, host.strip("[]"), port, ssl=context, backlog=BACKLOG, reuse_address=True
            )
        found: int = self._listener.sockets[0].getsockname()[1]
        return found

    def send_away(self) -> None:
        """End the connections there are, each when its calls have ended; others may be made."""
        for connection in self._connections - self._sent_away:
            connection.go_away()
            self._sent_away.add(connection)

    async def stop(self, grace_s: float) -> None:
        """No new calls; those under way have ``grace_s`` to end, and are cancelled then."""
        self.stopping.set()
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._connections):
            connection.go_away()
        try:
            await asyncio.wait_for(self._quiet.wait(), grace_s)
        except TimeoutError:
            cancelled = [task for each in list(self._connections) for task in each.abort()]
            await self._quiet.wait()
            await asyncio.gather(*cancelled, return_exceptions=True)

    def opened(self, connection: ServerConnection) -> None:
        self._connections.add(connection)
        self._quiet.clear()
        if self.stopping.is_set():
            connection.go_away()

    def closed(self, connection: ServerConnection) -> None:
        self._connections.discard(connection)
        self._sent_away.discard(connection)
        if not self._connections:
            self._quiet.set()
