"""How far transfers that this node sends have come, as users see it (reference 14.3, 19).

Lives here: the text of a transfer's ``comment``, and which transfer is in which stage.
May not live here: clocks (injected), what the stages do.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from consensus.state import Transfer, TransferMethod


class Stage(Enum):
    """Of a ``snapshot`` transfer, by Qdrant's names."""

    PROXIFYING = "proxifying"
    CREATING = "creating snapshot"
    TRANSFERRING = "transferring"
    RECOVERING = "recovering"
    FLUSHING = "flushing queue"
    WAITING = "waiting consensus"
    FINALIZING = "finalizing"


class TransferKey(NamedTuple):
    collection: str  # uuid
    shard_id: int
    epoch: int


def key_of(collection_uuid: str, transfer: Transfer) -> TransferKey:
    return TransferKey(collection_uuid, transfer.shard_id, transfer.epoch)


class Progress:
    """One transfer. ``total`` and ``done`` count points."""

    def __init__(self, method: TransferMethod, monotonic_s: Callable[[], float]) -> None:
        self.method = method
        self.total = self.done = 0
        self._monotonic_s = monotonic_s
        self._started = self._stage_began = self._counting_since = monotonic_s()
        self._stage = Stage.PROXIFYING

    @classmethod
    def of_nobody(cls) -> Progress:
        """Of a transfer that no one asks about."""
        return cls(TransferMethod.STREAM_RECORDS, lambda: 0.0)

    def enter(self, stage: Stage) -> None:
        self._stage, self._stage_began = stage, self._monotonic_s()

    def expect(self, total: int) -> None:
        """From now on points move."""
        self.total, self.done = total, 0
        self._counting_since = self._monotonic_s()

    def advance(self, done: int) -> None:
        self.done = min(done, self.total)

    @property
    def comment(self) -> str:
        now = self._monotonic_s()
        if self.method is TransferMethod.SNAPSHOT:
            return f"{self._stage.value} ({now - self._stage_began:.1f}s)"
        counts = f"Transferring records ({self.done}/{self.total})"
        return f"{counts}, started {int(now - self._started)}s ago, ETA: {self._eta(now)}"

    def _eta(self, now: float) -> str:
        if not self.done:
            return "-"
        elapsed = now - self._counting_since
        return f"{elapsed / self.done * (self.total - self.done):.2f}s"


class Transfers:
    """The transfers that this node sends; on the event loop only."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._running: dict[TransferKey, Progress] = {}

    def begin(self, key: TransferKey, method: TransferMethod) -> Progress:
        """A repeat goes on with what is there: a target that asks again is the same transfer."""
        progress = self._running.get(key)
        if progress is None or progress.method is not method:
            progress = self._running[key] = Progress(method, self._monotonic_s)
        return progress

    def keep(self, keys: set[TransferKey]) -> None:
        """Forget all but these."""
        self._running = {key: progress for key, progress in self._running.items() if key in keys}

    def comment(self, key: TransferKey) -> str | None:
        progress = self._running.get(key)
        return None if progress is None else progress.comment
