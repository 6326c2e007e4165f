"""The order of slots by their values agrees with sorting the values, whatever was written before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.filter.columns import Columns
from node.filter.columns.ranks import ranks
from protos.collections import FloatIndexParams, UuidIndexParams
from protos.json_path import parse_path
from tests.node.filter.test_tally import KINDS, SLOTS

START, COUNT = 16, 40
ORDERED: dict[str, tuple[Any, st.SearchStrategy[Any], Any]] = {
    "keyword": (KINDS["keyword"][0], KINDS["keyword"][1], str.encode),
    "integer": (KINDS["integer"][0], KINDS["integer"][1], int),
    "float": (FloatIndexParams(), st.sampled_from([-1.5, 0.0, 2.5]), float),
    "uuid": (UuidIndexParams(), KINDS["uuid"][1], str),
}


@pytest.mark.parametrize("kind", ORDERED)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_ranks_are_those_of_the_least_values(kind: str, data: st.DataObject) -> None:
    params, one, key = ORDERED[kind]
    columns, held = Columns(), dict[int, Any]()
    columns.install(columns.built("k", params, ()))
    for _ in range(data.draw(st.integers(0, 10))):
        step = data.draw(st.sampled_from(["put", "put", "put", "remove", "rebuild"]))
        slots = data.draw(st.lists(SLOTS, max_size=6, unique=True))
        if step == "put":
            found = [data.draw(one | st.lists(one, max_size=3)) for _ in slots]
            columns.put(slots, [{"k": value} for value in found])
            held |= dict(zip(slots, found, strict=True))
        elif step == "remove":
            columns.remove(slots)
            held = {slot: value for slot, value in held.items() if slot not in slots}
        else:
            columns.rebuild()
    least = {
        slot: min(key(each) for each in values)
        for slot, value in held.items()
        if START <= slot < START + COUNT and (values := value if isinstance(value, list) else [value])
    }
    column = columns.view().column(parse_path("k"))
    assert column is not None
    told = ranks(column, START, COUNT).tolist()
    assert [slot - START for slot in sorted(least)] == [i for i, rank in enumerate(told) if rank >= 0]
    for a, first in least.items():
        for b, second in least.items():
            assert (first < second) == (told[a - START] < told[b - START])
