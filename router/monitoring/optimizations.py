"""What ``/telemetry`` tells of a shard's optimizers (reference 4.2): the last of what they did. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from protos.shard import Optimization, OptimizedSegment, ShardInfo
from router.collections.optimizations import moment, status_of

Json = dict[str, Any]

_ID_BITS = 53  # of a segment's id that a number of JSON holds exactly


def optimizations_section(info: ShardInfo) -> Json:
    return {
        "status": "ok" if info.optimizer_error is None else {"error": info.optimizer_error},
        "optimizations": _durations(info.optimizations),
        "log": [_entry(one) for one in info.optimizations],
    }


def _durations(told: Sequence[Optimization]) -> Json:
    """Of those that are done."""
    done = [
        (one.ended_ms, one.ended_ms - one.started_ms) for one in told if one.ended_ms and not _failed(one)
    ]
    shown: Json = {"count": len(done), "fail_count": sum(map(_failed, told))}
    if done:
        micros = [duration_ms * 1000.0 for _, duration_ms in done]
        shown |= {
            "avg_duration_micros": sum(micros) / len(micros),
            "min_duration_micros": min(micros),
            "max_duration_micros": max(micros),
            "total_duration_micros": int(sum(micros)),
            "last_responded": moment(max(ended_ms for ended_ms, _ in done)),
        }
    return shown


def _failed(one: Optimization) -> bool:
    return one.error is not None or one.cancelled is not None


def _entry(one: Optimization) -> Json:
    shown: Json = {
        "name": one.optimizer,
        "uuid": str(uuid.UUID(one.id)),
        "segment_ids": [_number(segment) for segment in one.segments],
        "segment_uuids": [str(uuid.UUID(segment.id)) for segment in one.segments],
        "status": status_of(one),
        "start_at": moment(one.started_ms),
    }
    if one.ended_ms is not None:
        shown["end_at"] = moment(one.ended_ms)
    return shown


def _number(segment: OptimizedSegment) -> int:
    """Segments have no numbers here: a part of the id, which is as good a name as a number in memory."""
    return int(segment.id, 16) & ((1 << _ID_BITS) - 1)
