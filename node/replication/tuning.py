"""How long things may take, in milliseconds of a monotonic clock, and how much may be under way."""

from __future__ import annotations

from msgspec import Struct


class Tuning(Struct, frozen=True):
    """What follows from each value is said beside it; ``problems`` checks them against each other."""

    read_lease_ms: int = 1000  # a new primary waits about this long; strong reads stop this long after a loss
    heartbeat_ms: int = 250  # an idle follower is sent a message this often
    retry_ms: int = 100  # until an unanswered message is asked about
    evict_after_ms: int = 2000  # an in-sync follower this slow is put out of the set
    evict_gone_after_ms: int = 600  # likewise, where nobody answers at its address at all
    propose_retry_ms: int = 1000  # until a proposal to the cluster that shows no result is repeated
    drift_percent: int = 2  # by which any two clocks' speeds may differ

    append_bytes_max: int = 1 << 20  # of one message, but an entry goes whole
    append_entries_max: int = 256
    inflight_bytes_max: int = 8 << 20  # sent to one follower and not yet durable there
    inflight_messages_max: int = 64
    recent_bytes_max: int = (
        8 << 20
    )  # durable entries kept in memory; who lacks older ones is served from files
    unapplied_bytes_max: int = 64 << 20  # a follower whose state is rebuilt takes no more
    uncommitted_bytes_max: int = 64 << 20  # a primary refuses writes beyond it
    uncommitted_entries_max: int = 4096
    join_distance_max: int = 1024  # a joining follower this near is waited for, and admitted when it is level

    @property
    def lease_wait_ms(self) -> int:
        """After this long on any clock, a lease given before it began has run out on every other."""
        ratio = (100 + self.drift_percent) / (100 - self.drift_percent)
        return int(self.read_lease_ms * ratio) + 2  # and two milliseconds for what reading clocks rounds off

    def problems(self) -> list[str]:
        found = []
        if self.heartbeat_ms * 3 > self.read_lease_ms:
            found.append("read_lease_ms must allow for three heartbeats, or leases lapse between them")
        if self.evict_after_ms <= self.heartbeat_ms * 2:
            found.append("evict_after_ms must allow for two heartbeats, or healthy followers are evicted")
        return found
