"""Why a vector was refused: the error for bodies whose vectors are of a form that is not decoded.

Runs only after the typed decoding has failed, so its cost does not matter.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from protos.errors import VecraftError
from router.vectors import not_supported

_INFERENCE_KEYS = ("text", "image", "object")


def explain_vectors(body: bytes | Raw) -> None:
    """Raise a more telling error than the decoder's, if a point's vector is of another kind."""
    for value in _vector_values(decode_loosely(body)):
        error = vector_error(value)
        if error is not None:
            raise error


def decode_loosely(body: bytes | Raw) -> Any:
    """The JSON value, None if the body is not JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _vector_values(request: Any) -> list[Any]:
    if not isinstance(request, dict):
        return []
    batch, points = request.get("batch"), request.get("points")
    values: list[Any] = []
    if isinstance(batch, dict):
        columns = batch.get("vectors")
        for column in columns.values() if isinstance(columns, dict) else [columns]:
            values.extend(column if isinstance(column, list) else [])
    elif isinstance(points, list):
        objects = (point for point in points if isinstance(point, dict))
        values.extend(point.get("vector", point.get("vectors")) for point in objects)
    return values


def vector_error(value: Any) -> VecraftError | None:
    """The error for something to infer a vector from, named vectors included; None if it is none."""
    if not isinstance(value, dict):
        return None
    if any(key in value for key in _INFERENCE_KEYS) and "model" in value:
        return not_supported("Inference is")
    return next((error for error in map(vector_error, value.values()) if error is not None), None)
