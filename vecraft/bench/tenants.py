"""What searching one tenant costs as the collection around it grows tenfold; in process, no global graph."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import orjson
from msgspec import Struct

from node.index import set_threads
from vecraft.bench.data import generate, generate_queries
from vecraft.bench.report import Bar, Measurement, Report
from vecraft.bench.selectivity import ours
from vecraft.bench.selectivity_plan import FIELD, Engine, SelectivityPlan

RATIO_MAX = 1.3

_ROUNDS = 3  # both sizes are asked in turn; the best round counts, the others met a busy machine


class TenantsPlan(Struct, frozen=True):
    """Tenants of ``tenant`` points each, in collections of ``rows`` and of ten times as many."""

    folder: Path
    rows: int = 20_000
    tenant: int = 1000
    dim: int = 128
    queries: int = 200


def measure(plan: TenantsPlan) -> Report:
    queries = generate_queries(plan.queries, plan.dim, seed=0)
    engines = [_engine(plan, rows, queries) for rows in (plan.rows, 10 * plan.rows)]
    set_threads(1)
    rounds = [[_median_us(plan, engine) for engine in engines] for _ in range(_ROUNDS)]
    small, large = (min(each[i] for each in rounds) for i in range(2))
    return Report(
        "tenants: one of many, as their number grows",
        {"points of a tenant": plan.tenant, "dim": plan.dim},
        [
            Measurement(f"median, {plan.rows:,} points in all", small, "µs"),
            Measurement(f"median, {10 * plan.rows:,} points in all", large, "µs"),
            Measurement("ratio", large / small, "", Bar("most", RATIO_MAX)),
        ],
    )


def _engine(plan: TenantsPlan, rows: int, queries: np.ndarray) -> Engine:
    """Points of all tenants come in mixed."""
    base = np.concatenate([*generate(rows, plan.dim, seed=0)])
    tenants = rows // plan.tenant
    payloads = [orjson.dumps({FIELD: str(row % tenants)}) for row in range(rows)]
    folder = plan.folder / str(rows)
    folder.mkdir(parents=True, exist_ok=True)
    return ours(SelectivityPlan(str(rows), base, queries, folder, graph=False), payloads)


def _median_us(plan: TenantsPlan, engine: Engine) -> float:
    seconds = []
    for i in range(plan.queries):
        request = engine.ask(i, str(i % (plan.rows // plan.tenant)))
        started = time.perf_counter()
        engine.answer(request)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds)) * 1e6
