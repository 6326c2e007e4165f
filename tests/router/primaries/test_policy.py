"""What follows from a failed attempt at a shard's primary."""

from __future__ import annotations

import pytest

from protos.errors import (
    BadInput,
    NotFound,
    NotPrimary,
    ServiceError,
    ShardUnavailable,
    Timeout,
    VecraftError,
)
from router.primaries.policy import (
    BACKOFF_MS_MAX,
    BACKOFF_MS_MIN,
    HINTS_MAX,
    LAST_TRY_MS,
    GiveUp,
    Past,
    Retry,
    next_step,
)

UNAVAILABLE = ShardUnavailable("not open yet")
UNKNOWN = Timeout("no answer")


def _next(error: VecraftError, past: Past = Past(), *, remaining_ms: float = 60_000) -> Retry | GiveUp:  # noqa: B008
    return next_step(past, error, asked=1, remaining_ms=remaining_ms, chance=0.5)


@pytest.mark.parametrize("error", [BadInput("x"), NotFound("x"), ServiceError("x")])
def test_errors_of_the_request_are_final(error: VecraftError) -> None:
    assert _next(error) == GiveUp(error)


def test_a_named_primary_is_asked_at_once() -> None:
    step = _next(NotPrimary("no", primary=3))
    assert step == Retry(Past(hints=1), delay_ms=0.0, peer=3)


@pytest.mark.parametrize("primary", [None, 1])
def test_without_another_name_the_state_is_waited_for(primary: int | None) -> None:
    step = _next(NotPrimary("no", primary=primary))
    assert isinstance(step, Retry)
    assert step.peer is None
    assert step.delay_ms > 0


def test_peers_that_name_each_other_are_not_followed_for_ever() -> None:
    past, followed = Past(), 0
    while True:
        step = _next(NotPrimary("no", primary=2), past)
        assert isinstance(step, Retry)
        past = step.past
        if step.peer is None:
            break
        followed += 1
    assert followed == HINTS_MAX
    assert past.hints == 0


def test_pauses_grow_and_are_bounded() -> None:
    past, pauses = Past(), []
    for _ in range(12):
        step = _next(UNAVAILABLE, past)
        assert isinstance(step, Retry)
        past = step.past
        pauses.append(step.delay_ms)
    assert pauses == sorted(pauses)
    assert BACKOFF_MS_MIN / 2 <= pauses[0] <= BACKOFF_MS_MIN
    assert BACKOFF_MS_MAX / 2 <= pauses[-1] <= BACKOFF_MS_MAX


def test_no_pause_outlasts_the_request() -> None:
    step = _next(UNAVAILABLE, Past(waits=10), remaining_ms=30.0)
    assert isinstance(step, Retry)
    assert step.delay_ms == 30.0 - LAST_TRY_MS
    assert _next(UNAVAILABLE, step.past, remaining_ms=LAST_TRY_MS) == GiveUp(UNAVAILABLE)


def test_when_the_time_is_over_the_last_error_is_told() -> None:
    assert _next(UNAVAILABLE, remaining_ms=0.0) == GiveUp(UNAVAILABLE)


def test_an_unknown_outcome_is_never_told_as_nothing_applied() -> None:
    step = _next(UNKNOWN)
    assert isinstance(step, Retry)
    assert _next(UNAVAILABLE, step.past, remaining_ms=-1.0) == GiveUp(UNKNOWN)


def test_a_definite_refusal_stands_even_after_an_unknown_outcome() -> None:
    """Under the same operation id the shard would have given the first result, had it been applied."""
    refused = BadInput("x")
    assert _next(refused, Past(unknown=UNKNOWN)) == GiveUp(refused)
