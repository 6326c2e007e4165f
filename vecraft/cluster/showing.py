"""What the launcher shows: a live table on a terminal, a line per change elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from vecraft.cluster.nodes import DEFAULT_PORT, Place
from vecraft.cluster.watching import ClusterStatus, CollectionStatus, NodeStatus

_NUMBERS = frozenset(
    {"port", "peer", "term", "commit", "peers", "replicas", "memory", "shards", "points", "transfers"}
)
_STYLES = {"ready": "green", "starting": "yellow", "silent": "yellow"}


def tables(status: ClusterStatus) -> Group:
    parts = [_nodes(status), _collections(status)] if status.collections_total else [_nodes(status)]
    return Group(*parts, Text("Ctrl-C ends all nodes", style="dim"))


def changes(before: ClusterStatus | None, after: ClusterStatus) -> list[str]:
    """What an onlooker should hear of; counters that grow all the time are not among it."""
    old_nodes = {node.name: _told_of_node(node) for node in before.nodes} if before else {}
    old = {each.name: _told_of_collection(each) for each in before.collections} if before else {}
    lines = [
        f"{node.name}: {told}"
        for node in after.nodes
        if (told := _told_of_node(node)) != old_nodes.get(node.name)
    ]
    now = {each.name: _told_of_collection(each) for each in after.collections}
    lines += [f"collection {name}: {told}" for name, told in now.items() if told != old.get(name)]
    return lines + [f"collection {name}: gone" for name in old if name not in now]


def welcome(places: list[Place]) -> str:
    first = places[0]
    urls = "\n".join(f"  {place.name}  {place.url}   log: {place.log_path}" for place in places)
    port = "" if first.http_port == DEFAULT_PORT else f" PORT={first.http_port}"
    return f"""The cluster is ready. Every node takes every request:

{urls}

  curl {first.url}/cluster
  make demo CLUSTER=1{port}     # real embeddings in 6 shards, each on two nodes, from another terminal
"""


def _told_of_node(node: NodeStatus) -> str:
    if node.peer_id is None:
        return node.condition
    leader = "no leader" if node.leader is None else f"leader {node.leader}"
    return f"{node.condition}, peer {node.peer_id} of {node.peers}, {node.role}, term {node.term}, {leader}"


def _told_of_collection(collection: CollectionStatus) -> str:
    moving = f", {collection.transfers} transfers" if collection.transfers else ""
    return f"{collection.shards} shards, replicas: {_counts(collection.replicas)}{moving}"


def _nodes(status: ClusterStatus) -> Table:
    table = _table(
        ("node", "port", "", "peer", "role", "term", "commit", "peers", "replicas", "memory"),
        title=headline(status),
        title_justify="left",
        title_style="bold",
    )
    for node in status.nodes:
        told = (node.peer_id, node.role, node.term, node.commit, node.peers, node.shards)
        table.add_row(
            node.name,
            node.url.rpartition(":")[2],
            Text(node.condition, style=_STYLES.get(node.condition, "red")),
            *map(_shown, told),
            "" if node.memory_bytes is None else f"{node.memory_bytes / 2**20:,.0f} MiB",
        )
    return table


def headline(status: ClusterStatus) -> str:
    """Who leads, by the nodes' names. Several are shown while some have not heard of the latest."""
    names = {node.peer_id: node.name for node in status.nodes}
    leaders = sorted(names.get(leader, str(leader)) for leader in status.leaders)
    return f"{len(status.nodes)} nodes, " + (f"{' or '.join(leaders)} leads" if leaders else "no leader")


def _collections(status: ClusterStatus) -> Table:
    hidden = status.collections_total - len(status.collections)
    caption = f"and {hidden} more" if hidden > 0 else None
    columns = ("collection", "shards", "replica states", "points", "transfers")
    table = _table(columns, caption=caption, caption_justify="left")
    for found in status.collections:
        whole = set(found.replicas) <= {"Active"}
        states = Text(_counts(found.replicas), style="green" if whole else "yellow")
        table.add_row(
            found.name, str(found.shards), states, f"{found.points:,}", _shown(found.transfers or None)
        )
    return table


def _table(columns: tuple[str, ...], **options: Any) -> Table:
    table = Table(box=box.SIMPLE_HEAD, **options)
    for column in columns:
        table.add_column(column, justify="right" if column in _NUMBERS else "left", no_wrap=True)
    return table


def _counts(replicas: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in replicas.items()) or "none"


def _shown(value: object) -> str:
    return "" if value is None else str(value)
