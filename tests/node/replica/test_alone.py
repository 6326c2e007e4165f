"""When searches are answered where they are asked, by times that are made up."""

from __future__ import annotations

from node.replica.alone import IN_A_ROW_MAX, LATELY_S, QUICK_MIN, QUICK_S, Alone


def quick() -> Alone:
    alone = Alone()
    for _ in range(QUICK_MIN):
        alone.took(QUICK_S)
    return alone


def test_nothing_is_known_to_be_quick_at_first() -> None:
    alone = Alone()
    for _ in range(QUICK_MIN):
        assert not alone.asked(1, 0.0)
        alone.took(QUICK_S)
    assert alone.asked(1, 0.0)


def test_after_a_slow_search_workers_show_that_others_are_quick_again() -> None:
    alone = quick()
    alone.took(2 * QUICK_S)
    for _ in range(QUICK_MIN):
        assert not alone.asked(1, 0.0)
        alone.took(0.0)
    assert alone.asked(1, 0.0)


def test_two_callers_at_a_time_are_a_crowd_until_one_of_them_has_gone() -> None:
    alone = quick()
    assert alone.asked(1, 10.0)
    assert not alone.asked(2, 10.0 + LATELY_S / 2)
    assert not alone.asked(2, 10.0 + LATELY_S)
    assert alone.asked(2, 10.0 + LATELY_S * 1.6)


def test_callers_one_after_another_are_no_crowd() -> None:
    alone = quick()
    assert all(alone.asked(caller, caller * 2 * LATELY_S) for caller in range(1, IN_A_ROW_MAX))


def test_now_and_then_a_worker_answers() -> None:
    alone = quick()
    at_once = [alone.asked(1, 0.0) for _ in range(3 * IN_A_ROW_MAX)]
    assert at_once == 3 * ([True] * (IN_A_ROW_MAX - 1) + [False])
