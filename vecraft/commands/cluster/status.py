"""``vecraft cluster status``: once, or again and again."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from vecraft.asking import ClusterView, Collection, Member, look
from vecraft.client import Client, ClientError
from vecraft.commands.options import connect
from vecraft.commands.output import console, print_json, show, table
from vecraft.exits import OK

_PEERS = ("peer", "uri", "zone", "version", "role", "condition", "replicas", "primaries", "commit")
_COLLECTIONS = ("collection", "shards", "replica states", "points", "transfers")
_TRANSFERS = ("collection", "shard", "from", "to", "method", "")
_BAD, _DOUBTFUL, _GOOD = "red", "yellow", "green"


def run(options: argparse.Namespace) -> int:
    with connect(options) as client:
        if options.watch is not None:
            return _watch(client, options.watch, as_json=options.json)
        view = look(client)
    print_json(as_object(view)) if options.json else show(pictured(view))
    return OK


def _watch(client: Client, interval_s: float, *, as_json: bool) -> int:
    """Until Ctrl-C, which ends it well. A server that does not answer is waited for."""
    try:
        if as_json or not sys.stdout.isatty():
            while True:
                _print_once(client, as_json=as_json)
                time.sleep(interval_s)
        with Live(console=console(), screen=True, auto_refresh=False) as live:
            while True:
                live.update(_pictured_or_error(client), refresh=True)
                time.sleep(interval_s)
    except KeyboardInterrupt:
        return OK


def _print_once(client: Client, *, as_json: bool) -> None:
    if not as_json:
        show(_pictured_or_error(client))
        return
    try:
        print_json(as_object(look(client)))
    except ClientError as error:
        print_json({"error": str(error)})
    sys.stdout.flush()


def _pictured_or_error(client: Client) -> RenderableType:
    try:
        return pictured(look(client))
    except ClientError as error:
        return Text(str(error), style=_BAD)


def as_object(view: ClusterView | None) -> dict[str, Any]:
    """For scripts: what the server said, arranged by peers and collections."""
    if view is None:
        return {"status": "disabled"}
    raft = view.own.raft_info
    return {
        "status": "enabled",
        "asked_peer": view.own.peer_id,
        "leader": raft.leader,
        "term": raft.term,
        "peers": [
            {
                "id": member.id,
                "uri": member.uri,
                "zone": member.zone,
                "version": member.version,
                "node_type": member.node_type,
                "draining": member.draining,
                "responsive": view.answering(member.id).responsive,
                "replicas": member.replicas,
                "primaries": member.primaries,
            }
            for member in view.members
        ],
        "collections": {
            name: {
                "points": collection.points(),
                "shards": {
                    str(shard.id): {str(each.peer_id): each.state for each in shard.replicas}
                    for shard in collection.shards
                },
                "transfers": collection.shard_transfers,
            }
            for name, collection in view.telemetry.collections.items()
        },
    }


def pictured(view: ClusterView | None) -> RenderableType:
    if view is None:
        return Text("a node on its own: cluster.enabled is false")
    collections = view.telemetry.collections
    parts: list[RenderableType] = [
        table(_PEERS, [_peer(view, member) for member in view.members], title=_headline(view))
    ]
    if collections:
        parts.append(table(_COLLECTIONS, [_collection(found) for found in collections.values()]))
    transfers = [
        (name, str(each.shard_id), str(each.source), str(each.target), each.method, each.comment)
        for name, found in collections.items()
        for each in found.shard_transfers
    ]
    if transfers:
        parts.append(table(_TRANSFERS, transfers))
    return Group(*parts)


def _headline(view: ClusterView) -> str:
    raft = view.own.raft_info
    leader = "no leader" if raft.leader is None else f"leader {raft.leader}"
    return f"{len(view.members)} peers, {leader}, term {raft.term}"


def _peer(view: ClusterView, member: Member) -> tuple[str | int | Text | None, ...]:
    details = view.answering(member.id).details
    return (
        str(member.id),
        member.uri,
        member.zone,
        member.version,
        details.role if details else None,
        _condition(view, member),
        member.replicas,
        member.primaries,
        str(details.commit) if details else None,
    )


def _condition(view: ClusterView, member: Member) -> Text:
    found = view.answering(member.id)
    if not found.responsive or found.details is None:
        return Text("silent", style=_BAD)
    thread = found.details.consensus_thread_status
    if thread.consensus_thread_status != "working":
        return Text(f"consensus {thread.consensus_thread_status}", style=_BAD)
    if member.draining:
        return Text("draining" if member.replicas else "drained", style=_DOUBTFUL)
    return Text("listening" if member.node_type == "Listener" else "ready", style=_GOOD)


def _collection(collection: Collection) -> tuple[str | int | Text | None, ...]:
    states = collection.states()
    told = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none"
    whole = set(states) <= {"Active", "Listener"}
    return (
        collection.id,
        len(collection.shards),
        Text(told, style=_GOOD if whole else _DOUBTFUL),
        collection.points(),
        len(collection.shard_transfers) or None,
    )
