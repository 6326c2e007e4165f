"""Methods that the API has and this version has not; one by one they leave for a topic's module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from google.protobuf.message import Message

from router.grpc.methods import Call, Handler
from router.vectors import not_supported

SNAPSHOTS_LATER: Mapping[str, str] = dict.fromkeys(
    ("Create", "List", "Delete", "CreateFull", "ListFull", "DeleteFull"), "Snapshots are"
)


def refusing(methods: Mapping[str, str]) -> Mapping[str, Handler]:
    """Handlers that answer UNIMPLEMENTED; ``methods``: what each would need, as in ``not_supported``."""
    return {name: _refusal(what) for name, what in methods.items()}


def _refusal(what: str) -> Handler:
    async def refuse(_request: Message, _call: Call) -> NoReturn:
        raise not_supported(what)

    return refuse
