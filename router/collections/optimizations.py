"""What the optimizers of a collection do, did and will do, as the API shows it (reference 7.3). Pure."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from protos.errors import BadInput
from protos.shard import Optimization, SegmentInfo, ShardInfo, ShardStatus

PARTS = ("queued", "completed", "idle_segments")
COMPLETED_LIMIT = 16  # of optimizations that ended, when the client names no limit


def optimizations_info(
    shards: Sequence[ShardInfo], parts: str | None, completed_limit: int = COMPLETED_LIMIT
) -> dict[str, Any]:
    """The optimizations of a collection; ``parts`` is the comma list of the ``with`` parameter.

    A shard does not tell what it will do next: what is queued is estimated as one task for all its segments
    that lack a graph. Raises: BadInput on an unknown part.
    """
    wanted = [part.strip() for part in (parts or "").split(",") if part.strip()]
    for part in wanted:
        if part not in PARTS:
            raise BadInput(f"Unknown field in 'with' parameter: {part}")
    pending = [_pending(shard) for shard in shards]
    idle = [_idle(shard, infos) for shard, infos in zip(shards, pending)]
    summary = {
        "queued_optimizations": sum(map(bool, pending)),
        "queued_segments": sum(map(len, pending)),
        "queued_points": sum(info.points for infos in pending for info in infos),
        "idle_segments": sum(map(len, idle)),
    }
    told = [one for shard in shards for one in shard.optimizations]
    ended = sorted((one for one in told if one.ended_ms), key=lambda one: one.ended_ms or 0, reverse=True)
    queued = [{"optimizer": "indexing", "segments": list(map(_segment, infos))} for infos in pending if infos]
    shown: dict[str, Any] = {
        "queued": queued,
        "completed": [_optimization(one) for one in ended[:completed_limit]],
        "idle_segments": [_segment(info) for infos in idle for info in infos],
    }
    running = [_optimization(one) for one in told if one.ended_ms is None]
    return {"summary": summary, "running": running, **{part: shown[part] for part in wanted}}


def status_of(one: Optimization) -> str | dict[str, str]:
    if one.error is not None:
        return {"error": one.error}
    if one.cancelled is not None:
        return {"cancelled": one.cancelled}
    return "optimizing" if one.ended_ms is None else "done"


def _optimization(one: Optimization) -> dict[str, Any]:
    progress: dict[str, Any] = {"name": one.optimizer, "started_at": moment(one.started_ms)}
    if one.ended_ms is not None:
        progress["finished_at"] = moment(one.ended_ms)
        progress["duration_sec"] = (one.ended_ms - one.started_ms) / 1000
    return {
        "uuid": str(uuid.UUID(one.id)),
        "optimizer": one.optimizer,
        "status": status_of(one),
        "segments": [{"uuid": str(uuid.UUID(part.id)), "points_count": part.points} for part in one.segments],
        "progress": progress,
    }


def moment(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat()


def _busy(shard: ShardInfo) -> set[str]:
    """The segments that are being made into others."""
    return {part.id for one in shard.optimizations if one.ended_ms is None for part in one.segments}


def _pending(shard: ShardInfo) -> list[SegmentInfo]:
    if shard.status not in (ShardStatus.YELLOW, ShardStatus.GREY):
        return []
    busy = _busy(shard)
    return [
        info for info in shard.segment_infos if info.indexed_vectors != info.vectors and info.id not in busy
    ]


def _idle(shard: ShardInfo, pending: list[SegmentInfo]) -> list[SegmentInfo]:
    busy = _busy(shard)
    return [info for info in shard.segment_infos if info not in pending and info.id not in busy]


def _segment(info: SegmentInfo) -> dict[str, Any]:
    return {"uuid": str(uuid.UUID(info.id)), "points_count": info.points}
