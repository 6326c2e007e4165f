"""Several ``vecraft serve`` processes, each on loopback or in a network namespace of its own.

::

    with Network(3) as network, Cluster(tmp_path, 3, network=network) as cluster:
        cluster[1].pause()
        network.partition([0], [1, 2])
        cluster.wait_for(lambda: ..., what="a new primary")

What a node is started with is the caller's business: ``arguments`` makes its command line from where it and
the first node are reached. ``alone`` starts unrelated nodes, ``joined`` a cluster.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from tests.live import LiveNode, free_port, wait_for
from tests_cluster.network import Network

LOG_TAIL = 10_000  # characters of each node's log that a failure shows

T = TypeVar("T")


@dataclass(frozen=True)
class Member:
    """Where a node is reached."""

    index: int
    host: str
    peer_port: int

    @property
    def peer_uri(self) -> str:
        return f"http://{self.host}:{self.peer_port}"


Arguments = Callable[[Member, Member], tuple[str, ...]]  # of a member, given the first one


def alone(member: Member, first: Member) -> tuple[str, ...]:
    """Every node is its own database."""
    return ()


def joined(member: Member, first: Member) -> tuple[str, ...]:
    """The first node founds a cluster, the others join it."""
    if member.index == first.index:
        return ("--uri", member.peer_uri)
    return ("--uri", member.peer_uri, "--bootstrap", first.peer_uri)


class ClusterNode(LiveNode):
    """A node that can also be frozen, as a machine that swaps or a long pause of its program would."""

    def __init__(self, member: Member, directory: Path, **parameters: object) -> None:
        super().__init__(directory, host=member.host, **parameters)  # type: ignore[arg-type]
        self.member = member

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


class Cluster:
    """``nodes`` running nodes as a context manager; a failure inside shows their logs.

    Args:
        network: where the nodes live; None: all on loopback, by ports.
        environment: further variables of every node.
    """

    def __init__(
        self,
        directory: Path,
        nodes: int,
        *,
        network: Network | None = None,
        arguments: Arguments = alone,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        assert network is None or len(network) >= nodes
        hosts = [network[index].address if network else "127.0.0.1" for index in range(nodes)]
        members = [Member(index, host, free_port()) for index, host in enumerate(hosts)]
        self._nodes = [
            ClusterNode(
                member,
                directory / f"node{member.index}",
                environment={**_ports(member), **(environment or {})},
                arguments=arguments(member, members[0]),
                prefix=network[member.index].prefix if network else (),
            )
            for member in members
        ]

    def __enter__(self) -> Cluster:
        with ExitStack() as cleanup:
            cleanup.callback(self._kill_all)
            self._start_all()
            cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill_all()
        if kind is not None:
            self._show_logs()

    def __getitem__(self, index: int) -> ClusterNode:
        return self._nodes[index]

    def __iter__(self) -> Iterator[ClusterNode]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self._nodes]

    def wait_for(self, condition: Callable[[], T], *, seconds: float = 30.0, what: str = "condition") -> T:
        """As ``tests.live.wait_for``, and no node that was running may end meanwhile."""
        running = [node for node in self._nodes if node.is_alive()]

        def met() -> T:
            for node in running:
                assert node.is_alive(), f"node {node.member.index} ended\n{node.log()[-LOG_TAIL:]}"
            return condition()

        return wait_for(met, seconds=seconds, what=what)

    def _start_all(self) -> None:
        """The first alone, since the others may join it; the others at once."""
        self._nodes[0].start()
        for node in self._nodes[1:]:
            node.launch()
        for node in self._nodes[1:]:
            node.wait_ready()

    def _kill_all(self) -> None:
        for node in self._nodes:
            node.kill()

    def _show_logs(self) -> None:
        for node in self._nodes:
            print(f"--- log of node {node.member.index} ({node.url})\n{node.log()[-LOG_TAIL:]}")


def _ports(member: Member) -> dict[str, str]:
    return {
        "VECRAFT__SERVICE__GRPC_PORT": str(free_port()),
        "VECRAFT__CLUSTER__P2P__PORT": str(member.peer_port),
    }
