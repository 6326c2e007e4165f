"""Facts about the process and its machine, from ``/proc``. Elsewhere than on Linux they are absent."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import shutil
import sys
from functools import cache
from pathlib import Path

from msgspec import Struct

PROC = Path("/proc")


class Memory(Struct, frozen=True):
    """Bytes, as the allocator counts them; glibc does not tell what its own structures take."""

    active_bytes: int
    allocated_bytes: int
    metadata_bytes: int
    resident_bytes: int
    retained_bytes: int


class _Mallinfo2(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    ]


def memory() -> Memory:
    heap = _mallinfo()
    return Memory(
        active_bytes=heap.arena + heap.hblkhd,
        allocated_bytes=heap.uordblks + heap.hblkhd,
        metadata_bytes=0,
        resident_bytes=_resident_bytes(),
        retained_bytes=heap.fordblks,
    )


def _mallinfo() -> _Mallinfo2:
    try:
        function = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):  # another C library than glibc
        return _Mallinfo2()
    function.restype = _Mallinfo2
    result: _Mallinfo2 = function()
    return result


def _resident_bytes() -> int:
    return _status_number("VmRSS:") * 1024


def _status_number(label: str) -> int:
    for line in _lines(PROC / "self/status"):
        if line.startswith(label):
            return int(line.split()[1])
    return 0


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def process_gauges() -> dict[str, int]:
    """Metric name -> value."""
    if not (PROC / "self").exists():
        return {}
    found = {
        "process_threads": _status_number("Threads:"),
        "process_open_mmaps": len(_lines(PROC / "self/maps")),
        "process_open_fds": len(os.listdir(PROC / "self/fd")),
        "process_max_fds": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }
    limit = _lines(PROC / "sys/vm/max_map_count")
    return found | ({"system_max_mmaps": int(limit[0])} if limit else {})


def page_faults() -> dict[str, int]:
    """Metric name -> value; children included."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "process_minor_page_faults_total": own.ru_minflt + children.ru_minflt,
        "process_major_page_faults_total": own.ru_majflt + children.ru_majflt,
    }


class Disk(Struct, frozen=True):
    size_bytes: int
    free_bytes: int  # to a process without privileges


def disk(path: Path) -> Disk | None:
    """The disk that holds ``path``; None if it cannot be asked."""
    try:
        usage = shutil.disk_usage(path)
    except OSError:
        return None
    return Disk(usage.total, usage.free)


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:  # no such file: another system, or an image that holds nothing but the program
        return {}


@cache
def system() -> dict[str, object]:
    """The ``app.system`` of telemetry: the machine, without anything that names it."""
    release = _os_release()
    ram_kib = next((int(line.split()[1]) for line in _lines(PROC / "meminfo") if "MemTotal" in line), 0)
    flags = next((line.split(":")[1] for line in _lines(PROC / "cpuinfo") if line.startswith("flags")), "")
    return {
        "distribution": release.get("ID", platform.system()),
        "distribution_version": release.get("VERSION_ID", platform.release()),
        "is_docker": Path("/.dockerenv").exists(),
        "cores": os.cpu_count(),
        "ram_size": ram_kib,
        "disk_size": shutil.disk_usage(".").total // 1024,
        "cpu_flags": ",".join(flags.split()),
        "cpu_endian": sys.byteorder,
    }
