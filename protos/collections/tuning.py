"""How a collection is indexed, optimised and logged: HNSW, optimizer and WAL settings.

Lives here: the effective settings (every field has its value), their *diffs* (None: as it was) and
``overlay``, which lays a diff over settings.
May not live here: constraints on values (``rules``).

Sizes are in KB, 1024 bytes of raw vector data. Source: reference 7.2.
"""

from __future__ import annotations

import enum
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

Unsigned = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_S = TypeVar("_S", bound=Struct)


class Memory(enum.Enum):
    """Where a component's pages live; what each component accepts is reference 12's."""

    COLD = "cold"
    CACHED = "cached"
    PINNED = "pinned"

    def at_most(self, ceiling: Memory) -> Memory:
        """Whichever keeps less in memory."""
        return min(self, ceiling, key=list(Memory).index)


class HnswConfig(Struct, frozen=True):
    """``m`` 0 builds no global graph; ``full_scan_threshold`` in KB; 0 threads: chosen by the node."""

    m: Unsigned = 16
    ef_construct: Unsigned = 100
    full_scan_threshold: Unsigned = 10_000
    max_indexing_threads: Unsigned = 0
    on_disk: bool | None = False
    memory: Memory | None = None
    payload_m: Unsigned | None = None
    inline_storage: bool | None = None


class HnswConfigDiff(Struct, frozen=True, omit_defaults=True):
    m: Unsigned | None = None
    ef_construct: Unsigned | None = None
    full_scan_threshold: Unsigned | None = None
    max_indexing_threads: Unsigned | None = None
    on_disk: bool | None = None
    memory: Memory | None = None
    payload_m: Unsigned | None = None
    inline_storage: bool | None = None


class OptimizersConfig(Struct, frozen=True):
    """``indexing_threshold`` in KB, 0 defers indexing; ``max_optimization_threads`` 0 stops optimizing."""

    deleted_threshold: float = 0.2
    vacuum_min_vector_number: Unsigned = 1000
    default_segment_number: Unsigned = 0
    max_segment_size: Unsigned | None = None
    memmap_threshold: Unsigned | None = None
    indexing_threshold: Unsigned | None = 10_000
    flush_interval_sec: Unsigned = 5
    max_optimization_threads: Unsigned | None = None
    prevent_unoptimized: bool | None = None


class OptimizersConfigDiff(Struct, frozen=True, omit_defaults=True):
    deleted_threshold: float | None = None
    vacuum_min_vector_number: Unsigned | None = None
    default_segment_number: Unsigned | None = None
    max_segment_size: Unsigned | None = None
    memmap_threshold: Unsigned | None = None
    indexing_threshold: Unsigned | None = None
    flush_interval_sec: Unsigned | None = None
    max_optimization_threads: Unsigned | Literal["auto"] | None = None
    prevent_unoptimized: bool | None = None


class WalConfig(Struct, frozen=True):
    wal_capacity_mb: Unsigned = 32
    wal_segments_ahead: Unsigned = 0
    wal_retain_closed: Unsigned = 1


class WalConfigDiff(Struct, frozen=True, omit_defaults=True):
    wal_capacity_mb: Unsigned | None = None
    wal_segments_ahead: Unsigned | None = None
    wal_retain_closed: Unsigned | None = None


def overlay(base: _S, diff: Struct | None) -> _S:
    """Return ``base`` with every field that ``diff`` sets (is not None) replaced."""
    if diff is None:
        return base
    given = {key: value for key, value in msgspec.structs.asdict(diff).items() if value is not None}
    return msgspec.structs.replace(base, **given) if given else base
