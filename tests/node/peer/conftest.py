from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.node.peer.callers import Caller


@pytest.fixture
async def caller() -> AsyncIterator[Callable[..., Awaitable[Caller]]]:
    """Makes callers that serve, and know of each other."""
    callers: list[Caller] = []

    async def make(peer_id: int, **options: object) -> Caller:
        made = Caller(peer_id, **options)  # type: ignore[arg-type]
        await made.serve()
        for other in callers:
            other.knows(made)
            made.knows(other)
        callers.append(made)
        return made

    yield make
    for made in callers:
        await made.close()
