"""Merging what several shards answered into one ranking or page. Pure.

Orders are those of reference 9.4: larger scores first for similarities, with the larger id first on
ties; smaller scores first for distances, with the smaller id first. A point seen on two shards (which
happens while buckets move) counts once, with its better place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from protos.ids import PointId, id_key
from protos.shard import Direction, Hits, Record, ScrollRequest
from protos.stages import Diverse, Listed, Searched, Stage


def merge_hits(parts: Sequence[Hits], limit: int, *, ascending: bool) -> Hits:
    """The ``limit`` best of ``parts``, each of which is sorted already."""
    ranked = [
        (score, id_key(record.id), record)
        for part in parts
        for score, record in zip(part.scores.tolist(), part.records)
    ]
    ranked.sort(key=lambda entry: entry[:2], reverse=not ascending)
    best: dict[PointId, tuple[float, Record]] = {}
    for score, _, record in ranked:
        if len(best) == limit:
            break
        best.setdefault(record.id, (score, record))
    return Hits(
        [record for _, record in best.values()],
        np.array([score for score, _ in best.values()], dtype=np.float32),
    )


def merge_by_id(parts: Iterable[Sequence[Record]], limit: int) -> list[Record]:
    """The ``limit`` records with the smallest ids."""
    by_id = {record.id: record for part in parts for record in part}
    return sorted(by_id.values(), key=lambda record: id_key(record.id))[:limit]


def merge_by_value(parts: Iterable[Sequence[Record]], limit: int, direction: Direction) -> list[Record]:
    """The first ``limit`` records by (order value, id); a point appears once per value."""
    entries = {
        (record.order_value, id_key(record.id)): record
        for part in parts
        for record in part
        if record.order_value is not None
    }
    ordered = sorted(entries.items(), key=lambda entry: entry[0], reverse=direction is Direction.DESC)
    return [record for _, record in ordered[:limit]]


def merge_pages(parts: Sequence[Sequence[Record]], request: ScrollRequest) -> list[Record]:
    """The page that ``request`` asks for, in its order."""
    if request.order_by is not None:
        return merge_by_value(parts, request.limit, request.order_by.direction)
    if request.sample_seed is not None:
        return merge_by_value(parts, request.limit, Direction.ASC)
    return merge_by_id(parts, request.limit)


def merge_staged(parts: Sequence[Hits], stage: Stage, is_ascending: Callable[[str], bool]) -> Hits:
    """What ``stage`` finds in all of ``parts``. ``is_ascending``: do smaller scores of a vector name win?"""
    if isinstance(stage, Listed):
        records = merge_pages([part.records for part in parts], stage.scroll)
        return Hits(records, np.ones(len(records), dtype=np.float32))
    if isinstance(stage, Diverse):
        stage = stage.candidates
    if isinstance(stage, Searched):
        ascending = stage.search.examples is None and is_ascending(stage.search.using)
        return merge_hits(parts, stage.search.limit, ascending=ascending)
    return merge_hits(parts, stage.limit, ascending=False)


def in_order(parts: Iterable[Sequence[Record]], ids: Sequence[PointId]) -> list[Record]:
    """The records of ``ids``, in that order, without repeats."""
    by_id = {record.id: record for part in parts for record in part}
    return [by_id[point_id] for point_id in dict.fromkeys(ids) if point_id in by_id]


def skip(hits: Hits, offset: int, limit: int) -> Hits:
    if offset == 0 and len(hits.records) <= limit:
        return hits
    window = slice(offset, offset + limit)
    return Hits(hits.records[window], hits.scores[window])


def without(hits: Hits, excluded: PointId) -> Hits:
    """``hits`` less one point, if it is there."""
    for place, record in enumerate(hits.records):
        if record.id == excluded:
            records = hits.records[:place] + hits.records[place + 1 :]
            return Hits(records, np.delete(hits.scores, place))
    return hits
