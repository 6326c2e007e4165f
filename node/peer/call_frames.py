"""Calls, answers and errors as bytes.

A request is the format byte, the length of its head (two bytes, big-endian), the head (``CallHead``), the
body. An answer, or one part of it, is the format byte, a kind byte, the body. Frames of our own: protobuf
would copy a large body three times on one side and twice on the other, this copies it once on each.

An error travels with its class, the classes above it, its text and its attributes. It is rebuilt as it
was; a class that the reader does not know becomes the nearest one above it that it knows.
"""

from __future__ import annotations

from typing import Any

import msgspec
from google.protobuf.message import DecodeError

from protos import errors
from protos.errors import ServiceError, VecraftError
from protos.peer.peer_pb2 import CallError, CallHead, Refusal

FORMAT = 1
BODY, ERROR, REFUSAL = 1, 2, 3

_KNOWN: dict[str, type[VecraftError]] = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, VecraftError)
}


class BadFrame(Exception):
    """Bytes that are no frame of a format that is known here."""


class Refused(Exception):
    """The other side does not take the call; nothing was done."""


# --- requests -----------------------------------------------------------------------------------------


def request_prefix(head: CallHead) -> bytes:
    """What stands before the body."""
    data = head.SerializeToString()
    return bytes([FORMAT]) + len(data).to_bytes(2, "big") + data


def decode_request(data: bytes) -> tuple[CallHead, bytes]:
    """Raises: BadFrame."""
    if not data or data[0] != FORMAT:
        raise BadFrame(f"calls of format {FORMAT} are expected, {data[0] if data else 'nothing'} was found")
    end = 3 + int.from_bytes(data[1:3], "big")
    try:
        return CallHead.FromString(data[3:end]), data[end:]
    except DecodeError as error:
        raise BadFrame(f"the head of a call cannot be read: {error}") from error


# --- answers ------------------------------------------------------------------------------------------


def encode_answer(kind: int, body: bytes) -> bytes:
    return b"".join((bytes((FORMAT, kind)), body))


def decode_answer(data: bytes) -> bytes:
    """Return the body. Raises: the error it holds; Refused; BadFrame."""
    if len(data) < 2 or data[0] != FORMAT:
        raise BadFrame(f"answers of format {FORMAT} are expected, {data[0] if data else 'nothing'} was found")
    kind = data[1]
    if kind == BODY:
        return data[2:]
    try:
        if kind == ERROR:
            raise decode_error(data[2:])
        if kind == REFUSAL:
            raise Refused(Refusal.FromString(data[2:]).text)
    except DecodeError as error:
        raise BadFrame(f"an answer cannot be read: {error}") from error
    raise BadFrame(f"answers of kind {kind} are not known here")


def refusal(reason: Refusal.Reason, text: str) -> bytes:
    return encode_answer(REFUSAL, Refusal(reason=reason, text=text).SerializeToString())


# --- errors -------------------------------------------------------------------------------------------


def encode_error(error: VecraftError) -> bytes:
    kinds = [
        kind.__name__ for kind in type(error).__mro__ if issubclass(kind, VecraftError)
    ]  # VecraftError itself is known everywhere, so there always is one
    fields = {name: value for name, value in vars(error).items() if _travels(name, value)}
    return CallError(kinds=kinds, text=str(error), fields=msgspec.json.encode(fields)).SerializeToString()


def decode_error(data: bytes) -> VecraftError:
    """Raises: DecodeError."""
    message = CallError.FromString(data)
    kind = next((_KNOWN[name] for name in message.kinds if name in _KNOWN), VecraftError)
    if kind is VecraftError:
        return ServiceError(message.text)
    error = kind.__new__(kind)
    Exception.__init__(error, message.text)
    vars(error).update(_fields(message.fields))
    return error


def _travels(name: str, value: object) -> bool:
    return not name.startswith("_") and isinstance(value, str | int | float | None)


def _fields(data: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data, type=dict[str, str | int | float | None])
    except msgspec.MsgspecError as error:
        raise DecodeError(f"the fields of an error cannot be read: {error}") from error
    return {name: value for name, value in found.items() if not name.startswith("_")}
