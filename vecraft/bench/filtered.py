"""Filters for the recall benchmark, from common to rare, with the rows that match them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct


class FilterCase(Struct, frozen=True):
    """``filter`` as the API takes it; ``rows``: the matching rows of the base, ascending.

    ``field`` is the payload field it is about, ``schema`` the index to create for it, None: none.
    """

    name: str
    field: str
    schema: str | None
    filter: dict[str, Any]
    rows: npt.NDArray[np.int64]


def cases(payloads: Sequence[bytes], *, matches_min: int) -> list[FilterCase]:
    """The cases that at least ``matches_min`` payloads satisfy."""
    decode = msgspec.json.Decoder(dict).decode
    decoded = [decode(payload) for payload in payloads]
    found = [
        _match("keyword index", "category", "noun.food", "keyword", decoded),
        _below("integer index", "relations", 3, "integer", decoded),
        _match("no index", "pos", "verb", None, decoded),
    ]
    return [case for case in found if len(case.rows) >= matches_min]


def _match(
    kind: str, field: str, value: str, schema: str | None, decoded: list[dict[str, Any]]
) -> FilterCase:
    rows = np.array(
        [row for row, payload in enumerate(decoded) if payload.get(field) == value], dtype=np.int64
    )
    return _case(f"{field}={value}, {kind}", field, schema, {"match": {"value": value}}, rows)


def _below(kind: str, field: str, bound: int, schema: str, decoded: list[dict[str, Any]]) -> FilterCase:
    rows = np.array(
        [row for row, payload in enumerate(decoded) if payload.get(field, bound) < bound], dtype=np.int64
    )
    return _case(f"{field}<{bound}, {kind}", field, schema, {"range": {"lt": bound}}, rows)


def _case(
    name: str, field: str, schema: str | None, test: dict[str, Any], rows: npt.NDArray[np.int64]
) -> FilterCase:
    return FilterCase(name, field, schema, {"must": [{"key": field, **test}]}, rows)
