"""What a call's headers say, and those of its answer."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence

from grpc import StatusCode
from msgspec import Struct

from router.grpc.transport.messages import DEFLATE, GZIP, IDENTITY, Refused

Headers = Sequence[tuple[bytes, bytes]]
Metadata = Mapping[str, str | bytes]  # of a name that was given more than once the last
Trailing = Iterable[tuple[str, str]]

ENCODINGS = (IDENTITY, DEFLATE, GZIP)
METADATA_BYTES_MAX_TEXT = "the metadata has {size} bytes, and {limit} are taken"

_FIELD_BYTES = 32  # that a field counts beside its name and value (RFC 9113, 6.5.2)
_OF_GRPC = frozenset(
    (b"te", b"content-type", b"grpc-timeout", b"grpc-encoding", b"grpc-accept-encoding", b"content-length")
)
_TIMEOUT = re.compile(rb"(\d{1,8})([HMSmun])", re.ASCII)
_UNITS_S = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_PLAIN = frozenset(range(0x20, 0x7F)) - {ord("%")}

_ANSWER: Headers = (
    (b":status", b"200"),
    (b"content-type", b"application/grpc"),
    (b"grpc-accept-encoding", ",".join(ENCODINGS).encode()),
)
_GZIPPED: Headers = (*_ANSWER, (b"grpc-encoding", b"gzip"))
_DONE = (b"grpc-status", b"0")


class NoCall(Exception):
    """A request of HTTP that is no call; ``status``: what HTTP says to it."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class Head(Struct, frozen=True):
    """``timeout_s`` None: the client waits for ever."""

    path: str
    metadata: Metadata
    timeout_s: float | None
    encoding: str
    takes_gzip: bool


def read_head(headers: Headers, *, bytes_max: int) -> Head:
    """Raises: NoCall; Refused if it has more than ``bytes_max`` of metadata, or says what cannot be."""
    given = dict(headers)
    if given.get(b":method") != b"POST":
        raise NoCall(405)
    if not given.get(b"content-type", b"").startswith(b"application/grpc"):
        raise NoCall(415)
    size = sum(len(name) + len(value) + _FIELD_BYTES for name, value in headers)
    if size > bytes_max:
        text = METADATA_BYTES_MAX_TEXT.format(size=size, limit=bytes_max)
        raise Refused(StatusCode.RESOURCE_EXHAUSTED, text)
    return Head(
        given[b":path"].decode("latin-1"),
        _metadata(given),
        _timeout_s(given.get(b"grpc-timeout")),
        _encoding(given.get(b"grpc-encoding")),
        b"gzip" in given.get(b"grpc-accept-encoding", b""),
    )


def _metadata(given: Mapping[bytes, bytes]) -> Metadata:
    found: dict[str, str | bytes] = {}
    for name, value in given.items():
        if name[0] != 0x3A and name not in _OF_GRPC:
            text = name.decode("latin-1")
            found[text] = _bytes(name, value) if name.endswith(b"-bin") else value.decode("latin-1")
    return found


def _bytes(name: bytes, value: bytes) -> bytes:
    """Of a field whose value is base64, with or without its padding."""
    last = value.rpartition(b",")[2].strip()
    try:
        return base64.b64decode(last.rstrip(b"=") + b"=" * (-len(last.rstrip(b"=")) % 4), validate=True)
    except binascii.Error as error:
        raise Refused(
            StatusCode.INTERNAL, f"the metadata {name.decode()!r} is not base64: {error}"
        ) from error


def _timeout_s(value: bytes | None) -> float | None:
    if value is None:
        return None
    found = _TIMEOUT.fullmatch(value)
    if found is None:
        raise Refused(StatusCode.INTERNAL, f"grpc-timeout is {value.decode('latin-1')!r}, which is no time")
    return int(found[1]) * _UNITS_S[found[2]]


def _encoding(value: bytes | None) -> str:
    encoding = IDENTITY if value is None else value.decode("latin-1")
    if encoding not in ENCODINGS:
        text = f"messages in {encoding!r} are not taken, but in {', '.join(ENCODINGS)}"
        raise Refused(StatusCode.UNIMPLEMENTED, text)
    return encoding


def answer_headers(*, gzipped: bool = False) -> Headers:
    return _GZIPPED if gzipped else _ANSWER


def trailers(
    trailing: Trailing, code: StatusCode = StatusCode.OK, text: str = ""
) -> list[tuple[bytes, bytes]]:
    found = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in trailing]
    if code is StatusCode.OK:
        return [_DONE, *found]
    return [(b"grpc-status", b"%d" % code.value[0]), (b"grpc-message", percent_encoded(text)), *found]


def percent_encoded(text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return b"".join(b"%c" % byte if byte in _PLAIN else b"%%%02X" % byte for byte in data)
