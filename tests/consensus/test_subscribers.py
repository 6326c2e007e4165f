"""Coming and going of subscribers, also while they are told."""

from __future__ import annotations

from collections.abc import Callable

from consensus.subscribers import Subscribers


def test_they_are_told_in_the_order_in_which_they_came() -> None:
    subscribers, heard = Subscribers[int](), []
    for name in "abc":
        subscribers.add(lambda number, name=name: heard.append((name, number)))  # type: ignore[misc]
    subscribers.tell(7)
    assert heard == [("a", 7), ("b", 7), ("c", 7)]


def test_whoever_came_twice_and_stops_once_more_often_than_needed_is_still_told_once() -> None:
    heard: list[int] = []
    subscribers = Subscribers[int]()
    first, second = subscribers.add(heard.append), subscribers.add(heard.append)
    first()
    first()
    subscribers.tell(1)
    assert heard == [1]
    second()
    subscribers.tell(2)
    assert heard == [1]


def test_coming_and_going_while_told_counts_from_the_next_time_on() -> None:
    heard: list[str] = []
    subscribers = Subscribers[str]()
    stops: list[Callable[[], None]] = []

    def once(text: str) -> None:
        heard.append(f"once {text}")
        stops[0]()
        subscribers.add(lambda text: heard.append(f"late {text}"))

    stops.append(subscribers.add(once))
    subscribers.tell("one")
    subscribers.tell("two")
    assert heard == ["once one", "late two"]
