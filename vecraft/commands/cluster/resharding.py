"""``vecraft cluster reshard``: asked of the server, then waited for. Interrupting the wait undoes nothing."""

from __future__ import annotations

import argparse
from typing import Any

from msgspec import Struct

from vecraft.client import Client, path_of
from vecraft.commands.cluster.moving import wait_until
from vecraft.commands.options import connect
from vecraft.commands.output import note, print_json
from vecraft.exits import OK, CommandFailed


class _Transfer(Struct):
    shard_id: int
    to_shard_id: int | None = None
    comment: str | None = None


class _Operation(Struct):
    direction: str
    shard_id: int


class _Placed(Struct):
    """Of a collection's cluster information."""

    shard_count: int
    shard_transfers: list[_Transfer] = []
    resharding_operations: list[_Operation] | None = None


def reshard(options: argparse.Namespace) -> int:
    with connect(options) as client:
        before = _placed(client, options.collection).shard_count
        if options.step == "abort":
            _ask(client, options.collection, abort_resharding={})
            said = "is aborted"
        else:
            given = {"shard_key": _key(options.key), "peer_id": options.peer}
            chosen = {name: value for name, value in given.items() if value is not None}
            _ask(client, options.collection, start_resharding={"direction": options.step, **chosen})
            said = "has begun"
            if not options.no_wait:
                shards = _wait_done(client, options.collection)
                if shards != before + (1 if options.step == "up" else -1):
                    raise CommandFailed(f"the resharding of {options.collection} was aborted meanwhile")
                said = f"is done: {shards} shards"
    print_json(True) if options.json else note(f"resharding of {options.collection} {said}")
    return OK


def _ask(client: Client, collection: str, **operation: Any) -> None:
    client.call("POST", path_of("collections", collection, "cluster"), bool, operation)


def _placed(client: Client, collection: str) -> _Placed:
    return client.call("GET", path_of("collections", collection, "cluster"), _Placed)


def _key(text: str | None) -> str | int | None:
    """Keys of digits are numbers."""
    return int(text) if text is not None and text.isdigit() else text


def _wait_done(client: Client, collection: str) -> int:
    """Returns: how many shards there are then."""

    def left() -> str | None:
        found = _placed(client, collection)
        if not found.resharding_operations:
            return None
        moving = [
            f"{each.shard_id} -> {each.to_shard_id}: {each.comment or 'copying'}"
            for each in found.shard_transfers
            if each.to_shard_id is not None
        ]
        return "; ".join(moving) or "the new owners take over"

    wait_until(collection, left)
    return _placed(client, collection).shard_count
