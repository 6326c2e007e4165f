"""What ``/metrics`` tells of the hardware that reads and writes have cost (reference 4.1). Pure."""

from __future__ import annotations

from collections.abc import Iterable

from protos.hardware import HardwareUsage
from router.monitoring.exposition import family, joined, labels
from router.monitoring.inventory import CollectionEntry


def hardware_families(entries: Iterable[CollectionEntry], prefix: str) -> bytes:
    used = {entry.name: entry.hardware for entry in entries if entry.hardware is not None}
    lines: list[str] = []
    for name in HardwareUsage.__struct_fields__ if used else ():
        unit = "microseconds of processor time" if name == "cpu" else "bytes"
        samples = {labels(id=collection): getattr(usage, name) for collection, usage in used.items()}
        lines += family(
            prefix, f"collection_hardware_metric_{name}", "counter", f"cost of requests: {unit}", samples
        )
    return joined(lines)
