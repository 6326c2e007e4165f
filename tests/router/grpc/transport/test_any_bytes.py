"""Whatever bytes come, the connection ends or goes on, and nothing of it is left."""

from __future__ import annotations

import asyncio
import random

import h2.config
import h2.connection
from hypothesis import given, settings
from hypothesis import strategies as st

from router.grpc.transport.connection import ServerConnection
from router.grpc.transport.messages import frame
from router.grpc.transport.server import GrpcServer
from tests.router.grpc.transport.served import METADATA_BYTES_MAX, Methods, Raw

METHODS = ("/test/Echo", "/test/Gzip", "/test/Fail", "/test/Crash", "/test/Hold", "/test/Each", "/nothing")


class FakeTransport:
    """Takes what is written, now and then without going on."""

    def __init__(self) -> None:
        self.closed = self.full = False
        self.connection: ServerConnection | None = None

    def write(self, _: bytes) -> None:
        assert self.connection is not None
        if self.full:
            self.connection.pause_writing()

    def close(self) -> None:
        self.closed = True

    abort = close

    def set_write_buffer_limits(self, high: int) -> None: ...

    def get_extra_info(self, _: str) -> None:
        return None


def conversation(rng: random.Random) -> bytes:
    """What a client may say, if nobody answers."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
    client.initiate_connection()
    for _ in range(rng.randrange(1, 12)):
        stream = client.get_next_available_stream_id()
        fields = [("grpc-timeout", "1m")] if rng.random() < 0.2 else []
        if rng.random() < 0.2:
            fields.append(("grpc-encoding", "gzip"))
        client.send_headers(stream, Raw.headers(rng.choice(METHODS), fields))
        for _ in range(rng.randrange(3)):
            body = frame(rng.randbytes(rng.randrange(200)), compressed=rng.random() < 0.2)
            client.send_data(stream, body[: rng.choice((len(body), 3))])
        match rng.randrange(4):
            case 0:
                client.reset_stream(stream)
            case 1:
                client.ping(b"12345678")
            case _:
                client.end_stream(stream)
    data: bytes = client.data_to_send()
    return data


def damaged(data: bytes, rng: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(found))
        match rng.randrange(3):
            case 0:
                found[at] = rng.randrange(256)
            case 1:
                del found[at : at + rng.randrange(1, 30)]
            case _:
                found[at:at] = rng.randbytes(rng.randrange(1, 30))
        if not found:
            return b"x"
    return bytes(found)


@settings(deadline=None)
@given(st.integers(0, 2**64))
def test_any_bytes(seed: int) -> None:
    asyncio.run(_serve(random.Random(seed)))


async def _serve(rng: random.Random) -> None:
    server, transport = GrpcServer(metadata_bytes_max=METADATA_BYTES_MAX), FakeTransport()
    server.add(Methods().all)
    connection = transport.connection = ServerConnection(server)
    connection.connection_made(transport)  # type: ignore[arg-type]  # as far as it is asked
    data = damaged(conversation(rng), rng)
    while data:
        size = rng.randrange(1, 1000)
        connection.data_received(data[:size])
        data = data[size:]
        if rng.random() < 0.3:
            transport.full = not transport.full
            if not transport.full:
                connection.resume_writing()
        for _ in range(rng.randrange(3)):
            await asyncio.sleep(0)
    connection.connection_lost(None)
    assert (server.calls, server.connections, connection.calls) == (0, 0, 0)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    _, pending = await asyncio.wait(others, timeout=10) if others else ((), ())
    assert not pending
