"""The id of a request: the client's, if it can be used, else one of our own."""

from __future__ import annotations

import asyncio

import pytest

from protos.request_ids import LENGTH_MAX, REQUEST_ID, begin


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-request-id": "a b", "x-tracing-id": "c"}, "a b"),
        ({"x-tracing-id": "c", "traceparent": "d"}, "c"),
        ({"traceparent": "00-4bf9-00f0-01"}, "00-4bf9-00f0-01"),
        ({"x-request-id": "x" * 300}, "x" * LENGTH_MAX),
    ],
)
def test_the_clients_own_is_taken_from_the_first_header_that_has_one(
    headers: dict[str, str], expected: str
) -> None:
    assert begin(headers.get) == expected
    assert REQUEST_ID.get() == expected


@pytest.mark.parametrize("given", ["", "ä", "a\nb", "\x7f", b"bytes", None])
def test_what_no_header_could_carry_back_is_replaced(given: object) -> None:
    made = begin({"x-request-id": given}.get)
    assert made.isascii()
    assert made.isprintable()
    assert 8 < len(made) <= LENGTH_MAX


async def test_each_request_and_what_it_starts_has_its_own() -> None:
    async def request() -> tuple[str, str]:
        made = begin({}.get)
        await asyncio.sleep(0)
        return made, await asyncio.create_task(inner())

    async def inner() -> str:
        return REQUEST_ID.get()

    found = await asyncio.gather(*(request() for _ in range(10)))
    assert all(made == seen for made, seen in found)
    assert len({made for made, _ in found}) == 10
