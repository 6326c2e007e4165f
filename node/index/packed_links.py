"""Links of finished graphs, packed: made of FAISS's and read back, and where they lie in a file.

FAISS has room for 2m links of four bytes at each node of the lowest level, and twelve bytes beside them. Most
nodes have fewer links, and a link needs as many bits as the count of nodes. ``packed.h`` reads what is
written here, and tells why; docs/decisions/0002-graphs-over-codes.md has the figures.

May not live here: codes, which are FAISS's (``graph_file``), walking (``walking``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from node.index import walk
from node.index.library import faiss

LINKS_MAX = 255
"""Of a node on one level: a byte tells how many."""

_BLOCK_PLACES = 24
_BLOCK = np.dtype([("before", "<u8"), ("sizes", "u1", _BLOCK_PLACES)])
_SPARE_BYTES = 8
_SECTION_BYTES = 64  # each part begins with a line of the cache
_CHUNK = _BLOCK_PLACES * 4096  # places at a time

Nodes = npt.NDArray[np.uint32]
Links = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]


class FaissLinks(Struct, frozen=True):
    """As FAISS has them.

    Attributes:
        levels: (n,) int32, how many each node is on. ``entry``: a node that is on all.
        offsets: (n + 1,) uint64, of each node's first neighbour in ``neighbors``, which is int32.
        starts: (levels + 1,) where each level's begin among a node's; they end with -1.
    """

    levels: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.uint64]
    neighbors: Links
    starts: npt.NDArray[np.int32]
    entry: int

    @property
    def top(self) -> int:
        return int(self.levels.max(initial=1)) - 1

    @classmethod
    def of(cls, index: Any) -> FaissLinks:
        """Views of what ``index`` has, which must outlive them."""
        hnsw = index.hnsw
        starts = faiss.vector_to_array(hnsw.cum_nneighbor_per_level).astype(np.int32, copy=False)
        levels, offsets, neighbors = (
            faiss.rev_swig_ptr(part.data(), part.size())
            for part in (hnsw.levels, hnsw.offsets, hnsw.neighbors)
        )
        return cls(levels, offsets, neighbors, starts, int(hnsw.entry_point))

    def most(self, level: int) -> int:
        return int(self.starts[level + 1] - self.starts[level])

    def of_nodes(self, nodes: npt.NDArray[np.int64], level: int) -> tuple[Bytes, Links]:
        """How many links each has, (len(nodes),), and all of them, one node's after another's."""
        places = self.offsets[nodes].astype(np.int64)[:, np.newaxis] + np.arange(
            self.starts[level], self.starts[level + 1]
        )
        found = self.neighbors[places]
        is_link = np.logical_and.accumulate(found >= 0, axis=1)
        return is_link.sum(axis=1).astype(np.uint8), found[is_link]


class LevelShape(Struct, frozen=True):
    """``count``: nodes on it. ``links``: of them all."""

    count: int
    links: int

    @property
    def width(self) -> int:
        """Bits of a link."""
        return max(1, (self.count - 1).bit_length())

    @property
    def parts(self) -> tuple[tuple[np.dtype[Any], int], ...]:
        """Types and lengths of blocks and links."""
        links_bytes = -(-self.links * self.width // 8) + _SPARE_BYTES
        return (_BLOCK, -(-self.count // _BLOCK_PLACES)), (np.dtype("u1"), links_bytes)


class Shape(Struct, frozen=True):
    """What must be known to find packed links in a file: ``levels`` from the lowest on."""

    entry: int
    levels: tuple[LevelShape, ...]

    def place(self, data: Callable[[np.dtype[Any], int, int], Any]) -> tuple[int, list[Level]]:
        """The levels, and how many bytes they take, by ``data`` of a type, a length and where it begins."""
        end, levels = 0, []

        def next_part(dtype: np.dtype[Any], length: int) -> Any:
            nonlocal end
            start = -(-end // _SECTION_BYTES) * _SECTION_BYTES
            end = start + dtype.itemsize * length
            return data(dtype, length, start)

        for number, level in enumerate(self.levels):
            blocks, links = (next_part(*part) for part in level.parts)
            nodes = next_part(np.dtype("<u4"), level.count) if number else None
            levels.append(Level(level, blocks, links, nodes))
        return -(-end // _SECTION_BYTES) * _SECTION_BYTES, levels


class Level(Struct, frozen=True):
    """``nodes``: ascending, of each place; None on the lowest level, where a place is a node."""

    shape: LevelShape
    blocks: npt.NDArray[Any]
    links: Bytes
    nodes: Nodes | None

    def fill(self, former: FaissLinks, level: int) -> None:
        """Write the links of ``former`` to arrays of zeros."""
        before = 0
        if self.nodes is not None:
            self.nodes[:] = _nodes_on(former, level)
        for first, nodes in self._in_chunks():
            sizes, links = former.of_nodes(nodes, level)
            places = links if self.nodes is None else np.searchsorted(self.nodes, links).astype(np.int32)
            walk.pack(np.ascontiguousarray(places), self.shape.width, before, self.links)
            self._fill_blocks(first, sizes, before)
            before += len(links)
        assert before == self.shape.links

    def _fill_blocks(self, first: int, sizes: Bytes, before: int) -> None:
        """From the place ``first`` on, whose links have ``before`` before them."""
        padded = np.zeros(-(-len(sizes) // _BLOCK_PLACES) * _BLOCK_PLACES, dtype=np.uint8)
        padded[: len(sizes)] = sizes
        of_blocks = padded.reshape(-1, _BLOCK_PLACES)
        ends = np.cumsum(of_blocks.sum(axis=1, dtype=np.uint64))
        part = self.blocks[first // _BLOCK_PLACES :][: len(of_blocks)]
        part["sizes"] = of_blocks
        part["before"] = np.uint64(before) + np.concatenate([np.zeros(1, dtype=np.uint64), ends[:-1]])

    def restore(self, to: FaissLinks, level: int) -> None:
        """Write the links to ``to``, whose neighbours are all -1."""
        before = 0
        for first, nodes in self._in_chunks():
            sizes = self.blocks["sizes"].reshape(-1)[first : first + len(nodes)].astype(np.int64)
            links = np.empty(int(sizes.sum()), dtype=np.int32)
            walk.unpack(self.links, self.shape.width, before, links)
            before += len(links)
            starts = to.offsets[nodes].astype(np.int64) + int(to.starts[level])
            within = np.arange(len(links)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            to.neighbors[np.repeat(starts, sizes) + within] = (
                links if self.nodes is None else self.nodes[links]
            )

    def _in_chunks(self) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        for first in range(0, self.shape.count, _CHUNK):
            end = min(first + _CHUNK, self.shape.count)
            yield (
                first,
                np.arange(first, end) if self.nodes is None else self.nodes[first:end].astype(np.int64),
            )


class PackedLinks:
    """Of one graph. ``count``: its nodes."""

    def __init__(self, shape: Shape, levels: list[Level]) -> None:
        """Raises: ValueError if there is no level."""
        if not levels:
            raise ValueError("a graph without levels")
        self.shape, self.levels = shape, levels
        self.count = shape.levels[0].count

    def unpacked(self, m: int) -> FaissLinks:
        """In memory, as FAISS has them in a graph of ``m`` links."""
        starts = np.concatenate([[0], 2 * m + m * np.arange(len(self.levels))]).astype(np.int32)
        levels = np.ones(self.count, dtype=np.int32)
        for level in self.levels[1:]:
            levels[level.nodes] += 1
        offsets = np.zeros(self.count + 1, dtype=np.uint64)
        np.cumsum(starts[levels], out=offsets[1:])
        neighbors = np.full(int(offsets[-1]), -1, dtype=np.int32)
        found = FaissLinks(levels, offsets, neighbors, starts, self.shape.entry)
        for number, level in enumerate(self.levels):
            level.restore(found, number)
        return found


def shape_of(links: FaissLinks) -> Shape | None:
    """None: they cannot be packed."""
    if not len(links.levels) or links.most(0) > LINKS_MAX:
        return None
    return Shape(links.entry, tuple(_level_shape(links, level) for level in range(links.top + 1)))


def write(links: FaissLinks, shape: Shape, path: Path, start: int) -> None:
    """Write them to the file, which is zeros from ``start`` on, as far as they go."""

    def data(dtype: np.dtype[Any], length: int, at: int) -> Any:
        return np.memmap(path, dtype=dtype, mode="r+", offset=start + at, shape=(length,)).view(np.ndarray)

    for number, level in enumerate(shape.place(data)[1]):
        level.fill(links, number)


def size_of(shape: Shape) -> int:
    """Bytes in a file."""
    return shape.place(lambda dtype, length, at: None)[0]  # noqa: ARG005


def read(shape: Shape, data: Bytes) -> PackedLinks:
    """Views of ``data``. Raises: ValueError if it ends too early."""
    return PackedLinks(
        shape, shape.place(lambda dtype, length, at: np.frombuffer(data, dtype, length, at))[1]
    )


def _nodes_on(links: FaissLinks, level: int) -> Nodes:
    return np.flatnonzero(links.levels > level).astype(np.uint32)


def _level_shape(links: FaissLinks, level: int) -> LevelShape:
    nodes = _nodes_on(links, level).astype(np.int64)
    chunks = range(0, len(nodes), _CHUNK)
    return LevelShape(
        len(nodes), sum(len(links.of_nodes(nodes[first : first + _CHUNK], level)[1]) for first in chunks)
    )
