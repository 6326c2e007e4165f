"""A network of one's own for each node: namespaces on one switch, that can be cut, healed and slowed.

::

    with Network(nodes=3) as network:
        Popen(network[0].command(["vecraft", "serve"]))
        network.cut(0, 1)                         # packets of node 0 no longer reach node 1
        network.partition([0], [1, 2])            # no packets between the groups, both ways
        network.heal()
        network[2].slow(kbit_per_s=500)

A node is a namespace with one interface, a veth pair to a bridge that lives in a namespace of its own;
this machine is plugged into the same bridge, so a test reaches every node by its address, also a cut
one. A cut drops packets where they arrive (nftables): the sender gets no error, as with a broken cable.

Everything hangs on the namespaces, which are removed at the end, whatever happened. Their names carry this
process's id: those of processes that were killed are removed by the next network.

Needs root, and the programs of the Debian packages iproute2 and nftables.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import itertools
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from tests.claims import claimed
from tests.live import wait_for

PACKAGES = {"ip": "iproute2", "tc": "iproute2", "nft": "nftables"}
PREFIX = "vecraft"
# For benchmarks of networks (RFC 2544): never routed, so in nobody's way.
RANGE = ipaddress.IPv4Network("198.18.0.0/15")
NODES_MAX = 200
UP_S_MAX = 10.0
HOST = 254  # this machine's last octet
CLONE_NEWNET = 0x40000000
_LOCKS = Path(tempfile.gettempdir()) / "vecraft-subnets.lock"
_TABLE = "vecraft"
_HOSTS = Path("/etc/netns")
_NAME = re.compile(rf"^{PREFIX}-(\d+)-\d+-\w+$")
_numbers = itertools.count()


class NetworkUnavailable(Exception):
    """This machine cannot do it; the text says what to install or change."""


class NetworkNode:
    """One namespace; ``address`` is what the other nodes and this machine reach it by."""

    def __init__(self, namespace: str, address: str) -> None:
        self.namespace = namespace
        self.address = address

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The arguments of a process that runs ``arguments`` here, under the process id it is given."""
        return [*self.prefix, *arguments]

    @property
    def prefix(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.namespace)

    @property
    def hosts(self) -> Path:
        """What `ip netns exec` puts in the place of /etc/hosts, if it is there when a process begins."""
        return _HOSTS / self.namespace / "hosts"

    @contextlib.contextmanager
    def own_hosts(self) -> Iterator[None]:
        """Processes that begin in the block find names in ``hosts``, which may be written anew in place."""
        self.hosts.parent.mkdir(parents=True, exist_ok=True)
        self.hosts.write_text("127.0.0.1 localhost\n")
        try:
            yield
        finally:
            shutil.rmtree(self.hosts.parent, ignore_errors=True)

    def socket(self, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
        """A socket of this process that lives on the node."""
        # A thread of its own enters the namespace and ends; the socket stays where it was made.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(_socket_in, self.namespace, kind).result()

    def slow(self, *, kbit_per_s: int) -> None:
        """Limit what the node can send. Packets queue; those that would wait longer than a second go."""
        _run(
            *("tc", "-n", self.namespace, "qdisc", "replace", "dev", "eth0", "root"),
            *("tbf", "rate", f"{kbit_per_s}kbit", "burst", "16kb", "latency", "1s"),
        )

    def full_speed(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):  # it was not slowed
            _run("tc", "-n", self.namespace, "qdisc", "del", "dev", "eth0", "root")


class Network:
    """``nodes`` nodes on a switch, as a context manager."""

    def __init__(self, nodes: int) -> None:
        assert 0 < nodes <= NODES_MAX
        self.host_address = ""
        self._size = nodes
        self._nodes: list[NetworkNode] = []
        self._name = f"{PREFIX}-{os.getpid()}-{next(_numbers)}"
        self._cleanup = ExitStack()

    def __enter__(self) -> Network:
        require_tools()
        remove_leftovers()
        with ExitStack() as cleanup:
            self._build(cleanup)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()
        self._nodes.clear()

    def __getitem__(self, index: int) -> NetworkNode:
        return self._nodes[index]

    def __iter__(self) -> Iterator[NetworkNode]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    # --- faults ------------------------------------------------------------------------------------------

    def cut(self, source: int, target: int) -> None:
        """Packets of ``source`` no longer reach ``target``; the other way is as it was."""
        target_node, source_node = self._nodes[target], self._nodes[source]
        _nft(target_node, f"add element inet {_TABLE} cut {{ {source_node.address} }}")

    def cut_host(self, target: int) -> None:
        """Packets of this machine no longer reach ``target``."""
        _nft(self._nodes[target], f"add element inet {_TABLE} cut {{ {self.host_address} }}")

    def cut_both_ways(self, first: int, second: int) -> None:
        self.cut(first, second)
        self.cut(second, first)

    def partition(self, *groups: Iterable[int]) -> None:
        """Cut every pair of nodes that are in different groups; within a group all is as it was."""
        for first, second in itertools.combinations([list(group) for group in groups], 2):
            for pair in itertools.product(first, second):
                self.cut_both_ways(*pair)

    def isolate(self, index: int) -> None:
        self.partition([index], (other for other in range(len(self)) if other != index))

    def heal(self) -> None:
        """Undo every cut; slow links stay slow."""
        for node in self._nodes:
            _nft(node, f"flush set inet {_TABLE} cut")

    @contextlib.contextmanager
    def partitioned(self, *groups: Iterable[int]) -> Iterator[None]:
        self.partition(*groups)
        try:
            yield
        finally:
            self.heal()

    # --- building ----------------------------------------------------------------------------------------

    def _build(self, cleanup: ExitStack) -> None:
        switch = f"{self._name}-switch"
        self._add_namespace(switch, cleanup)
        _run("ip", "-n", switch, "link", "add", "bridge", "type", "bridge", "forward_delay", "0")
        _run("ip", "-n", switch, "link", "set", "bridge", "up")
        subnet = self._plug_host_in(switch, cleanup)
        for index in range(self._size):
            self._add_node(switch, index, subnet, cleanup)
        wait_for(lambda: self._carries(switch), seconds=UP_S_MAX, what=f"the links of {self._name}")

    def _carries(self, switch: str) -> bool:
        """Does every link take packets? The kernel says so some time after both ends of it are up."""
        ports = _run("ip", "-n", switch, "-d", "-o", "link").count("bridge_slave state forwarding")
        return ports == self._size + 1 and all(
            " state UP " in _run("ip", "-n", node.namespace, "-o", "link", "show", "eth0") for node in self
        )

    def _add_namespace(self, name: str, cleanup: ExitStack) -> None:
        _run("ip", "netns", "add", name)
        cleanup.callback(_run, "ip", "netns", "del", name)
        _run("ip", "-n", name, "link", "set", "lo", "up")

    def _plug_host_in(self, switch: str, cleanup: ExitStack) -> ipaddress.IPv4Network:
        # Interface names have 15 characters at most.
        outside = f"vc{os.getpid() % 10**7}h{self._name.rsplit('-', 1)[1]}"[:15]
        _run("ip", "link", "add", outside, "type", "veth", "peer", "name", "host", "netns", switch)
        # It would go with the namespace too, but some time later.
        cleanup.callback(_run, "ip", "link", "del", outside)
        _run("ip", "-n", switch, "link", "set", "host", "master", "bridge", "up")
        subnet = _free_subnet()
        self.host_address = str(subnet[HOST])
        _run("ip", "address", "add", f"{self.host_address}/24", "dev", outside)
        _run("ip", "link", "set", outside, "up")
        return subnet

    def _add_node(self, switch: str, index: int, subnet: ipaddress.IPv4Network, cleanup: ExitStack) -> None:
        node = NetworkNode(f"{self._name}-{index}", str(subnet[index + 1]))
        self._add_namespace(node.namespace, cleanup)
        port = f"port{index}"
        _run("ip", "-n", switch, "link", "add", port, "type", "veth", "peer", "eth0", "netns", node.namespace)
        _run("ip", "-n", switch, "link", "set", port, "master", "bridge", "up")
        _run("ip", "-n", node.namespace, "address", "add", f"{node.address}/24", "dev", "eth0")
        _run("ip", "-n", node.namespace, "link", "set", "eth0", "up")
        _nft(node, f"add table inet {_TABLE}")
        _nft(node, f"add set inet {_TABLE} cut {{ type ipv4_addr; }}")
        _nft(node, f"add chain inet {_TABLE} arriving {{ type filter hook input priority 0; }}")
        _nft(node, f"add rule inet {_TABLE} arriving ip saddr @cut drop")
        self._nodes.append(node)


def require_tools() -> None:
    """Raises: NetworkUnavailable, with everything that is missing."""
    missing = sorted({package for tool, package in PACKAGES.items() if shutil.which(tool) is None})
    if missing:
        raise NetworkUnavailable(f"install {' '.join(missing)} (Debian packages): `make tools` does it")
    if os.geteuid() != 0:
        raise NetworkUnavailable("network namespaces need root: run these tests as root")


def remove_leftovers() -> None:
    """Remove the namespaces of test processes that are no longer there to do it."""
    for line in _run("ip", "netns", "list").splitlines():
        name = line.split()[0]
        match = _NAME.match(name)
        if match is not None and not os.path.exists(f"/proc/{match[1]}"):
            with contextlib.suppress(subprocess.CalledProcessError):  # another process was faster
                _run("ip", "netns", "del", name)
            shutil.rmtree(_HOSTS / name, ignore_errors=True)


def _free_subnet() -> ipaddress.IPv4Network:
    """Of none of this process's networks, and claimed by no other process."""
    taken = _run("ip", "-4", "-o", "address")
    for number, subnet in enumerate(RANGE.subnets(new_prefix=24)):
        if f" {subnet[HOST]}/" not in taken and claimed(_LOCKS, number):
            return subnet
    raise NetworkUnavailable(f"every subnet of {RANGE} is in use on this machine")


def _socket_in(namespace: str, kind: socket.SocketKind) -> socket.socket:
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}") as entrance:
        if libc.setns(entrance.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter the namespace {namespace}")
    return socket.socket(socket.AF_INET, kind)


def _nft(node: NetworkNode, rule: str) -> None:
    _run(*node.command(["nft", rule]))


def _run(*command: str) -> str:
    """What the command prints. Raises: CalledProcessError, with what it complained about as a note."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        error = subprocess.CalledProcessError(result.returncode, command, result.stdout, result.stderr)
        error.add_note(result.stderr.strip())
        raise error
    return result.stdout
