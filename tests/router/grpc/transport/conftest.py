from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.router.grpc.transport.served import Served, serving


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as found:
        yield found
