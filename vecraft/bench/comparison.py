"""Our engine beside Qdrant's and plain FAISS, in process, on one set in one run: what equal recall costs.

Every contender is built alone, one after another, in a process that ends; then all of them serve from what
was built, each in a process of its own, and are asked in turn, so that a busy moment of the machine meets
them all. Of the rounds the best figure of each effort counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from vecraft.bench import plot
from vecraft.bench.curves import Curve, CurvePoint, ratio_at
from vecraft.bench.engines.port import Answers, Effort, Quantization, Settings, Spent
from vecraft.bench.engines.process import EngineProcess
from vecraft.bench.report import Bar, Measurement, Report
from vecraft.bench.sets import SetPlan, Truth, VectorSet, make, recall

RECALLS = (0.95, 0.98, 0.99)
BUILD_MAX = 0.6  # all these are ratios to Qdrant's engine
LATENCY_MAX = 0.6
BATCHES_MIN = 3.0
FOOTPRINT_MAX = 1.0
OVERHEAD_MAX = 1.15  # ratio to a FAISS graph
SCALAR_MIN = 1.4  # throughput, ratio to a float32 graph
RESCORED_RECALL_MIN = 0.95

EFS = (16, 32, 64, 128, 256, 512)
BATCHES = (100, 1000)
_WARM_UP = Effort(64)


class ComparisonPlan(Struct, frozen=True):
    """``engines`` and ``quantizations``: which contenders; plain FAISS takes part unquantized only."""

    vectors: SetPlan
    folder: Path
    engines: tuple[str, ...] = ("vecraft", "edge", "faiss", "faiss-8bit")
    quantizations: tuple[Quantization, ...] = ("none",)
    efs: tuple[int, ...] = EFS
    rounds: int = 3
    threads: int = 2
    oversampling: float | None = None
    plots: Path | None = None
    live: bool = False


class Contender(Struct, frozen=True):
    engine: str
    quantization: Quantization

    @property
    def name(self) -> str:
        return self.engine if self.quantization == "none" else f"{self.engine} {self.quantization}"


class Built(Struct):
    """What a contender cost; ``serving_bytes`` is private memory after it was opened anew and searched."""

    ingest: Spent
    index: Spent
    facts: dict[str, int]
    built_bytes: int
    disk_bytes: int = 0
    serving_bytes: int = 0

    @property
    def seconds(self) -> float:
        return self.ingest.seconds + self.index.seconds

    @property
    def processor_s(self) -> float:
        return self.ingest.processor_s + self.index.processor_s


class Figures(Struct):
    built: Built
    curve: Curve


def measure(plan: ComparisonPlan) -> Report:
    vectors = make(plan.vectors)
    truth = vectors.truth()
    contenders = _contenders(plan)
    built = {contender: _build(contender, plan, vectors) for contender in contenders}
    curves = _serve(contenders, plan, vectors, truth, built)
    figures = {contender: Figures(built[contender], curves[contender]) for contender in contenders}
    if plan.plots is not None:
        _draw(plan, vectors, list(curves.values()))
    return Report(
        "engine: in process, at equal recall",
        {"data": vectors.name, "queries": plan.vectors.queries, "rounds": plan.rounds, **_facts(figures)},
        verdicts(figures),
        list(curves.values()),
    )


def _contenders(plan: ComparisonPlan) -> list[Contender]:
    return [
        Contender(engine, quantization)
        for quantization in plan.quantizations
        for engine in plan.engines
        if quantization == "none" or not engine.startswith("faiss")
    ]


def _folder(contender: Contender, plan: ComparisonPlan) -> Path:
    return plan.folder / contender.name.replace(" ", "-")


def _start(contender: Contender, plan: ComparisonPlan, vectors: VectorSet) -> EngineProcess:
    settings = Settings(contender.quantization, plan.threads, plan.live)
    return EngineProcess(contender.engine, _folder(contender, plan), settings, vectors)


def _build(contender: Contender, plan: ComparisonPlan, vectors: VectorSet) -> Built:
    """In a folder that is kept, what was built there before is what it cost then."""
    done = _folder(contender, plan).with_suffix(".built.json")
    if done.exists():
        return msgspec.json.decode(done.read_bytes(), type=Built)
    built = _build_anew(contender, plan, vectors)
    done.write_bytes(msgspec.json.encode(built))
    return built


def _build_anew(contender: Contender, plan: ComparisonPlan, vectors: VectorSet) -> Built:
    with _start(contender, plan, vectors) as engine:
        built = Built(engine.ingest(), engine.index(), engine.facts(), engine.private_bytes())
    built.disk_bytes = engine.disk_bytes()
    return built


def _serve(
    contenders: Sequence[Contender],
    plan: ComparisonPlan,
    vectors: VectorSet,
    truth: Truth,
    built: dict[Contender, Built],
) -> dict[Contender, Curve]:
    efforts = [Effort(ef, oversampling=plan.oversampling) for ef in (None, *plan.efs)]
    with ExitStack() as stack:
        engines = {each: stack.enter_context(_start(each, plan, vectors)) for each in contenders}
        singles = _rounds(engines, efforts, plan.rounds, 1, lambda engine, effort: engine.singles(effort))
        for each, engine in engines.items():
            built[each].serving_bytes = engine.private_bytes()
        batches = {
            size: _rounds(
                engines,
                efforts,
                plan.rounds,
                plan.threads,
                lambda engine, effort, size=size: engine.batches(effort, size),  # type: ignore[misc]
            )
            for size in BATCHES
        }
    return {each: _curve(each, efforts, singles, batches, truth) for each in contenders}


Measured = dict[tuple[Contender, Effort], list[Answers]]


def _rounds(
    engines: dict[Contender, EngineProcess],
    efforts: Sequence[Effort],
    rounds: int,
    threads: int,
    ask: Callable[[EngineProcess, Effort], Answers],
) -> Measured:
    found: Measured = {(each, effort): [] for each in engines for effort in efforts}
    for engine in engines.values():
        engine.serve(threads)
        ask(engine, _WARM_UP)
    for _ in range(rounds):
        for effort in efforts:
            for each, engine in engines.items():
                found[each, effort].append(ask(engine, effort))
    return found


def _curve(
    contender: Contender,
    efforts: Sequence[Effort],
    singles: Measured,
    batches: dict[int, Measured],
    truth: Truth,
) -> Curve:
    points = []
    for effort in efforts:
        rounds = singles[contender, effort]
        rates = {
            size: max(
                len(answers.ids) / float(answers.seconds.sum()) for answers in measured[contender, effort]
            )
            for size, measured in batches.items()
        }
        points.append(
            CurvePoint(
                effort.ef,
                recall(rounds[0].ids, truth),
                min(float(np.percentile(answers.seconds, 50)) * 1e6 for answers in rounds),
                min(float(np.percentile(answers.seconds, 99)) * 1e6 for answers in rounds),
                rates,
            )
        )
    return Curve(contender.name, points[1:], points[0])


# --- verdicts ----------------------------------------------------------------------------------------


def verdicts(figures: dict[Contender, Figures]) -> list[Measurement]:
    """Every bar that the contenders at hand allow."""
    found = []
    for each, ours in figures.items():
        if each.engine != "vecraft":
            continue
        edge = figures.get(Contender("edge", each.quantization))
        if edge is not None:
            found += _against_edge(each, ours, edge)
        if each.quantization == "none":
            found += _against_faiss(ours, figures)
        if each.quantization == "scalar":
            for engine in ("faiss", "edge"):  # whose graphs hold float32 unless told otherwise; ours do not
                graph = figures.get(Contender(engine, "none"))
                found += [] if graph is None else _scalar_gain(ours, engine, graph)
        if each.quantization == "binary":
            best = max(point.recall for point in ours.curve.points)
            found.append(Measurement("binary: best recall@10", best, "", Bar("least", RESCORED_RECALL_MIN)))
    return found


def _against_edge(contender: Contender, ours: Figures, edge: Figures) -> list[Measurement]:
    prefix = "" if contender.quantization == "none" else f"{contender.quantization}: "
    most, footprint = Bar("most", BUILD_MAX), Bar("most", FOOTPRINT_MAX)
    mine, other = ours.built, edge.built
    found = [
        Measurement("build / edge", mine.seconds / other.seconds, "×", most),
        Measurement("build, processor time / edge", mine.processor_s / other.processor_s, "×"),
        Measurement("private memory / edge", mine.serving_bytes / other.serving_bytes, "×", footprint),
        Measurement("private memory after building / edge", mine.built_bytes / other.built_bytes, "×"),
        Measurement("disk / edge", mine.disk_bytes / other.disk_bytes, "×", footprint),
        *_ratios("p50 / edge", ours, edge, lambda point: point.p50_us, Bar("most", LATENCY_MAX)),
        *_ratios("p99 / edge", ours, edge, lambda point: point.p99_us, None),
    ]
    for size in BATCHES:
        found += _gains(f"batches of {size} / edge", ours, edge, size, Bar("least", BATCHES_MIN))
    return [Measurement(prefix + each.name, each.value, each.unit, each.bar) for each in found]


def _against_faiss(ours: Figures, figures: dict[Contender, Figures]) -> list[Measurement]:
    found = []
    for engine, bar in (("faiss", Bar("most", OVERHEAD_MAX)), ("faiss-8bit", None)):
        graph = figures.get(Contender(engine, "none"))
        if graph is not None:
            found += _ratios(f"p50 / {engine}", ours, graph, lambda point: point.p50_us, bar)
            found += _gains(f"batches of {BATCHES[-1]} / {engine}", ours, graph, BATCHES[-1], None)
    return found


def _scalar_gain(ours: Figures, engine: str, graph: Figures) -> list[Measurement]:
    name = f"scalar: throughput / {engine} float32 graph"
    ratios = _at_recalls(ours, graph, lambda point: point.p50_us)
    return [
        Measurement(f"{name} at {target}", 1 / ratio, "×", Bar("least", SCALAR_MIN))
        for target, ratio in ratios
    ]


def _ratios(
    name: str, ours: Figures, theirs: Figures, cost: Callable[[CurvePoint], float], bar: Bar | None
) -> list[Measurement]:
    return [
        Measurement(f"{name} at {target}", ratio, "×", bar)
        for target, ratio in _at_recalls(ours, theirs, cost)
    ]


def _gains(name: str, ours: Figures, theirs: Figures, size: int, bar: Bar | None) -> list[Measurement]:
    ratios = _at_recalls(ours, theirs, lambda point: 1 / point.rates[size])
    return [Measurement(f"{name} at {target}", 1 / ratio, "×", bar) for target, ratio in ratios]


def _at_recalls(
    ours: Figures, theirs: Figures, cost: Callable[[CurvePoint], float]
) -> list[tuple[float, float]]:
    """Per recall that they reach, our cost over theirs."""
    pairs = [(target, ratio_at(ours.curve, theirs.curve, target, cost)) for target in RECALLS]
    return [(target, ratio) for target, ratio in pairs if ratio is not None]


def _facts(figures: dict[Contender, Figures]) -> dict[str, str]:
    mib = 1024 * 1024
    return {
        each.name: (
            f"ingest {built.ingest.seconds:.1f} s, index {built.index.seconds:.1f} s"
            f" (processor {built.ingest.processor_s:.1f} + {built.index.processor_s:.1f} s),"
            f" private {built.serving_bytes / mib:.0f} MiB (built: {built.built_bytes / mib:.0f}),"
            f" disk {built.disk_bytes / mib:.0f} MiB, "
            + ", ".join(f"{value:,} {name}" for name, value in built.facts.items())
        )
        for each, built in ((each, found.built) for each, found in figures.items())
    }


def _draw(plan: ComparisonPlan, vectors: VectorSet, curves: list[Curve]) -> None:
    assert plan.plots is not None
    kind = "" if plan.quantizations == ("none",) else "-quantized"
    stem = f"{plan.vectors.name}{kind}"
    plot.draw(
        plan.plots / f"{stem}-singles.svg",
        f"{vectors.name}: one search at a time, one thread",
        curves,
        lambda point: 1e6 / point.p50_us,
    )
    plot.draw(
        plan.plots / f"{stem}-batches.svg",
        f"{vectors.name}: batches of {BATCHES[-1]}, {plan.threads} threads",
        curves,
        lambda point: point.rates[BATCHES[-1]],
    )
