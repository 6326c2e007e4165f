"""Any body that a JSON Schema allows, with words and numbers that mean something to a collection.

The schemas are those of qdrant-client's models, which are made from Qdrant's OpenAPI document.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Json = Any

DEPTH_MAX = 7
NAMES = ("dense", "several", "words", "n", "tag", "place", "at", "a.b[]", "c", "other", "red", "$score")
POINTS = 12
_BELOW = st.integers(0, POINTS + 1)
_NUMBERS = st.sampled_from((0.0, 1.0, -1.0, 0.5, 2.5, -0.25, 1e30, -1e-30))
_TEXTS = st.sampled_from((*NAMES, "2021-03-04T05:06:07Z", "0b5a7e5e-6c1b-4f0e-9a53-0d2a4f8f0a11", ""))


class Bodies:
    """Strategies for the definitions of one schema."""

    def __init__(self, schema: Json) -> None:
        self._schema, self._definitions = schema, schema.get("$defs", {})

    def strategy(self) -> st.SearchStrategy[Json]:
        return self._of(self._schema, "", DEPTH_MAX)

    def _of(self, schema: Json, name: str, depth: int) -> st.SearchStrategy[Json]:
        if "$ref" in schema:
            return self._of(self._definitions[schema["$ref"].rpartition("/")[2]], name, depth)
        if "anyOf" in schema:
            return self._any_of(schema["anyOf"], name, depth)
        if "const" in schema:
            return st.just(schema["const"])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        kind = schema.get("type")
        if kind == "array":
            return self._array(schema["items"], name, depth)
        if kind == "object":
            return self._object(schema, depth)
        plain = {
            "integer": _BELOW | st.integers(-1, 2**40),
            "number": _NUMBERS,
            "string": st.sampled_from(("dense", "several", "words")) if name == "using" else _TEXTS,
            "boolean": st.booleans(),
            "null": st.none(),
        }
        return plain[kind] if kind else _NUMBERS | _TEXTS | st.none()

    def _any_of(self, options: list[Json], name: str, depth: int) -> st.SearchStrategy[Json]:
        """The deeper, the less: objects give way to what has no members."""
        plain = [each for each in options if not _has_members(each)]
        chosen = plain if depth <= 0 and plain else options
        return st.deferred(lambda: st.one_of([self._of(each, name, depth) for each in chosen]))

    def _array(self, items: Json, name: str, depth: int) -> st.SearchStrategy[Json]:
        if items.get("type") == "number":  # most often as many as the vectors have
            return st.lists(_NUMBERS, min_size=3, max_size=3) | st.lists(_NUMBERS, max_size=4)
        return st.deferred(lambda: st.lists(self._of(items, name, depth - 1), max_size=2 if depth > 0 else 1))

    def _object(self, schema: Json, depth: int) -> st.SearchStrategy[Json]:
        fields, required = schema.get("properties", {}), schema.get("required", [])
        made = {name: self._deferred(field, name, depth - 1) for name, field in fields.items()}
        if not fields:
            return self._map(schema.get("additionalProperties", True), depth)
        needed = {name: each for name, each in made.items() if name in required or name == "query"}
        spare = [name for name in made if name not in needed]
        if depth <= 0 or not spare:
            return st.fixed_dictionaries(needed)
        few = st.lists(st.sampled_from(spare), unique=True, max_size=3)
        return few.flatmap(
            lambda names: st.fixed_dictionaries(needed | {name: made[name] for name in sorted(names)})
        )

    def _map(self, values: Json, depth: int) -> st.SearchStrategy[Json]:
        if not isinstance(values, dict) or depth <= 0:
            return st.dictionaries(_TEXTS, _NUMBERS | _TEXTS, max_size=2)
        return st.deferred(lambda: st.dictionaries(_TEXTS, self._of(values, "", depth - 1), max_size=2))

    def _deferred(self, schema: Json, name: str, depth: int) -> st.SearchStrategy[Json]:
        return st.deferred(lambda: self._of(schema, name, depth))


def _has_members(schema: Json) -> bool:
    return "$ref" in schema or schema.get("type") in ("object", "array")
