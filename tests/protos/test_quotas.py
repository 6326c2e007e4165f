"""When a node at its limits takes data, and when it does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.quotas import QuotaConfig, QuotaGate, QuotaUsage

BOTH = QuotaConfig(enabled=True, max_resident_memory_percent=80, max_disk_usage_percent=90)


def test_what_is_beyond_the_limit_is_refused_with_what_to_do() -> None:
    gate = QuotaGate()
    assert gate.observe(QuotaUsage(79, 89), BOTH) is None
    assert gate.observe(QuotaUsage(81, 95), BOTH) == (
        "Resident memory usage is at 81% of total memory, exceeding the configured limit of 80%. "
        "It reached the configured limit of 80% and has to fall below 75% before this node takes "
        "writes again. Help: Reduce memory usage (e.g. delete points or drop collections), "
        "or raise `max_resident_memory_percent` in the global quota config."
    )
    assert (gate.memory_exceeded, gate.disk_exceeded) == (True, True)
    refusal = gate.observe(QuotaUsage(10, 87), BOTH)
    assert refusal is not None
    assert refusal.startswith(
        "Disk usage is at 87% of total capacity. It reached the configured limit of 90%"
    )
    assert refusal.endswith("or raise `max_disk_usage_percent` in the global quota config.")


def test_a_limit_that_was_reached_holds_until_the_margin_is_free() -> None:
    gate = QuotaGate()
    seen = [gate.observe(QuotaUsage(0, used), BOTH) is None for used in (89, 90, 89, 85, 84, 89)]
    assert seen == [True, False, False, False, True, True]


@pytest.mark.parametrize(
    "config",
    [
        QuotaConfig(enabled=False, max_disk_usage_percent=1, max_resident_memory_percent=1),
        QuotaConfig(enabled=True),
    ],
)
def test_without_a_limit_nothing_is_exceeded_whatever_was_before(config: QuotaConfig) -> None:
    gate = QuotaGate()
    assert gate.observe(QuotaUsage(100, 100), BOTH) is not None
    assert gate.observe(QuotaUsage(100, 100), config) is None
    assert not gate.memory_exceeded
    assert not gate.disk_exceeded


@given(st.integers(1, 100), st.integers(0, 100), st.lists(st.integers(0, 100), min_size=1))
def test_between_the_limit_and_its_margin_nothing_changes(limit: int, margin: int, usages: list[int]) -> None:
    config = QuotaConfig(True, None, limit, margin)
    gate, before = QuotaGate(), False
    for used in usages:
        refused = gate.observe(QuotaUsage(0, used), config) is not None
        assert refused == gate.disk_exceeded
        assert refused or used < limit
        assert not refused or used >= limit - margin
        if limit - margin <= used < limit:
            assert refused == before
        before = refused


def test_what_the_system_does_not_tell_is_never_exceeded() -> None:
    gate = QuotaGate()
    assert gate.observe(QuotaUsage(None, None), BOTH) is None
    assert not gate.memory_exceeded
    assert not gate.disk_exceeded
