"""``python -m tests.sim.raft --seeds 2000``: many schedules, and what came of them.

The stock library runs as a control: were it to survive, the simulation would prove nothing.
Exits with 1 if the hardened library lost anything, or the control nothing.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from msgspec import Struct

from consensus.raft.hardened import HardenedSyncObj
from tests.sim.raft.churn import ChurnWorld
from tests.sim.raft.world import StockSyncObj, World, run_chaos

STEPS = 1500
STOCK_SEEDS_MAX = 200
CONTROL = "stock (control)"

WORLDS: dict[str, Callable[[int], World]] = {
    "fixed members": lambda seed: World(seed, member_class=HardenedSyncObj),
    "five members": lambda seed: World(seed, members=5, member_class=HardenedSyncObj),
    "changing members": ChurnWorld,
    CONTROL: lambda seed: World(seed, member_class=StockSyncObj),
}


class Run(Struct):
    """``failed``: what an invariant says of this seed, None if all held."""

    seed: int
    failed: str | None
    acknowledged: int
    reports: dict[str, int]


def run(kind: str, seed: int) -> Run:
    # The control complains of each loss. Of the hardened library, a complaint is to be seen.
    logging.disable(logging.CRITICAL if kind == CONTROL else logging.NOTSET)
    world = WORLDS[kind](seed)
    failed = None
    try:
        run_chaos(world, steps=STEPS)
    except Exception as error:
        failed = f"{type(error).__name__}: {error}"
    return Run(seed, failed, len(world.acknowledged), world.reports)


def run_all(kind: str, seeds: range, processes: int) -> list[Run]:
    """Print the figures of one kind of world. Returns: the seeds that failed."""
    began = time.monotonic()
    with ProcessPoolExecutor(processes) as pool:
        runs = list(pool.map(run, [kind] * len(seeds), seeds, chunksize=8))
    failed = [done for done in runs if done.failed is not None]
    acknowledged = sum(done.acknowledged for done in runs)
    happened = sum((Counter(done.reports) for done in runs), Counter[str]())
    print(
        f"{kind:17} {len(runs):6} seeds {acknowledged:9} acknowledged {len(failed):5} failed "
        f"{time.monotonic() - began:7.0f} s  {dict(sorted(happened.items())) or ''}",
        flush=True,
    )
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="of each kind of world")
    parser.add_argument("--first", type=int, default=0, help="the first seed; with --seeds 1: that one alone")
    parser.add_argument("--kind", choices=WORLDS, help="only this kind")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    wrong = 0
    for kind in [arguments.kind] if arguments.kind else WORLDS:
        control = kind == CONTROL
        count = min(arguments.seeds, STOCK_SEEDS_MAX) if control else arguments.seeds
        failed = run_all(kind, range(arguments.first, arguments.first + count), arguments.processes)
        if control:
            wrong += not failed
            continue
        wrong += bool(failed)
        for done in failed:
            print(f"  seed {done.seed}: {done.failed}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
