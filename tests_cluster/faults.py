"""What happens to nodes: killed, stopped, frozen, cut off, made deaf or mute; and undone again.

Lives here: faults as values, so that tests and the long form (``make faults``) share them. May not live here:
what must hold all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests_cluster.cluster import Cluster, ClusterNode
from tests_cluster.network import Network

Act = Callable[[Cluster, ClusterNode], None]


@dataclass(frozen=True)
class Fault:
    """``begin`` returns when it has happened; ``end`` when its cause is gone, recovering takes longer."""

    name: str
    begin: Act
    end: Act

    def __str__(self) -> str:
        return self.name


def _network(cluster: Cluster) -> Network:
    assert cluster.network is not None, "only nodes in namespaces can be cut off"
    return cluster.network


def _others(cluster: Cluster, node: ClusterNode) -> list[int]:
    return [other.member.index for other in cluster if other is not node]


def _kill(_: Cluster, node: ClusterNode) -> None:
    node.kill()


def _stop(_: Cluster, node: ClusterNode) -> None:
    node.stop()


def _launch(_: Cluster, node: ClusterNode) -> None:
    node.launch()


def _pause(_: Cluster, node: ClusterNode) -> None:
    node.pause()


def _resume(_: Cluster, node: ClusterNode) -> None:
    node.resume()


def _isolate(cluster: Cluster, node: ClusterNode) -> None:
    _network(cluster).partition([node.member.index], _others(cluster, node))


def _mute(cluster: Cluster, node: ClusterNode) -> None:
    for other in _others(cluster, node):
        _network(cluster).cut(node.member.index, other)


def _deafen(cluster: Cluster, node: ClusterNode) -> None:
    for other in _others(cluster, node):
        _network(cluster).cut(other, node.member.index)


def _heal(cluster: Cluster, _: ClusterNode) -> None:
    _network(cluster).heal()


def restore(cluster: Cluster) -> None:
    """Undo whatever is left of any fault."""
    if cluster.network is not None:
        cluster.network.heal()
    for node in cluster:
        if node.is_alive() and node.paused:
            node.resume()
        if not node.is_alive():
            node.launch()


KILL = Fault("kill -9", _kill, _launch)
STOP = Fault("SIGTERM", _stop, _launch)
PAUSE = Fault("SIGSTOP", _pause, _resume)
CUT = Fault("cut off", _isolate, _heal)  # the clients still reach it
MUTE = Fault("mute", _mute, _heal)  # it hears the others, and none hears it
DEAF = Fault("deaf", _deafen, _heal)
ALL = (KILL, STOP, PAUSE, CUT, MUTE, DEAF)
