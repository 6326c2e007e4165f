"""A cluster: its peers and replicas, moving and spreading replicas, emptying a peer before it goes.

vecraft cluster status --watch
vecraft cluster drain 4242 && vecraft cluster remove 4242
vecraft cluster rebalance --dry-run
vecraft cluster reshard wordnet up
"""

# Lives here: ``asking`` reads the cluster, ``status`` shows it, ``rebalancing`` is the pure plan of moves,
# ``moving`` asks the server for them and waits, ``resharding`` likewise for more or fewer shards.

from __future__ import annotations

import argparse

from vecraft.commands.cluster import moving, resharding, status
from vecraft.commands.options import positive_seconds, server_options, subcommand, unsigned_number

METHODS = ("snapshot", "stream_records", "wal_delta")


def configure(parser: argparse.ArgumentParser) -> None:
    server = server_options()
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    shown = subcommand(commands, "status", status.run, "show peers, replicas and transfers", server)
    shown.add_argument(
        "--watch",
        nargs="?",
        type=positive_seconds,
        const=1.0,
        metavar="SECONDS",
        help="again and again until Ctrl-C (every second); with --json one line each time",
    )
    moved = subcommand(commands, "move", moving.move, "move one replica from a peer to another", server)
    moved.add_argument("collection")
    moved.add_argument("shard", type=unsigned_number)
    moved.add_argument("--from", dest="source", type=unsigned_number, required=True, metavar="PEER")
    moved.add_argument("--to", dest="target", type=unsigned_number, required=True, metavar="PEER")
    moved.add_argument("--method", choices=METHODS, help="how (as configured)")
    _add_no_wait(moved)
    drained = subcommand(commands, "drain", moving.drain, "move all replicas of a peer to others", server)
    drained.add_argument("peer", type=unsigned_number)
    drained.add_argument("--undo", action="store_true", help="let it hold replicas again")
    _add_no_wait(drained)
    spread = subcommand(
        commands, "rebalance", moving.rebalance, "move replicas until peers hold equally many", server
    )
    spread.add_argument("--dry-run", action="store_true", help="only show the moves")
    spread.add_argument("--collection", action="append", metavar="NAME", help="only this one; repeatable")
    resharded = subcommand(
        commands, "reshard", resharding.reshard, "give a collection a shard more, or one less", server
    )
    resharded.add_argument("collection")
    resharded.add_argument("step", choices=("up", "down", "abort"))
    resharded.add_argument("--key", help="the shard key, of a collection that has them")
    resharded.add_argument("--peer", type=unsigned_number, help="that holds the new shard (the least loaded)")
    _add_no_wait(resharded)
    removed = subcommand(commands, "remove", moving.remove, "take a peer out of the cluster", server)
    removed.add_argument("peer", type=unsigned_number)
    removed.add_argument(
        "--force", action="store_true", help="with its replicas, even the last ones of a shard"
    )


def _add_no_wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-wait", action="store_true", help="return when it is agreed on, not when it is done"
    )
