"""The slowest requests of each kind."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.monitoring.slow_requests import KEPT_MAX, SlowRequest, SlowRequests

NAMES = ("POST /collections/{collection_name}/points/query", "/qdrant.Points/Query")


def request(name: str, seconds: float) -> SlowRequest:
    return SlowRequest(name, seconds, 1.0, "c", 200, "id")


@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.floats(0.1, 100)), max_size=200),
    st.integers(0, 3 * KEPT_MAX),
)
def test_those_kept_are_the_slowest_of_their_kind(added: list[tuple[str, float]], limit: int) -> None:
    slow = SlowRequests()
    for name, seconds in added:
        if slow.would_keep(name, seconds):
            slow.add(request(name, seconds))
    for containing in ("", "qdrant", "collections"):
        expected = [
            seconds
            for name in NAMES
            if containing in name
            for seconds in sorted((s for n, s in added if n == name), reverse=True)[:KEPT_MAX]
        ]
        found = slow.slowest(limit, containing)
        assert [one.seconds for one in found] == sorted(expected, reverse=True)[:limit]
