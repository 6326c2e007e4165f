"""Vectors of JSON bodies straight into arrays: no Python object per component.

Only what is plainly a list of numbers is read here. Everything else, and everything wrong, is left to the
decoders of whole bodies, whose errors say what and where.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import simdjson
from msgspec import Raw

from protos.shard import FloatArray
from protos.vectors import FLOAT32_MAX

T = TypeVar("T")

_DOT_MAX = 4096  # components; beyond, a library for linear algebra may begin threads
_parser = simdjson.Parser()  # of the event loop; its memory is used again for each list


def float32_list(text: Raw) -> FloatArray | None:
    """The numbers of a JSON list (n,) float32; None if it is empty, holds anything but float32 numbers, or
    is no list."""
    body = bytes(text)
    if not body.startswith(b"[") or body.find(b"[", 1) > 0:  # simdjson would take lists of lists for one
        return None
    try:
        parsed = _parser.parse(body)
        assert isinstance(parsed, simdjson.Array)
        values = np.frombuffer(parsed.as_buffer(of_type="d"))
        del parsed  # the parser cannot be used again before
    except (ValueError, TypeError):
        return None
    return values.astype(np.float32) if _are_float32(values) else None


def _are_float32(values: npt.NDArray[np.float64]) -> bool:
    """Is there one, and is none beyond what float32 holds? A sum of squares tells that of most at once."""
    if 0 < len(values) <= _DOT_MAX and np.vdot(values, values) <= FLOAT32_MAX * FLOAT32_MAX:
        return True
    return bool(len(values) and values.max() <= FLOAT32_MAX and values.min() >= -FLOAT32_MAX)


def float32_lists(texts: Iterable[Raw]) -> list[FloatArray] | None:
    """As ``float32_list``, of each; None if any is none."""
    found = []
    for text in texts:
        values = float32_list(text)
        if values is None:
            return None
        found.append(values)
    return found


def attempt(body: bytes, decoder: msgspec.json.Decoder[T]) -> T | None:
    """None: another decoder is to tell what is wrong."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
