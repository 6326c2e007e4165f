"""Counting the slots of each value agrees with counting them one by one, whatever was written before."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node import bits
from node.bits import PackedBits
from node.filter.columns import Columns
from protos.collections import (
    BoolIndexParams,
    FloatIndexParams,
    IntegerIndexParams,
    KeywordIndexParams,
    PayloadIndexParams,
    TextIndexParams,
    UuidIndexParams,
)
from protos.errors import BadInput
from protos.facets import FacetValue

SIZE = 8  # bytes: 64 slots
SLOTS = st.integers(0, 63)
SLOT_SET = set(range(64))
# A UUID that ends in zero bytes, which arrays of strings drop.
UUIDS = ("00000000-0000-0000-0000-000000000000", *(str(UUID(int=n << 64)) for n in (1, 2, 300)))
KINDS: dict[str, tuple[PayloadIndexParams, st.SearchStrategy[Any]]] = {
    "keyword": (KeywordIndexParams(), st.sampled_from(["", "a", "b", "ä", "a\0", "z", "𝄞", "￿"])),
    "integer": (IntegerIndexParams(), st.sampled_from([-(2**63), -1, 0, 1, 2**63 - 1])),
    "bool": (BoolIndexParams(), st.booleans()),
    "uuid": (UuidIndexParams(), st.sampled_from(UUIDS)),
}


def values_of(kind: str) -> st.SearchStrategy[Any]:
    one = KINDS[kind][1]
    return one | st.lists(one, max_size=4) | st.sampled_from([None, 1.5, {"x": 1}])


def expected(held: dict[int, Any], kind: str, counting: set[int] | None, limit: int | None) -> list[Any]:
    wanted: dict[str, type] = {"keyword": str, "integer": int, "bool": bool, "uuid": str}
    counts: Counter[FacetValue] = Counter()
    for slot, value in held.items():
        if counting is None or slot in counting:
            found = value if isinstance(value, list) else [value]
            counts.update({each for each in found if type(each) is wanted[kind]})
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:limit]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_tally_is_what_counting_one_by_one_gives(kind: str, data: st.DataObject) -> None:
    columns, held = Columns(), dict[int, Any]()
    columns.install(columns.built("k", KINDS[kind][0], ()))
    for _ in range(data.draw(st.integers(0, 12))):
        step = data.draw(st.sampled_from(["put", "put", "put", "remove", "rebuild"]))
        if step == "put":
            slots = data.draw(st.lists(SLOTS, max_size=5, unique=True))
            found = data.draw(st.lists(values_of(kind), min_size=len(slots), max_size=len(slots)))
            columns.put(slots, [{"k": value} for value in found])
            held |= dict(zip(slots, found, strict=True))
        elif step == "remove":
            slots = data.draw(st.lists(SLOTS, max_size=5, unique=True))
            columns.remove(slots)
            held = {slot: value for slot, value in held.items() if slot not in slots}
        else:
            columns.rebuild()
    view = columns.view()
    for _ in range(3):
        counting = data.draw(st.none() | st.sets(SLOTS))
        limit = data.draw(st.none() | st.integers(1, 4))
        tally = view.tally("k", partial(packed_of, counting), limit)
        # With their types, because 1 equals True.
        found = [(type(value), value, count) for value, count in tally]
        assert found == [(type(value), value, n) for value, n in expected(held, kind, counting, limit)]
        among = SLOT_SET if counting is None else counting
        groups = {
            (type(value), value): slots.tolist()
            for value, slots in view.groups("k", bits.pack(np.array(sorted(among), dtype=np.int64), SIZE), 2)
        }
        assert groups == {
            (type(value), value): having(held, value, among)
            for value, n in expected(held, kind, among, None)
            if n >= 2
        }


def having(held: dict[int, Any], wanted: FacetValue, among: set[int]) -> list[int]:
    def has(value: Any) -> bool:
        found = value if isinstance(value, list) else [value]
        return any(type(each) is type(wanted) and each == wanted for each in found)

    return sorted(slot for slot, value in held.items() if slot in among and has(value))


def packed_of(slots: set[int] | None) -> PackedBits | None:
    return None if slots is None else bits.pack(np.array(sorted(slots), dtype=np.int64), SIZE)


@pytest.mark.parametrize(
    "params", [FloatIndexParams(), TextIndexParams(), IntegerIndexParams(lookup=False), None]
)
def test_an_index_that_cannot_tell_values_apart_is_refused(params: PayloadIndexParams | None) -> None:
    columns = Columns()
    if params is not None:
        columns.install(columns.built("k", params, [(0, {"k": 1})]))

    def never() -> PackedBits:
        raise AssertionError("nothing is evaluated for a key that has no index")

    with pytest.raises(BadInput, match="No appropriate index for faceting: `k`"):
        columns.view().tally("k", never, 10)
