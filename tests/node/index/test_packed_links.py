"""Packed links are those that were packed, walks over them find the same, and none leads outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.index import packed_links, walk
from node.index.packed_links import FaissLinks, PackedLinks, shape_of

Bytes = npt.NDArray[np.uint8]


@given(
    width=st.integers(1, 31),
    first=st.integers(0, 70),
    links=st.lists(st.integers(0, 2**31 - 1), max_size=70),
)
def test_links_are_unpacked_as_they_were_packed(width: int, first: int, links: list[int]) -> None:
    wanted = np.array(links, dtype=np.int64) & (2**width - 1)
    packed = np.zeros(-(-(first + len(links)) * width // 8) + 8, dtype=np.uint8)
    before = np.arange(first) & (2**width - 1)
    walk.pack(before.astype(np.int32), width, 0, packed)
    walk.pack(wanted.astype(np.int32), width, first, packed)
    found = np.empty(first + len(links), dtype=np.int32)
    walk.unpack(packed, width, 0, found)
    assert found.tolist() == [*before.tolist(), *wanted.tolist()]


def test_what_has_no_room_is_refused() -> None:
    packed = np.zeros(8 + 2, dtype=np.uint8)  # of sixteen bits
    walk.pack(np.int32([1, 2]), 8, 0, packed)
    for links, width, first in (([1, 2, 3], 8, 0), ([1], 8, 2), ([1], 32, 0), ([1], 0, 0), ([1], 8, -1)):
        with pytest.raises(ValueError, match="room"):
            walk.pack(np.int32(links), width, first, packed)
        with pytest.raises(ValueError, match="room"):
            walk.unpack(packed, width, first, np.int32(links))
    for wrong in (256, -1):
        with pytest.raises(ValueError, match="bits"):
            walk.pack(np.int32([wrong]), 8, 0, packed)


def faiss_links(count: int, m: int, seed: int) -> FaissLinks:
    """Any links, of nodes on one to four levels."""
    rng = np.random.default_rng(seed)
    levels = 1 + rng.choice(4, count, p=(0.6, 0.2, 0.1, 0.1)).astype(np.int32)
    starts = np.concatenate([[0], 2 * m + m * np.arange(4)]).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(starts[levels])]).astype(np.uint64)
    neighbors = np.full(int(offsets[-1]), -1, dtype=np.int32)
    for node in range(count):
        for level in range(levels[node]):
            others = np.flatnonzero(levels > level)
            most = starts[level + 1] - starts[level]
            chosen = rng.permutation(others)[: rng.integers(0, most + 1)]
            at = int(offsets[node]) + starts[level]
            neighbors[at : at + len(chosen)] = chosen
    return FaissLinks(levels, offsets, neighbors, starts, int(np.argmax(levels)))


def packed(links: FaissLinks, path: Path) -> PackedLinks:
    shape = shape_of(links)
    assert shape is not None
    path.write_bytes(bytes(100 + packed_links.size_of(shape)))
    packed_links.write(links, shape, path, 100)
    return packed_links.read(shape, np.frombuffer(bytearray(path.read_bytes()), dtype=np.uint8)[100:])


def walks(links: FaissLinks | PackedLinks, codes: Bytes, entry: int) -> walk.Graph:
    common: dict[str, Any] = {
        "owner": (links, codes),
        "count": len(codes),
        "entry": entry,
        "codes": codes.ctypes.data,
        "width": codes.shape[1],
        "low": 0.0,
        "step": 1.0,
    }
    if isinstance(links, PackedLinks):
        levels = tuple((level.blocks, level.links, level.nodes) for level in links.levels)
        return walk.Graph.packed(**common, levels=levels)
    return walk.Graph(
        **common,
        top=links.top,
        neighbors=links.neighbors.ctypes.data,
        offsets=links.offsets.ctypes.data,
        starts=links.starts,
    )


def found(graph: walk.Graph, queries: npt.NDArray[np.float32], ef: int) -> tuple[Any, Any]:
    shape = len(queries), ef
    nodes, scores = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.float32)
    graph.search(queries, ef, ef, 0, nodes, scores, None)
    return -scores, nodes


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packed") / "links"


@given(count=st.integers(1, 120), m=st.sampled_from((2, 3, 8, 127)), seed=st.integers(0, 2**32))
def test_packed_links_come_back_and_are_walked_alike(path: Path, count: int, m: int, seed: int) -> None:
    links = faiss_links(count, m, seed)
    ours = packed(links, path)
    back = ours.unpacked(m)
    for name in ("levels", "offsets", "neighbors"):
        np.testing.assert_array_equal(getattr(back, name), getattr(links, name))
    assert (back.entry, back.top) == (links.entry, links.top)
    np.testing.assert_array_equal(back.starts, links.starts[: links.top + 2])
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, (count, 32)).astype(np.uint8)
    queries = rng.integers(0, 256, (6, 32)).astype(np.float32)
    queries[3:] *= 2  # beyond the integers
    for ef in (1, 10, 2 * count):
        wanted = found(walks(links, codes, links.entry), queries, ef)
        for one, other in zip(found(walks(ours, codes, links.entry), queries, ef), wanted, strict=True):
            np.testing.assert_array_equal(one, other)


def test_many_places_are_packed_in_parts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    links = faiss_links(500, 4, 7)
    whole = packed(links, path)
    monkeypatch.setattr(packed_links, "_CHUNK", 48)
    parts = packed(links, path)
    for one, other in zip(whole.levels, parts.levels, strict=True):
        assert one.shape == other.shape
        np.testing.assert_array_equal(one.blocks, other.blocks)
        np.testing.assert_array_equal(one.links, other.links)
    np.testing.assert_array_equal(parts.unpacked(4).neighbors, links.neighbors)


@given(seed=st.integers(0, 2**32), share=st.sampled_from((0.01, 0.5, 1.0)))
def test_a_walk_over_damaged_links_stays_within_the_graph(path: Path, seed: int, share: float) -> None:
    links = faiss_links(100, 4, seed)
    ours = packed(links, path)
    rng = np.random.default_rng(seed)
    for level in ours.levels:
        for part in (level.blocks, level.links, level.nodes):
            if part is not None:
                bytes_ = part.view(np.uint8).reshape(-1)
                struck = rng.random(len(bytes_)) < share
                bytes_[struck] = rng.integers(0, 256, np.count_nonzero(struck))
    codes = rng.integers(0, 256, (100, 16)).astype(np.uint8)
    _, nodes = found(walks(ours, codes, links.entry), codes.astype(np.float32), 20)
    assert ((nodes >= -1) & (nodes < 100)).all()


@pytest.mark.parametrize(
    "others",
    [
        {"count": 0},
        {"entry": 3},
        {"entry": -1},
        {"width": 0},
        {"step": 0.0},
        {"levels": ()},
        {"levels": ((np.zeros(32, np.uint8), np.zeros(8, np.uint8)),)},
        {"levels": ((np.zeros(32, np.uint8), np.zeros(7, np.uint8), None),)},
        {"levels": ((np.zeros(31, np.uint8), np.zeros(8, np.uint8), None),)},
        {"levels": ((np.zeros(32, np.uint8), np.zeros(8, np.uint8), np.zeros(3, np.uint32)),)},
        {"levels": ((np.zeros(32, np.uint8), np.zeros(8, np.uint8), None),) * 2},
    ],
)
def test_what_cannot_be_a_graph_is_refused(others: dict[str, Any]) -> None:
    wanted: dict[str, Any] = {
        "owner": None,
        "count": 3,
        "entry": 0,
        "levels": ((np.zeros(32, np.uint8), np.zeros(8, np.uint8), None),),
        "codes": 1,
        "width": 4,
        "low": 0.0,
        "step": 1.0,
    }
    walk.Graph.packed(**wanted)
    with pytest.raises(ValueError, match="expected"):
        walk.Graph.packed(**wanted | others)


def test_packed_links_are_not_linked(path: Path) -> None:
    links = faiss_links(20, 4, 1)
    graph = walks(packed(links, path), np.zeros((20, 4), np.uint8), links.entry)
    locks, next_ = np.zeros(20, np.uint8), np.zeros(1, np.int64)
    with pytest.raises(ValueError, match="of this graph"):
        graph.link(links.levels, locks, np.int32([1]), next_, 10)
