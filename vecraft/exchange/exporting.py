"""Points of a collection into a file: page by page in the order of ids, the next page asked for meanwhile.

What is written while an export runs may or may not be in it; every point that is there all the time is, once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from msgspec import Struct

from vecraft.client import Client, path_of
from vecraft.exchange.formats import Sink
from vecraft.exchange.journal import Journal, Progress
from vecraft.exchange.points import Point, PointId

SAVE_S = 2.0  # between two entries of the journal

Tell = Callable[[Progress], None]


class _Page(Struct):
    points: list[Point]
    next_page_offset: PointId | None = None


class Start(Struct, frozen=True):
    """Where an export goes on: what the sink keeps, the first id to ask for (None: the least)."""

    kept: dict[str, int] = {}
    offset: PointId | None = None


def start_of(done: Progress) -> Start:
    return msgspec.convert(done.detail, Start)


def export_points(
    client: Client,
    collection: str,
    sink: Sink,
    journal: Journal,
    *,
    done: Progress,
    batch: int,
    filter: dict[str, Any] | None,
    tell: Tell,
) -> Progress:
    """Write everything from ``done`` on, with the journal kept; returns how far it came: to the end.

    Raises: ClientError, CommandFailed.
    """
    saved_s = time.monotonic()
    journal.save(done)
    try:
        for page in _pages(client, collection, start_of(done).offset, batch, filter):
            sink.write(page.points)
            done = Progress(0, done.points + len(page.points))
            tell(done)
            if page.next_page_offset is not None and time.monotonic() - saved_s >= SAVE_S:
                _save(journal, sink, done, page.next_page_offset)
                saved_s = time.monotonic()
        sink.finish()
    except BaseException:
        sink.abandon()
        raise
    return done


def _save(journal: Journal, sink: Sink, done: Progress, offset: PointId) -> None:
    kept = sink.flush()
    if kept is not None:
        journal.save(Progress(0, done.points, msgspec.to_builtins(Start(kept, offset))))


def _pages(
    client: Client, collection: str, offset: PointId | None, size: int, filter: dict[str, Any] | None
) -> Iterator[_Page]:
    path = path_of("collections", collection, "points", "scroll")

    def ask(offset: PointId | None) -> _Page:
        body = {"limit": size, "offset": offset, "with_vector": True, "with_payload": True, "filter": filter}
        return client.call(
            "POST", path, _Page, {key: value for key, value in body.items() if value is not None}
        )

    with ThreadPoolExecutor(1, thread_name_prefix="export") as ahead:
        coming = ahead.submit(ask, offset)
        while True:
            page = coming.result()
            last = page.next_page_offset is None
            if not last:
                coming = ahead.submit(ask, page.next_page_offset)
            yield page
            if last:
                return
