"""``vecraft bench PART`` or ``python -m vecraft.bench PART``: run it, show it, fail on a missed bar."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import get_args

from vecraft.bench import (
    cluster,
    comparison,
    mixed,
    overhead,
    quality,
    selectivity,
    serving,
    sizes,
    sparse,
    startup,
    tenants,
)
from vecraft.bench.engines.port import Quantization
from vecraft.bench.engines.process import ENGINES, EngineFailed
from vecraft.bench.report import Report, save, show
from vecraft.bench.selectivity_plan import SelectivityPlan
from vecraft.bench.server import ServerFailed
from vecraft.bench.sets import CACHE, SetPlan, make


def configure(root: argparse.ArgumentParser) -> None:
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
    taken = parts.add_parser(
        "sizes", parents=[common], help="disk and memory of a vector, by dimension and quantization"
    )
    taken.add_argument("--points", type=int, default=50_000)
    taken.add_argument("--dims", type=_numbers, default=(128, 384, 768, 1536))
    kinds = tuple(sizes.QUANTIZATIONS)
    taken.add_argument("--quantization", type=_some_of(kinds), default=kinds, help=",".join(kinds))
    inside = parts.add_parser("overhead", parents=[common, real], help="in process: a search above FAISS")
    inside.add_argument("--edge", action="store_true", help="compare with qdrant-edge-py")
    chosen = _set_arguments()
    beside = parts.add_parser(
        "engine", parents=[common, real, chosen], help="in process, beside Qdrant's engine and FAISS"
    )
    _add_comparison_arguments(beside)
    load = parts.add_parser(
        "mixed", parents=[common, real, chosen], help="searches beside writes and builds, over REST"
    )
    load.add_argument("--seconds", type=float, default=40.0, help="of load")
    outside = parts.add_parser(
        "serve", parents=[common, real, chosen], help="processor time of a search over REST and gRPC"
    )
    outside.add_argument("--rounds", type=int, default=3)
    left = parts.add_parser(
        "filters", parents=[common, real, chosen], help="filters from rare to common, beside Qdrant's engine"
    )
    left.add_argument("--alone", action="store_true", help="without Qdrant's engine")
    left.add_argument("--fresh", action="store_true", help="no filter is asked for twice")
    parts.add_parser("tenants", parents=[common], help="one tenant's searches as the collection grows")
    words = parts.add_parser("sparse", parents=[common], help="sparse vectors, beside Qdrant's engine")
    words.add_argument("--rows", type=int, default=100_000)
    words.add_argument("--seed", type=int, default=0)
    several = parts.add_parser("cluster", parents=[common, real], help="three nodes: start, writes, deaths")
    several.add_argument("--effort", type=int, default=4, help="how often things are done")
    several.add_argument("--seconds", type=float, default=30.0, help="of bulk load")
    several.add_argument("--rounds", type=int, default=4, help="nodes killed")


def _set_arguments() -> argparse.ArgumentParser:
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("--set", default="lowrank128", help="wordnet, lowrank128, lowrank1536 …")
    chosen.add_argument("--rows", type=int, help="of the set (generated: 50,000; a folder: all)")
    chosen.add_argument("--seed", type=int, default=0)
    chosen.add_argument("--cache", type=Path, metavar="DIR", default=CACHE, help="where sets are kept")
    return chosen


def _add_comparison_arguments(part: argparse.ArgumentParser) -> None:
    part.add_argument("--engines", type=_some_of(ENGINES), default=tuple(ENGINES), help=",".join(ENGINES))
    kinds = get_args(Quantization)
    part.add_argument("--quantization", type=_some_of(kinds), default=("none",), help=",".join(kinds))
    part.add_argument("--efs", type=_numbers, default=comparison.EFS)
    part.add_argument("--rounds", type=int, default=3)
    part.add_argument(
        "--oversampling", type=float, help="of codes: all engines score again, so many times the wanted"
    )
    part.add_argument("--live", action="store_true", help="build segments while points come in")
    part.add_argument("--plots", type=Path, metavar="DIR", help="draw the curves there")


def _some_of(known: Iterable[str]) -> Callable[[str], tuple[str, ...]]:
    def names(text: str) -> tuple[str, ...]:
        given = tuple(text.split(","))
        if not set(given) <= set(known):
            raise argparse.ArgumentTypeError(f"some of {','.join(known)}")
        return given

    return names


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(","))


def _set_plan(options: argparse.Namespace) -> SetPlan:
    return SetPlan(options.set, options.rows, options.queries, options.data, options.seed, options.cache)


def main(argv: Sequence[str] | None = None) -> int:
    root = argparse.ArgumentParser(prog="vecraft.bench", description="Exit status 1: a bar was missed")
    configure(root)
    return run(root.parse_args(argv))


def run(options: argparse.Namespace) -> int:
    """The exit status: 1 if a bar was missed, 2 if the benchmark failed."""
    try:
        if options.work is not None:
            report = _run(options, options.work)
        else:
            with tempfile.TemporaryDirectory(prefix="vecraft-bench-") as folder:
                report = _run(options, Path(folder))
    except (ServerFailed, EngineFailed, FileNotFoundError) as error:
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
        case "sizes":
            return sizes.measure(sizes.SizesPlan(options.points, options.dims, options.quantization, folder))
        case "cluster":
            return cluster.measure(
                cluster.ClusterPlan(options.data, folder, options.effort, options.seconds, options.rounds)
            )
        case "overhead":
            return overhead.measure(
                overhead.OverheadPlan(options.data, options.queries, options.edge, folder)
            )
        case "filters":
            vectors = make(_set_plan(options))
            return selectivity.measure(
                SelectivityPlan(
                    vectors.name,
                    vectors.base(),
                    vectors.queries(),
                    folder,
                    edge=not options.alone,
                    fresh=options.fresh,
                )
            )
        case "tenants":
            return tenants.measure(tenants.TenantsPlan(folder))
        case "sparse":
            return sparse.measure(sparse.SparsePlan(folder, options.rows, seed=options.seed))
        case "serve":
            return serving.measure(serving.ServingPlan(_set_plan(options), folder, options.rounds))
        case "mixed":
            return mixed.measure(mixed.MixedPlan(_set_plan(options), folder, options.seconds))
        case _:
            return comparison.measure(_comparison_plan(options, folder))


def _comparison_plan(options: argparse.Namespace, folder: Path) -> comparison.ComparisonPlan:
    return comparison.ComparisonPlan(
        _set_plan(options),
        folder,
        engines=options.engines,
        quantizations=options.quantization,
        efs=options.efs,
        rounds=options.rounds,
        oversampling=options.oversampling,
        plots=options.plots,
        live=options.live,
    )


if __name__ == "__main__":
    sys.exit(main())
