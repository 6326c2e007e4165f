"""``vecraft cluster move``, ``drain``, ``rebalance`` and ``remove``: asked of the server, then waited for.

Interrupting the wait undoes nothing: a move that has begun goes on, and a peer goes on being drained.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from vecraft.asking import ClusterView, Collection, Member, require
from vecraft.client import Client, path_of
from vecraft.commands.cluster.rebalancing import Move, Placed, Seat, plan
from vecraft.commands.options import connect
from vecraft.commands.output import note, print_json, show, table
from vecraft.exits import OK, CommandFailed

POLL_S = 0.3
_MOVE_COLUMNS = ("collection", "shard", "from", "to")


def move(options: argparse.Namespace) -> int:
    asked = Move(options.collection, options.shard, options.source, options.target)
    with connect(options) as client:
        _start(client, asked, options.method)
        if not options.no_wait:
            _wait_moved(client, asked)
    _done(options, "moving" if options.no_wait else "moved", [asked])
    return OK


def rebalance(options: argparse.Namespace) -> int:
    with connect(options) as client:
        moves = planned(require(client), options.collection)
        for each in () if options.dry_run else moves:
            _start(client, each, None)
            _wait_moved(client, each)
    _done(options, "planned" if options.dry_run else "moved", moves)
    return OK


def drain(options: argparse.Namespace) -> int:
    path = path_of("cluster", "peer", options.peer, "drain")
    with connect(options) as client:
        client.call("DELETE" if options.undo else "PUT", path, bool)
        if not (options.undo or options.no_wait):
            _wait_drained(client, options.peer)
    state = "holds replicas again" if options.undo else "is being drained" if options.no_wait else "is empty"
    print_json(True) if options.json else note(f"peer {options.peer} {state}")
    return OK


def remove(options: argparse.Namespace) -> int:
    path = path_of("cluster", "peer", options.peer)
    with connect(options) as client:
        client.call("DELETE", path, bool, force=options.force or None)
    print_json(True) if options.json else note(f"peer {options.peer} is removed")
    return OK


def planned(view: ClusterView, only: list[str] | None = None) -> list[Move]:
    """Moves between peers that answer, are no listeners and are not drained.

    Raises: CommandFailed if a collection is unknown.
    """
    collections = view.telemetry.collections
    unknown = sorted(set(only or ()) - collections.keys())
    if unknown:
        raise CommandFailed(f"there is no collection {', '.join(unknown)}")
    seats = [Seat(member.id, member.zone) for member in view.members if may_hold(view, member)]
    shards = [
        placed for name, found in collections.items() for placed in _placed(found) if not only or name in only
    ]
    return plan(seats, shards)


def may_hold(view: ClusterView, member: Member) -> bool:
    answers = view.answering(member.id).responsive
    return answers and not member.draining and member.node_type != "Listener"


def _placed(collection: Collection) -> list[Placed]:
    moving = {transfer.shard_id for transfer in collection.shard_transfers}
    return [
        Placed(
            collection.id,
            shard.id,
            holders=frozenset(each.peer_id for each in shard.replicas),
            movable=frozenset(
                each.peer_id for each in shard.replicas if each.state == "Active" and shard.id not in moving
            ),
            points=max((each.num_points or 0 for each in shard.replicas), default=0),
        )
        for shard in collection.shards
    ]


def _start(client: Client, asked: Move, method: str | None) -> None:
    ends = {"shard_id": asked.shard, "from_peer_id": asked.source, "to_peer_id": asked.target}
    body = {"move_shard": ends if method is None else {**ends, "method": method}}
    client.call("POST", path_of("collections", asked.collection, "cluster"), bool, body)


def _wait_moved(client: Client, asked: Move) -> None:
    """Raises: CommandFailed if the replica did not get there."""

    def arrived() -> str | None:
        found = require(client).telemetry.collections.get(asked.collection)
        shards = [] if found is None else [shard for shard in found.shards if shard.id == asked.shard]
        if found is None or not shards:
            raise CommandFailed(f"{asked.collection}, shard {asked.shard} is gone")
        states = {each.peer_id: each.state for each in shards[0].replicas}
        for transfer in found.shard_transfers:
            if (transfer.shard_id, transfer.target) == (asked.shard, asked.target):
                return transfer.comment or "waiting"
        if states.get(asked.target) not in ("Active", "Listener"):
            raise CommandFailed(
                f"{asked.collection}, shard {asked.shard} did not get to peer {asked.target};"
                " the log of that peer or of its source says why"
            )
        return None if asked.source not in states else "the source's replica goes"

    wait_until(f"{asked.collection}, shard {asked.shard}, {asked.source} -> {asked.target}", arrived)


def _wait_drained(client: Client, peer_id: int) -> None:
    """Raises: CommandFailed if nothing can take the replicas."""

    def emptied() -> str | None:
        view = require(client)
        (found,) = [member for member in view.members if member.id == peer_id]
        if not found.draining:
            raise CommandFailed(f"draining peer {peer_id} was called off meanwhile")
        if found.replicas and not any(may_hold(view, member) for member in view.members):
            raise CommandFailed(f"no other peer can take the replicas of peer {peer_id}; add one")
        return f"{found.replicas} replicas left" if found.replicas else None

    wait_until(f"peer {peer_id}", emptied)


def wait_until(what: str, left: Callable[[], str | None]) -> None:
    """Until ``left`` returns None; what it returns before is told at a terminal, once each."""
    told = None
    while (now := left()) is not None:
        if now != told and sys.stderr.isatty():
            note(f"{what}: {now}")
        told = now
        time.sleep(POLL_S)


def _done(options: argparse.Namespace, verb: str, moves: list[Move]) -> None:
    if options.json:
        print_json({"state": verb, "moves": moves})
    elif not moves:
        note("nothing to move")
    else:
        rows = [(each.collection, str(each.shard), str(each.source), str(each.target)) for each in moves]
        show(table(_MOVE_COLUMNS, rows, title=verb))
