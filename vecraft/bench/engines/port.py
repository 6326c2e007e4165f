"""What a benchmark may ask of an engine."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from msgspec import Struct

INGEST_BATCH = 1000

Ids = npt.NDArray[np.int64]
Quantization = Literal["none", "scalar", "product", "binary", "turbo"]


class Settings(Struct, frozen=True):
    """How a collection is made and filled; all else is left to the engine's defaults.

    ``live``: segments are built while points come in, as a server does; otherwise after they all came, which
    is the only way that Qdrant's embedded engine has.
    """

    quantization: Quantization = "none"
    threads: int = 2
    live: bool = False


class Effort(Struct, frozen=True):
    """Of one search. ``ef`` None: the engine's default.

    ``oversampling``, of codes: so many candidates for each wanted are scored again on the original vectors;
    None: what the engine does by default, which for some codes is not to score again.
    """

    ef: int | None = None
    k: int = 10
    oversampling: float | None = None


class Spent(Struct):
    """Seconds by the clock, and of the processor (this process and builders that have ended)."""

    seconds: float = 0.0
    processor_s: float = 0.0

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Adds what its body takes."""
        seconds, processor_s = time.perf_counter(), _processor_s()
        yield
        self.seconds += time.perf_counter() - seconds
        self.processor_s += _processor_s() - processor_s


class Answers(Struct):
    """``ids`` (n, k), padded with -1; ``seconds`` one per call."""

    ids: Ids
    seconds: npt.NDArray[np.float64]


class Engine(Protocol):
    """Made with a folder, ``Settings`` and a ``sets.VectorSet``; ids are the rows of its base."""

    def ingest(self) -> Spent: ...

    def index(self) -> Spent:
        """Wait until every graph that the settings ask for is built."""
        ...

    def serve(self, threads: int) -> None:
        """(Re)open what was built, searching with so many threads."""
        ...

    def singles(self, effort: Effort) -> Answers:
        """One call per query of the set, one after another."""
        ...

    def batches(self, effort: Effort, size: int) -> Answers:
        """All queries, ``size`` per call."""
        ...

    def facts(self) -> dict[str, int]:
        """Segments, and vectors that are in graphs."""
        ...

    def close(self) -> None: ...


def _processor_s() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def private_bytes() -> int:
    """Memory of this process that no file can give back."""
    with open("/proc/self/status") as lines:
        return sum(
            int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon:", "RssShmem:"))
        )


def disk_bytes(folder: Path) -> int:
    """Blocks allocated to the files of ``folder``; linked ones are counted once."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            status = os.stat(Path(parent, name))
            found[status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def padded(ids: list[list[int]], k: int) -> Ids:
    """Shape (n, k)."""
    found = np.full((len(ids), k), -1, dtype=np.int64)
    for row, given in zip(found, ids, strict=True):
        row[: len(given)] = given
    return found
