"""Messages on a stream: however the bytes are cut, and what is no message."""

from __future__ import annotations

import gzip
import zlib

import pytest
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from router.grpc.transport import messages
from router.grpc.transport.messages import Assembler, Framed, Refused, frame, gzipped, plain

bodies = st.lists(st.binary(max_size=40), max_size=6)


@given(bodies, st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_messages_are_found_however_the_bytes_are_cut(sent: list[bytes], cuts: list[int]) -> None:
    data, at, found, assembler = b"".join(map(frame, sent)), 0, [], Assembler()
    while at < len(data):
        size = cuts[at % len(cuts)]
        found += assembler.feed(data[at : at + size])
        at += size
    assert found == [Framed(False, body) for body in sent]
    assert assembler.between


def test_it_tells_how_long_a_message_will_be_and_that_it_has_begun() -> None:
    assembler = Assembler()
    assert assembler.feed(frame(b"x" * 100)[:20]) == []
    assert (assembler.wanted, assembler.between) == (105, False)


def test_a_flag_that_nobody_defined_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        Assembler().feed(b"\x02\0\0\0\0")
    assert refused.value.code is StatusCode.INTERNAL


@pytest.mark.parametrize("size", [10, 100_000])  # in place, in a thread
async def test_compressed_messages_are_inflated(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    assert await plain(Framed(True, gzip.compress(body)), "gzip") == body
    assert await plain(Framed(True, zlib.compress(body)), "deflate") == body
    assert gzip.decompress(await gzipped(body)) == body


async def test_what_is_not_marked_is_left_as_it_is() -> None:
    assert await plain(Framed(False, b"x"), "gzip") == b"x"


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"x", "identity"),
        (b"nonsense", "gzip"),
        (gzip.compress(b"x" * 100, mtime=0)[:-9], "gzip"),
        (b"", "deflate"),
    ],
)
async def test_what_cannot_be_inflated_is_refused(body: bytes, encoding: str) -> None:
    with pytest.raises(Refused) as refused:
        await plain(Framed(True, body), encoding)
    assert refused.value.code is StatusCode.INTERNAL


async def test_a_bomb_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "INFLATED_BYTES_MAX", 10_000)
    assert len(await plain(Framed(True, gzip.compress(bytes(10_000))), "gzip")) == 10_000
    with pytest.raises(Refused) as refused:
        await plain(Framed(True, gzip.compress(bytes(10_001))), "gzip")
    assert refused.value.code is StatusCode.RESOURCE_EXHAUSTED
