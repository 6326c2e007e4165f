"""Token buckets."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.errors import RateLimited
from router.strict.rates import BUCKETS_MAX, Rates, TokenBucket

limits = st.integers(1, 1000)
steps = st.lists(st.tuples(st.integers(1, 1200), st.floats(0, 100)), max_size=50)


@given(limits, steps)
def test_never_is_more_taken_than_a_full_bucket_and_what_has_flowed_in(
    limit: int, asked: list[tuple[int, float]]
) -> None:
    bucket, now_s, taken = TokenBucket(limit, 0.0), 0.0, 0
    for cost, pause_s in asked:
        now_s += pause_s
        if bucket.take(cost, now_s) is None:
            taken += cost
        assert taken <= limit + limit / 60 * now_s + 1e-6
        assert 0 <= bucket.tokens <= limit


@given(limits, steps)
def test_what_was_refused_is_let_in_after_the_time_that_was_told(
    limit: int, asked: list[tuple[int, float]]
) -> None:
    bucket, now_s = TokenBucket(limit, 0.0), 0.0
    for cost, pause_s in asked:
        now_s += pause_s
        wait_s = bucket.take(cost, now_s)
        assert (wait_s == math.inf) == (cost > limit)
        if wait_s is not None and wait_s != math.inf:
            now_s += wait_s + 1e-6
            assert bucket.take(cost, now_s) is None


def test_a_clock_that_stands_or_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(60, 100.0)
    assert bucket.take(60, 100.0) is None
    assert bucket.take(1, 50.0) == 1.0
    assert bucket.take(1, 100.0) == 1.0


def test_reads_writes_and_collections_have_buckets_of_their_own_and_a_new_limit_begins_anew() -> None:
    rates = Rates()
    rates.take("a", "Read", per_minute=1, cost=1, now_s=0)
    rates.take("a", "Write", per_minute=1, cost=1, now_s=0)
    rates.take("b", "Read", per_minute=1, cost=1, now_s=0)
    with pytest.raises(RateLimited) as refused:
        rates.take("a", "Read", per_minute=1, cost=1, now_s=0)
    assert refused.value.retry_after_s == 60
    rates.take("a", "Read", per_minute=2, cost=2, now_s=0)


def test_the_number_of_buckets_is_bounded() -> None:
    rates = Rates()
    for number in range(BUCKETS_MAX + 1):
        rates.take(str(number), "Read", per_minute=1, cost=1, now_s=0)
    rates.take("0", "Read", per_minute=1, cost=1, now_s=0)  # it had made room
    with pytest.raises(RateLimited):
        rates.take(str(BUCKETS_MAX), "Read", per_minute=1, cost=1, now_s=0)
