"""What everybody logs with brings nothing along that nobody asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module", ["node.cluster.node", "router.rest.app", "node.segments.building.builder", "vecraft.logs"]
)
def test_who_logs_does_not_load_rich(module: str) -> None:
    code = f"import sys, {module}; print('rich' in sys.modules, 'structlog' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_rich_is_there_for_who_asks_for_it() -> None:
    code = "import rich.console as first, protos.logger, rich.table; print(rich.console is first)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"]
