"""JSON paths into payloads: their grammar, and reading, changing and projecting by them.

Lives here: ``key(.key | [n] | [])*`` (reference 8.6) and what a path means for a decoded payload: which
values it finds, what a write or a delete at it does (8.5), what a selector keeps (9.1).
May not live here: conditions on the values found (``node.filter``).

Invariants: no step descends into an array by itself, only ``[]`` and ``[n]`` do. Functions that change
a payload change the given dict in place and never keep a reference to the values written; the
projections leave their argument alone but may share values with it.
"""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct

from protos.errors import MalformedBody

WILDCARD: Final = None  # the step ``[]``: every element of an array
Step = str | int | None  # a key of an object, an index of an array, every element of an array

STEPS_MAX: Final = 100  # bounds every recursion along a path, and the depth of payloads written by one
_INDEX_MAX: Final = 2**64 - 1
_KEY = re.compile(r'"([^"\\]*)"|([\w-]+)')
_BRACKETS = re.compile(r"\[([0-9]{0,20})\]")  # as many digits as _INDEX_MAX has


class JsonPath(Struct, frozen=True):
    """A parsed path; ``steps`` starts with a key. Compared by steps: ``"a"`` and ``a`` are one path."""

    steps: tuple[Step, ...]

    @property
    def text(self) -> str:
        """The shortest text that parses to this path."""
        parts = [_step_text(step) for step in self.steps]
        return "".join(parts).removeprefix(".")

    def extended(self, other: JsonPath) -> JsonPath:
        """This path with ``other``'s steps after it."""
        return JsonPath(self.steps + other.steps)

    def elements(self) -> JsonPath:
        """This path with ``[]`` at its end, once."""
        return self if self.steps[-1] is WILDCARD else JsonPath((*self.steps, WILDCARD))


def _step_text(step: Step) -> str:
    if isinstance(step, str):
        return f".{step}" if re.fullmatch(r"[\w-]+", step) else f'."{step}"'
    return "[]" if step is WILDCARD else f"[{step}]"


@functools.lru_cache(maxsize=4096)
def parse_path(text: str) -> JsonPath:
    """Parse a JSON path.

    Raises: MalformedBody ``Invalid json path: '<text>'`` if it breaks the grammar or has more steps
    than ``STEPS_MAX``.
    """
    steps: list[Step] = []
    position = _read_key(text, 0, steps)
    while position < len(text):
        position = _read_step(text, position, steps)
        if len(steps) > STEPS_MAX:
            raise _invalid(text)
    return JsonPath(tuple(steps))


def _read_step(text: str, position: int, steps: list[Step]) -> int:
    if text[position] == ".":
        return _read_key(text, position + 1, steps)
    brackets = _BRACKETS.match(text, position)
    if brackets is None:
        raise _invalid(text)
    index = int(brackets[1]) if brackets[1] else WILDCARD
    if index is not None and index > _INDEX_MAX:
        raise _invalid(text)
    steps.append(index)
    return brackets.end()


def _read_key(text: str, position: int, steps: list[Step]) -> int:
    key = _KEY.match(text, position)
    if key is None:
        raise _invalid(text)
    steps.append(key[1] if key[2] is None else key[2])
    return key.end()


def _invalid(text: str) -> MalformedBody:
    return MalformedBody(f"Invalid json path: '{text}'")


def values_at(payload: dict[str, Any], path: JsonPath) -> list[Any]:
    """Return every value the path leads to, arrays unflattened; [] if it leads nowhere."""
    found: list[Any] = [payload]
    for step in path.steps:
        if isinstance(step, str):
            found = [value[step] for value in found if isinstance(value, dict) and step in value]
        elif step is WILDCARD:
            found = [item for value in found if isinstance(value, list) for item in value]
        else:
            found = [value[step] for value in found if isinstance(value, list) and step < len(value)]
    return found


def flat_values_at(payload: dict[str, Any], path: JsonPath) -> list[Any]:
    """Return the values at the path as conditions and indexes see them: arrays flattened one level."""
    found = values_at(payload, path)
    if not any(isinstance(value, list) for value in found):
        return found
    flat: list[Any] = []
    for value in found:
        if isinstance(value, list):
            flat.extend(value)
        else:
            flat.append(value)
    return flat


def merge(payload: dict[str, Any], values: dict[str, Any]) -> None:
    """Set the top-level keys of ``values``; a null removes its key."""
    for key, value in values.items():
        if value is None:
            payload.pop(key, None)
        else:
            payload[key] = copy.deepcopy(value)


def set_at(payload: dict[str, Any], path: JsonPath, values: dict[str, Any]) -> None:
    """Merge ``values`` into the object at ``path``.

    Missing objects are made, a non-object on the way gives way to one. ``[n]`` changes element n only if
    it is there, ``[]`` every element; on a non-array both leave an empty array.
    """
    _set(payload, path.steps, values)


def _set(value: Any, steps: Sequence[Step], values: dict[str, Any]) -> Any:
    """Return what takes the place of ``value``: itself, changed, or a new container."""
    if not steps:
        target = value if isinstance(value, dict) else {}
        merge(target, values)
        return target
    step, rest = steps[0], steps[1:]
    if isinstance(step, str):
        target = value if isinstance(value, dict) else {}
        target[step] = _set(target.get(step), rest, values)
        return target
    if not isinstance(value, list):
        return []
    for index in range(len(value)) if step is WILDCARD else range(step, min(step + 1, len(value))):
        value[index] = _set(value[index], rest, values)
    return value


def delete_at(payload: dict[str, Any], path: JsonPath) -> None:
    """Remove the key at the end of ``path``; a last step ``[]`` empties its arrays.

    A last step ``[n]`` changes nothing: removing an element moves the others, so doing it twice would
    not equal doing it once.
    """
    *way, last = path.steps
    for parent in values_at(payload, JsonPath(tuple(way))):
        if isinstance(last, str) and isinstance(parent, dict):
            parent.pop(last, None)
        elif last is WILDCARD and isinstance(parent, list):
            parent.clear()


def include(payload: dict[str, Any], paths: Sequence[JsonPath]) -> dict[str, Any]:
    """Keep what lies on the way to, at or below any of ``paths``; steps match exactly.

    An array element's step is always ``[]``, so ``a[0]`` keeps no element of ``a``.
    """
    patterns = [path.steps for path in paths]
    if all(len(steps) == 1 for steps in patterns):
        wanted = {steps[0] for steps in patterns}
        return {key: value for key, value in payload.items() if key in wanted}

    def keep(at: tuple[Step, ...]) -> bool:
        return any(all(a == b for a, b in zip(steps, at)) for steps in patterns)

    return _project_object(payload, (), keep)


def exclude(payload: dict[str, Any], paths: Sequence[JsonPath]) -> dict[str, Any]:
    """Leave out what lies at or below any of ``paths``; steps match exactly."""
    patterns = [path.steps for path in paths]

    def keep(at: tuple[Step, ...]) -> bool:
        return not any(at[: len(steps)] == steps for steps in patterns)

    return _project_object(payload, (), keep)


_Keep = Callable[[tuple[Step, ...]], bool]


def _project_object(value: dict[str, Any], at: tuple[Step, ...], keep: _Keep) -> dict[str, Any]:
    return {key: _project(child, (*at, key), keep) for key, child in value.items() if keep((*at, key))}


def _project(value: Any, at: tuple[Step, ...], keep: _Keep) -> Any:
    if isinstance(value, dict):
        return _project_object(value, at, keep)
    if isinstance(value, list):
        elements = (*at, WILDCARD)
        return [_project(item, elements, keep) for item in value] if keep(elements) else []
    return value
