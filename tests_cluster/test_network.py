"""The network of tests does what it says: cuts, one-way cuts, partitions, slow links, and no leftovers."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.live import ROOT, wait_for
from tests_cluster import network as module
from tests_cluster.cluster import Cluster, Member, joined
from tests_cluster.network import Network, NetworkUnavailable, remove_leftovers, require_tools

PORT = 5000
LOST_S = 0.2  # a packet that has not crossed a bridge of this machine by then never will


class Ends:
    """A datagram socket on every node; ``reaches`` sends from one to another."""

    def __init__(self, network: Network) -> None:
        self._addresses = [(node.address, PORT) for node in network]
        self._sockets = [node.socket(socket.SOCK_DGRAM) for node in network]
        for end, address in zip(self._sockets, self._addresses):
            end.bind(address)
            end.settimeout(LOST_S)
        self._number = 0

    def reaches(self, source: int, target: int) -> bool:
        self._number += 1
        sent = str(self._number).encode()
        self._sockets[source].sendto(sent, self._addresses[target])
        try:
            return self._sockets[target].recv(100) == sent
        except TimeoutError:
            return False

    def matrix(self) -> list[str]:
        """Per source a row: ``x`` where it reaches the target."""
        nodes = range(len(self._sockets))
        return ["".join("." if a == b else "x" if self.reaches(a, b) else "-" for b in nodes) for a in nodes]

    def close(self) -> None:
        for end in self._sockets:
            end.close()


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network(3) as made:
        yield made


@pytest.fixture
def ends(network: Network) -> Iterator[Ends]:
    made = Ends(network)
    yield made
    made.close()
    network.heal()


def test_every_node_reaches_every_other(ends: Ends) -> None:
    assert ends.matrix() == [".xx", "x.x", "xx."]


def test_a_cut_is_one_way_until_it_is_healed(network: Network, ends: Ends) -> None:
    network.cut(0, 1)
    assert ends.matrix() == [".-x", "x.x", "xx."]
    network.heal()
    assert ends.reaches(0, 1)


def test_a_partition_cuts_between_groups_and_not_within(network: Network, ends: Ends) -> None:
    with network.partitioned([0], [1, 2]):
        assert ends.matrix() == [".--", "-.x", "-x."]
    assert ends.matrix() == [".xx", "x.x", "xx."]


def test_an_isolated_node_reaches_nobody(network: Network, ends: Ends) -> None:
    network.isolate(2)
    assert ends.matrix() == [".x-", "x.-", "--."]


def test_a_slow_node_sends_slowly_and_receives_as_before(network: Network) -> None:
    network[0].slow(kbit_per_s=800)
    try:
        slow_s = _seconds_to_send(network, 0, 1, size=100_000)
        fast_s = _seconds_to_send(network, 1, 0, size=100_000)
    finally:
        network[0].full_speed()
    assert slow_s > 0.5 > fast_s
    assert _seconds_to_send(network, 0, 1, size=100_000) < 0.5


def _seconds_to_send(network: Network, source: int, target: int, *, size: int) -> float:
    with network[target].socket() as listener, network[source].socket() as sender:
        listener.bind((network[target].address, 0))
        listener.listen()
        sender.connect(listener.getsockname())
        receiver, _ = listener.accept()
        with receiver:
            started = time.monotonic()
            sender.setblocking(False)
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * size)
            assert sender.send(b"x" * size) == size
            received = 0
            while received < size:
                received += len(receiver.recv(size))
            return time.monotonic() - started


def test_a_node_that_is_cut_off_stays_alive_and_answers_again_when_healed(
    network: Network, tmp_path: Path
) -> None:
    with Cluster(tmp_path, 1, network=network) as cluster:
        node = cluster[0]
        assert _status(node.url) == 200
        network.cut_host(0)
        with pytest.raises(httpx.TimeoutException):
            _status(node.url)
        assert node.is_alive()
        network.heal()
        wait_for(lambda: _status(node.url) == 200, what="the node to answer again")
    assert not node.is_alive()


def test_nodes_meet_each_other_only_over_the_network(network: Network, tmp_path: Path) -> None:
    """A node is asked from another node's namespace: with the partition it is not there."""
    with Cluster(tmp_path, 2, network=network) as cluster:
        ask = network[1].command([sys.executable, "-c", _ASK, cluster[0].url])
        assert subprocess.run(ask, check=False).returncode == 0
        with network.partitioned([0], [1]):
            assert subprocess.run(ask, check=False, stderr=subprocess.DEVNULL).returncode != 0
        assert {_status(url) for url in cluster.urls} == {200}


_ASK = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1] + '/readyz', timeout=1)"


def _status(url: str) -> int:
    return httpx.get(f"{url}/readyz", timeout=1, trust_env=False).status_code


def test_a_paused_node_answers_after_it_is_resumed(tmp_path: Path) -> None:
    with Cluster(tmp_path, 1) as cluster:
        cluster[0].pause()
        with pytest.raises(httpx.TimeoutException):
            _status(cluster[0].url)
        cluster[0].resume()
        assert cluster.wait_for(lambda: _status(cluster[0].url)) == 200


def test_the_first_node_founds_a_cluster_and_the_others_join_it() -> None:
    first, second = Member(0, "198.18.0.1", 6335), Member(1, "198.18.0.2", 6335)
    assert joined(first, first) == ("--uri", "http://198.18.0.1:6335")
    assert joined(second, first) == (
        *("--uri", "http://198.18.0.2:6335"),
        *("--bootstrap", "http://198.18.0.1:6335"),
    )


# --- leaving nothing behind ------------------------------------------------------------------------


def _ours() -> set[str]:
    """Namespaces and interfaces of this process."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    names = {line.split()[0] for line in listed.splitlines()}
    names |= {line.split(": ")[1].split("@")[0] for line in links.splitlines()}
    return {name for name in names if name.startswith((f"vecraft-{os.getpid()}-", f"vc{os.getpid()}h"))}


def test_a_network_is_gone_when_its_test_fails() -> None:
    before = _ours()
    with pytest.raises(ZeroDivisionError) as error, Network(2):
        raise ZeroDivisionError(_ours() - before)
    assert len(error.value.args[0]) == 4  # a switch, its plug, two nodes
    assert _ours() == before


def test_a_network_that_cannot_be_built_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = _ours()
    monkeypatch.setattr(module, "_TABLE", "not a name")
    with pytest.raises(subprocess.CalledProcessError):
        Network(1).__enter__()
    assert _ours() == before


def test_another_process_builds_its_network_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also one that looked for a place before this process had any address there."""
    locks = tmp_path / "locks"
    program = (
        f"import sys; from pathlib import Path; from tests_cluster import network; "
        f"network._LOCKS = Path({str(locks)!r}); print(network._free_subnet(), flush=True); sys.stdin.read()"
    )
    monkeypatch.setattr(module, "_LOCKS", locks)
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        elsewhere = other.stdout.readline().strip()
        with Network(1) as network:
            assert ipaddress.IPv4Address(network.host_address) not in ipaddress.IPv4Network(elsewhere)
        other.communicate("")


def test_what_a_killed_process_left_is_removed_by_the_next() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    name = f"vecraft-{gone.pid}-0-switch"
    subprocess.run(["ip", "netns", "add", name], check=True)
    remove_leftovers()
    assert name not in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout


def test_missing_tools_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "nft" else f"/sbin/{tool}")
    with pytest.raises(NetworkUnavailable, match="install nftables"):
        require_tools()
