"""Who wants to hear of something, told in the order in which they asked.

What they are told of has happened: a subscriber that fails is logged, and neither the others nor whoever
tells them are troubled with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, ParamSpec

from protos.logger import get_logger

P = ParamSpec("P")

_log = get_logger(__name__)


class Subscribers(Generic[P]):
    """For one thread."""

    def __init__(self) -> None:
        self._called: dict[object, Callable[P, None]] = {}

    def add(self, subscriber: Callable[P, None]) -> Callable[[], None]:
        """Returns: how to stop; stopping twice does no harm."""
        key = object()
        self._called[key] = subscriber

        def stop() -> None:
            self._called.pop(key, None)

        return stop

    def tell(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call each that is subscribed now; who comes or goes meanwhile counts from the next time on."""
        for subscriber in list(self._called.values()):
            try:
                subscriber(*args, **kwargs)
            except Exception:  # noqa: BLE001 - one subscriber's fault must not stop the others
                _log.exception("metadata_subscriber_failed")
