"""The tenants' benchmark on few points: what it compares, and that it finds the right ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vecraft.bench import tenants


def test_every_kind_of_tenant_is_measured_and_found(tmp_path: Path) -> None:
    plan = tenants.TenantsPlan(
        tmp_path, rows=600, tenant=60, dim=16, queries=5, large=4000, sizes=(10, 50), edge=False
    )
    report = tenants.measure(plan)
    recalls = {line.name: line.value for line in report.measurements if "recall" in line.name}
    by_size = {size: recalls[f"tenant of {size}: recall@10, ours"] for size in ("10", "50", "4,000")}
    assert by_size["10"] == by_size["50"] == 1
    assert by_size["4,000"] >= 0.9
    medians = [line.value for line in report.measurements if "median" in line.name]
    assert len(medians) == 5
    assert min(medians) > 0


def test_tenants_have_the_sizes_asked_for_and_come_in_mixed(tmp_path: Path) -> None:
    plan = tenants.TenantsPlan(tmp_path, large=50, sizes=(3, 7))
    owners, names = tenants._owners(plan, 75)
    sizes = np.bincount(owners)
    assert sizes.tolist() == [50, 3, 7, 3, 7, 5]
    assert names == [f"{size}-{i}" for i, size in enumerate(sizes)]
    assert (np.diff(owners) < 0).any()
