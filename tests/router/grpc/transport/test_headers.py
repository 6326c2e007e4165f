"""What a call's headers say, and the trailers of its answer."""

from __future__ import annotations

import urllib.parse

import pytest
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from router.grpc.transport.headers import Head, NoCall, percent_encoded, read_head, trailers
from router.grpc.transport.messages import Refused

CALL = {
    b":method": b"POST",
    b":scheme": b"http",
    b":path": b"/a.B/C",
    b"content-type": b"application/grpc",
    b"te": b"trailers",
}
LIMIT = 1000


def head(**fields: bytes) -> Head:
    given = {name.replace("_", "-").encode(): value for name, value in fields.items()}
    return read_head(tuple({**CALL, **given}.items()), bytes_max=LIMIT)


def test_a_plain_call() -> None:
    found = head()
    assert (found.path, found.metadata, found.timeout_s) == ("/a.B/C", {}, None)
    assert (found.encoding, found.takes_gzip) == ("identity", False)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(b"1H", 3600), (b"2M", 120), (b"3S", 3), (b"450m", 0.45), (b"99999999u", 99.999999), (b"0n", 0)],
)
def test_times(text: bytes, seconds: float) -> None:
    assert head(grpc_timeout=text).timeout_s == pytest.approx(seconds)


@pytest.mark.parametrize("text", [b"", b"5", b"S", b"-1S", b"1.5S", b"123456789S", b"1D", b"1S "])
def test_what_is_no_time_is_refused(text: bytes) -> None:
    with pytest.raises(Refused) as refused:
        head(grpc_timeout=text)
    assert refused.value.code is StatusCode.INTERNAL


def test_metadata_is_what_is_not_grpcs_own() -> None:
    found = head(api_key=b"k", user_agent=b"x/1", grpc_timeout=b"1S", grpc_encoding=b"gzip")
    assert found.metadata == {"api-key": "k", "user-agent": "x/1"}


@pytest.mark.parametrize(
    ("text", "value"),
    [(b"AA==", b"\0"), (b"AA", b"\0"), (b"", b""), (b"AA,AQ", b"\x01"), (b"AAH/", b"\0\1\xff")],
)
def test_padding_may_be_left_out_and_the_last_value_counts(text: bytes, value: bytes) -> None:
    assert head(x_bin=text).metadata == {"x-bin": value}


def test_bytes_that_are_not_base64_are_refused() -> None:
    with pytest.raises(Refused):
        head(x_bin=b"a")


def test_encodings() -> None:
    found = head(grpc_encoding=b"deflate", grpc_accept_encoding=b"identity, gzip")
    assert (found.encoding, found.takes_gzip) == ("deflate", True)
    with pytest.raises(Refused) as refused:
        head(grpc_encoding=b"zstd")
    assert refused.value.code is StatusCode.UNIMPLEMENTED


def test_too_much_metadata_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        head(x=b"y" * LIMIT)
    assert refused.value.code is StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [(b":method", b"GET", 405), (b"content-type", b"application/json", 415), (b"content-type", b"", 415)],
)
def test_what_is_no_call(name: bytes, value: bytes, status: int) -> None:
    with pytest.raises(NoCall) as refused:
        read_head(tuple({**CALL, name: value}.items()), bytes_max=LIMIT)
    assert refused.value.status == status


@given(st.text())
def test_texts_come_back_as_they_were(text: str) -> None:
    written = percent_encoded(text)
    assert all(0x20 <= byte < 0x7F for byte in written)
    assert urllib.parse.unquote(written.decode(), errors="strict") == text.encode("utf-8", "replace").decode()


def test_trailers() -> None:
    assert trailers([("a", "b")]) == [(b"grpc-status", b"0"), (b"a", b"b")]
    found = trailers([("a", "b")], StatusCode.NOT_FOUND, "no: 100 % né\n")
    assert found == [
        (b"grpc-status", b"5"),
        (b"grpc-message", b"no: 100 %25 n%C3%A9%0A"),
        (b"a", b"b"),
    ]
