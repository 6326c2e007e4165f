"""``python -m tests.sim.resharding --seeds 500``: many schedules, and what came of them.

The same seed gives the same run. ``--controls`` looks for the first seed that catches each of the broken
variants. Exits with 1 if an invariant failed, or a control was not caught.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import traceback
from collections import Counter

from tests.sim.resharding.broken import VARIANTS, caught
from tests.sim.resharding.world import World


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.resharding", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many (with --controls: at most)")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--controls", action="store_true", help="run the broken variants instead")
    parser.add_argument("--trace", action="store_true", help="print the stack of each failure")
    options = parser.parse_args()
    logging.disable()
    seeds = range(options.first, options.first + options.seeds)
    failures = controls(seeds) if options.controls else explore(seeds, trace=options.trace)
    return 1 if failures else 0


def explore(seeds: range, *, trace: bool) -> int:
    totals: Counter[str] = Counter()
    failures = 0
    start = time.perf_counter()
    for seed in seeds:
        world = World(seed)
        try:
            world.run()
        except AssertionError as failure:
            failures += 1
            print(f"seed {seed}: {failure}", flush=True)
            if trace:
                traceback.print_exc()
        totals += world.counts
    seconds = time.perf_counter() - start
    print(f"{len(seeds)} seeds, {failures} failed, {seconds:.1f} s, {seconds / len(seeds):.2f} s a seed")
    for what, count in sorted(totals.items()):
        print(f"  {what}: {count}")
    return failures


def controls(seeds: range) -> int:
    missed = 0
    for name in VARIANTS:
        found = ((seed, caught(name, seed)) for seed in seeds)
        first = next(((seed, what) for seed, what in found if what), None)
        missed += first is None
        print(f"{name}: {'not caught' if first is None else f'seed {first[0]}: {first[1]}'}", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main())
