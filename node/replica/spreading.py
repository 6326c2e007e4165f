"""A batch of searches in parts, so that every worker takes some of it.

Lives here: how a batch is cut and how its parts take turns. May not live here: what a search does.

Never more parts are queued than there are workers: whoever comes meanwhile waits for one part, not for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from node.query import Known
from node.replica.view import View
from protos.shard import Hits, SearchRequest

# Searches in a part: fewer would cost too many hops, more would make others wait too long.
_PART_MIN, _PART_MAX = 8, 32

Read = Callable[[View, list[SearchRequest], Known | None], Awaitable[list[Hits]]]


async def search_in_parts(
    read: Read, view: View, requests: list[SearchRequest], *, workers: int
) -> list[Hits]:
    """Answer each request, in order; ``read`` answers some of them in a worker.

    Raises: what ``read`` raises; then what is not begun yet never is.
    """
    if len(requests) <= _PART_MIN or workers == 1:
        return await read(view, requests, None)
    parts = _parts(requests, workers)
    answers: list[list[Hits]] = [[] for _ in parts]
    known: Known = {}
    waiting = iter(enumerate(parts))

    async def lane() -> None:
        for i, part in waiting:
            answers[i] = await read(view, part, known)

    lanes = [asyncio.create_task(lane()) for _ in range(min(workers, len(parts)))]
    try:
        await asyncio.gather(*lanes)
    finally:
        for each in lanes:
            each.cancel()
    return [hits for answer in answers for hits in answer]


def _parts(requests: list[SearchRequest], workers: int) -> Sequence[list[SearchRequest]]:
    """As many for each worker: of a hundred searches, two would do 64 and 36 of them by parts of 32."""
    turns = -(-len(requests) // (workers * _PART_MAX))
    size = max(-(-len(requests) // (workers * turns)), _PART_MIN)
    return [requests[at : at + size] for at in range(0, len(requests), size)]
