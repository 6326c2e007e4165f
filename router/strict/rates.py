"""How many reads and writes a minute: token buckets (reference 15.2). Pure: the time is an argument.

A bucket holds as many tokens as are allowed in a minute, begins full, and fills evenly. ``Rates`` keeps those
of this node's collections; a limit that was changed begins anew.
"""

from __future__ import annotations

from typing import Literal

from protos.errors import RateLimited

BUCKETS_MAX = 4096  # the one that was made first makes room
_MINUTE_S = 60.0

Kind = Literal["Read", "Write"]


class TokenBucket:
    def __init__(self, per_minute: int, now_s: float) -> None:
        self.per_minute = per_minute
        self._tokens, self._at_s = float(per_minute), now_s

    def take(self, cost: float, now_s: float) -> float | None:
        """Take ``cost`` tokens, all or none. Returns None if they were taken, else after how many seconds
        they will be there; never, if they are more than the bucket holds: infinity."""
        rate = self.per_minute / _MINUTE_S
        self._tokens = min(self.per_minute, self._tokens + max(0.0, now_s - self._at_s) * rate)
        self._at_s = max(self._at_s, now_s)
        if cost <= self._tokens:
            self._tokens -= cost
            return None
        return (cost - self._tokens) / rate if cost <= self.per_minute else float("inf")

    @property
    def tokens(self) -> float:
        """As of the last ``take``."""
        return self._tokens


class Rates:
    def __init__(self) -> None:
        self._buckets: dict[tuple[str, Kind], TokenBucket] = {}

    def take(self, collection: str, kind: Kind, *, per_minute: int, cost: int, now_s: float) -> None:
        """``collection``: what tells it from others. Raises: RateLimited."""
        key = (collection, kind)
        bucket = self._buckets.get(key)
        if bucket is None or bucket.per_minute != per_minute:
            self._buckets.pop(key, None)
            if len(self._buckets) >= BUCKETS_MAX:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[key] = TokenBucket(per_minute, now_s)
        wait_s = bucket.take(cost, now_s)
        if wait_s is not None:
            raise _refusal(kind, cost, bucket.tokens, wait_s)


def _refusal(kind: Kind, cost: int, available: float, wait_s: float) -> RateLimited:
    if wait_s == float("inf"):
        return RateLimited(
            f"{kind} rate limit exceeded, request larger than rate limiter capacity, "
            "please try to split your request",
            retry_after_s=None,
        )
    retry_after_s = max(1, -int(-wait_s // 1))
    return RateLimited(
        f"{kind} rate limit exceeded: Operation requires {cost} tokens but only {available:.1f} were "
        f"available. Retry after {retry_after_s}s",
        retry_after_s=retry_after_s,
    )
