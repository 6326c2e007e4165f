"""The command line of a simulation that makes worlds from seeds: many of them, or its controls."""

from __future__ import annotations

import argparse
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar


class Simulated(Protocol):
    counts: Counter[str]


W = TypeVar("W", bound=Simulated)


def main(
    program: str,
    description: str | None,
    world: Callable[[int], W],
    check: Callable[[W], None],
    variants: Iterable[str],
    caught: Callable[[str, int], str | None],
    *,
    moment: Callable[[W], str] = lambda _: "",
) -> int:
    """``check`` raises AssertionError; ``caught``: how a variant was caught with a seed; ``moment``: when a
    world failed, to be printed. Returns: the exit status.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument("--seeds", type=int, default=100, help="how many (with --controls: at most)")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--controls", action="store_true", help="run the broken variants instead")
    parser.add_argument("--trace", action="store_true", help="print the stack of each failure")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    if options.controls:
        failures = controls(seeds, variants, caught)
    else:
        failures = explore(seeds, world, check, moment, trace=options.trace)
    return 1 if failures else 0


def explore(
    seeds: range,
    make: Callable[[int], W],
    check: Callable[[W], None],
    moment: Callable[[W], str],
    *,
    trace: bool,
) -> int:
    totals: Counter[str] = Counter()
    failures = 0
    start = time.perf_counter()
    for seed in seeds:
        world = make(seed)
        try:
            check(world)
        except AssertionError as failure:
            failures += 1
            print(f"seed {seed}{moment(world)}: {failure}", flush=True)
            if trace:
                traceback.print_exc()
        totals += world.counts
    seconds = time.perf_counter() - start
    print(f"{len(seeds)} seeds, {failures} failed, {seconds:.1f} s, {len(seeds) / seconds:.2f} seeds/s")
    for what, count in sorted(totals.items()):
        print(f"  {what}: {count}")
    return failures


def controls(seeds: range, variants: Iterable[str], caught: Callable[[str, int], str | None]) -> int:
    missed = 0
    for name in variants:
        found = ((seed, caught(name, seed)) for seed in seeds)
        first = next(((seed, what) for seed, what in found if what), None)
        missed += first is None
        print(f"{name}: {'not caught' if first is None else f'seed {first[0]}: {first[1]}'}", flush=True)
    return missed
