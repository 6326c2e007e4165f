"""What requests hold is bounded, and one of them always gets done."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from router.grpc.transport.flow import WIDE_MAX, Inflow


def test_beyond_the_bound_only_the_oldest_may_send_on() -> None:
    inflow = Inflow(100)
    assert inflow.arrived(1, 60)
    assert inflow.arrived(3, 40)
    assert not inflow.arrived(3, 10)
    assert inflow.arrived(1, 500)
    assert not inflow.arrived(5, 1)
    assert inflow.left(1) == [(3, 10), (5, 1)]


def test_when_the_oldest_leaves_and_there_is_still_too_much_the_next_may() -> None:
    inflow = Inflow(100)
    assert inflow.arrived(1, 60)
    assert not inflow.arrived(3, 200)
    assert not inflow.arrived(5, 200)
    assert inflow.left(1) == [(3, 200)]
    assert inflow.left(3) == [(5, 200)]
    assert inflow.left(5) == []


def test_whoever_leaves_gets_back_what_was_withheld_of_it() -> None:
    inflow = Inflow(10)
    assert inflow.arrived(1, 10)
    assert not inflow.arrived(3, 5)
    assert inflow.left(3) == [(3, 5)]


def test_a_stream_that_is_full_waits_until_some_of_it_is_taken() -> None:
    inflow = Inflow(100)
    assert inflow.arrived(1, 10)
    assert not inflow.arrived(1, 10, full=True)
    assert inflow.taken(1, 10) == [(1, 10)]


def test_wide_windows_are_few() -> None:
    inflow = Inflow(100)
    assert [inflow.widen(stream) for stream in (1, 1)] == [True, False]
    assert sum(inflow.widen(stream) for stream in range(3, 1003, 2)) == WIDE_MAX - 1
    inflow.left(1)
    assert inflow.widen(2001)


@given(st.integers(0, 2**32), st.integers(1, 200))
def test_whatever_happens_all_is_released_and_nobody_waits_for_ever(seed: int, bound: int) -> None:
    """Clients with windows of 50 bytes each: every one gets its upload done."""
    rng, inflow = random.Random(seed), Inflow(bound)
    windows = dict.fromkeys(range(1, 20, 2), 50)
    to_send = {stream: rng.randrange(1, 300) for stream in windows}
    held = dict.fromkeys(windows, 0)

    def release(found: list[tuple[int, int]]) -> None:
        for stream, size in found:
            windows[stream] += size

    while to_send:
        able = [stream for stream in to_send if windows[stream]]
        assert able, "everybody waits"
        stream = rng.choice(able)
        size = rng.randrange(1, min(windows[stream], to_send[stream]) + 1)
        windows[stream] -= size
        to_send[stream] -= size
        held[stream] += size
        if inflow.arrived(stream, size):
            release([(stream, size)])
        others = sum(held.values()) - max(held.values())
        assert others <= bound + 50 * len(windows)
        if not to_send[stream]:
            del to_send[stream]
            held[stream] = 0
            release(inflow.left(stream))
    assert set(windows.values()) == {50}
