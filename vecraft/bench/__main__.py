"""``python -m vecraft.bench PART``: run a benchmark, show it, fail on a missed bar."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from vecraft.bench import cluster, engine, quality, startup
from vecraft.bench.report import Report, save, show
from vecraft.bench.server import ServerFailed


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="vecraft.bench", description="Benchmarks; exit status 1: a bar was missed"
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", type=Path, metavar="FILE", help="also write the results here")
    common.add_argument(
        "--work", type=Path, metavar="DIR", help="where to keep the server's files (a temporary folder)"
    )
    real = argparse.ArgumentParser(add_help=False)
    data = os.environ.get("DATA")
    real.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        default=Path(data) if data else None,
        help="embeddings ($DATA; the bundled cut)",
    )
    real.add_argument("--queries", type=int, default=1000)
    parts = root.add_subparsers(dest="part", required=True)
    parts.add_parser("recall", parents=[common, real], help="recall, latency, ingest over REST")
    restart = parts.add_parser(
        "startup", parents=[common], help="time to serve again after a stop and a kill"
    )
    restart.add_argument("--points", type=int, default=1_000_000)
    restart.add_argument("--dim", type=int, default=128)
    restart.add_argument("--seed", type=int, default=0)
    restart.add_argument("--tail", type=int, default=20_000, help="points written right before the last kill")
    inside = parts.add_parser("engine", parents=[common, real], help="in process: overhead above FAISS")
    inside.add_argument("--edge", action="store_true", help="compare with qdrant-edge-py")
    several = parts.add_parser("cluster", parents=[common, real], help="three nodes: start, writes, deaths")
    several.add_argument("--effort", type=int, default=4, help="how often things are done")
    several.add_argument("--seconds", type=float, default=30.0, help="of bulk load")
    several.add_argument("--rounds", type=int, default=4, help="nodes killed")
    return root


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    try:
        if options.work is not None:
            report = _run(options, options.work)
        else:
            with tempfile.TemporaryDirectory(prefix="vecraft-bench-") as folder:
                report = _run(options, Path(folder))
    except (ServerFailed, FileNotFoundError) as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 2
    show(report)
    if options.json is not None:
        save([report], options.json)
    return 0 if report.met else 1


def _run(options: argparse.Namespace, folder: Path) -> Report:
    match options.part:
        case "recall":
            return quality.measure(quality.RecallPlan(options.data, options.queries, folder))
        case "startup":
            return startup.measure(
                startup.StartupPlan(options.points, options.dim, options.seed, options.tail, folder)
            )
        case "cluster":
            return cluster.measure(
                cluster.ClusterPlan(options.data, folder, options.effort, options.seconds, options.rounds)
            )
        case _:
            return engine.measure(engine.EnginePlan(options.data, options.queries, options.edge, folder))


if __name__ == "__main__":
    sys.exit(main())
