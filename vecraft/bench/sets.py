"""Named sets of vectors, kept as files that every process of a benchmark maps: vectors, queries, truth.

``wordnet`` is a folder of embeddings, ``lowrank<dim>`` is generated. Files are made once per set, size and
seed, in the benchmark's cache.
"""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node.index.library import faiss
from vecraft.bench.data import BUNDLED, FloatMatrix, generate, generate_queries, load_folder

CACHE = Path(".cache/bench")
K_MAX = 100  # neighbours that the truth holds

_FORMAT = 1  # of the cached files; grows when what is generated changes
_ROWS = 50_000
_GENERATED = re.compile(r"lowrank(\d+)")
_TRUTH_BLOCK = 131_072

Truth = npt.NDArray[np.int64]


class SetPlan(Struct, frozen=True):
    """``rows`` None: all of a folder, 50,000 generated. ``data``: the folder, None: the bundled cut."""

    name: str = "lowrank128"
    rows: int | None = None
    queries: int = 1000
    data: Path | None = None
    seed: int = 0
    cache: Path = CACHE


class VectorSet(Struct, frozen=True):
    """``folder`` has ``base.npy`` (n, dim) and ``queries.npy`` (m, dim): float32 rows of unit length.

    ``source``: the folder that has a JSON payload for each row, None if there are none.
    """

    name: str
    folder: Path
    source: Path | None = None

    def base(self) -> FloatMatrix:
        """Mapped, not read."""
        matrix: FloatMatrix = np.load(self.folder / "base.npy", mmap_mode="r")
        return matrix

    def queries(self) -> FloatMatrix:
        matrix: FloatMatrix = np.load(self.folder / "queries.npy")
        return matrix

    def payloads(self) -> list[bytes] | None:
        if self.source is None:
            return None
        with gzip.open(self.source / "wordnet.base.jsonl.gz", "rb") as lines:
            found = [line.rstrip(b"\n") for line in lines]
        return found[: len(self.base())]

    def truth(self) -> Truth:
        """Per query the rows with the ``K_MAX`` largest dot products, best first; made when first asked."""
        path = self.folder / "truth.npy"
        if not path.exists():
            _write(path, lambda part: np.save(part, nearest(self.base(), self.queries(), K_MAX)))
        truth: Truth = np.load(path)
        return truth


def make(plan: SetPlan) -> VectorSet:
    """The set, from the cache if it is there.

    Raises: ValueError for an unknown name, FileNotFoundError naming a missing file of a folder.
    """
    cache = plan.cache.resolve()
    if plan.name == "wordnet":
        return _from_folder(plan, cache)
    generated = _GENERATED.fullmatch(plan.name)
    if generated is None:
        raise ValueError(f"no set is called {plan.name!r}: wordnet, lowrank128, lowrank1536 …")
    dim, rows = int(generated[1]), plan.rows or _ROWS
    name = f"{plan.name}, seed {plan.seed}, {rows:,} x {dim}"
    folder = cache / f"{plan.name}-{rows}-{plan.queries}-{plan.seed}-v{_FORMAT}"
    found = VectorSet(name, folder)
    if not (folder / "queries.npy").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "base.npy", lambda part: _save_generated(part, rows, dim, plan.seed))
        queries = generate_queries(plan.queries, dim, seed=plan.seed)
        _write(folder / "queries.npy", lambda part: np.save(part, queries))
    return found


def nearest(base: FloatMatrix, queries: FloatMatrix, k: int) -> Truth:
    """Rows of ``base`` with the ``k`` largest dot products, exact, best first: (m, min(k, n))."""
    k = min(k, len(base))
    scores = np.empty((len(queries), 0), dtype=np.float32)
    rows = np.empty((len(queries), 0), dtype=np.int64)
    for at in range(0, len(base), _TRUTH_BLOCK):
        block = np.ascontiguousarray(base[at : at + _TRUTH_BLOCK])
        found, places = faiss.knn(queries, block, min(k, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        scores, rows = np.hstack([scores, found]), np.hstack([rows, places + at])
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        scores, rows = np.take_along_axis(scores, best, axis=1), np.take_along_axis(rows, best, axis=1)
    return rows


def recall(ids: npt.NDArray[np.int64], truth: Truth) -> float:
    """Mean share of each query's first k true neighbours found; k is the width of ``ids`` (-1: none)."""
    k = min(ids.shape[1], truth.shape[1])
    hits = (ids[:, :, np.newaxis] == truth[:, np.newaxis, :k]).any(axis=2)
    return float(hits.sum(axis=1).mean() / k)


def _from_folder(plan: SetPlan, cache: Path) -> VectorSet:
    source = (plan.data or BUNDLED).resolve()
    embeddings = load_folder(plan.data, queries_max=plan.queries)
    base = embeddings.base[: plan.rows]
    stamp = (source / "wordnet.base.i8.npy").stat()
    folder = cache / f"wordnet-{len(base)}-{plan.queries}-{stamp.st_size}-v{_FORMAT}"
    if not (folder / "queries.npy").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "base.npy", lambda part: np.save(part, base))
        _write(folder / "queries.npy", lambda part: np.save(part, embeddings.queries))
    cut = ", bundled cut" if plan.data is None else ""
    return VectorSet(f"WordNet{cut}, {len(base):,} x {base.shape[1]}", folder, source)


def _save_generated(path: Path, rows: int, dim: int, seed: int) -> None:
    matrix = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, dim))
    at = 0
    for block in generate(rows, dim, seed=seed):
        matrix[at : at + len(block)] = block
        at += len(block)
    matrix.flush()


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """So that a file is there wholly or not at all."""
    part = path.with_name(f"part-{os.getpid()}-{path.name}")
    write(part)
    part.replace(path)
