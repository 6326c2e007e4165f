"""What is found out about one request on its way through the edge and its handler."""

from __future__ import annotations

from aiohttp import web
from msgspec import Struct

from protos.hardware import Bill
from router.points import WriteOptions
from router.rest.routes import Match


class RequestState(Struct):
    """``match`` None: no route matched. ``write``: of a request that writes points. ``bill``: of the
    hardware, if that is reported."""

    match: Match | None = None
    write: WriteOptions | None = None
    bill: Bill | None = None


STATE = web.RequestKey("state", RequestState)  # every request has one


class Request(web.Request):
    """A request whose path parameters are those of our own route table."""

    @property
    def match_info(self) -> dict[str, str]:  # type: ignore[override]  # aiohttp's hold its own route, too
        match = self[STATE].match
        assert match is not None, "only a route's handler asks"
        return match.params
