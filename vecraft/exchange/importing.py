"""Points of a source into a collection: batches in parallel, patience with a busy server, a journal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec
from msgspec import Raw, Struct

from vecraft.client import Client, Refused, path_of
from vecraft.exchange.journal import Journal, Progress
from vecraft.exchange.points import Batch, Point, PointId, Source
from vecraft.exits import CommandFailed

SAVE_S = 1.0  # between two entries of the journal
AHEAD = 2  # batches read per one that is under way

Tell = Callable[[Progress], None]


class _Sent(Struct):
    id: PointId
    vector: Raw
    payload: Raw


class _Upsert(Struct, omit_defaults=True):
    points: list[_Sent]
    shard_key: int | str | None = None


def import_points(
    source: Source,
    client: Client,
    collection: str,
    journal: Journal,
    *,
    batch: int,
    parallel: int,
    tell: Tell,
) -> Progress:
    """Upsert everything from where the journal says on; returns how far it came: to the end.

    ``tell`` is called whenever more is done. However this ends, the journal says how far it came.
    Raises: ClientError, CommandFailed.
    """
    job = _Import(client, collection, journal, tell)
    with ThreadPoolExecutor(parallel, thread_name_prefix="import") as workers:
        try:
            for found in source.batches(job.done.position, batch):
                job.sending.append((found, workers.submit(job.send, found)))
                if len(job.sending) > parallel * AHEAD:
                    job.settle()
            while job.sending:
                job.settle()
        except BaseException:
            workers.shutdown(wait=True, cancel_futures=True)
            raise
        finally:
            job.close()
    journal.remove()
    return job.done


class _Import:
    """``done``: everything before it has been acknowledged; ``sending``: what follows, in order."""

    def __init__(self, client: Client, collection: str, journal: Journal, tell: Tell) -> None:
        self.done = journal.load()
        self.sending: deque[tuple[Batch, Future[None]]] = deque()
        self._client = client
        self._path = path_of("collections", collection, "points")
        self._journal = journal
        self._tell = tell
        self._saved_s = time.monotonic()
        journal.save(self.done)  # before anything is sent: a journal that cannot be written is told at once

    def send(self, batch: Batch) -> None:
        """On a worker's thread. Raises: ClientError, CommandFailed."""
        for key, points in _by_shard_key(batch.points).items():
            sent = [_Sent(each.id, each.vector, each.payload) for each in points]
            body = msgspec.json.encode(_Upsert(sent, key))
            try:
                self._client.call("PUT", self._path, Raw, body, wait=True)
            except Refused as error:
                raise CommandFailed(f"{batch.where}: {error}") from error

    def settle(self) -> None:
        """Wait for the oldest batch, and count it."""
        batch, future = self.sending[0]
        future.result()
        self.sending.popleft()
        self.done = Progress(batch.end, self.done.points + len(batch.points))
        self._tell(self.done)
        if time.monotonic() - self._saved_s >= SAVE_S:
            self._journal.save(self.done)
            self._saved_s = time.monotonic()

    def close(self) -> None:
        """Count what was acknowledged in order, and write it down."""
        while self.sending and _succeeded(self.sending[0][1]):
            batch, _ = self.sending.popleft()
            self.done = Progress(batch.end, self.done.points + len(batch.points))
        self._journal.save(self.done)


def _succeeded(future: Future[None]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _by_shard_key(points: list[Point]) -> dict[int | str | None, list[Point]]:
    groups: dict[int | str | None, list[Point]] = {}
    for point in points:
        groups.setdefault(point.shard_key, []).append(point)
    return groups
