"""Any request to a shard and any answer, for property tests of their codec."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from msgspec import Struct

from protos import examples as ex
from protos import filters as f
from protos import formulas as fm
from protos import operations as op
from protos import shard
from protos.fusion import Dbsf, Rrf
from protos.idf import Weighing
from protos.stages import Boosted, Diverse, Fused, Listed, Searched, StagedRequest

ids = st.integers(0, 2**64 - 1) | st.uuids().map(str)
int64s = st.integers(-(2**63), 2**63 - 1)
facet_values = st.text(max_size=5) | int64s | st.booleans()
floats = st.floats(allow_nan=False)
numbers = st.integers(-(2**63), 2**64 - 1) | floats
counts = st.none() | st.integers(0, 2**64 - 1)
paths = st.text(min_size=1, max_size=8)
payloads = st.binary(max_size=20).map(lambda data: b'{"k":"%s"}' % data.hex().encode())
_MOST = float(np.finfo(np.float32).max)
# With bounds: without, Hypothesis draws doubles beyond float32, takes them back, and calls itself flaky.
float32s = st.floats(-_MOST, _MOST, width=32) | st.sampled_from((np.inf, -np.inf, np.nan))
matrices = arrays.arrays(np.float32, arrays.array_shapes(max_dims=2, max_side=5), elements=float32s)
sparse_vectors = st.dictionaries(st.integers(0, 2**32 - 1), float32s, max_size=3).map(
    lambda pairs: shard.SparseVector(
        np.array(list(pairs), dtype=np.uint32), np.array(list(pairs.values()), dtype=np.float32)
    )
)
vectors = matrices | sparse_vectors
few = {"max_size": 3}


def many(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, max_size=3).map(tuple)


def bounds(kind: Any, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    bound = st.none() | values
    return st.builds(kind, bound, bound, bound, bound)


geo_points = st.builds(f.GeoPoint, floats, floats)
rings = many(geo_points)
lists = many(st.text(max_size=5)) | many(int64s)
predicates = st.one_of(
    st.builds(f.MatchValue, st.text(max_size=5) | int64s | st.booleans()),
    st.builds(f.MatchAny, lists),
    st.builds(f.MatchExcept, lists),
    st.builds(f.MatchText, st.text(max_size=5), st.sampled_from(f.TextMode)),
    st.builds(f.MatchPrefix, st.text(max_size=5)),
    bounds(f.Range, numbers),
    bounds(f.DatetimeRange, int64s),
    bounds(f.ValuesCount, counts),
    st.builds(f.GeoBoundingBox, geo_points, geo_points),
    st.builds(f.GeoRadius, geo_points, floats),
    st.builds(f.GeoPolygon, rings, many(rings)),
    st.builds(f.FieldIsEmpty, st.booleans()),
    st.builds(f.FieldIsNull, st.booleans()),
)
leaves = st.one_of(
    st.builds(f.FieldCondition, paths, many(predicates)),
    st.builds(f.IsEmpty, paths),
    st.builds(f.IsNull, paths),
    st.builds(f.HasId, many(ids)),
    st.builds(f.HasVector, paths),
    st.builds(f.Slice, st.integers(1, 100), st.integers(0, 99)),
)


def _filters_of(conditions: st.SearchStrategy[Any]) -> st.SearchStrategy[f.Filter]:
    clause = st.none() | many(conditions)
    min_should = st.none() | st.builds(f.MinShould, many(conditions), st.integers(0, 9))
    return st.builds(f.Filter, clause, clause, clause, min_should)


def _conditions_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return _filters_of(inner) | st.builds(f.Nested, paths, _filters_of(inner))


conditions = leaves | _conditions_of(leaves | _conditions_of(leaves))
filters = st.none() | _filters_of(conditions)
weighings = st.builds(Weighing, filters)

selectors = st.builds(shard.PayloadSelector, st.none() | many(paths), st.none() | many(paths))
projections = st.builds(shard.Projection, st.booleans() | selectors, st.booleans() | many(paths))
positions = st.none() | st.builds(shard.Position, st.integers(0, 2**63), st.integers(0, 2**63))
sessions = st.builds(shard.ReadSession, st.booleans(), positions)

quantization_params = st.none() | st.builds(
    shard.QuantizationSearchParams, st.booleans(), st.none() | st.booleans(), st.none() | floats
)
pairs = many(st.builds(ex.Pair, vectors, vectors))
examples = st.one_of(
    st.builds(ex.BestScore, many(vectors), many(vectors)),
    st.builds(ex.WeightedSum, many(vectors), many(floats)),
    st.builds(ex.Discovery, vectors, pairs),
    st.builds(ex.Context, pairs),
)
searches = st.builds(
    shard.SearchRequest,
    using=st.text(max_size=5),
    vector=st.none() | vectors,
    examples=st.none() | examples,
    limit=st.integers(0, 2**32),
    filter=filters,
    params=st.builds(shard.SearchParams, counts, st.booleans(), st.booleans(), quantization_params),
    score_threshold=st.none() | floats,
    projection=projections,
    weighing=st.none() | weighings,
)
scrolls = st.builds(
    shard.ScrollRequest,
    limit=st.integers(0, 2**32),
    offset=st.none() | ids,
    filter=filters,
    order_by=st.none()
    | st.builds(shard.OrderBy, paths, st.sampled_from(shard.Direction), st.none() | numbers),
    projection=projections,
    sample_seed=counts,
)
_terms = st.one_of(
    st.builds(fm.Constant, floats),
    st.builds(fm.Score, st.integers(0, 2**32 - 1)),
    st.builds(fm.Payload, paths),
    st.builds(fm.Matches, conditions),
    st.builds(fm.GeoDistance, geo_points, paths),
    st.builds(fm.DatetimeKey, paths),
)


def _expressions_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(fm.Product, many(inner)),
        st.builds(fm.Sum, many(inner)),
        st.builds(fm.Quotient, inner, inner, st.none() | floats),
        st.builds(fm.Power, inner, inner),
        st.builds(fm.Applied, st.sampled_from(fm.Function), inner),
        st.builds(fm.Decay, st.sampled_from(fm.DecayKind), inner, inner, floats, floats),
    )


expressions = _terms | _expressions_of(_terms | _expressions_of(_terms))
formulas = st.builds(
    fm.Formula,
    expressions,
    st.dictionaries(st.integers(0, 2**32 - 1), floats, max_size=2),
    st.dictionaries(paths, st.none() | floats | st.text(max_size=5) | geo_points, max_size=2),
)
fusions = st.builds(Rrf, st.integers(1, 99), st.none() | many(floats)) | st.just(Dbsf())


def _stages_of(earlier: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = many(earlier)
    return st.one_of(
        st.builds(Searched, searches, some),
        st.builds(Listed, scrolls, some),
        st.builds(Diverse, searches, floats, st.integers(0, 2**32), some),
        st.builds(Fused, fusions, st.integers(0, 2**32), some, st.none() | floats),
        st.builds(Boosted, formulas, st.integers(0, 2**32), some, st.none() | floats),
    )


_leaves = st.builds(Searched, searches) | st.builds(Listed, scrolls)
_upper = _stages_of(_leaves)
stages = _leaves | _upper | _stages_of(_leaves | _upper)
staged = st.builds(StagedRequest, stages, projections)
records = st.builds(
    shard.Record,
    id=ids,
    version=st.integers(0, 2**63),
    payload=st.none() | payloads,
    vectors=st.none() | st.dictionaries(st.text(max_size=5), vectors, max_size=2),
    order_value=st.none() | numbers,
)
hits = st.builds(
    shard.Hits,
    st.lists(records, **few),
    arrays.arrays(np.float32, st.integers(0, 5), elements=float32s),  # type: ignore[arg-type]
)

batches = st.builds(
    op.VectorBatch,
    st.text(max_size=5),
    st.integers(1, 9),
    st.binary(**few),
    st.binary(**few),
    st.binary(**few),
    st.binary(**few),  # type: ignore[arg-type]
)
id_lists = st.lists(ids, max_size=3)
some = st.none() | id_lists
changes = st.one_of(
    st.builds(
        op.Upsert,
        id_lists,
        many(batches),
        st.lists(payloads, max_size=3),
        st.sampled_from(op.UpdateMode),
        filters,
    ),
    st.builds(op.DeletePoints, some, filters),
    st.builds(op.UpdateVectors, id_lists, many(batches), filters),
    st.builds(op.DeleteVectors, many(paths), some, filters),
    st.builds(op.SetPayload, payloads, st.none() | paths, some, filters),
    st.builds(op.OverwritePayload, payloads, some, filters),
    st.builds(op.DeletePayload, many(paths), some, filters),
    st.builds(op.ClearPayload, some, filters),
)
updates = st.builds(
    shard.UpdateRequest,
    changes,
    st.booleans(),
    st.sampled_from(op.WriteOrdering),
    counts,
    st.binary(max_size=16),
)
update_results = st.builds(op.UpdateResult, st.sampled_from(op.UpdateStatus), st.none() | int64s)

by_name = st.dictionaries(st.text(max_size=5), st.integers(0, 2**63), max_size=2)
sizes = st.integers(0, 2**63)
segments = st.builds(
    shard.SegmentInfo, st.text(max_size=5), sizes, sizes, by_name, by_name, sizes, sizes, st.booleans()
)
infos = st.builds(
    shard.ShardInfo,
    status=st.sampled_from(shard.ShardStatus),
    points=sizes,
    vectors=by_name,
    indexed_vectors=sizes,
    segments=sizes,
    index_points=by_name,
    operations_applied=sizes,
    update_queue_length=sizes,
    optimizer_error=st.none() | st.text(max_size=5),
    segment_infos=st.lists(segments, max_size=2),
)


def plain(value: object) -> object:
    """What can be compared: arrays by their bytes, numbers with their type."""
    if isinstance(value, np.ndarray):
        return ("array", value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, shard.SparseVector):
        return ("sparse", plain(value.indices), plain(value.values))
    if isinstance(value, Struct):
        fields = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        return (type(value).__name__, fields)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return (type(value).__name__, [plain(item) for item in value])
    return (type(value).__name__, value)
