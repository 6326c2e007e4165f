"""Backups of a whole cluster, as of one consistent cut; each brings only what is new.

vecraft backup create
vecraft backup restore 2026-11-29-10-00-00
vecraft backup prune --keep 7 --older-than 30d

They lie on the node that is asked, in `backups` below its snapshots; docs/BACKUP.md tells how they are copied
away and restored elsewhere. A node on its own has snapshots instead.
"""

from __future__ import annotations

import argparse
import time

from msgspec import Struct

from vecraft.client import path_of
from vecraft.commands.options import connect, duration_s, server_options, subcommand
from vecraft.commands.output import note, print_json, show, table
from vecraft.exits import MISUSED, OK, CommandFailed

TIMEOUT_S = 3600.0  # of what reads or writes all that a cluster holds


class ShardPosition(Struct, frozen=True):
    shard_id: int
    term: int
    seq: int
    points: int


class Backup(Struct, frozen=True):
    """``shards``: how far each goes, by collection."""

    name: str
    raft_index: int
    created_ms: int
    shards: dict[str, list[ShardPosition]]


class Pruned(Struct, frozen=True):
    removed: list[str]
    freed_bytes: int


class Backups(Struct, frozen=True):
    backups: list[str]


def configure(parser: argparse.ArgumentParser) -> None:
    server = server_options()
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    made = subcommand(commands, "create", _create, "back the whole cluster up", server)
    made.set_defaults(timeout=TIMEOUT_S)
    subcommand(commands, "list", _list, "show the backups on this node, oldest first", server)
    restored = subcommand(commands, "restore", _restore, "create all collections of a backup", server)
    restored.add_argument("name")
    restored.set_defaults(timeout=TIMEOUT_S)
    pruned = subcommand(commands, "prune", _prune, "remove old backups; the newest stays", server)
    pruned.add_argument(
        "--keep", type=int, metavar="N", help="so many stay, the newest (1); --older-than is of the others"
    )
    pruned.add_argument(
        "--older-than", type=duration_s, metavar="DURATION", help="only what is older than, say, 30d or 12h"
    )
    pruned.set_defaults(timeout=TIMEOUT_S)


def _create(options: argparse.Namespace) -> int:
    with connect(options) as client:
        made = client.call("POST", "/cluster/backups", Backup)
    if options.json:
        print_json(made)
        return OK
    rows = [(name, len(shards), sum(each.points for each in shards)) for name, shards in made.shards.items()]
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(made.created_ms / 1000))
    show(table(("collection", "shards", "points"), rows, title=f"{made.name}, as of {when}"))
    return OK


def _list(options: argparse.Namespace) -> int:
    with connect(options) as client:
        found = client.get("/cluster/backups", Backups).backups
    if options.json:
        print_json(found)
    else:
        print("\n".join(found))
    return OK


def _prune(options: argparse.Namespace) -> int:
    if options.keep is None and options.older_than is None:
        raise CommandFailed("--keep or --older-than is needed: which backups are old?", status=MISUSED)
    given = {"keep": options.keep, "older_than_sec": options.older_than}
    body = {name: value for name, value in given.items() if value is not None}
    with connect(options) as client:
        pruned = client.call("POST", "/cluster/backups/prune", Pruned, body)
    if options.json:
        print_json(pruned)
        return OK
    for name in pruned.removed:
        print(name)
    note(f"removed {len(pruned.removed)} backups; {pruned.freed_bytes} bytes are free again")
    return OK


def _restore(options: argparse.Namespace) -> int:
    with connect(options) as client:
        client.call("POST", path_of("cluster", "backups", options.name, "recover"), bool)
    print_json(True) if options.json else note(
        f"restored {options.name}; vecraft cluster rebalance spreads it"
    )
    return OK
