"""Benchmarks on this machine, which start their own servers. Exit status 1: a bar was missed; 2: it failed.

vecraft bench recall
vecraft bench cluster --seconds 60 --json results.json
"""

from __future__ import annotations

import argparse

from vecraft.bench import __main__ as bench


def configure(parser: argparse.ArgumentParser) -> None:
    bench.configure(parser)
    parser.set_defaults(run=bench.run)
