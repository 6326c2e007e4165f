"""How many requests about collections are under way on this node, and when it takes no more.

Without a bound a node that gets more than it can do queues them all, and answers each when nobody waits
for it any more. With it what is beyond is refused at once, before its body is looked at, and what was taken
is done in time. Requests of other nodes are bounded where they came in; probes and metrics do not count.
"""

from __future__ import annotations

from protos.errors import Overloaded

PENDING_MAX = 2048
RETRY_AFTER_S = 1


class Load:
    """Used on the event loop only. ``running`` requests are under way; ``refused`` were too many, so far."""

    def __init__(self, pending_max: int = PENDING_MAX) -> None:
        self._pending_max = pending_max
        self.running = 0
        self.refused = 0

    def __enter__(self) -> None:
        """Raises: Overloaded."""
        if self.running >= self._pending_max:
            self.refused += 1
            raise Overloaded(
                f"{self.running} requests are under way on this node, and it takes no more at once "
                "(service.max_pending_requests). Retry later, or send fewer at a time",
                retry_after_s=RETRY_AFTER_S,
            )
        self.running += 1

    def __exit__(self, *_: object) -> None:
        self.running -= 1
