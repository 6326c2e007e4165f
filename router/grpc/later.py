"""Methods that the API has and this version has not; one by one they leave for a topic's module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from google.protobuf.message import Message

from router.auth.needs import Need
from router.grpc.methods import Call, Handler, Methods, Served
from router.vectors import not_supported

SNAPSHOTS_LATER: Mapping[str, tuple[Need, str]] = {
    "Create": (Need.WRITE_EXTRAS_OF_COLLECTION, "Snapshots are"),
    "List": (Need.READ_EXTRAS_OF_COLLECTION, "Snapshots are"),
    "Delete": (Need.WRITE_EXTRAS_OF_COLLECTION, "Snapshots are"),
    "CreateFull": (Need.GLOBAL_MANAGE, "Snapshots are"),
    "ListFull": (Need.GLOBAL_READ, "Snapshots are"),
    "DeleteFull": (Need.GLOBAL_MANAGE, "Snapshots are"),
}


def refusing(methods: Mapping[str, tuple[Need, str]]) -> Methods:
    """Handlers that answer UNIMPLEMENTED; ``methods``: what each would need, of callers and as in
    ``not_supported``."""
    return {name: Served(needs, _refusal(what)) for name, (needs, what) in methods.items()}


def _refusal(what: str) -> Handler:
    async def refuse(_request: Message, _call: Call) -> NoReturn:
        raise not_supported(what)

    return refuse
