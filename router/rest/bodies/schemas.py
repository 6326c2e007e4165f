"""JSON bodies of point requests and of their answers, as msgspec decodes and encodes them.

Lives here: shapes only. What a value means, and which combinations are right, is decided by the modules
that turn a body into a domain value (``upserts``, ``changes``, ``queries``, ``selectors``).

Fields typed ``Any`` are decoded further by code that gives Qdrant's own error texts (filters, ids,
shard keys) or that accepts shapes msgspec cannot tell apart.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from router.vectors import SparseValues

Natural = Annotated[int, Meta(ge=0)]
ListVector = list[
    float | list[float]
]  # dense: numbers; multivector: lists of them; a mixture is refused later
AnyVectorBody = ListVector | SparseValues
NamedVectors = dict[str, AnyVectorBody]
Selector = bool | list[str] | None
PayloadSelectorBody = bool | list[str] | dict[str, Any] | None

NULL = Raw(b"null")


def _null() -> Raw:
    return NULL  # a factory, because JSON Schema cannot show raw bytes as a default


# --- writes ----------------------------------------------------------------------------------------


class PointBody(Struct):
    id: Any
    vector: ListVector | NamedVectors | UnsetType = UNSET
    vectors: ListVector | NamedVectors | UnsetType = UNSET
    payload: Raw = field(default_factory=_null)


class BatchBody(Struct):
    ids: list[Any]
    vectors: list[ListVector] | dict[str, list[AnyVectorBody]]
    payloads: list[Raw] | None = None


class UpsertBody(Struct):
    points: list[PointBody] | UnsetType = UNSET
    batch: BatchBody | UnsetType = UNSET
    shard_key: Any = None
    update_filter: Any = None
    update_mode: str | None = None


class PointVectorsBody(Struct):
    id: Any
    vector: ListVector | NamedVectors | UnsetType = UNSET
    vectors: ListVector | NamedVectors | UnsetType = UNSET


class UpdateVectorsBody(Struct):
    points: list[PointVectorsBody]
    shard_key: Any = None
    update_filter: Any = None


class AnyPointBody(PointBody):
    """With something in place of vectors that only code can tell."""

    vector: Any = UNSET
    vectors: Any = UNSET


class AnyBatchBody(BatchBody):
    vectors: Any


class AnyUpsertBody(UpsertBody):
    points: list[AnyPointBody] | UnsetType = UNSET  # type: ignore[assignment]  # lists are not covariant
    batch: AnyBatchBody | UnsetType = UNSET


class AnyPointVectorsBody(PointVectorsBody):
    vector: Any = UNSET
    vectors: Any = UNSET


class AnyUpdateVectorsBody(UpdateVectorsBody):
    points: list[AnyPointVectorsBody]  # type: ignore[assignment]


class PointsSelectorBody(Struct):
    """Which points: ``points`` (ids) or ``filter``."""

    points: list[Any] | None = None
    filter: Any = None
    shard_key: Any = None


class DeleteVectorsBody(PointsSelectorBody, kw_only=True):
    vector: list[str]


class SetPayloadBody(PointsSelectorBody, kw_only=True):
    payload: Raw
    key: str | None = None


class DeletePayloadBody(PointsSelectorBody, kw_only=True):
    keys: list[str]


class UpdateOperationBody(Struct):
    """One of a batch; exactly one member is present."""

    upsert: Raw = field(default_factory=_null)
    delete: Raw = field(default_factory=_null)
    set_payload: Raw = field(default_factory=_null)
    overwrite_payload: Raw = field(default_factory=_null)
    delete_payload: Raw = field(default_factory=_null)
    clear_payload: Raw = field(default_factory=_null)
    update_vectors: Raw = field(default_factory=_null)
    delete_vectors: Raw = field(default_factory=_null)


class UpdateBatchBody(Struct):
    operations: list[UpdateOperationBody]


# --- reads -----------------------------------------------------------------------------------------


class QuantizationSearchBody(Struct):
    ignore: bool = False
    rescore: bool | None = None
    oversampling: float | None = None


class AcornSearchBody(Struct):
    enable: bool = False
    max_selectivity: float | None = None


class SearchParamsBody(Struct):
    hnsw_ef: Natural | None = None
    exact: bool = False
    indexed_only: bool = False
    quantization: QuantizationSearchBody | None = None
    acorn: AcornSearchBody | None = None
    idf: Any = None


class ReadBody(Struct, kw_only=True):
    """What every read that returns points has."""

    filter: Any = None
    with_payload: PayloadSelectorBody = None
    with_vector: Selector = None
    with_vectors: Selector = None
    shard_key: Any = None


class LookupBody(Struct):
    collection: str
    vector: str | None = None
    shard_key: Any = None


class PrefetchBody(Struct, kw_only=True):
    query: ListVector | int | str | dict[str, Any] | None = None
    prefetch: list[PrefetchBody] | PrefetchBody | None = None
    using: str | None = None
    filter: Any = None
    params: SearchParamsBody | None = None
    score_threshold: float | None = None
    limit: Natural | None = None
    lookup_from: LookupBody | None = None


class QueryBody(ReadBody, kw_only=True):
    query: ListVector | int | str | dict[str, Any] | None = None
    prefetch: list[PrefetchBody] | PrefetchBody | None = None
    using: str | None = None
    params: SearchParamsBody | None = None
    score_threshold: float | None = None
    limit: Natural | None = None
    offset: Natural | None = None
    lookup_from: LookupBody | None = None


class UnreadQueryBody(QueryBody, kw_only=True):
    """Its query is yet to be read, for it may be a plain list of numbers."""

    query: Raw = NULL  # type: ignore[assignment]


class MmrBody(Struct):
    diversity: float | None = None
    candidates_limit: Natural | None = None


class RrfBody(Struct):
    k: Natural | None = None
    weights: list[float] | None = None


class QueryBatchBody(Struct):
    searches: list[QueryBody]


class UnreadQueryBatchBody(Struct):
    searches: list[UnreadQueryBody]


class WithLookupBody(Struct):
    collection: str
    with_payload: PayloadSelectorBody = None
    with_vectors: Selector = None


class QueryGroupsBody(QueryBody, kw_only=True):
    group_by: str
    group_size: Natural | None = None
    with_lookup: str | WithLookupBody | None = None


class LegacyBody(ReadBody, kw_only=True):
    """What searches by old clients have; ``top`` is an older name of ``limit``."""

    limit: Natural | None = None
    top: Natural | None = None
    offset: Natural | None = None
    params: SearchParamsBody | None = None
    score_threshold: float | None = None


class SearchBody(LegacyBody, kw_only=True):
    vector: ListVector | dict[str, Any]


class SearchGroupsBody(SearchBody, kw_only=True):
    group_by: str
    group_size: Natural
    with_lookup: str | WithLookupBody | None = None


class UnreadSearchBody(SearchBody, kw_only=True):
    """As ``UnreadQueryBody``."""

    vector: Raw  # type: ignore[assignment]


class SearchBatchBody(Struct):
    searches: list[SearchBody]


class UnreadSearchBatchBody(Struct):
    searches: list[UnreadSearchBody]


class ScrollBody(ReadBody, kw_only=True):
    offset: Any = None
    limit: Natural | None = None
    order_by: str | dict[str, Any] | None = None


class CountBody(Struct):
    filter: Any = None
    exact: bool = True
    shard_key: Any = None


class RetrieveBody(Struct):
    ids: list[Any]
    with_payload: PayloadSelectorBody = None
    with_vector: Selector = None
    with_vectors: Selector = None
    shard_key: Any = None


# --- answers ---------------------------------------------------------------------------------------


class RecordBody(Struct, omit_defaults=True):
    """A stored point; what was not asked for is left out."""

    id: int | str
    payload: Raw | UnsetType = UNSET
    vector: Raw | UnsetType = UNSET
    shard_key: int | str | UnsetType = UNSET
    order_value: int | float | UnsetType = UNSET


class ScoredPointBody(Struct, omit_defaults=True):
    id: int | str
    version: int
    score: Raw
    payload: Raw | UnsetType = UNSET
    vector: Raw | UnsetType = UNSET
    shard_key: int | str | UnsetType = UNSET
    order_value: int | float | UnsetType = UNSET


class ScrollResult(Struct):
    points: list[RecordBody]
    next_page_offset: int | str | None


class QueryResult(Struct):
    points: list[ScoredPointBody]


class GroupBody(Struct, omit_defaults=True):
    """``lookup``: the point of another collection that has the group's id."""

    id: int | str
    hits: list[ScoredPointBody]
    lookup: RecordBody | UnsetType = UNSET


class GroupsResult(Struct):
    groups: list[GroupBody]


class CountResult(Struct):
    count: int
