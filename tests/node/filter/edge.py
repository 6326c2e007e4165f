"""Qdrant's engine, in process: a shard to ask what a filter matches, and filters in its classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qdrant_edge as edge

Json = dict[str, Any]


class EdgeShard:
    def __init__(self, directory: Path) -> None:
        vectors = edge.EdgeVectorParams(size=1, distance=edge.Distance.Dot)
        config = edge.EdgeConfig(vectors=vectors, wal_enabled=False)
        self._shard = edge.EdgeShard.create(str(directory), config)
        self._points = 0

    def replace(self, payloads: list[Json]) -> None:
        """Points 0, 1, ... with these payloads and no others."""
        self._shard.update(edge.UpdateOperation.delete_points(list(range(self._points))))
        points = [edge.Point(i, [1.0], payload) for i, payload in enumerate(payloads)]
        self._shard.update(edge.UpdateOperation.upsert_points(points))
        self._points = len(payloads)

    def matches(self, filter: Json) -> list[int]:
        request = edge.ScrollRequest(
            limit=self._points + 1, filter=_filter(filter), with_payload=False, with_vector=False
        )
        return sorted(record.id for record in self._shard.scroll(request)[0])

    def set_payload(self, payload: Json, values: Json, key: str) -> Json:
        self.replace([payload])
        self._shard.update(edge.UpdateOperation.set_payload([0], values, key))
        return self._payload()

    def delete_payload(self, payload: Json, keys: list[str]) -> Json:
        self.replace([payload])
        self._shard.update(edge.UpdateOperation.delete_payload([0], keys))
        return self._payload()

    def project(self, payload: Json, keys: list[str], *, include: bool) -> Json:
        self.replace([payload])
        selector = edge.PayloadSelector.Include(keys) if include else edge.PayloadSelector.Exclude(keys)
        return self._payload(selector)

    def order_values(self, key: str, texts: list[str]) -> dict[str, int]:
        """What a datetime index makes of each text it accepts."""
        self._shard.update(edge.UpdateOperation.create_field_index(key, edge.PayloadSchemaType.Datetime))
        self.replace([{key: text} for text in texts])
        request = edge.ScrollRequest(limit=len(texts) + 1, order_by=edge.OrderBy(key))
        return {texts[record.id]: record.order_value for record in self._shard.scroll(request)[0]}

    def _payload(self, selector: Any = True) -> Json:
        (record,) = self._shard.retrieve([0], with_payload=selector, with_vector=False)
        payload: Json = record.payload or {}
        return payload


def _filter(filter: Json) -> Any:
    clauses: Json = {
        name: [_condition(each) for each in filter[name]]
        for name in ("must", "should", "must_not")
        if name in filter
    }
    if "min_should" in filter:
        some = [_condition(each) for each in filter["min_should"]["conditions"]]
        clauses["min_should"] = edge.MinShould(some, filter["min_should"]["min_count"])
    return edge.Filter(**clauses)


def _condition(condition: Json) -> Any:
    match condition:
        case {"key": key, **operators}:
            return edge.FieldCondition(key, **{name: _operator(name, of) for name, of in operators.items()})
        case {"is_empty": {"key": key}}:
            return edge.IsEmptyCondition(key)
        case {"has_id": ids}:
            return edge.HasIdCondition(set(ids))
        case {"slice": {"total": total, "index": index}}:
            return edge.SliceCondition(total=total, index=index)
        case {"nested": {"key": key, "filter": filter}}:
            return edge.NestedCondition(key, _filter(filter))
    return _filter(condition)


def _operator(name: str, operand: Any) -> Any:
    match name:
        case "match":
            ((kind, value),) = operand.items()
            matches = {"value": edge.MatchValue, "any": edge.MatchAny, "except": edge.MatchExcept}
            return (matches | {"prefix": edge.MatchPrefix})[kind](value)
        case "range" if any(isinstance(bound, str) for bound in operand.values()):
            return edge.RangeDateTime(**operand)
        case "range":
            return edge.RangeFloat(**operand)
        case "values_count":
            return edge.ValuesCount(**operand)
        case "geo_radius":
            return edge.GeoRadius(edge.GeoPoint(**operand["center"]), operand["radius"])
        case "geo_bounding_box":
            corners = (edge.GeoPoint(**operand[corner]) for corner in ("top_left", "bottom_right"))
            return edge.GeoBoundingBox(*corners)
        case "geo_polygon":
            return edge.GeoPolygon([edge.GeoPoint(**point) for point in operand["exterior"]["points"]], [])
    return operand
