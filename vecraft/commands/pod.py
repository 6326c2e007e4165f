"""A pod of Kubernetes: what it does before its node starts and before it stops. For the chart's manifests.

vecraft pod zone --write config/local.yaml
vecraft pod stop --within 3000

The pod is told who it is by the variables POD_NAME, POD_NAMESPACE and NODE_NAME.
"""

# ``stop`` must tell three ends of a pod apart by one look at its StatefulSet:
#   it comes back (an update, an eviction): ordinal < replicas. Nothing is moved: its volume waits for it.
#   all go (uninstalled, scaled to nothing): the set is being deleted, is gone, or wants none. Likewise.
#   it goes alone (scaled down): ordinal >= replicas. Its replicas are moved, then it leaves the cluster.
# What the set wants is asked of the API server, because a mounted file is brought up to date a minute later.

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from vecraft.asking import ClusterView, look, require
from vecraft.client import Client, path_of
from vecraft.commands.cluster.moving import may_hold
from vecraft.commands.options import connect, positive_seconds, server_options, subcommand
from vecraft.commands.output import note
from vecraft.exits import OK, CommandFailed
from vecraft.kubernetes import ACCOUNT, Api, NoAnswer, Pod, StatefulSet, this_pod

ZONE_LABEL = "topology.kubernetes.io/zone"
WITHIN_S = 3000.0
POLL_S = 1.0
# From when it is drained its connections end, idle ones after service.http_keep_alive_timeout_sec (5): a
# node that has left answers nothing more, so it leaves when there are none.
CONNECTIONS_S = 6.0


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    account = argparse.ArgumentParser(add_help=False)
    account.add_argument(
        "--account",
        type=Path,
        default=ACCOUNT,
        metavar="DIR",
        help="of the service account's token and ca.crt (%(default)s)",
    )
    server = server_options()
    stopped = subcommand(
        commands, "stop", _stop, "empty and remove this node if its pod is not to come back", server, account
    )
    stopped.add_argument(
        "--within",
        type=positive_seconds,
        default=WITHIN_S,
        metavar="SECONDS",
        help="give up emptying it (%(default)g)",
    )
    zoned = subcommand(
        commands, "zone", _zone, "write the zone of this pod's machine as configuration", account
    )
    zoned.add_argument("--label", default=ZONE_LABEL, metavar="NAME", help="of the machine (%(default)s)")
    zoned.add_argument("--write", type=Path, required=True, metavar="FILE", help="the configuration file")


def _zone(options: argparse.Namespace) -> int:
    """A machine without the label has no zone; that is no reason not to start."""
    pod = this_pod(os.environ)
    try:
        node = Api(os.environ, options.account).node(pod.node)
    except NoAnswer as error:
        raise CommandFailed(str(error)) from error
    zone = "" if node is None else node.metadata.labels.get(options.label, "")
    options.write.parent.mkdir(parents=True, exist_ok=True)
    options.write.write_text(yaml.safe_dump({"cluster": {"zone": zone}}), encoding="utf-8")
    note(f"zone of {pod.node}: {zone}" if zone else f"{pod.node} has no label {options.label}")
    return OK


def _stop(options: argparse.Namespace) -> int:
    pod, api = this_pod(os.environ), Api(os.environ, options.account)
    try:
        pod.ordinal  # noqa: B018 - raises unless this is a StatefulSet's pod
    except ValueError as error:
        raise CommandFailed(str(error)) from error

    def goes() -> bool:
        return goes_alone(pod, api.stateful_set(pod.namespace, pod.set_name))

    try:
        if not goes():
            note(f"{pod.name} stops with nothing moved")
            return OK
    except NoAnswer as error:
        raise CommandFailed(
            f"nothing is moved, since it is not known whether {pod.name} comes back: {error}"
        ) from error
    with connect(options) as client:
        return _leave(client, pod, goes, time.monotonic() + options.within)


def goes_alone(pod: Pod, owner: StatefulSet | None) -> bool:
    """Is the pod to go for good, while others of its StatefulSet stay?"""
    if owner is None or owner.metadata.deletion_timestamp is not None or owner.spec.replicas == 0:
        return False
    return pod.ordinal >= owner.spec.ordinals.start + owner.spec.replicas


def _leave(client: Client, pod: Pod, goes: Callable[[], bool], deadline_s: float) -> int:
    view = look(client)
    if view is None:
        return OK  # a node on its own
    peer_id = view.own.peer_id
    drained = any(member.draining for member in view.members if member.id == peer_id)
    drain = path_of("cluster", "peer", peer_id, "drain")
    client.call("PUT", drain, bool)
    note(f"{pod.name} is scaled away: peer {peer_id} is being emptied")
    quiet_s = time.monotonic() + CONNECTIONS_S
    emptied = False
    try:
        emptied = _empty(client, view, pod, goes, deadline_s)
    finally:
        if not emptied and not drained:  # it keeps what is left: if it comes back, it is a peer as before
            client.call("DELETE", drain, bool)
    if emptied:
        time.sleep(max(quiet_s - time.monotonic(), 0))
        client.call("DELETE", path_of("cluster", "peer", peer_id), bool)
        note(f"peer {peer_id} is empty and has left the cluster")
    return OK


def _empty(client: Client, view: ClusterView, pod: Pod, goes: Callable[[], bool], deadline_s: float) -> bool:
    """Wait until the controller has moved all replicas away. Returns: False if the pod is wanted again.

    Raises: CommandFailed if time is over, or nobody can take them.
    """
    peer_id = view.own.peer_id
    while left := _replicas_left(view, peer_id):
        if time.monotonic() > deadline_s:
            raise CommandFailed(f"peer {peer_id} still has {left} replicas; it stops with them")
        if not _still(goes):
            note(f"{pod.name} is wanted again: peer {peer_id} keeps {left} replicas")
            return False
        time.sleep(POLL_S)
        view = require(client)
    return True


def _replicas_left(view: ClusterView, peer_id: int) -> int:
    """Raises: CommandFailed if nobody can take them."""
    left = sum(member.replicas for member in view.members if member.id == peer_id)
    if left and not any(may_hold(view, member) for member in view.members):
        raise CommandFailed(f"no other peer can take the {left} replicas of peer {peer_id}")
    return left


def _still(goes: Callable[[], bool]) -> bool:
    """The set's word counts while it can be had."""
    try:
        return goes()
    except NoAnswer:
        return True
