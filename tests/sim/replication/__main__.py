"""``python -m tests.sim.replication --seeds N``: run seeds and print figures; one seed replays exactly."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter

from tests.sim.replication.broken import VARIANTS
from tests.sim.replication.world import World


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--variant", choices=sorted(VARIANTS), help="a deliberately broken machine")
    parser.add_argument("--trace", action="store_true", help="print the stack of each failure")
    options = parser.parse_args()
    totals: Counter[str] = Counter()
    failures = 0
    start = time.perf_counter()
    for seed in range(options.first, options.first + options.seeds):
        world = World(seed) if options.variant is None else VARIANTS[options.variant].world(seed)
        try:
            world.check_all()
        except AssertionError as failure:
            failures += 1
            print(f"seed {seed} at {world.now:.1f} ms: {failure}")
            if options.trace:
                traceback.print_exc()
        totals += world.counts
    seconds = time.perf_counter() - start
    print(f"{options.seeds} seeds, {failures} failed, {seconds:.1f} s, {options.seeds / seconds:.1f} seeds/s")
    for what, count in sorted(totals.items()):
        print(f"  {what}: {count}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
