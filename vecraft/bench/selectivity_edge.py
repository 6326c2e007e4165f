"""Qdrant's engine (``qdrant-edge-py``) for filtered searches beside ours."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import qdrant_edge as edge

from vecraft.bench.selectivity_plan import FIELD, Engine, K, M, SelectivityPlan

_INGEST = 1000
_EF_CONSTRUCT, _FULL_SCAN_KB = 100, 10_000  # Qdrant's defaults, which the binding wants spelt out


def engine(plan: SelectivityPlan, payloads: Sequence[bytes]) -> Engine:
    shard = _edge_shard(plan, payloads)

    def ask(i: int, tag: str | None) -> edge.QueryRequest:
        wanted = None
        if tag is not None:
            other = plan.alternative(i)
            match = edge.MatchValue(tag) if other is None else edge.MatchAny([tag, other])
            wanted = edge.Filter(must=[edge.FieldCondition(FIELD, match=match)])
        return edge.QueryRequest(query=edge.Query.Nearest(plan.queries[i].tolist()), limit=K, filter=wanted)

    return Engine("qdrant-edge", ask, shard.query, lambda points: [int(str(point.id)) for point in points])


def _edge_shard(plan: SelectivityPlan, payloads: Sequence[bytes]) -> edge.EdgeShard:
    folder = plan.folder / "edge"
    config = edge.EdgeConfig(
        vectors=edge.EdgeVectorParams(size=plan.base.shape[1], distance=edge.Distance.Cosine),
        hnsw_config=edge.HnswIndexConfig(
            M if plan.graph else 0,
            _EF_CONSTRUCT,
            _FULL_SCAN_KB,
            max_indexing_threads=plan.threads,
            payload_m=M if plan.tenants else None,
        ),
        optimizers=edge.EdgeOptimizersConfig(default_segment_number=1, max_segment_size=10**9),
        max_search_threads=1,
    )
    done = plan.folder / "edge.done"
    if done.exists():
        return edge.EdgeShard.load(str(folder), config)
    folder.mkdir()
    shard = edge.EdgeShard.create(str(folder), config)
    index = edge.KeywordIndexParams(is_tenant=plan.tenants)
    shard.update(edge.UpdateOperation.create_field_index(FIELD, index))
    for at in range(0, len(plan.base), _INGEST):
        points = [
            edge.Point(at + i, row.tolist(), orjson.loads(payloads[at + i]))
            for i, row in enumerate(plan.base[at : at + _INGEST])
        ]
        shard.update(edge.UpdateOperation.upsert_points(points))
    shard.optimize()
    shard.flush()
    done.touch()
    return shard
