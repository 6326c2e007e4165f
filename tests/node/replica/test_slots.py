"""Live bits and slot ranges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.replica.slots import SLOTS_MAX, LiveBits, SlotRanges, aligned
from protos.errors import InsufficientStorage


class Holder:
    """Something that still reads old rows."""


def slots(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def members(bits: LiveBits, end: int) -> set[int]:
    return set(np.flatnonzero(np.unpackbits(bits.snapshot(end), bitorder="little")).tolist())


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 300), st.integers(0, 80)), max_size=20))
def test_live_bits_behave_like_a_set_of_slots(steps: list[tuple[bool, int, int]]) -> None:
    bits, model = LiveBits(), set[int]()
    bits.cover(400)
    for add, start, count in steps:
        wanted = range(start, start + count)
        if add:
            bits.set_range(start, count)
            model |= set(wanted)
        else:
            bits.clear(slots(*wanted))
            model -= set(wanted)
    assert members(bits, 400) == model
    assert bits.count(64, 100) == len([slot for slot in model if 64 <= slot < 164])


def test_a_snapshot_does_not_change_with_later_writes() -> None:
    bits = LiveBits()
    bits.set_range(0, 10)
    snapshot = bits.snapshot(64)
    bits.clear(slots(3))
    assert snapshot[0] == 0xFF
    assert not snapshot.flags.writeable


def test_a_snapshot_covers_whole_words() -> None:
    assert len(LiveBits().snapshot(65)) == 16


def test_slots_may_be_set_one_by_one() -> None:
    bits = LiveBits()
    bits.set(slots(5, 70, 5))
    assert members(bits, 128) == {5, 70}


def test_ranges_start_at_words_and_follow_each_other() -> None:
    ranges = SlotRanges()
    assert [ranges.allot(65), ranges.allot(1), ranges.allot(64)] == [0, 128, 192]


def test_gaps_between_used_ranges_are_free() -> None:
    ranges = SlotRanges([(256, 100), (0, 64)])
    assert ranges.end == 384
    assert ranges.allot(128) == 64
    assert ranges.allot(128) == 384
    assert ranges.allot(64) == 192


def test_a_range_is_reused_only_when_its_last_holder_is_gone() -> None:
    ranges = SlotRanges()
    first = ranges.allot(64)
    ranges.allot(64)
    holder = Holder()
    ranges.give_back(first, 64, [holder])
    assert ranges.allot(64) == 128
    del holder
    assert ranges.allot(64) == first


def test_free_neighbours_join() -> None:
    ranges = SlotRanges()
    starts = [ranges.allot(64) for _ in range(3)]
    ranges.give_back(starts[0], 64)
    ranges.give_back(starts[1], 64)
    assert ranges.allot(128) == 0


def test_a_free_range_at_the_end_shrinks_the_slot_space() -> None:
    ranges = SlotRanges()
    ranges.allot(64)
    last = ranges.allot(6400)
    ranges.give_back(last, 6400)
    assert ranges.allot(64) == last
    assert ranges.end == last + 64


def test_the_slot_space_has_an_end() -> None:
    ranges = SlotRanges([(0, SLOTS_MAX - 64)])
    ranges.allot(64)
    with pytest.raises(InsufficientStorage):
        ranges.allot(1)


def test_alignment_is_to_words() -> None:
    assert [aligned(n) for n in (0, 1, 64, 65)] == [0, 64, 64, 128]
