"""Building HNSW graphs: over which codes rows are linked, and from which graph on.

Lives here: everything between a matrix and a FAISS index that is ready to be saved.
May not live here: searching (``hnsw``), the choice of codes (``codes``), files.

A graph may continue a former one. Its links are copied, its rows are encoded anew (so the codes fit all rows
that there are now), and only the other rows are linked: what a row costs is linking it. The same rows give
the same graph when one thread builds. FAISS mixes the rows of a call, so calls are large: rows that come
sorted, or equal ones that come together, would be linked badly (``docs/decisions/0009-continued-graphs.md``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node.index import memory, walk
from node.index.codes import (
    Code,
    Encoding,
    code_bytes,
    for_faiss,
    metric_of,
    sq_type,
    train,
)
from node.index.library import faiss
from node.index.narrow import Originals
from node.index.packed_links import FaissLinks
from node.index.quantization import Quantization
from node.index.samples import BLOCK_ROWS
from node.index.walking import link
from protos.collections import Distance

GraphRows = npt.NDArray[np.uint32]

_CODED_COMPONENTS = 1 << 18  # of rows that are at hand while they are coded
_LINKS_MIN = 2  # FAISS's level distribution needs a base above 1
_LINK_BYTES = 4
_HALVES_DIM_MIN, _HALVES_EF_SHARE = 512, 10
_NODE_BYTES = 40  # level, offset, lock and upper-level links
_UPPER_LINKS = 1.1  # room for the links of upper levels, as a multiple of the lowest's


class GraphParams(Struct, frozen=True):
    """``m`` links per node and level above the lowest, which has twice as many."""

    m: int = 16
    ef_construct: int = 100
    quantization: Quantization | None = None

    def links_like(self, other: GraphParams) -> bool:
        """Are the links the same, whatever the codes?"""
        return (self.m, self.ef_construct) == (other.m, other.ef_construct)


def linked_index(
    distance: Distance,
    matrix: Originals,
    rows: GraphRows | None,
    params: GraphParams,
    encoding: Encoding,
    linked: Encoding,
    former: FaissLinks | None = None,
) -> Any:
    """A FAISS index over ``matrix[rows]`` (None: all): codes of ``encoding``, linked over ``linked``.

    ``former``: links of a graph made with such ``params``, whose nodes are the first of ``rows``.
    """
    metric = metric_of(distance, encoding.code)
    index = empty_index(linked, matrix.shape[1], params, metric)
    index.hnsw.efConstruction = params.ef_construct
    if linked.of_integers:
        hold_codes(index, linked, matrix, rows)
        _continue(index, former)
        link(index, linked, _ef_over(linked, matrix.shape[1], params))
    else:
        _link_by_faiss(index, linked, matrix, rows, former)
    return index if linked == encoding else _recoded(index, distance, matrix, rows, params, encoding)


def _ef_over(linked: Encoding, dim: int, params: GraphParams) -> int:
    """Nodes that walks keep. Of few components the errors of halves do not cancel each other out: a tenth
    more nodes make up for that, where no quantization was asked for."""
    if linked.code is not Code.INTEGER_4BIT or dim >= _HALVES_DIM_MIN or params.quantization is not None:
        return params.ef_construct
    return params.ef_construct + params.ef_construct // _HALVES_EF_SHARE


def _link_by_faiss(
    index: Any, linked: Encoding, matrix: Originals, rows: GraphRows | None, former: FaissLinks | None
) -> None:
    _prepare(index, linked, matrix, rows)
    total = len(matrix) if rows is None else len(rows)
    _reserve(index.hnsw.neighbors, int(total * index.hnsw.nb_neighbors(0) * _UPPER_LINKS))
    first = 0 if former is None else len(former.levels)
    kept_rows = np.arange(first, dtype=np.uint32) if rows is None else rows[:first]
    _store(index, linked, matrix, kept_rows)
    _continue(index, former)
    _add(index, linked, matrix, rows, first)


def _recoded(
    index: Any,
    distance: Distance,
    matrix: Originals,
    rows: GraphRows | None,
    params: GraphParams,
    encoding: Encoding,
) -> Any:
    """The graph of ``index`` with codes of ``encoding``."""
    metric = metric_of(distance, encoding.code)
    coarse = empty_index(encoding, matrix.shape[1], params, metric)
    if encoding.of_integers:
        hold_codes(coarse, encoding, matrix, rows)
    else:
        speak(coarse, encoding, metric)
        _prepare(coarse, encoding, matrix, rows)
        _store(coarse, encoding, matrix, rows)
    coarse.hnsw, coarse.ntotal = index.hnsw, index.ntotal
    coarse.referenced_objects = [*getattr(coarse, "referenced_objects", []), index]
    return coarse


def build_bytes(
    dim: int, rows: int, params: GraphParams, encoding: Encoding, linked: Encoding | None = None
) -> int:
    """Estimated memory that ``linked_index`` allocates."""
    links = 2 * links_of(params) * _LINK_BYTES * _UPPER_LINKS
    vectors = code_bytes(encoding, dim)
    if linked is not None and linked != encoding:
        vectors += code_bytes(linked, dim)
        links *= 2  # the finished graph's own copy
    widest = max(dim, encoding.width)
    blocks = 3 * min(rows, BLOCK_ROWS) * widest * 4  # gathered, converted, and FAISS's own
    return int(rows * (vectors + links + _NODE_BYTES)) + blocks


def links_of(params: GraphParams) -> int:
    """Of a node, on each level above the lowest."""
    return max(params.m, _LINKS_MIN)


def empty_index(encoding: Encoding, dim: int, params: GraphParams, metric: int) -> Any:
    links, width = links_of(params), encoding.width or dim
    match encoding.code:
        case Code.FLOAT32:
            return faiss.IndexHNSWFlat(width, links, metric)
        case Code.PRODUCT:
            return faiss.IndexHNSWPQ(width, encoding.parts, links, 8, metric)
        case Code.SIGNS:
            return faiss.IndexHNSWRaBitQ(width, links, 1, faiss.METRIC_L2)
        case _:
            return faiss.IndexHNSWSQ(width, sq_type(encoding.code), links, metric)


def speak(index: Any, encoding: Encoding, metric: int) -> None:
    """Have signs, or a graph over them, compare by ``metric``: FAISS makes and reads these for L2 only."""
    if encoding.code is not Code.SIGNS:
        return
    storage = index
    if hasattr(index, "hnsw"):
        storage, index.metric_type = faiss.downcast_index(index.storage), metric
        index.hnsw.is_similarity = metric == faiss.METRIC_INNER_PRODUCT
    storage.metric_type = storage.rabitq.metric_type = metric


def _prepare(index: Any, encoding: Encoding, matrix: Originals, rows: GraphRows | None) -> None:
    """Train ``index``, and make room for all rows."""
    storage = faiss.downcast_index(index.storage)
    train(storage, encoding, matrix, rows)
    index.is_trained = True
    _reserve(storage.codes, (len(matrix) if rows is None else len(rows)) * storage.code_size)


def _continue(index: Any, former: FaissLinks | None) -> None:
    """Give ``index`` the nodes and links of ``former``, whose codes it has."""
    if former is None:
        return
    count, links = len(former.levels), index.hnsw
    for name in ("levels", "offsets", "neighbors"):
        faiss.copy_array_to_vector(getattr(former, name), getattr(links, name))
    links.entry_point, links.max_level = former.entry, former.top
    links.rng = faiss.RandomGenerator(
        count
    )  # else each continuation draws the levels of the first rows again
    index.ntotal = count


def hold_codes(index: Any, encoding: Encoding, matrix: Originals, rows: GraphRows | None) -> None:
    """Give the storage of ``index`` the codes of integers of ``matrix[rows]``, written by code of our own."""
    total = len(matrix) if rows is None else len(rows)
    codes = memory.zeros((total, encoding.width), np.uint8)
    for start in range(0, total, size := max(1, _CODED_COMPONENTS // matrix.shape[1])):
        part = slice(start, start + size)
        floats = np.ascontiguousarray(matrix[part] if rows is None else matrix[rows[part]], dtype=np.float32)
        walk.encode(floats, encoding.low, encoding.step, encoding.form, codes[part])
    storage = faiss.downcast_index(index.storage)
    memory.lend(codes, storage.codes, index)
    storage.ntotal, storage.is_trained, index.is_trained = total, True, True


def _add(index: Any, encoding: Encoding, matrix: Originals, rows: GraphRows | None, first: int) -> None:
    """Add ``matrix[rows]`` from ``first`` on to an index, which links them."""
    _add_in_blocks(index, encoding, matrix, rows, first, BLOCK_ROWS)


def _store(index: Any, encoding: Encoding, matrix: Originals, rows: GraphRows | None) -> None:
    """Add the codes of ``matrix[rows]`` to the storage of ``index``."""
    storage, size = faiss.downcast_index(index.storage), max(1, _CODED_COMPONENTS // matrix.shape[1])
    _add_in_blocks(storage, encoding, matrix, rows, 0, size)


def _add_in_blocks(
    index: Any, encoding: Encoding, matrix: Originals, rows: GraphRows | None, first: int, size: int
) -> None:
    total = len(matrix) if rows is None else len(rows)
    for start in range(first, total, size):
        part = slice(start, start + size)
        index.add(for_faiss(encoding, matrix[part] if rows is None else matrix[rows[part]]))


def _reserve(vector: Any, size: int) -> None:
    """Give a C++ vector room at once: one that grows holds itself twice while it moves."""
    vector.resize(size)
    vector.resize(0)
