"""Searching one tenant of many: what it costs as the collection grows, and beside Qdrant's engine.

In process, without a graph of all points; a large tenant has one of its own (``payload_m``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
from msgspec import Struct

from node.index import set_threads
from vecraft.bench.data import FloatMatrix, generate, generate_queries
from vecraft.bench.report import Bar, Measurement, Report
from vecraft.bench.selectivity import ours
from vecraft.bench.selectivity_plan import FIELD, Engine, K, SelectivityPlan

RATIO_MAX = 1.3
RECALL_MIN = 0.98

_ROUNDS = 3  # engines are asked in turn; the best round counts, the others met a busy machine


class TenantsPlan(Struct, frozen=True):
    """Tenants of ``tenant`` points each, in collections of ``rows`` and of ten times as many.

    Then, in one collection of the larger size, a tenant of ``large`` points and others of ``sizes``;
    ``edge``: this beside Qdrant's engine.
    """

    folder: Path
    rows: int = 20_000
    tenant: int = 1000
    dim: int = 128
    queries: int = 200
    large: int = 50_000
    sizes: tuple[int, ...] = (10, 100, 1000)
    edge: bool = True


def measure(plan: TenantsPlan) -> Report:
    queries = generate_queries(plan.queries, plan.dim, seed=0)
    set_threads(1)
    return Report(
        "tenants: one of many",
        {"points of a tenant": plan.tenant, "dim": plan.dim, "large tenant": plan.large},
        [*_growth(plan, queries), *_mixed(plan, queries)],
    )


# --- tenants of one size, as their number grows --------------------------------------------------------


def _growth(plan: TenantsPlan, queries: FloatMatrix) -> list[Measurement]:
    engines = [_engine(plan, rows, queries) for rows in (plan.rows, 10 * plan.rows)]
    asked = [str(i % (plan.rows // plan.tenant)) for i in range(plan.queries)]
    rounds = [[_median_us(engine, asked) for engine in engines] for _ in range(_ROUNDS)]
    small, large = (min(each[i] for each in rounds) for i in range(2))
    return [
        Measurement(f"median, {plan.rows:,} points in all", small, "µs"),
        Measurement(f"median, {10 * plan.rows:,} points in all", large, "µs"),
        Measurement("ratio", large / small, "", Bar("most", RATIO_MAX)),
    ]


def _engine(plan: TenantsPlan, rows: int, queries: FloatMatrix) -> Engine:
    """Points of all tenants come in mixed."""
    base = np.concatenate([*generate(rows, plan.dim, seed=0)])
    tenants = rows // plan.tenant
    payloads = [orjson.dumps({FIELD: str(row % tenants)}) for row in range(rows)]
    return ours(_selectivity(plan, str(rows), base, queries), payloads)


def _selectivity(
    plan: TenantsPlan, title: str, base: FloatMatrix, queries: FloatMatrix, *, tenants: bool = False
) -> SelectivityPlan:
    folder = plan.folder / title
    folder.mkdir(parents=True, exist_ok=True)
    return SelectivityPlan(title, base, queries, folder, graph=False, tenants=tenants)


def _median_us(engine: Engine, asked: Sequence[str]) -> float:
    seconds = []
    for i, tenant in enumerate(asked):
        request = engine.ask(i, tenant)
        started = time.perf_counter()
        engine.answer(request)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds)) * 1e6


# --- a large tenant among small ones -------------------------------------------------------------------


def _mixed(plan: TenantsPlan, queries: FloatMatrix) -> list[Measurement]:
    base = np.concatenate([*generate(10 * plan.rows, plan.dim, seed=0)])
    owners, names = _owners(plan, len(base))
    payloads = [orjson.dumps({FIELD: names[owner]}) for owner in owners.tolist()]
    engines = [ours(_selectivity(plan, "mixed", base, queries, tenants=True), payloads)]
    if plan.edge:
        from vecraft.bench import selectivity_edge  # a development dependency

        engines.append(
            selectivity_edge.engine(_selectivity(plan, "mixed", base, queries, tenants=True), payloads)
        )
    lines = []
    for size in (*plan.sizes, plan.large):
        asked = _tenants_of(names, size, plan.queries)
        rounds = [[_median_us(engine, asked) for engine in engines] for _ in range(_ROUNDS)]
        medians = [min(each[i] for each in rounds) for i in range(len(engines))]
        for engine, median in zip(engines, medians, strict=True):
            bar = Bar("most", min(medians[1:])) if engine is engines[0] and medians[1:] else None
            lines.append(Measurement(f"tenant of {size:,}: median, {engine.name}", median, "µs", bar))
        for engine in engines:
            recall = _recall(engine, base, queries, owners, names, asked)
            bar = Bar("least", RECALL_MIN) if engine is engines[0] else None
            lines.append(Measurement(f"tenant of {size:,}: recall@10, {engine.name}", recall, "", bar))
    return lines


def _owners(plan: TenantsPlan, rows: int) -> tuple[npt.NDArray[np.int64], list[str]]:
    """The number of each row's tenant, mixed, and the tenants' names: their size and a number."""
    sizes, left = [plan.large], rows - plan.large
    while left >= sum(plan.sizes):
        sizes += plan.sizes
        left -= sum(plan.sizes)
    sizes += [left] if left else []
    owners = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(0).permutation(owners), [f"{size}-{i}" for i, size in enumerate(sizes)]


def _tenants_of(names: Sequence[str], size: int, count: int) -> list[str]:
    alike = [name for name in names if name.startswith(f"{size}-")]
    return [alike[i % len(alike)] for i in range(count)]


def _recall(
    engine: Engine,
    base: FloatMatrix,
    queries: FloatMatrix,
    owners: npt.NDArray[np.int64],
    names: Sequence[str],
    asked: Sequence[str],
) -> float:
    shares = []
    for i, tenant in enumerate(asked):
        rows = np.flatnonzero(owners == names.index(tenant))
        best = set(rows[np.argsort(-(base[rows] @ queries[i]), kind="stable")[:K]].tolist())
        shares.append(len(best & set(engine.ids(engine.answer(engine.ask(i, tenant))))) / len(best))
    return float(np.mean(shares))
