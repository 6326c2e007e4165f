"""What the plan wants to know, read from a view and a collection's configuration.

Lives here: figures of segments, limits, the graphs that a segment should have.
May not live here: decisions (``plan``).
"""

from __future__ import annotations

from collections.abc import Iterable

from node import bits
from node.index import GraphParams, quantization_of
from node.optimizer.tasks import Limits, SegmentStat, limits
from node.replica.segment_set import NarrowedSegment
from node.replica.view import View
from node.segments import SealedSegment, SegmentView
from protos.collections import CollectionConfig


def limits_of(config: CollectionConfig, *, cores: int) -> Limits:
    optimizers = config.optimizer_config
    return limits(
        cores=cores,
        indexing_threshold_kb=optimizers.indexing_threshold,
        deleted_threshold=optimizers.deleted_threshold,
        vacuum_min_vector_number=optimizers.vacuum_min_vector_number,
        default_segment_number=optimizers.default_segment_number,
        max_segment_size_kb=optimizers.max_segment_size,
        max_optimization_threads=optimizers.max_optimization_threads,
    )


def wanted_graphs(config: CollectionConfig, names: Iterable[str]) -> dict[str, GraphParams]:
    """By name of those ``names`` that the collection has and that shall have a graph (``m`` is not 0)."""
    found = {}
    for name in names:
        if name in config.vectors:
            hnsw = config.hnsw_of(name)
            if hnsw.m:
                found[name] = GraphParams(
                    hnsw.m, hnsw.ef_construct, quantization_of(config.quantization_of(name))
                )
    return found


def stats_of(view: View, busy: Iterable[str]) -> list[SegmentStat]:
    busy = frozenset(busy)
    return [_stat(view, segment, segment.id in busy) for segment in view.segments]


def _stat(view: View, segment: SegmentView, busy: bool) -> SegmentStat:
    live = bits.fit(view.live[segment.start >> 3 :], (segment.rows + 7) >> 3)
    return SegmentStat(
        id=segment.id,
        start=segment.start,
        rows=segment.rows,
        live=bits.count(live),
        vector_bytes=max((segment.vectors(name).rows.nbytes for name in segment.names), default=0),
        indexed=_is_indexed(view.config, segment, live),
        graph=any(segment.graph(name) is not None for name in segment.names),
        growing=not isinstance(segment, SealedSegment | NarrowedSegment),
        busy=busy,
    )


def _is_indexed(config: CollectionConfig, segment: SegmentView, live: bits.PackedBits) -> bool:
    """Does every vector name have the graph it should, if it has any live vector, and none if not?"""
    wanted = wanted_graphs(config, segment.names)
    if any(segment.graph(name) is not None for name in config.vectors if name not in wanted):
        return False
    for name, params in wanted.items():
        graph = segment.graph(name)
        if graph is None:
            present = segment.vectors(name).present
            if (live if present is None else live & present[: len(live)]).any():
                return False
        elif graph.params != params:
            return False
    return True
