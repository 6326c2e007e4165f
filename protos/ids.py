"""Point ids: 64-bit unsigned integers or UUIDs, their order and their byte keys.

A ``PointId`` is an ``int`` or the canonical (lower-case, hyphenated) text of a UUID. Its *key* is
what storage uses: one tag byte and the big-endian value, so keys sort as Qdrant orders ids
(reference 8.1): all numbers ascending, then all UUIDs by bytes.
"""

from __future__ import annotations

import uuid

from protos.errors import MalformedBody

PointId = int | str

ID_MAX = 2**64 - 1
_DIGITS_MAX = len(str(ID_MAX))  # int() refuses texts of thousands of digits
_NUMBER_TAG = b"\x00"
_UUID_TAG = b"\x01"


def parse_point_id(value: object) -> PointId:
    """Return the canonical id for a decoded JSON value.

    Raises: MalformedBody if it is neither an unsigned 64-bit integer nor a UUID in one of the
    forms simple, hyphenated, urn or braced.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= ID_MAX:
        return value
    if isinstance(value, str):
        canonical = _canonical_uuid(value)
        if canonical is not None:
            return canonical
    raise MalformedBody(
        f"value {value} is not a valid point ID, valid values are either an unsigned integer or a UUID"
    )


def parse_point_id_text(text: str) -> PointId | None:
    """Return the id named by a URL path segment (number first, then UUID), or None."""
    if text.isascii() and text.isdigit():
        digits = text.lstrip("0") or "0"
        if len(digits) <= _DIGITS_MAX and int(digits) <= ID_MAX:
            return int(digits)
    return _canonical_uuid(text)


def _canonical_uuid(text: str) -> str | None:
    if len(text) not in (32, 36, 38, 45):
        return None
    bare = text.removeprefix("urn:uuid:")
    if bare.startswith("{") and bare.endswith("}"):
        bare = bare[1:-1]
    hyphenated = len(bare) == 36 and all(bare[i] == "-" for i in (8, 13, 18, 23))
    digits = bare.replace("-", "") if hyphenated else bare
    if len(digits) != 32:
        return None
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        return None
    return str(uuid.UUID(bytes=raw)) if len(raw) == 16 else None


def id_key(point_id: PointId) -> bytes:
    """Return the sortable storage key: 9 bytes for a number, 17 for a UUID."""
    if isinstance(point_id, int):
        return _NUMBER_TAG + point_id.to_bytes(8, "big")
    return _UUID_TAG + bytes.fromhex(point_id.replace("-", ""))


def id_from_key(key: bytes) -> PointId:
    if key[0] == 0:
        return int.from_bytes(key[1:9], "big")
    digits = key[1:17].hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
