import pytest

from node.replication.leases import FOREVER_MS, HeldLease, own_until_ms
from node.replication.messages import Grant
from node.replication.tuning import Tuning


def test_a_lease_runs_from_the_moment_its_holder_can_date() -> None:
    lease = HeldLease()
    lease.renew(Grant(incarnation=1, clock_ms=1000, lease_ms=500), incarnation=1)
    assert lease.runs(1499)
    assert not lease.runs(1500)


def test_a_grant_for_an_earlier_incarnation_is_worth_nothing() -> None:
    """Its clock may have started anew."""
    lease = HeldLease()
    lease.renew(Grant(incarnation=1, clock_ms=10**9, lease_ms=500), incarnation=2)
    assert not lease.runs(0)


def test_an_older_grant_that_comes_late_shortens_nothing() -> None:
    lease = HeldLease()
    lease.renew(Grant(1, 1000, 500), incarnation=1)
    lease.renew(Grant(1, 400, 500), incarnation=1)
    assert lease.runs(1499)


def test_a_primary_holds_its_own_lease_as_long_as_the_slowest_answer_allows() -> None:
    assert own_until_ms([1000, 700], 500) == 1200
    assert own_until_ms([1000, None], 500) == -1
    assert own_until_ms([], 500) == FOREVER_MS


@pytest.mark.parametrize("lease_ms", [100, 1000, 60_000])
def test_waiting_outlasts_a_lease_on_the_slowest_clock(lease_ms: int) -> None:
    tuning = Tuning(read_lease_ms=lease_ms)
    slow, fast = 1 - tuning.drift_percent / 200, 1 + tuning.drift_percent / 200
    assert tuning.lease_wait_ms / fast > lease_ms / slow


def test_tuning_that_cannot_work_is_named() -> None:
    assert Tuning().problems() == []
    assert len(Tuning(heartbeat_ms=500, evict_after_ms=900).problems()) == 2
