"""What a replica's files and structures take on disk and in memory.

Lives here: adding up, by component. May not live here: where files lie (``node.segments.placement``), what a
payload index holds. Asks the kernel about every page: not for the event loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from node.filter.columns import IndexMemory
from node.replica.view import View
from node.residency import map_file, resident_bytes
from node.segments import SealedSegment, SegmentView
from node.segments.layout import layout_of
from node.segments.placement import STORAGE, usage_of
from node.storage.points import PointStore
from protos.collections import CollectionConfig, CollectionParams, Memory
from protos.memory import ShardMemory, Usage, VectorMemory


def memory_of(view: View, sealed: Mapping[str, SealedSegment], points: PointStore) -> ShardMemory:
    """``sealed``: the finished segments of ``view``, and perhaps others, by id. Raises: OSError."""
    by_name: dict[str, VectorMemory] = {}
    for segment in view.segments:
        for name, part, usage in _of_segment(segment, sealed.get(segment.id)):
            known = by_name.get(name, VectorMemory())
            added = VectorMemory(storage=usage) if part == STORAGE else VectorMemory(index=usage)
            by_name[name] = known + added
    ids, payload = _of_points(points, view.config)
    return ShardMemory(
        {name: by_name.get(name, VectorMemory()) for name in view.config.vectors},
        {name: by_name.get(name, VectorMemory()) for name in view.config.params.sparse_vectors or ()},
        payload,
        {field: _of_index(index, view, field) for field, index in view.columns.memory().items()},
        ids,
    )


def _of_segment(segment: SegmentView, sealed: SealedSegment | None) -> Iterator[tuple[str, str, Usage]]:
    """Vector name, part, usage."""
    if sealed is not None:
        for (name, part), usage in sealed.memory_usage().items():
            yield name, part, usage
        return
    for position, schema in enumerate(segment.schemas):  # of one that still grows
        for file in layout_of(schema, position).files:
            yield schema.name, STORAGE, usage_of(segment.directory / file.name, Memory.CACHED)


def _of_points(points: PointStore, config: CollectionConfig) -> tuple[Usage, Usage]:
    """Ids, and records. They share a file, so what of it is cached is told by their shares of it."""
    stored = points.stored_bytes()
    whole = max(1, sum(stored))
    cached = resident_bytes(map_file(points.path))
    ids = Usage(stored[0], points.heads_bytes, cached * stored[0] // whole, stored[0])
    expected = stored[1] if _is_cached(config.params) else 0
    return ids, Usage(stored[1], points.overlay_bytes, cached * stored[1] // whole, expected)


def _is_cached(params: CollectionParams) -> bool:
    memory = None if params.payload is None else params.payload.memory
    return not params.on_disk_payload if memory is None else memory is Memory.CACHED


def _of_index(index: IndexMemory, view: View, field: str) -> Usage:
    cold = view.columns.fields[field].placement is Memory.COLD
    return Usage(index.disk_bytes, index.ram_bytes, index.cached_bytes, 0 if cold else index.mapped_bytes)
