"""The same requests over REST and over gRPC, through qdrant-client, get the same answers: reads of one
collection, writes to two, configurations, errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from tests.congruence.material import DISTANCES, INDEXES, filters, make_points
from tests.congruence.server import CLUSTERED, examples, serving_nodes
from tests.live import LiveNode

EXAMPLES = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
NAME = "both"
VECTORS = {
    distance.lower(): models.VectorParams(size=8, distance=models.Distance(distance))
    for distance in DISTANCES
}
QUERY = [0.25, -0.5, 0.125, 1.0, -0.75, 0.5, 0.0, 0.3]


class Pair:
    """One server, asked over both protocols; over gRPC another node of a cluster."""

    def __init__(self, nodes: list[LiveNode]) -> None:
        self.rest = QdrantClient(url=nodes[0].url, timeout=60, check_compatibility=False)
        self.grpc = over_grpc(QdrantClient, nodes[-1])

    def both(self, ask: Callable[[QdrantClient], Any]) -> Any:
        """The answer, which is the same over both."""
        first, second = alike(ask(self.rest)), alike(ask(self.grpc))
        assert first == second
        return first


def alike(answer: Any) -> Any:
    """Scores and vectors as 32-bit floats: JSON has their shortest text, protobuf the numbers themselves.
    The wire does not tell a payload that is empty from none."""
    if isinstance(answer, models.Record | models.ScoredPoint):
        shown = {"vector": floats(answer.vector), "payload": answer.payload or None, **score_of(answer)}
        return answer.model_copy(update=shown)
    if hasattr(answer, "points"):
        return alike(answer.points)
    return [alike(each) for each in answer] if isinstance(answer, list | tuple) else answer


def score_of(point: models.Record | models.ScoredPoint) -> dict[str, float]:
    return {"score": floats(point.score)} if isinstance(point, models.ScoredPoint) else {}


def schema_of(kind: Any) -> Any:
    """Of an index: a type, or the parameters of a text index, whose tokenizer must be told over gRPC."""
    if isinstance(kind, str):
        return models.PayloadSchemaType(kind)
    return models.TextIndexParams(**{"tokenizer": "word", **kind})


def floats(value: Any) -> Any:
    if isinstance(value, models.SparseVector):
        return (value.indices, floats(value.values))
    if isinstance(value, dict):
        return {name: floats(each) for name, each in value.items()}
    if isinstance(value, list):
        return [floats(each) for each in value]
    return None if value is None else float(np.float32(value))


def over_grpc(kind: type[Any], node: LiveNode) -> Any:
    options = {"prefer_grpc": True, "check_compatibility": False, "timeout": 60}
    return kind(url=node.url, grpc_port=node.grpc_port, **options)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[LiveNode]]:
    with serving_nodes(tmp_path_factory.mktemp("protocols")) as found:
        yield found


@pytest.fixture(scope="module")
def pair(nodes: list[LiveNode]) -> Pair:
    found = Pair(nodes)
    found.grpc.create_collection(NAME, vectors_config=VECTORS)
    for field, kind in INDEXES.items():
        found.grpc.create_payload_index(NAME, field, schema_of(kind), wait=True)
    points = [models.PointStruct(**point) for point in make_points(seed=3)]
    for start in range(0, len(points), 40):
        found.grpc.upsert(NAME, points[start : start + 40], wait=True)
    return found


# --- reads -------------------------------------------------------------------------------------------


@EXAMPLES
@given(condition=filters)
def test_filters_choose_the_same_points(pair: Pair, condition: dict[str, Any]) -> None:
    chosen = models.Filter.model_validate(condition)
    pair.both(lambda client: client.count(NAME, count_filter=chosen, exact=True))
    pair.both(lambda client: client.scroll(NAME, scroll_filter=chosen, limit=200, with_vectors=True))


def test_datetimes_text_and_infinite_bounds_in_filters(pair: Pair) -> None:
    for condition in (
        models.FieldCondition(key="when", range=models.DatetimeRange(gte=datetime(2021, 1, 1, tzinfo=UTC))),
        models.FieldCondition(key="tag", match=models.MatchText(text="red")),
        models.FieldCondition(key="tag", match=models.MatchTextAny(text_any="wine blue")),
        models.FieldCondition(key="tag", match=models.MatchPhrase(phrase="red wine")),
        models.FieldCondition(key="flag", match=models.MatchValue(value=True)),
    ):
        chosen = models.Filter(must=[condition])
        found = pair.both(lambda client, chosen=chosen: client.count(NAME, count_filter=chosen))
        assert found.count > 0


COMPLETE = [each["id"] for each in make_points(seed=3) if len(each["vector"]) == len(VECTORS)]
selectors = st.sampled_from([True, False, ["tag"], models.PayloadSelectorExclude(exclude=["n", "a[].b"])])
named = st.sampled_from([True, False, ["dot"], ["dot", "cosine"]])


@EXAMPLES
@given(
    using=st.sampled_from(list(VECTORS)),
    query=st.sampled_from([QUERY, *COMPLETE[:2], COMPLETE[-1]]),
    limit=st.integers(1, 20),
    offset=st.integers(0, 5),
    threshold=st.sampled_from([None, 0.5]),
    payload=selectors,
    vectors=named,
    exact=st.booleans(),
)
def test_queries_answer_the_same(pair: Pair, **drawn: Any) -> None:
    def ask(client: QdrantClient) -> Any:
        return client.query_points(
            NAME,
            query=drawn["query"],
            using=drawn["using"],
            limit=drawn["limit"],
            offset=drawn["offset"],
            score_threshold=drawn["threshold"],
            with_payload=drawn["payload"],
            with_vectors=drawn["vectors"],
            search_params=models.SearchParams(
                exact=drawn["exact"],
                hnsw_ef=64,
                quantization=models.QuantizationSearchParams(rescore=True, oversampling=2.0),
            ),
        )

    pair.both(ask)


def test_pages_orders_and_batches_are_the_same(pair: Pair) -> None:
    ids = [each["id"] for each in make_points(seed=3)[:5]]
    pair.both(lambda client: client.retrieve(NAME, [*ids, 10**6], with_payload=True))
    page = pair.both(lambda client: client.scroll(NAME, limit=7, with_payload=["tag"]))
    pair.both(lambda client: client.scroll(NAME, limit=7, offset=page[1]))
    for start in (None, 1, 0.5):
        for direction in models.Direction:
            order = models.OrderBy(key="n", direction=direction, start_from=start)
            pair.both(lambda client, order=order: client.scroll(NAME, order_by=order, limit=50))
    when = models.OrderBy(key="when", start_from="2021-01-01T00:00:00Z")
    pair.both(lambda client: client.scroll(NAME, order_by=when, limit=50))
    pair.both(lambda client: client.query_points(NAME, limit=5))
    pair.both(lambda client: client.query_points(NAME, query=models.OrderByQuery(order_by="f"), limit=5))
    requests = [models.QueryRequest(query=QUERY, using=name, limit=3) for name in VECTORS]
    pair.both(lambda client: client.query_batch_points(NAME, requests))
    sample = models.SampleQuery(sample=models.Sample.RANDOM)
    assert len(pair.grpc.query_points(NAME, query=sample, limit=5).points) == 5


# --- writes ------------------------------------------------------------------------------------------

some = models.Filter(must=[models.FieldCondition(key="n", range=models.Range(gt=0))])
POINT = models.PointStruct(
    id=3,
    vector={"dot": QUERY},
    payload={"deep": {"list": [1, 2.5, None, "x", {"y": True}], "none": None}, "big": 2**62, "f": 1.0},
)

WRITES: dict[str, Callable[[QdrantClient, str], Any]] = {
    "upsert": lambda client, name: client.upsert(name, [POINT]),
    "upsert of new ones": lambda client, name: client.upsert(
        name, [POINT, POINT.model_copy(update={"id": 10**5})], update_mode=models.UpdateMode.INSERT_ONLY
    ),
    "upsert under a condition": lambda client, name: client.upsert(name, [POINT], update_filter=some),
    "update vectors": lambda client, name: client.update_vectors(
        name, [models.PointVectors(id=3, vector={"cosine": QUERY})]
    ),
    "delete vectors": lambda client, name: client.delete_vectors(name, ["cosine"], some),
    "set payload": lambda client, name: client.set_payload(name, {"tag": "new", "n": None}, [1, 2, 3]),
    "set payload at a key": lambda client, name: client.set_payload(name, {"x": [1]}, [3], key="deep.list"),
    "overwrite payload": lambda client, name: client.overwrite_payload(name, {"n": 4, "none": None}, [5, 6]),
    "delete payload": lambda client, name: client.delete_payload(name, ["deep.n", "tag"], some),
    "clear payload": lambda client, name: client.clear_payload(name, [7, 8]),
    "batch": lambda client, name: client.batch_update_points(
        name,
        [
            models.UpsertOperation(upsert=models.PointsList(points=[POINT])),
            models.SetPayloadOperation(set_payload=models.SetPayload(payload={"b": 1}, points=[3, 4])),
            models.OverwritePayloadOperation(
                overwrite_payload=models.SetPayload(payload={"c": 1}, filter=some)
            ),
            models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=["b"], points=[4])),
            models.ClearPayloadOperation(clear_payload=models.PointIdsList(points=[12])),
            models.UpdateVectorsOperation(
                update_vectors=models.UpdateVectors(
                    points=[models.PointVectors(id=12, vector={"dot": QUERY})]
                )
            ),
            models.DeleteVectorsOperation(delete_vectors=models.DeleteVectors(points=[13], vector=["dot"])),
            models.DeleteOperation(delete=models.PointIdsList(points=[14])),
        ],
    ),
    "delete": lambda client, name: client.delete(name, [9, 11]),
    "delete by filter": lambda client, name: client.delete(
        name, models.Filter(must=[models.FieldCondition(key="n", match=models.MatchValue(value=2))])
    ),
    "drop an index": lambda client, name: client.delete_payload_index(name, "n"),
}


def test_writes_leave_the_same_points(pair: Pair) -> None:
    points = [models.PointStruct(**point) for point in make_points(seed=4)]
    clients = {"rest": pair.rest, "grpc": pair.grpc}
    for name, client in clients.items():
        client.create_collection(name, vectors_config=VECTORS, shard_number=1)
        for field, kind in INDEXES.items():
            client.create_payload_index(name, field, schema_of(kind), wait=True)
        client.upsert(name, points, wait=True)
    for what, write in WRITES.items():
        results = {name: write(client, name) for name, client in clients.items()}
        assert results["rest"] == results["grpc"], what
        held = [alike(pair.rest.scroll(name, limit=500, with_vectors=True)[0]) for name in clients]
        assert held[0] == held[1], what
    assert len(held[0]) > 50


def test_multivectors_are_stored_and_found_alike(pair: Pair) -> None:
    rows = np.random.default_rng(2).normal(size=(40, 3)).astype(np.float32).tolist()
    held = []
    for name, client in (("rest multi", pair.rest), ("grpc multi", pair.grpc)):
        client.create_collection(name, vectors_config=SEVERAL_EACH, shard_number=1)
        for place in range(8):
            vectors = {"euclid": rows[place : 2 * place + 1], "cosine": rows[place : place + 2]}
            vectors["dot"] = rows[place]  # a plain vector is one sub-vector
            vectors["halves"] = vectors["euclid"]
            vectors["bytes"] = (100 * np.array(vectors["euclid"])).tolist()
            client.upsert(name, [models.PointStruct(id=place, vector=vectors)], wait=True)
        client.update_vectors(name, [models.PointVectors(id=1, vector={"dot": rows[:5]})], wait=True)
        client.delete_vectors(name, ["cosine"], [2], wait=True)
        held.append(alike(pair.rest.scroll(name, limit=20, with_vectors=True)[0]))
        pair.both(lambda client, name=name: client.scroll(name, limit=20, with_vectors=True))
        pair.both(lambda client, name=name: described(client.get_collection(name)))
        for using in SEVERAL_EACH:
            for query in (rows[20:23], rows[30], [rows[30]], 4):
                found = pair.both(
                    lambda client, name=name, using=using, query=query: client.query_points(
                        name, query=query, using=using, limit=9, with_vectors=True
                    )
                )
                assert len(found) == 8 - (query == 4) - (using == "cosine")
    assert held[0] == held[1]


SEVERAL_EACH = {
    name: models.VectorParams(
        size=3,
        distance=models.Distance(distance),
        datatype=datatype,
        multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
    )
    for name, distance, datatype in (
        ("euclid", "Euclid", None),
        ("cosine", "Cosine", None),
        ("dot", "Dot", models.Datatype.FLOAT32),
        ("halves", "Dot", models.Datatype.FLOAT16),
        ("bytes", "Cosine", models.Datatype.UINT8),
    )
}


def test_sparse_vectors_are_stored_and_found_alike(pair: Pair) -> None:
    held = []
    for name, client in (("rest sparse", pair.rest), ("grpc sparse", pair.grpc)):
        client.create_collection(name, shard_number=1, **WITH_SPARSE)
        for place in range(8):
            vectors = {
                "dense": [place, 1.0, 0.5],
                "sparse": models.SparseVector(indices=[9, place, 100 + place], values=[1.0, 2.0, -place]),
            }
            point = models.PointStruct(id=place, vector=vectors)
            client.upsert(name, [point], wait=True)
        held.append(alike(pair.rest.scroll(name, limit=20, with_vectors=True)[0]))
        pair.both(lambda client, name=name: client.scroll(name, limit=20, with_vectors=True))
        pair.both(lambda client, name=name: described(client.get_collection(name)))
        for using, query in (
            ("dense", [1.0, 2.0, 3.0]),
            ("sparse", models.SparseVector(indices=[100, 3, 9], values=[1.0, 0.5, 0.25])),
            ("sparse", 4),
        ):
            found = pair.both(
                lambda client, name=name, using=using, query=query: client.query_points(
                    name, query=query, using=using, limit=5, with_vectors=True
                )
            )
            assert found
    assert held[0] == held[1]


WITH_SPARSE: dict[str, Any] = {
    "vectors_config": {
        "dense": models.VectorParams(size=3, distance=models.Distance.EUCLID),
    },
    "sparse_vectors_config": {
        "sparse": models.SparseVectorParams(
            index=models.SparseIndexParams(full_scan_threshold=5000), modifier=models.Modifier.IDF
        )
    },
}


# --- collections -------------------------------------------------------------------------------------

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "unnamed": {"vectors_config": models.VectorParams(size=4, distance=models.Distance.DOT, on_disk=True)},
    "no vectors": {"vectors_config": {}},
    "everything": {
        "vectors_config": {
            "a": models.VectorParams(
                size=4,
                distance=models.Distance.MANHATTAN,
                hnsw_config=models.HnswConfigDiff(m=4, payload_m=8),
                quantization_config=models.ScalarQuantization(
                    scalar=models.ScalarQuantizationConfig(
                        type=models.ScalarType.INT8, quantile=0.75, always_ram=True
                    )
                ),
            ),
            "b": models.VectorParams(size=3, distance=models.Distance.EUCLID),
        },
        "shard_number": 1,
        "hnsw_config": models.HnswConfigDiff(
            m=8, ef_construct=32, full_scan_threshold=20, max_indexing_threads=1, on_disk=True
        ),
        "optimizers_config": models.OptimizersConfigDiff(
            deleted_threshold=0.5,
            vacuum_min_vector_number=200,
            default_segment_number=2,
            max_segment_size=5000,
            memmap_threshold=1000,
            indexing_threshold=500,
            flush_interval_sec=3,
            max_optimization_threads=1,
        ),
        "wal_config": models.WalConfigDiff(wal_capacity_mb=8, wal_segments_ahead=1),
        "quantization_config": models.BinaryQuantization(
            binary=models.BinaryQuantizationConfig(
                encoding=models.BinaryQuantizationEncoding.TWO_BITS,
                query_encoding=models.BinaryQuantizationQueryEncoding.SCALAR8BITS,
            )
        ),
        "strict_mode_config": models.StrictModeConfig(
            enabled=False, max_query_limit=1000, search_max_oversampling=2.0
        ),
        "metadata": {"owner": "x", "deep": {"list": [1, None, 2.5]}},
        "on_disk_payload": False,
    },
    "product": {
        "vectors_config": models.VectorParams(size=4, distance=models.Distance.COSINE),
        "quantization_config": models.ProductQuantization(
            product=models.ProductQuantizationConfig(compression=models.CompressionRatio.X32)
        ),
        "sharding_method": models.ShardingMethod.AUTO,
    },
}


@pytest.mark.parametrize("what", list(CONFIGURATIONS))
def test_collections_made_over_either_show_the_same(pair: Pair, what: str) -> None:
    shown = []
    for place, client in enumerate((pair.rest, pair.grpc)):
        name = f"{what} {place}"
        assert client.create_collection(name, **CONFIGURATIONS[what]) is True
        shown.append(pair.both(lambda client, name=name: described(client.get_collection(name))))
    assert shown[0] == shown[1]


def described(info: models.CollectionInfo) -> dict[str, Any]:
    """The wire does not tell metadata that is empty from none."""
    found: dict[str, Any] = info.model_dump(mode="json", exclude_none=True)
    found["config"].setdefault("metadata", {})
    return found


INDEX_PARAMETERS: list[Any] = [
    models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
    models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=False, range=True),
    models.FloatIndexParams(type=models.FloatIndexType.FLOAT, is_principal=True),
    models.GeoIndexParams(type=models.GeoIndexType.GEO, on_disk=True),
    models.BoolIndexParams(type=models.BoolIndexType.BOOL),
    models.DatetimeIndexParams(type=models.DatetimeIndexType.DATETIME),
    models.UuidIndexParams(type=models.UuidIndexType.UUID, is_tenant=False),
    models.TextIndexParams(
        type=models.TextIndexType.TEXT,
        tokenizer=models.TokenizerType.WORD,
        min_token_len=2,
        lowercase=False,
        stopwords=models.StopwordsSet(languages=[models.Language.ENGLISH], custom=["foo"]),
        stemmer=models.SnowballParams(
            type=models.Snowball.SNOWBALL, language=models.SnowballLanguage.ENGLISH
        ),
    ),
]


def test_indexes_made_over_either_show_the_same(pair: Pair) -> None:
    shown = []
    for name, client in (("rest indexes", pair.rest), ("grpc indexes", pair.grpc)):
        client.create_collection(name, vectors_config={})
        for place, parameters in enumerate(INDEX_PARAMETERS):
            client.create_payload_index(name, f"field{place}", parameters, wait=True)
        client.create_payload_index(name, "plain", models.PayloadSchemaType.KEYWORD, wait=True)
        shown.append(pair.both(lambda client, name=name: described(client.get_collection(name))))
    assert shown[0]["payload_schema"] == shown[1]["payload_schema"]
    assert len(shown[0]["payload_schema"]) == len(INDEX_PARAMETERS) + 1


def test_configurations_change_alike(pair: Pair) -> None:
    shown = []
    for name, client in (("rest changed", pair.rest), ("grpc changed", pair.grpc)):
        client.create_collection(name, **CONFIGURATIONS["everything"])
        client.update_collection(
            name,
            vectors_config={"a": models.VectorParamsDiff(hnsw_config=models.HnswConfigDiff(m=6))},
            optimizers_config=models.OptimizersConfigDiff(
                indexing_threshold=0, max_optimization_threads=models.MaxOptimizationThreadsSetting.AUTO
            ),
            hnsw_config=models.HnswConfigDiff(ef_construct=50),
            collection_params=models.CollectionParamsDiff(read_fan_out_factor=1),
            quantization_config=models.Disabled.DISABLED,
            metadata={"owner": None, "more": True},
        )
        shown.append(pair.both(lambda client, name=name: described(client.get_collection(name))))
    assert shown[0] == shown[1]


def test_aliases_lists_and_places_are_the_same(pair: Pair) -> None:
    create = models.CreateAlias(collection_name=NAME, alias_name="other")
    pair.grpc.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
    rename = models.RenameAlias(old_alias_name="other", new_alias_name="another")
    pair.grpc.update_collection_aliases([models.RenameAliasOperation(rename_alias=rename)])
    assert len(pair.both(lambda client: client.get_aliases()).aliases) == 1
    assert len(pair.both(lambda client: client.get_collection_aliases(NAME)).aliases) == 1
    assert pair.both(lambda client: client.count("another")).count > 100
    delete = models.DeleteAlias(alias_name="another")
    pair.grpc.update_collection_aliases([models.DeleteAliasOperation(delete_alias=delete)])
    assert pair.both(lambda client: client.collection_exists("another")) is False
    assert pair.both(lambda client: client.collection_exists(NAME)) is True
    names = [
        sorted(each.name for each in client.get_collections().collections)
        for client in (pair.rest, pair.grpc)
    ]
    assert names[0] == names[1]


def test_a_collection_that_is_not_there_is_deleted_to_no_effect(pair: Pair) -> None:
    assert pair.both(lambda client: client.delete_collection("never was")) is False


# --- errors ------------------------------------------------------------------------------------------


def feedback(items: list[models.FeedbackItem], *, b: float) -> models.RelevanceFeedbackQuery:
    params = models.NaiveFeedbackStrategyParams(a=1, b=b, c=1)
    return models.RelevanceFeedbackQuery(
        relevance_feedback=models.RelevanceFeedbackInput(
            target=1, feedback=items, strategy=models.NaiveFeedbackStrategy(naive=params)
        )
    )


WRONG: dict[str, Callable[[QdrantClient], Any]] = {
    "unknown collection": lambda client: client.count("nowhere"),
    "existing collection": lambda client: client.create_collection(NAME, vectors_config={}),
    "wrong dimension": lambda client: client.query_points(NAME, query=[1.0], using="dot"),
    "unknown vector": lambda client: client.query_points(NAME, query=[1.0], using="none"),
    "unknown example": lambda client: client.query_points(NAME, query=10**7, using="dot"),
    "unknown lookup": lambda client: client.query_points(
        NAME, query=1, using="dot", lookup_from=models.LookupLocation(collection="nowhere")
    ),
    "order without an index": lambda client: client.scroll(NAME, order_by="nowhere"),
    "offset and order": lambda client: client.scroll(NAME, order_by="n", offset=1),
    "threshold without a query": lambda client: client.query_points(NAME, score_threshold=0.5),
    "nothing to upsert": lambda client: client.upsert(NAME, []),
    "missing point": lambda client: client.set_payload(NAME, {"a": 1}, [10**7]),
    "unknown projection": lambda client: client.retrieve(NAME, [1], with_vectors=["none"]),
    "bad name": lambda client: client.create_collection("a<b", vectors_config={}),
    "limit of zero": lambda client: client.query_points(NAME, query=1, using="dot", limit=0),
    "size of zero": lambda client: client.create_collection(
        "zero", vectors_config=models.VectorParams(size=0, distance=models.Distance.DOT)
    ),
    "bad path": lambda client: client.delete_payload(NAME, ["a..b"], [1]),
    "alias of nothing": lambda client: client.update_collection_aliases(
        [
            models.CreateAliasOperation(
                create_alias=models.CreateAlias(collection_name="nowhere", alias_name="a")
            )
        ]
    ),
    "recommend by nothing": lambda client: client.query_points(
        NAME, query=models.RecommendQuery(recommend=models.RecommendInput()), using="dot"
    ),
    "recommend against alone": lambda client: client.query_points(
        NAME, query=models.RecommendQuery(recommend=models.RecommendInput(negative=[1])), using="dot"
    ),
    "recommend an unknown point": lambda client: client.query_points(
        NAME, query=models.RecommendQuery(recommend=models.RecommendInput(positive=[1, 987654])), using="dot"
    ),
    "feedback of none": lambda client: client.query_points(NAME, query=feedback([], b=1), using="dot"),
    "feedback of a negative power": lambda client: client.query_points(
        NAME, query=feedback([models.FeedbackItem(example=1, score=1)], b=-1), using="dot"
    ),
    "facet without an index": lambda client: client.facet(NAME, "f"),
}
CODES = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 409: "ALREADY_EXISTS", 422: "INVALID_ARGUMENT"}


@pytest.mark.parametrize("what", list(WRONG))
def test_errors_have_the_same_text(pair: Pair, what: str) -> None:
    with pytest.raises(UnexpectedResponse) as over_rest:
        WRONG[what](pair.rest)
    with pytest.raises(grpc.RpcError) as over_wire:
        WRONG[what](pair.grpc)
    text = json.loads(over_rest.value.content)["status"]["error"]
    told: Any = over_wire.value
    later = "not supported by this version" in text
    expected = "UNIMPLEMENTED" if later else CODES[over_rest.value.status_code or 0]
    assert told.code().name == expected
    assert without_places(told.details()) == without_places(text)


def without_places(text: str) -> str:
    """Where a value stands in a body differs between the protocols."""
    text = text.removeprefix("Format error in JSON body: ")
    return text.rpartition(": ")[2] if text.startswith("Validation error in") else text


@pytest.mark.skipif(CLUSTERED, reason="about a node on its own")
def test_cluster_operations_of_a_node_on_its_own(pair: Pair) -> None:
    for ask in (
        lambda: pair.grpc.create_shard_key(NAME, "key"),
        lambda: pair.grpc.delete_shard_key(NAME, "key"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            ask()
        told: Any = caught.value
        assert told.code() is grpc.StatusCode.UNIMPLEMENTED
        assert told.details() == "Qdrant is running in standalone mode"


# --- clients -----------------------------------------------------------------------------------------


async def test_the_asynchronous_client_works_over_grpc(nodes: list[LiveNode]) -> None:
    client = over_grpc(AsyncQdrantClient, nodes[0])
    await client.create_collection(
        "async", vectors_config=models.VectorParams(size=4, distance=models.Distance.COSINE)
    )
    points = [models.PointStruct(id=i, vector=[i, 1, 2, 3], payload={"i": i}) for i in range(1, 6)]
    await client.upsert("async", points, wait=True)
    found = await client.query_points("async", query=[5, 1, 2, 3], limit=2, with_vectors=True)
    assert [point.id for point in found.points] == [5, 4]
    assert len(found.points[0].vector) == 4
    assert (await client.count("async")).count == 5
    await client.close()


def test_large_uploads_and_gzip(nodes: list[LiveNode], tmp_path: Path) -> None:
    """More than gRPC's usual limit of 4 MiB, from a client that compresses."""
    client = QdrantClient(
        url=nodes[0].url,
        grpc_port=nodes[0].grpc_port,
        prefer_grpc=True,
        check_compatibility=False,
        timeout=60,
        grpc_compression=grpc.Compression.Gzip,
    )
    client.create_collection("large", vectors_config=models.VectorParams(size=1024, distance="Dot"))
    row = [0.5] * 1024
    points = [models.PointStruct(id=i, vector=row, payload={"text": "x" * 500}) for i in range(2000)]
    client.upsert("large", points, wait=True)
    found, _ = client.scroll("large", limit=2000, with_vectors=True)
    assert len(found) == 2000
    assert found[-1].vector == row
    assert found[-1].payload == {"text": "x" * 500}
