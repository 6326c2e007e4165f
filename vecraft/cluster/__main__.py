"""``python -m vecraft.cluster``: see ``vecraft.cluster``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from vecraft.cluster.launcher import Launcher
from vecraft.cluster.nodes import DEFAULT_PORT, ROOT, places

NODES_MAX = 50


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    wanted = places(options.directory, options.nodes, options.port)
    console = Console()
    if len(wanted) > options.nodes and not options.clean:
        console.print(f"{options.directory} holds {len(wanted)} nodes: all of them are started.")
    if options.clean:
        wanted = wanted[: options.nodes]
    return asyncio.run(Launcher(wanted, console, begin_anew=options.clean).run())


def _parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(prog="vecraft.cluster", description="Run a cluster on this machine")
    flags.add_argument("-n", "--nodes", type=_count, default=3, help="how many (3)")
    flags.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="REST port of node 1, the next has 10 more"
    )
    flags.add_argument("--directory", type=Path, default=ROOT / ".cluster", help="for data and logs")
    flags.add_argument("--clean", action="store_true", help="begin anew: remove the nodes that are there")
    return flags


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= NODES_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {NODES_MAX}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
