"""Small segments for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from node.index import GraphParams
from node.index.distances import normalize
from node.segments import GrowingSegment, SealedSegment, VectorSchema, seal
from node.segments.building.assemble import assemble
from node.segments.building.jobs import IndexJob, Source
from protos.collections import Distance

FloatArray = npt.NDArray[np.float32]
SCHEMA = VectorSchema("", 16, Distance.COSINE)


def vectors(rows: int, dim: int = 16, seed: int = 0) -> FloatArray:
    return normalize(np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32))


def sealed(
    directory: Path, matrix: FloatArray, start: int = 0, schema: VectorSchema = SCHEMA
) -> SealedSegment:
    growing = GrowingSegment.create(directory, start, max(1, len(matrix)), [schema])
    growing.append({schema.name: (matrix, None)}, len(matrix))
    return seal(growing)


def graphed(
    directory: Path, matrix: FloatArray, start: int = 0, schema: VectorSchema = SCHEMA
) -> SealedSegment:
    """A segment with a graph over all rows; ``directory`` is where it and what it is made of will lie."""
    source = sealed(directory / "rows", matrix, start, schema)
    target = directory / "graph"
    job = IndexJob(
        target=str(target), graphs={schema.name: GraphParams()}, source=Source(str(source.directory))
    )
    assemble(job)
    return SealedSegment.open(target)


def pack(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    return np.packbits(flags, bitorder="little")
