"""The run: check, start all nodes, wait until they are ready, watch them, end them all.

A node that ends by itself while the cluster starts ends the run; later it is told, with the end of its log,
and the others go on, as they would on machines of their own.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime

from msgspec import Struct
from rich.console import Console
from rich.live import Live
from rich.markup import escape

from consensus.identity import IdentityDamaged
from vecraft.cluster.nodes import Node, Place, arguments, clean, taken_ports
from vecraft.cluster.showing import changes, tables, welcome
from vecraft.cluster.watching import ClusterStatus, Watcher, how_it_ended

ROUND_S = 1.0
START_S_MAX = 120.0


class NotStarted(Exception):
    """The cluster is not there; the text tells why."""


class Launcher(Struct):
    """``begin_anew``: remove what earlier runs left."""

    places: list[Place]
    console: Console
    begin_anew: bool = False

    async def run(self) -> int:
        """The exit status: 0 when the end was asked for, and the nodes that ran by then ended well."""
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        try:
            self._check()
        except NotStarted as error:
            self.console.print(f"[red]{escape(str(error))}[/]")
            return 1
        run = _Run(self.console, ended)
        try:
            status = await run.until_ended(self.places)
        finally:
            statuses = await run.stop()
        return max([status, *(1 for ended_with in statuses if ended_with != 0)])

    def _check(self) -> None:
        taken = taken_ports(self.places)
        if taken:
            ports = ", ".join(map(str, taken))
            raise NotStarted(
                f"In use already: port {ports}. Nothing was started. End what listens there (another "
                "cluster, perhaps), or choose other ports: make cluster PORT=7333"
            )
        home = self.places[0].home
        home.mkdir(parents=True, exist_ok=True)
        if self.begin_anew:
            clean(home)
        for place in self.places:
            try:
                place.belongs_to_a_cluster()
            except IdentityDamaged as error:
                raise NotStarted(f"{error}. make cluster CLEAN=1 begins anew") from error


class _Run:
    def __init__(self, console: Console, ended: asyncio.Event) -> None:
        self._console, self._ended = console, ended
        self._nodes: list[Node] = []
        self._told: set[int] = set()  # pids whose end has been told
        self._shown: ClusterStatus | None = None

    async def until_ended(self, places: list[Place]) -> int:
        flags = [arguments(place, places) for place in places]  # before the first one makes an identity
        for place, given in zip(places, flags):
            self._nodes.append(await Node.start(place, given))
        async with AsyncExitStack() as stack:
            watcher = await stack.enter_async_context(Watcher(self._nodes))
            show = self._shower(stack)
            try:
                if await self._start(watcher, show):
                    self._console.print(welcome(places), highlight=False, soft_wrap=True)
                    return await self._watch(watcher, show)
            except NotStarted as error:
                self._console.print(f"[red]{escape(str(error))}[/]")
                return 1
        return 0

    def _shower(self, stack: AsyncExitStack) -> Callable[[ClusterStatus], None]:
        if not self._console.is_terminal:
            return self._print_changes
        live = stack.enter_context(Live(console=self._console, auto_refresh=False))
        return lambda status: live.update(tables(status), refresh=True)

    async def _start(self, watcher: Watcher, show: Callable[[ClusterStatus], None]) -> bool:
        """False: the end was asked for meanwhile. Raises: NotStarted."""
        deadline = time.monotonic() + START_S_MAX
        while not self._ended.is_set():
            status = await watcher.look()
            show(status)
            if self._tell_ends():
                raise NotStarted("The cluster did not start")
            if is_whole(status):
                return True
            if time.monotonic() > deadline:
                raise NotStarted(f"The cluster is not whole after {START_S_MAX:.0f} s; see the logs")
            await self._pause(ROUND_S / 4)
        return False

    async def _watch(self, watcher: Watcher, show: Callable[[ClusterStatus], None]) -> int:
        while not self._ended.is_set():
            self._tell_ends()
            if all(node.status is not None for node in self._nodes):
                self._console.print("[red]Every node has ended.[/]")
                return 1
            show(await watcher.look())
            await self._pause(ROUND_S)
        return 0

    async def stop(self) -> list[int]:
        """End the nodes that still run. Returns: their statuses."""
        running = [node for node in self._nodes if node.status is None]
        if running:
            self._console.print(f"Ending {len(running)} nodes")
        statuses = list(await asyncio.gather(*(node.stop() for node in running)))
        for node, status in zip(running, statuses):
            if status != 0:
                self._tell_end(node, status)
        return statuses

    def _tell_ends(self) -> bool:
        """Whether a node has ended that had not been told of."""
        found = [node for node in self._nodes if node.status is not None and node.pid not in self._told]
        for node in found:
            self._told.add(node.pid)
            self._tell_end(node, node.status or 0)
        return bool(found)

    def _tell_end(self, node: Node, status: int) -> None:
        self._console.print(f"[red]{node.place.name} {how_it_ended(status)}[/], the end of its log:")
        for line in node.log_tail():
            self._console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)

    def _print_changes(self, status: ClusterStatus) -> None:
        now = datetime.now().astimezone()
        for line in changes(self._shown, status):
            self._console.print(f"{now:%H:%M:%S} {escape(line)}", highlight=False, soft_wrap=True)
        self._shown = status

    async def _pause(self, seconds: float) -> None:
        """Cut short by the end."""
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            pass


def is_whole(status: ClusterStatus) -> bool:
    """Every node is ready and knows every other, and all agree on a leader."""
    count = len(status.nodes)
    known = all(node.condition == "ready" and (node.peers or 0) >= count for node in status.nodes)
    return known and len(status.leaders) == 1 and all(node.leader is not None for node in status.nodes)
