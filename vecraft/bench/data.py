"""What benchmarks search in: embeddings from a folder, or generated ones with the same traits.

A folder holds ``wordnet.base.i8.npy`` (n, dim) int8, the payload of each row in ``wordnet.base.jsonl.gz``,
and ``wordnet.queries.i8.npy``. Rows become float32 of unit length.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from msgspec import Struct

FloatMatrix = npt.NDArray[np.float32]

BUNDLED = Path(__file__).resolve().parents[2] / "examples" / "wordnet"

# Real embeddings live near a space of fewer dimensions than they have, of which some matter more than
# others; they are clustered, and what is near a point is not only its cluster. With these figures recall
# grows with the effort of a graph as it does on real ones.
_RANK_SHARE, _RANK_MAX = 0.5, 256
_DECAY = 0.5  # dimension i of the low-rank space is scaled by i ** -_DECAY
_CLUSTERS = 1000
_SPREAD = 1.0  # of a point around its cluster's centre, whose length is 1
_NOISE = 0.1  # outside the low-rank space
_BLOCK = 65_536  # rows generated at a time: fixed, so the numbers never depend on who asks for how many
_HELD_OUT = 2**32 - 1  # the number of the block that queries come from


class EmbeddingSet(Struct, frozen=True):
    """``base`` (n, dim), ``queries`` (m, dim): float32, rows of unit length; a JSON payload per base row."""

    name: str
    base: FloatMatrix
    queries: FloatMatrix
    payloads: list[bytes]


def load_folder(folder: Path | None, *, queries_max: int) -> EmbeddingSet:
    """Load a folder, or the cut that comes with the source when it is None.

    Raises: FileNotFoundError naming the missing file.
    """
    source = folder or BUNDLED
    with gzip.open(source / "wordnet.base.jsonl.gz", "rb") as lines:
        payloads = [line.rstrip(b"\n") for line in lines]
    base = _unit_rows(np.load(source / "wordnet.base.i8.npy"))
    queries = _unit_rows(np.load(source / "wordnet.queries.i8.npy")[:queries_max])
    if len(payloads) != len(base):
        raise ValueError(f"{source} has {len(base)} vectors and {len(payloads)} payloads")
    kind = "bundled cut" if folder is None else "folder"
    return EmbeddingSet(f"WordNet, {kind}, {len(base):,} x {base.shape[1]}", base, queries, payloads)


def _unit_rows(codes: npt.NDArray[np.generic]) -> FloatMatrix:
    matrix = codes.astype(np.float32)
    matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), np.float32(1e-12))
    return matrix


def generate(points: int, dim: int, *, seed: int) -> Iterator[FloatMatrix]:
    """Yield blocks of low-rank, clustered rows of unit length: ``points`` in all.

    The first n rows are the same for every ``points`` >= n.
    """
    basis, centres = _shape(dim, seed)
    for number, start in enumerate(range(0, points, _BLOCK)):
        rows = min(_BLOCK, points - start)
        yield _block(np.random.default_rng((seed, number)), basis, centres)[:rows]


def generate_queries(count: int, dim: int, *, seed: int) -> FloatMatrix:
    """Rows of the same distribution that no ``generate`` yields: (count, dim), at most one block."""
    basis, centres = _shape(dim, seed)
    return _block(np.random.default_rng((seed, _HELD_OUT)), basis, centres)[:count]


def _shape(dim: int, seed: int) -> tuple[FloatMatrix, FloatMatrix]:
    """The low-rank space (rank, dim), and the clusters' centres in it (clusters, rank)."""
    rng = np.random.default_rng(seed)
    rank = max(1, min(_RANK_MAX, int(dim * _RANK_SHARE)))
    scale = np.arange(1, rank + 1, dtype=np.float32) ** np.float32(-_DECAY)
    scale /= np.float32(np.sqrt(np.mean(scale**2)))
    basis = rng.standard_normal((rank, dim), dtype=np.float32) * scale[:, np.newaxis]
    centres = _unit_rows(rng.standard_normal((_CLUSTERS, rank), dtype=np.float32))
    basis /= np.float32(np.sqrt(dim))
    return basis, centres


def _block(rng: np.random.Generator, basis: FloatMatrix, centres: FloatMatrix) -> FloatMatrix:
    rank, dim = basis.shape
    spread = rng.standard_normal((_BLOCK, rank), dtype=np.float32) * np.float32(_SPREAD / np.sqrt(rank))
    latent = centres[rng.integers(0, len(centres), _BLOCK)] + spread
    noise = rng.standard_normal((_BLOCK, dim), dtype=np.float32) * np.float32(_NOISE / np.sqrt(dim))
    return _unit_rows(latent @ basis + noise)


def nearest_by_dot(base: FloatMatrix, queries: FloatMatrix, k: int) -> npt.NDArray[np.int64]:
    """The truth: per query the rows of ``base`` with the k largest dot products, best first."""
    found = np.empty((len(queries), k), dtype=np.int64)
    for start in range(0, len(queries), 64):
        scores = queries[start : start + 64] @ base.T
        top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
        found[start : start + 64] = np.take_along_axis(top, order, axis=1)
    return found


def recall(found: list[list[int]], truth: npt.NDArray[np.int64]) -> float:
    """Mean share of each query's true neighbours that were found."""
    shares = [len(set(ids) & set(true)) / len(true) for ids, true in zip(found, truth.tolist(), strict=True)]
    return float(np.mean(shares))
