"""Qdrant's own engine (``qdrant-edge-py``) as a judge: filters in REST form, ids and scores out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qdrant_edge as edge

Json = dict[str, Any]

INDEX_TYPES = {
    "keyword": edge.PayloadSchemaType.Keyword,
    "integer": edge.PayloadSchemaType.Integer,
    "float": edge.PayloadSchemaType.Float,
    "bool": edge.PayloadSchemaType.Bool,
    "datetime": edge.PayloadSchemaType.Datetime,
    "uuid": edge.PayloadSchemaType.Uuid,
    "geo": edge.PayloadSchemaType.Geo,
    "text": edge.PayloadSchemaType.Text,
}
_TOKENIZERS = {
    "word": edge.TokenizerType.Word,
    "whitespace": edge.TokenizerType.Whitespace,
    "prefix": edge.TokenizerType.Prefix,
    "multilingual": edge.TokenizerType.Multilingual,
}
DISTANCES = {
    "Cosine": edge.Distance.Cosine,
    "Euclid": edge.Distance.Euclid,
    "Dot": edge.Distance.Dot,
    "Manhattan": edge.Distance.Manhattan,
}


class Judge:
    """One shard with named vectors: ``vectors`` maps a name to (size, distance)."""

    def __init__(self, directory: Path, vectors: dict[str, tuple[int, str]]) -> None:
        directory.mkdir(parents=True)
        params = {
            name: edge.EdgeVectorParams(size=size, distance=DISTANCES[distance])
            for name, (size, distance) in vectors.items()
        }
        self._shard = edge.EdgeShard.create(str(directory), edge.EdgeConfig(vectors=params))

    def upsert(self, points: list[Json]) -> None:
        self._shard.update(
            edge.UpdateOperation.upsert_points(
                [edge.Point(point["id"], point["vector"], point.get("payload")) for point in points]
            )
        )

    def index(self, field: str, schema: str | Json) -> None:
        """``schema`` as in a request: a type, or the parameters of a text index."""
        kind = INDEX_TYPES[schema] if isinstance(schema, str) else to_text_params(schema)
        self._shard.update(edge.UpdateOperation.create_field_index(field, kind))

    def ids(self, filter: Json) -> list[int | str]:
        records, _ = self._shard.scroll(edge.ScrollRequest(limit=10_000, filter=to_filter(filter)))
        return sorted((plain_id(record.id) for record in records), key=str)

    def search(self, using: str, vector: list[float], limit: int, filter: Json | None = None) -> list[float]:
        hits = self._shard.search(
            edge.SearchRequest(
                query=edge.Query.Nearest(vector, using=using),
                limit=limit,
                filter=None if filter is None else to_filter(filter),
                params=edge.SearchParams(exact=True),
            )
        )
        return [hit.score for hit in hits]

    def query(self, request: edge.QueryRequest) -> list[Any]:
        return list(self._shard.query(request))

    def close(self) -> None:
        self._shard.close()


def to_text_params(schema: Json) -> edge.TextIndexParams:
    params = {name: value for name, value in schema.items() if name != "type"}
    if "tokenizer" in params:
        params["tokenizer"] = _TOKENIZERS[params["tokenizer"]]
    if "stopwords" in params:
        languages = {
            getattr(edge.Language, name.title()) for name in params["stopwords"].get("languages", ())
        }
        params["stopwords"] = edge.StopwordsSet(languages, set(params["stopwords"].get("custom", ())))
    if "stemmer" in params:
        language = getattr(edge.SnowballLanguage, params["stemmer"]["language"].title())
        params["stemmer"] = edge.SnowballParams(language=language)
    return edge.TextIndexParams(**params)


def plain_id(value: Any) -> int | str:
    return value if isinstance(value, int) else str(value)


def to_filter(filter: Json) -> edge.Filter:
    clauses: Json = {
        clause: [to_condition(condition) for condition in filter[clause]]
        for clause in ("must", "should", "must_not")
        if clause in filter
    }
    if "min_should" in filter:
        conditions = [to_condition(condition) for condition in filter["min_should"]["conditions"]]
        clauses["min_should"] = edge.MinShould(conditions, filter["min_should"]["min_count"])
    return edge.Filter(**clauses)


def to_condition(condition: Json) -> Any:
    if "key" in condition:
        return _field(condition)
    makers = {
        "is_empty": lambda value: edge.IsEmptyCondition(value["key"]),
        "is_null": lambda value: edge.IsNullCondition(value["key"]),
        "has_id": lambda value: edge.HasIdCondition(set(value)),
        "has_vector": edge.HasVectorCondition,
        "slice": lambda value: edge.SliceCondition(**value),
        "nested": lambda value: edge.NestedCondition(value["key"], to_filter(value["filter"])),
    }
    for name, make in makers.items():
        if name in condition:
            return make(condition[name])
    return to_filter(condition)


def _field(condition: Json) -> edge.FieldCondition:
    makers = {
        "match": _match,
        "range": _range,
        "geo_bounding_box": lambda value: edge.GeoBoundingBox(
            _point(value["top_left"]), _point(value["bottom_right"])
        ),
        "geo_radius": lambda value: edge.GeoRadius(_point(value["center"]), value["radius"]),
        "geo_polygon": lambda value: edge.GeoPolygon(
            _ring(value["exterior"]), [_ring(ring) for ring in value.get("interiors", [])]
        ),
        "values_count": lambda value: edge.ValuesCount(**value),
        "is_empty": bool,
        "is_null": bool,
    }
    operators = {name: makers[name](value) for name, value in condition.items() if name != "key"}
    return edge.FieldCondition(condition["key"], **operators)


def _match(value: Json) -> Any:
    makers = {
        "value": edge.MatchValue,
        "any": edge.MatchAny,
        "except": edge.MatchExcept,
        "text": edge.MatchText,
        "text_any": edge.MatchTextAny,
        "phrase": edge.MatchPhrase,
        "prefix": edge.MatchPrefix,
    }
    ((name, operand),) = value.items()
    return makers[name](operand)


def _range(value: Json) -> Any:
    if any(isinstance(bound, str) for bound in value.values()):
        return edge.RangeDateTime(**value)
    return edge.RangeFloat(**value)


def _point(value: Json) -> edge.GeoPoint:
    return edge.GeoPoint(value["lon"], value["lat"])


def _ring(value: Json) -> list[edge.GeoPoint]:
    return [_point(point) for point in value["points"]]
