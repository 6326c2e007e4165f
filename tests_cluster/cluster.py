"""Several ``vecraft serve`` processes, each on loopback or in a network namespace of its own.

::

    with Network(3) as network, clustered(tmp_path, 3, network=network) as cluster:
        cluster[1].pause()
        network.partition([0], [1, 2])
        cluster.wait_for(lambda: ..., what="a new primary")

What a node is started with is the caller's business: ``arguments`` makes its command line from where it and
the first node are reached. ``alone`` starts unrelated nodes, ``joined`` a cluster, which ``clustered`` puts
together. What its nodes say of themselves is ``tests_cluster.view``'s business.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from tests.live import THIS, LiveNode, Program, wait_for
from tests.ports import free_port
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
        self.paused = False

    @property
    def runs(self) -> bool:
        """It is there and not frozen."""
        return self.is_alive() and not self.paused

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        self._signal(signal.SIGCONT)
        self.paused = False

    def kill(self) -> None:
        super().kill()
        self.paused = False

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


class Cluster:
    """``nodes`` running nodes as a context manager; a failure inside shows their logs.

    Args:
        network: where the nodes live; None: all on loopback, by ports.
        environment: further variables of every node.
        program: the code that nodes are made with.
    """

    def __init__(
        self,
        directory: Path,
        nodes: int,
        *,
        network: Network | None = None,
        arguments: Arguments = alone,
        environment: Mapping[str, str] | None = None,
        program: Program = THIS,
    ) -> None:
        self.network, self._program = network, program
        self._directory = directory
        self._arguments = arguments
        self._environment = dict(environment or {})
        self._nodes: list[ClusterNode] = []
        for _ in range(nodes):
            self.add()

    def add(self, *, environment: Mapping[str, str] | None = None) -> ClusterNode:
        """One node more, not started yet. ``environment``: its own variables, which win."""
        index, network = len(self._nodes), self.network
        assert network is None or len(network) > index
        host = network[index].address if network else "127.0.0.1"
        member = Member(index, host, free_port())
        first = self._nodes[0].member if self._nodes else member
        node = ClusterNode(
            member,
            self._directory / f"node{index}",
            environment={**_ports(member), **self._environment, **(environment or {})},
            arguments=self._arguments(member, first),
            prefix=network[index].prefix if network else (),
            program=self._program,
        )
        self._nodes.append(node)
        return node

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


def clustered(
    directory: Path,
    nodes: int,
    *,
    network: Network | None = None,
    environment: Mapping[str, str] | None = None,
    program: Program = THIS,
) -> Cluster:
    """Nodes of one cluster; ``environment`` without the prefix and with these defaults."""
    settings = {
        "CLUSTER__ENABLED": "true",
        "CLUSTER__CONSENSUS__BOOTSTRAP_TIMEOUT_SEC": "60",  # the nodes share the cores as they start
        "LOG_LEVEL": "info",
        **(environment or {}),
    }
    variables = {f"VECRAFT__{name}": value for name, value in settings.items()}
    return Cluster(
        directory, nodes, network=network, arguments=joined, environment=variables, program=program
    )


def _ports(member: Member) -> dict[str, str]:
    return {"VECRAFT__CLUSTER__P2P__PORT": str(member.peer_port)}
