"""How many threads FAISS uses for calls from the current thread (OpenMP keeps this per thread)."""

from __future__ import annotations

from node.index.library import faiss


def set_threads(count: int) -> None:
    faiss.omp_set_num_threads(count)
