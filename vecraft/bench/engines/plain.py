"""FAISS graphs and nothing else: the floor under every engine built on them.

``Flat`` holds float32 in its graph. ``Coded`` holds 8-bit codes and scores twice the wanted again on the
originals, as ``node.index`` does.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from node.index.library import faiss
from vecraft.bench.engines.port import Answers, Effort, Settings, Spent
from vecraft.bench.sets import VectorSet

_M, _EF_CONSTRUCT, _EF = 16, 100, 100
_FILE = "index.faiss"
_OVERSAMPLING = 2


class Flat:
    """Implements ``port.Engine``; ingesting is nothing, all work is the graph's."""

    def __init__(self, folder: Path, settings: Settings, vectors: VectorSet) -> None:
        self._folder, self._settings, self._vectors = folder, settings, vectors
        self._index: Any = None

    def ingest(self) -> Spent:
        self._folder.mkdir(parents=True)
        return Spent()

    def index(self) -> Spent:
        base = np.ascontiguousarray(self._vectors.base())
        faiss.omp_set_num_threads(self._settings.threads)
        spent = Spent()
        with spent.measure():
            self._index = self._build(base)
            faiss.write_index(self._index, str(self._folder / _FILE))
        return spent

    def serve(self, threads: int) -> None:
        self._index = faiss.read_index(str(self._folder / _FILE))
        faiss.omp_set_num_threads(threads)

    def singles(self, effort: Effort) -> Answers:
        return self.batches(effort, 1)

    def batches(self, effort: Effort, size: int) -> Answers:
        queries, params = self._vectors.queries(), self._params(effort)
        ids, seconds = [], []
        for at in range(0, len(queries), size):
            started = time.perf_counter()
            _, rows = self._index.search(queries[at : at + size], effort.k, params=params)
            seconds.append(time.perf_counter() - started)
            ids.append(rows)
        return Answers(np.concatenate(ids), np.array(seconds))

    def facts(self) -> dict[str, int]:
        return {"segments": 1, "vectors in graphs": int(self._index.ntotal)}

    def close(self) -> None:
        self._index = None

    def _build(self, base: np.ndarray) -> Any:
        index = faiss.IndexHNSWFlat(base.shape[1], _M, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = _EF_CONSTRUCT
        index.add(base)
        return index

    def _params(self, effort: Effort) -> Any:
        return faiss.SearchParametersHNSW(efSearch=effort.ef or _EF)


class Coded(Flat):
    """Implements ``port.Engine``."""

    def _build(self, base: np.ndarray) -> Any:
        codes = faiss.ScalarQuantizer.QT_8bit_uniform
        graph = faiss.IndexHNSWSQ(base.shape[1], codes, _M, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = _EF_CONSTRUCT
        graph.train(base)
        graph.add(base)
        index = faiss.IndexRefineFlat(graph, faiss.swig_ptr(base))
        index.own_fields = True
        graph.this.disown()
        return index

    def _params(self, effort: Effort) -> Any:
        return faiss.IndexRefineSearchParameters(
            k_factor=_OVERSAMPLING, base_index_params=super()._params(effort)
        )
