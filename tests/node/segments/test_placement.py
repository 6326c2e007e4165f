"""Placement of files: what is locked, cached, or left alone, and what that is said to cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.index import GraphParams
from node.segments import SealedSegment, placement
from node.segments.building.assemble import assemble
from node.segments.building.jobs import IndexJob, Source
from node.segments.placement import Placements, Usage, placements_of
from protos.collections import (
    CollectionConfig,
    CollectionParams,
    Distance,
    HnswConfig,
    HnswConfigDiff,
    Memory,
    QuantizationConfig,
    ScalarQuantizationConfig,
    SparseIndexParams,
    SparseVectorParams,
    VectorParams,
)
from tests.node.segments.make import sealed, vectors

VECTORS_BYTES = 2000 * 16 * 4
ON_DISK = HnswConfigDiff(on_disk=True)


def _config(vector: VectorParams, **others: object) -> CollectionConfig:
    return CollectionConfig(CollectionParams({"": vector}), **others)  # type: ignore[arg-type]


def _vector(**options: object) -> VectorParams:
    return VectorParams(16, Distance.COSINE, **options)  # type: ignore[arg-type]


def _scalar(**options: object) -> QuantizationConfig:
    return QuantizationConfig(scalar=ScalarQuantizationConfig("int8", **options))  # type: ignore[arg-type]


@pytest.fixture
def segment(tmp_path: Path) -> SealedSegment:
    source = sealed(tmp_path / "s", vectors(2000))
    job = IndexJob(
        target=str(tmp_path / "t"), graphs={"": GraphParams(8, 40)}, source=Source(str(source.directory))
    )
    assemble(job)
    return SealedSegment.open(tmp_path / "t")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (_config(_vector()), Placements()),
        (_config(_vector(on_disk=True)), Placements(Memory.COLD, Memory.CACHED)),
        (_config(_vector(memory=Memory.COLD)), Placements(Memory.COLD, Memory.CACHED)),
        (_config(_vector(), hnsw_config=HnswConfig(on_disk=True)), Placements(Memory.CACHED, Memory.COLD)),
        (
            _config(_vector(hnsw_config=HnswConfigDiff(memory=Memory.PINNED))),
            Placements(Memory.CACHED, Memory.PINNED),
        ),
        (
            _config(_vector(on_disk=True), quantization_config=_scalar(always_ram=True)),
            Placements(Memory.COLD, Memory.PINNED),
        ),
        (
            _config(
                _vector(on_disk=True, hnsw_config=HnswConfigDiff(on_disk=True)), quantization_config=_scalar()
            ),
            Placements(Memory.COLD, Memory.COLD),
        ),
        (
            _config(
                _vector(
                    hnsw_config=HnswConfigDiff(on_disk=True), quantization_config=_scalar(memory=Memory.COLD)
                ),
                quantization_config=_scalar(always_ram=True),
            ),
            Placements(Memory.CACHED, Memory.COLD),
        ),
    ],
)
def test_settings_say_where_files_lie(config: CollectionConfig, expected: Placements) -> None:
    assert placements_of(config, "") == expected


@pytest.mark.parametrize(
    ("ceiling", "expected"),
    [
        (Memory.PINNED, Placements(Memory.CACHED, Memory.PINNED)),
        (Memory.CACHED, Placements(Memory.CACHED, Memory.CACHED)),
        (Memory.COLD, Placements(Memory.COLD, Memory.COLD)),
    ],
)
def test_a_ceiling_lowers_what_lies_higher(ceiling: Memory, expected: Placements) -> None:
    assert Placements(Memory.CACHED, Memory.PINNED).at_most(ceiling) == expected
    assert Placements(Memory.COLD, Memory.COLD).at_most(ceiling) == Placements(Memory.COLD, Memory.COLD)


def test_cached_and_cold_files_tell_what_is_resident(segment: SealedSegment) -> None:
    segment.place({"": Placements(Memory.CACHED, Memory.COLD), "other": Placements()})
    usage = segment.memory_usage()
    assert usage["", "storage"] == Usage(VECTORS_BYTES, 0, VECTORS_BYTES, VECTORS_BYTES)  # just written
    assert usage["", "index"].expected_cache_bytes == 0
    assert usage["", "index"].disk_bytes == (segment.directory / "graph.0.faiss").stat().st_size


def test_pinned_files_are_locked_and_let_go(segment: SealedSegment) -> None:
    locked = _locked_kib()
    segment.place({"": Placements(Memory.CACHED, Memory.PINNED)})
    index = segment.memory_usage()["", "index"]
    assert index.ram_bytes == index.disk_bytes > 0
    assert _locked_kib() - locked >= index.disk_bytes // 1024
    segment.place({"": Placements()})
    assert segment.memory_usage()["", "index"].ram_bytes == 0
    assert _locked_kib() == locked


def test_what_cannot_be_locked_is_cached(segment: SealedSegment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "_lock", lambda _: False)
    segment.place({"": Placements(Memory.CACHED, Memory.PINNED)})
    index = segment.memory_usage()["", "index"]
    assert (index.ram_bytes, index.expected_cache_bytes) == (0, index.disk_bytes)


def _locked_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmLck:"))


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (None, Memory.PINNED),
        (SparseIndexParams(on_disk=True), Memory.COLD),
        (SparseIndexParams(on_disk=True, memory=Memory.CACHED), Memory.CACHED),
    ],
)
def test_inverted_indexes_lie_where_their_settings_say(
    index: SparseIndexParams | None, expected: Memory
) -> None:
    params = CollectionParams({}, sparse_vectors={"words": SparseVectorParams(index)})
    assert placements_of(CollectionConfig(params), "words") == Placements(index=expected)
