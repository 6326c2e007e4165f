"""Objects in bodies that a vector is to be made of (reference 16.1): their shape alone tells."""

from __future__ import annotations

from typing import Any, TypeGuard

from router.inference.objects import InferenceObject, ObjectKind, inference_object


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """A map of named vectors may have these names too, but then ``model`` is no text."""
    return isinstance(value, dict) and isinstance(value.get("model"), str) and _kind_of(value) is not None


def decode_object(value: dict[str, Any], path: str) -> InferenceObject:
    """Raises: MalformedBody, InvalidField."""
    kind = _kind_of(value)
    assert kind is not None
    return inference_object(kind, value[kind.value], value["model"], value.get("options"), path)


def _kind_of(value: dict[str, Any]) -> ObjectKind | None:
    if isinstance(value.get("text"), str):
        return ObjectKind.TEXT
    return next((kind for kind in (ObjectKind.IMAGE, ObjectKind.OBJECT) if kind.value in value), None)
