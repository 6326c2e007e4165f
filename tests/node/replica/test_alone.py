"""When searches are answered where they are asked, by times that are made up."""

from __future__ import annotations

from node.replica.alone import IN_A_ROW_MAX, LATELY_S, QUICK_MIN, QUICK_S, Alone, Place


def quick() -> Alone:
    alone = Alone()
    for _ in range(QUICK_MIN):
        alone.took(QUICK_S)
    return alone


def asked(alone: Alone, caller: int = 1, now_s: float = 0.0, waiting: int = 0) -> bool:
    """In a turn of its own: is it answered at once?"""
    place = alone.asked(caller, now_s, waiting=waiting)
    alone.turn_over()
    return place is Place.HERE


def test_nothing_is_known_to_be_quick_at_first() -> None:
    alone = Alone()
    for _ in range(QUICK_MIN):
        assert not asked(alone)
        alone.took(QUICK_S)
    assert asked(alone)


def test_after_a_slow_search_workers_show_that_others_are_quick_again() -> None:
    alone = quick()
    alone.took(2 * QUICK_S)
    for _ in range(QUICK_MIN):
        assert not asked(alone)
        alone.took(0.0)
    assert asked(alone)


def test_two_callers_in_one_turn_are_a_crowd_for_some_time() -> None:
    alone = quick()
    assert alone.asked(1, 10.0, waiting=0) is Place.HERE
    assert alone.asked(1, 10.0, waiting=0) is Place.HERE  # one after the other, without giving way
    assert alone.asked(2, 10.0, waiting=0) is Place.WORKER
    assert alone.asked(1, 10.0, waiting=0) is Place.WORKER
    alone.turn_over()
    assert not asked(alone, now_s=10.0 + LATELY_S / 2)
    assert asked(alone, now_s=10.0 + LATELY_S)


def test_who_waits_for_a_worker_makes_a_crowd_of_who_comes() -> None:
    alone = quick()
    assert not asked(alone, now_s=10.0, waiting=1)
    assert not asked(alone, now_s=10.0 + LATELY_S / 2)
    assert asked(alone, now_s=10.0 + LATELY_S)


def test_callers_one_after_another_are_no_crowd() -> None:
    alone = quick()
    assert all(asked(alone, caller) for caller in range(1, IN_A_ROW_MAX))


def test_now_and_then_one_is_answered_in_the_next_turn() -> None:
    alone = quick()
    places = []
    for _ in range(3 * IN_A_ROW_MAX):
        places.append(alone.asked(1, 0.0, waiting=0))
        alone.turn_over()
    assert places == 3 * ([Place.HERE] * (IN_A_ROW_MAX - 1) + [Place.NEXT_TURN])
