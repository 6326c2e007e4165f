"""Graphs for our own walk, and linking FAISS's by it (``walk``, in C).

Lives here: what the C code has to be told about a FAISS index, or about codes and packed links. Only graphs
over codes of integers and ``SIGNS``; it links the former alone.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from node.index import memory, walk
from node.index.codes import Code, Encoding
from node.index.library import faiss
from node.index.packed_links import PackedLinks
from node.index.rotation import signs_of

_ALONE = (
    64  # nodes that are linked before several threads begin: those of the highest levels lead to all others
)


def walked(index: Any, encoding: Encoding) -> walk.Graph:
    """The graph of ``index``, of which nothing but links may change."""
    links, storage = index.hnsw, faiss.downcast_index(index.storage)
    return walk.Graph(
        owner=index,
        count=index.ntotal,
        entry=links.entry_point,
        top=links.max_level,
        neighbors=int(links.neighbors.data()),
        offsets=int(links.offsets.data()),
        starts=faiss.vector_to_array(links.cum_nneighbor_per_level).astype(np.int32, copy=False),
        **_codes_of(storage, encoding),
    )


def walked_packed(storage: Any, links: PackedLinks, encoding: Encoding) -> walk.Graph:
    """The graph of ``links`` between the codes of ``storage``. Raises: ValueError if they do not fit."""
    if storage.ntotal != links.count or storage.codes.size() != links.count * storage.code_size:
        raise ValueError(f"links of {links.count} nodes, {storage.ntotal} codes")
    return walk.Graph.packed(
        owner=storage,
        count=links.count,
        entry=links.shape.entry,
        levels=tuple((level.blocks, level.links, level.nodes) for level in links.levels),
        **_codes_of(storage, encoding),
    )


def _codes_of(storage: Any, encoding: Encoding) -> dict[str, Any]:
    """What the codes of ``storage`` are and stand for; of signs its ``qb`` counts."""
    found = {"codes": int(storage.codes.data()), "width": int(storage.code_size)}
    if encoding.code is not Code.SIGNS:
        return found | {"low": encoding.low, "step": encoding.step, "form": encoding.form}
    centre, rotation = int(storage.center.data()), signs_of(int(storage.d))
    return found | {"low": 0.0, "step": 1.0, "centre": centre, "bits": int(storage.qb), "rotation": rotation}


def link(index: Any, encoding: Encoding, ef: int) -> None:
    """Link the nodes of ``index`` whose codes are in its storage and that it does not count yet.

    By as many threads as FAISS would take. The same codes give the same graph when that is one.
    """
    links, first, total = index.hnsw, int(index.ntotal), int(index.storage.ntotal)
    if first == total:
        return
    levels = _make_room(index, first, total)
    index.ntotal = total
    order = _order(levels, first)
    highest = int(levels[order[0]]) - 1
    if links.entry_point >= 0:
        _link(walked(index, encoding), levels, order[:1], ef, threads=1)
    if links.entry_point < 0 or highest > links.max_level:
        links.entry_point, links.max_level = int(order[0]), highest
    graph, threads = walked(index, encoding), faiss.omp_get_max_threads()
    _link(graph, levels, order[1:_ALONE], ef, threads=1)
    _link(graph, levels, order[max(1, _ALONE) :], ef, threads=threads)


def _make_room(index: Any, first: int, total: int) -> Any:
    """Give the nodes from ``first`` on levels, and all of them memory for their links; returns all levels.

    Levels are drawn as FAISS draws them: each has ``m`` times fewer nodes than the one below.
    """
    links = index.hnsw
    starts = faiss.vector_to_array(links.cum_nneighbor_per_level).astype(np.int64)
    drawn = np.random.default_rng((first, total)).exponential(
        1 / np.log(links.nb_neighbors(1)), total - first
    )
    drawn = 1 + np.minimum(drawn.astype(np.int32), len(starts) - 2)
    levels = np.concatenate([faiss.vector_to_array(links.levels), drawn.astype(np.int32)])
    offsets = np.zeros(total + 1, dtype=np.uint64)
    np.cumsum(starts[levels], out=offsets[1:])
    neighbors = memory.zeros((int(offsets[-1]),), np.int32)
    former = faiss.rev_swig_ptr(links.neighbors.data(), links.neighbors.size()) if first else neighbors[:0]
    neighbors[: len(former)] = former
    neighbors[len(former) :] = -1
    faiss.copy_array_to_vector(levels, links.levels)
    faiss.copy_array_to_vector(offsets, links.offsets)
    memory.lend(neighbors, links.neighbors, index)
    return levels


def _order(levels: Any, first: int) -> Any:
    """Nodes from ``first`` on, the highest level first, mixed within a level: rows may come sorted."""
    mixed = np.random.default_rng(first).permutation(len(levels) - first) + first
    return mixed[np.argsort(-levels[mixed], kind="stable")].astype(np.int32)


def _link(graph: walk.Graph, levels: Any, order: Any, ef: int, *, threads: int) -> None:
    locks, next_ = np.zeros(len(levels), dtype=np.uint8), np.zeros(1, dtype=np.int64)
    order = np.ascontiguousarray(order)
    if threads == 1:
        graph.link(levels, locks, order, next_, ef)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(graph.link, levels, locks, order, next_, ef) for _ in range(threads)]:
            done.result()
