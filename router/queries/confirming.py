"""The condition of a token: that a point exists (reference 5.2, ``value_exists``)."""

from __future__ import annotations

from protos.errors import NotFound
from protos.shard import ScrollRequest
from router.auth.access import ValueExists, filter_of
from router.auth.errors import NotAuthenticated, TokenRefused
from router.auth.gate import Confirm
from router.queries.operations import SearchOperations
from router.queries.requests import ReadOptions


def confirming(searches: SearchOperations) -> Confirm:
    """Asks the collection, of every request anew."""

    async def confirm(wanted: ValueExists) -> None:
        asked = ScrollRequest(1, filter=filter_of(wanted.matches))
        try:
            page = await searches.scroll(wanted.collection, asked, ReadOptions())
        except NotFound as error:
            raise TokenRefused(error.message) from error
        if not page.records:
            raise NotAuthenticated("Invalid JWT: no point has the values of value_exists")

    return confirm
