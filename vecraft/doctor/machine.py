"""The machine: limits of the process, the processor, memory."""

from __future__ import annotations

import platform
import resource
from pathlib import Path

from msgspec import Struct

from node.optimizer.budget import available_bytes
from vecraft.doctor.findings import Finding

CHECK = "machine"
FILES_FEW = 10_000
MAPS_FEW = 65_530  # the kernel's default
MAPS_ENOUGH = 262_144
MEMORY_LITTLE = 1 << 30


class MachineFacts(Struct, frozen=True, kw_only=True):
    """``max_maps`` and ``available_bytes`` None: the system does not tell. ``flags``: of the processor."""

    files_soft: int
    files_hard: int
    max_maps: int | None
    architecture: str
    flags: frozenset[str]
    available_bytes: int | None


def look() -> MachineFacts:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    return MachineFacts(
        files_soft=2**31 if soft == unlimited else soft,
        files_hard=2**31 if hard == unlimited else hard,
        max_maps=_number(Path("/proc/sys/vm/max_map_count")),
        architecture=platform.machine(),
        flags=_processor_flags(Path("/proc/cpuinfo")),
        available_bytes=available_bytes(),
    )


def judge(facts: MachineFacts) -> list[Finding]:
    findings = []
    if facts.files_soft < FILES_FEW:
        why = "each segment, log and connection holds some; without, shards cannot be opened"
        mend = f"ulimit -n {min(65_535, facts.files_hard)}    # or LimitNOFILE=65535 in the systemd unit"
        findings.append(
            Finding(CHECK, "warning", f"a process may open {facts.files_soft:,} files at most", why, mend)
        )
    if facts.max_maps is not None and facts.max_maps < MAPS_FEW:
        why = "files of segments are memory-mapped; with too few mappings they cannot be opened"
        what = f"a process may have {facts.max_maps:,} memory mappings at most"
        findings.append(Finding(CHECK, "warning", what, why, f"sysctl -w vm.max_map_count={MAPS_ENOUGH}"))
    if facts.architecture == "x86_64" and facts.flags and "avx2" not in facts.flags:
        why = "distances are computed several times slower"
        mend = "run it on a processor with AVX2, or let the virtual machine have it (cpu model host)"
        findings.append(Finding(CHECK, "warning", "the processor has no AVX2", why, mend))
    if facts.available_bytes is not None and facts.available_bytes < MEMORY_LITTLE:
        free = f"{facts.available_bytes / 2**20:,.0f} MiB"
        what = f"{free} of memory are free, by the machine or its control group"
        why = "builds of indexes wait for memory, and searches read from the disk"
        mend = "give it more memory, or set on_disk and quantization for large collections"
        findings.append(Finding(CHECK, "warning", what, why, mend))
    return findings


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _processor_flags(path: Path) -> frozenset[str]:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), []))
