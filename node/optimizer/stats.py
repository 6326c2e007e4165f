"""What the plan wants to know, read from a view and a collection's configuration.

Lives here: figures of segments, limits, the graphs and inverted indexes that a segment should have.
May not live here: decisions (``plan``).
"""

from __future__ import annotations

from collections.abc import Iterable

from node import bits
from node.filter.columns import ColumnsView
from node.index import GraphParams, SparseParams, quantization_of
from node.optimizer.tasks import KIB, Limits, SegmentStat, limits
from node.replica.segment_set import NarrowedSegment
from node.replica.view import View
from node.segments import SealedSegment, SegmentView, planner, schema_of
from node.segments.values import ValueGraphParams
from protos.collections import CollectionConfig, Datatype, HnswConfig
from protos.facets import can_count

_SHARE_MAX = 0.5  # of the rows: values with more are served by the graph of all rows


def limits_of(config: CollectionConfig, *, cores: int, buildable_bytes: int | None = None) -> Limits:
    optimizers = config.optimizer_config
    return limits(
        cores=cores,
        buildable_bytes=buildable_bytes,
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


def wanted_values(
    config: CollectionConfig, columns: ColumnsView, names: Iterable[str]
) -> dict[str, ValueGraphParams]:
    """By vector name, the graphs of values of indexed payload fields that it shall have.

    With ``payload_m`` every field that can tell values apart gets them, unless its index says otherwise
    (``enable_hnsw``). Where it is not set, ``m`` stands for it, for the fields of tenants only: graphs of
    every field would cost as much again as the graph of all points, for each field.
    """
    found = {}
    for name in names:
        if name not in config.vectors or config.vectors[name].multivector_config is not None:
            continue
        hnsw = config.hnsw_of(name)
        links = hnsw.m if hnsw.payload_m is None else hnsw.payload_m
        fields = _fields_with_graphs(columns, tenants_only=hnsw.payload_m is None)
        if links and fields:
            params = GraphParams(links, hnsw.ef_construct, quantization_of(config.quantization_of(name)))
            share_max = _SHARE_MAX if hnsw.m else 1.0
            found[name] = ValueGraphParams(params, fields, _rows_min(config, name, hnsw), share_max)
    return found


def _fields_with_graphs(columns: ColumnsView, *, tenants_only: bool) -> tuple[str, ...]:
    return tuple(
        sorted(
            field
            for field, params in columns.fields.items()
            if can_count(params)
            and params.enable_hnsw is not False
            and (not tenants_only or getattr(params, "is_tenant", False))
        )
    )


def _rows_min(config: CollectionConfig, name: str, hnsw: HnswConfig) -> int:
    """Fewer rows than this are all scored, by choice (``full_scan_threshold``) or because it is quicker."""
    chosen = hnsw.full_scan_threshold != HnswConfig().full_scan_threshold
    schema = schema_of(name, config.vectors[name])
    threshold = hnsw.full_scan_threshold * KIB // schema.row_bytes if chosen else 0
    return max(threshold, int(planner.node_rows(schema.dim) * hnsw.ef_construct)) + 1


def wanted_sparse(config: CollectionConfig, names: Iterable[str]) -> dict[str, SparseParams]:
    """By name of those ``names`` that are sparse vectors of the collection."""
    found = {}
    for name in names:
        if (params := config.sparse_vectors.get(name)) is not None:
            datatype = params.index.datatype if params.index else None
            found[name] = SparseParams(datatype or Datatype.FLOAT32)
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
        indexed=_is_indexed(view.config, view.columns, segment, live),
        graph=any(segment.built(name) is not None for name in segment.names),
        relinked=any(segment.value_graphs(name) is not None for name in segment.names),
        growing=not isinstance(segment, SealedSegment | NarrowedSegment),
        busy=busy,
    )


def _is_indexed(
    config: CollectionConfig, columns: ColumnsView, segment: SegmentView, live: bits.PackedBits
) -> bool:
    """Does every vector name have the indexes it should, if it has any live vector, and none if not?"""
    values = wanted_values(config, columns, segment.names)
    wanted = {**wanted_graphs(config, segment.names), **wanted_sparse(config, segment.names)}
    if any(segment.built(name) is not None for name in config.all_vectors if name not in wanted):
        return False
    for name, params in wanted.items():
        built = segment.built(name)
        if built is None:
            if _any_live(segment, name, live):
                return False
        elif built != params:
            return False
    return all(
        segment.value_graphs(name) == values.get(name) or not _any_live(segment, name, live)
        for name in segment.names
        if name in config.vectors
    )


def _any_live(segment: SegmentView, name: str, live: bits.PackedBits) -> bool:
    present = segment.vectors(name).present
    return bool((live if present is None else live & present[: len(live)]).any())
