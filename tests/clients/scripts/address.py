"""What a program here is told on its command line: ``URL GRPC_PORT PROTOCOL``."""

from __future__ import annotations

import sys
from typing import Any


def options() -> dict[str, Any]:
    """How qdrant-client is to connect."""
    url, grpc_port, protocol = sys.argv[1:]
    return {"url": url, "grpc_port": int(grpc_port), "prefer_grpc": protocol == "grpc", "timeout": 30}


def equal(found: object, wanted: object) -> None:
    assert found == wanted, f"expected {wanted!r}, found {found!r}"
