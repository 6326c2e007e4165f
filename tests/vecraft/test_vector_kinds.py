"""Vectors of every kind through the real client and a running server, also after a restart."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import grpc
import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from tests.live import LiveNode, wait_for

SPARSE = models.SparseVector
A, B, C = 1, 2, 3


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNode]:
    with LiveNode(tmp_path_factory.mktemp("kinds")) as node:
        yield node


@pytest.fixture(params=["rest", "grpc"])
def client(node: LiveNode, request: pytest.FixtureRequest) -> Iterator[QdrantClient]:
    over_grpc = request.param == "grpc"
    client = QdrantClient(
        url=node.url, grpc_port=node.grpc_port, prefer_grpc=over_grpc, check_compatibility=False
    )
    for collection in client.get_collections().collections:
        client.delete_collection(collection.name)
    yield client
    client.close()


def call(node: LiveNode, method: str, path: str, body: Any) -> tuple[int, Any]:
    """Status and answer of a plain request."""
    request = urllib.request.Request(
        node.url + path,
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def refused(node: LiveNode, method: str, path: str, body: Any, status: int, text: str) -> None:
    found, answer = call(node, method, path, body)
    assert found == status, answer
    assert text in answer["status"]["error"]


# --- sparse ----------------------------------------------------------------------------------------


def make_sparse(client: QdrantClient) -> None:
    client.create_collection(
        "s", vectors_config={}, sparse_vectors_config={"words": models.SparseVectorParams()}
    )
    client.upsert(
        "s",
        [
            models.PointStruct(id=A, vector={"words": SPARSE(indices=[7, 1], values=[0.5, 2.0])}),
            models.PointStruct(id=B, vector={"words": SPARSE(indices=[4294967295], values=[1.0])}),
            models.PointStruct(id=C, vector={"words": SPARSE(indices=[], values=[])}),
            models.PointStruct(id=4, vector={}),
        ],
    )


def scores(answer: models.QueryResponse) -> list[tuple[Any, float]]:
    return [(point.id, point.score) for point in answer.points]


def test_sparse_vectors_are_sorted_searched_and_kept(client: QdrantClient, node: LiveNode) -> None:
    make_sparse(client)
    query = SPARSE(indices=[7, 4294967295, 3], values=[2.0, 0.25, 9.0])
    for _ in range(2):
        found = {record.id: record.vector for record in client.retrieve("s", [A, B, C, 4], with_vectors=True)}
        assert found[A] == {"words": SPARSE(indices=[1, 7], values=[2.0, 0.5])}
        assert found[C] == {"words": SPARSE(indices=[], values=[])}
        assert found[4] == {}
        assert scores(client.query_points("s", query, using="words")) == [(A, 1.0), (B, 0.25)]
        assert scores(client.query_points("s", query, using="words", score_threshold=0.5)) == [(A, 1.0)]
        assert scores(client.query_points("s", A, using="words")) == []  # shares no index with others
        assert client.query_points("s", SPARSE(indices=[], values=[]), using="words").points == []
        having = models.Filter(must=[models.HasVectorCondition(has_vector="words")])
        assert client.count("s", having).count == 3
        node.restart()


def test_the_other_forms_of_a_sparse_query(client: QdrantClient, node: LiveNode) -> None:
    make_sparse(client)
    vector = {"indices": [7], "values": [2.0]}
    for query in (vector, {"nearest": vector}):
        status, answer = call(node, "POST", "/collections/s/points/query", {"query": query, "using": "words"})
        assert status == 200
        assert [(hit["id"], hit["score"]) for hit in answer["result"]["points"]] == [(A, 1.0)]
    legacy = {"vector": {"name": "words", "vector": vector}, "limit": 3, "with_vector": True}
    status, answer = call(node, "POST", "/collections/s/points/search", legacy)
    assert status == 200
    assert answer["result"][0]["vector"] == {"words": {"indices": [1, 7], "values": [2.0, 0.5]}}


def test_sparse_vectors_are_updated_and_deleted_beside_others(client: QdrantClient) -> None:
    client.create_collection(
        "s",
        vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT),
        sparse_vectors_config={"words": models.SparseVectorParams()},
    )
    words = SPARSE(indices=[1], values=[1.0])
    client.upsert("s", [models.PointStruct(id=A, vector={"": [1.0, 2.0], "words": words})])
    client.update_vectors(
        "s", [models.PointVectors(id=A, vector={"words": SPARSE(indices=[2], values=[3.0])})]
    )
    (record,) = client.retrieve("s", [A], with_vectors=True)
    assert record.vector == {"": [1.0, 2.0], "words": SPARSE(indices=[2], values=[3.0])}
    (record,) = client.retrieve("s", [A], with_vectors=["words"])
    assert record.vector == {"words": SPARSE(indices=[2], values=[3.0])}
    client.delete_vectors("s", ["words"], [A])
    (record,) = client.retrieve("s", [A], with_vectors=True)
    assert record.vector == {"": [1.0, 2.0]}


def test_bad_sparse_vectors_are_refused_and_nothing_is_stored(client: QdrantClient, node: LiveNode) -> None:
    make_sparse(client)

    def put(vector: Any) -> dict[str, Any]:
        return {"points": [{"id": 9, "vector": vector}]}

    path = "/collections/s/points?wait=true"
    at = "points[0].vector.?"
    unequal, twice = {"indices": [1, 2], "values": [1.0]}, {"indices": [1, 1], "values": [1.0, 2.0]}
    text = f"{at}.values: Validation error: must be the same length as indices [{{}}]"
    refused(node, "PUT", path, put({"words": unequal}), 422, text)
    text = f"{at}.indices: Validation error: must be unique [{{}}]"
    refused(node, "PUT", path, put({"words": twice}), 422, text)
    refused(node, "PUT", path, put({"words": {"indices": [-1], "values": [1.0]}}), 400, "Format error")
    refused(node, "PUT", path, put({"words": {"indices": [2**32], "values": [1.0]}}), 400, "Format error")
    refused(node, "PUT", path, put({"words": {"indices": [1], "values": [1e300]}}), 400, "finite")
    conversion = "Wrong input: Conversion between sparse and regular vectors failed"
    refused(node, "PUT", path, put({"words": [1.0, 2.0]}), 400, conversion)
    refused(node, "POST", "/collections/s/points/query", {"query": [1.0], "using": "words"}, 400, conversion)
    query = {"query": {"indices": [3, 3], "values": [1, 1]}, "using": "words"}
    refused(node, "POST", "/collections/s/points/query", query, 422, "must be unique [{}]")
    assert client.count("s").count == 4


# --- idf ---------------------------------------------------------------------------------------------

IDF = models.SparseVectorParams(modifier=models.Modifier.IDF)
EARLY = models.Filter(must=[models.FieldCondition(key="n", range=models.Range(lt=40))])


def make_idf(client: QdrantClient, shards: int) -> None:
    """Index i is in every i-th of 120 points."""
    client.create_collection(
        "i", vectors_config={}, sparse_vectors_config={"w": IDF, "p": SPARSE_PLAIN}, shard_number=shards
    )
    points = []
    for number in range(120):
        indices = [i for i in range(1, 12) if number % i == 0]
        words = SPARSE(indices=indices, values=[1.0 + i / 8 for i in indices])
        points.append(models.PointStruct(id=number, vector={"w": words, "p": words}, payload={"n": number}))
    points.append(models.PointStruct(id=500, vector={}, payload={"n": 0}))
    client.upsert("i", points, wait=True)


SPARSE_PLAIN = models.SparseVectorParams()


def weight(points: int, containing: int) -> float:
    return math.log((points - containing + 0.5) / (containing + 0.5) + 1)


def by_hand(query: dict[int, float], numbers: Iterable[int], corpus: range) -> list[float]:
    """The ten best scores."""
    found = []
    for number in numbers:
        shared = [i for i in query if number % i == 0]
        if shared:
            counts = {i: sum(each % i == 0 for each in corpus) for i in shared}
            found.append(sum(query[i] * weight(len(corpus), counts[i]) * (1.0 + i / 8) for i in shared))
    return sorted(found, reverse=True)[:10]


@pytest.mark.parametrize("shards", [1, 6])
def test_rare_indices_weigh_more_by_the_statistics_of_the_whole_collection(
    client: QdrantClient, node: LiveNode, shards: int
) -> None:
    """However many shards there are; through deletes; of a corpus; in prefetches, batches, by example."""
    make_idf(client, shards)
    query = {1: 1.0, 7: 2.0, 11: 0.5}
    vector = SPARSE(indices=[*query], values=[*query.values()])
    everything = range(120)

    def agree(answer: models.QueryResponse, wanted: list[float]) -> None:
        np.testing.assert_allclose([point.score for point in answer.points], wanted, rtol=1e-5)

    wanted = by_hand(query, everything, everything)
    agree(client.query_points("i", vector, using="w"), wanted)
    chosen = models.SearchParams(idf=models.IdfScope.GLOBAL)
    agree(client.query_points("i", vector, using="w", search_params=chosen), wanted)
    corpus = models.SearchParams(idf=models.IdfCorpusParams(corpus=EARLY))
    of_corpus = by_hand(query, everything, range(40))
    agree(client.query_points("i", vector, using="w", search_params=corpus), of_corpus)
    requests = [
        models.QueryRequest(query=vector, using="w", params=corpus, limit=10),
        models.QueryRequest(query=vector, using="w", limit=10),
    ]
    for answer, scores in zip(client.query_batch_points("i", requests), (of_corpus, wanted), strict=True):
        agree(answer, scores)
    prefetch = models.Prefetch(query=vector, using="w", limit=10, params=corpus)
    agree(client.query_points("i", vector, using="w", prefetch=prefetch), wanted)
    alike = models.NearestQuery(nearest=vector, mmr=models.Mmr(diversity=0.0, candidates_limit=30))
    agree(client.query_points("i", alike, using="w"), wanted)
    for strategy in (models.RecommendStrategy.SUM_SCORES, models.RecommendStrategy.AVERAGE_VECTOR):
        liked = models.RecommendInput(positive=[vector], strategy=strategy)
        agree(client.query_points("i", models.RecommendQuery(recommend=liked), using="w"), wanted)
    own = {i: 1.0 + i / 8 for i in range(1, 12) if 42 % i == 0}
    agree(client.query_points("i", 42, using="w"), by_hand(own, _without(everything, 42), everything))

    client.delete("i", models.PointIdsList(points=list(range(60, 120))), wait=True)
    agree(client.query_points("i", vector, using="w"), by_hand(query, range(60), range(60)))
    node.restart()
    agree(client.query_points("i", vector, using="w"), by_hand(query, range(60), range(60)))


def _without(numbers: range, one: int) -> list[int]:
    return [number for number in numbers if number != one]


@pytest.mark.parametrize("scope", [models.IdfScope.GLOBAL, models.IdfCorpusParams(corpus=EARLY)])
def test_statistics_are_chosen_only_for_vectors_that_have_the_modifier(
    client: QdrantClient, scope: Any
) -> None:
    make_idf(client, 1)
    text = "`idf` is only applicable to sparse vectors with the IDF modifier"
    vector, params = SPARSE(indices=[1], values=[1.0]), models.SearchParams(idf=scope)
    for more in (
        {"query": vector, "search_params": params},
        {
            "query": models.FusionQuery(fusion=models.Fusion.RRF),
            "prefetch": models.Prefetch(query=vector, using="p", params=params),
        },
    ):
        using = {"using": "p"} if "search_params" in more else {}
        with pytest.raises((UnexpectedResponse, grpc.RpcError), match=text):
            client.query_points("i", **more, **using)


def test_malformed_statistics_are_refused(client: QdrantClient, node: LiveNode) -> None:
    make_idf(client, 1)
    path = "/collections/i/points/query"
    for wrong in ("local", {"corpus": 3}, {}, 1):
        body = {"query": {"indices": [1], "values": [1.0]}, "using": "w", "params": {"idf": wrong}}
        refused(node, "POST", path, body, 400, "IdfParams")
    body = {"query": {"indices": [1], "values": [1.0]}, "using": "w"}
    status, _ = call(node, "POST", path, {**body, "params": {"idf": {"corpus": {"must": [{"x": 1}]}}}})
    assert status == 400


# --- four bits a component -----------------------------------------------------------------------


CODED_DIM = 64
LOST_MAX = 0.0095 * 1.1  # of a row's squared length, by the best 16 levels


def coded_params(distance: models.Distance, **more: Any) -> models.VectorParams:
    return models.VectorParams(size=CODED_DIM, distance=distance, datatype=models.Datatype.TURBO4, **more)


def lost(shown: Any, given: Any) -> float:
    shares = np.square(np.array(shown) - given).sum(axis=-1) / np.square(given).sum(axis=-1)
    return float(np.mean(shares))


def test_turbo4_is_shown_and_cannot_be_changed(client: QdrantClient, node: LiveNode) -> None:
    client.create_collection("t", vectors_config=coded_params(models.Distance.COSINE))
    change = {"vectors": {"": {"datatype": "float32", "on_disk": True}}}
    assert call(node, "PATCH", "/collections/t", change)[0] == 200
    shown = client.get_collection("t").config.params.vectors
    assert isinstance(shown, models.VectorParams)
    assert (shown.datatype, shown.on_disk) == (models.Datatype.TURBO4, True)
    path = "/collections/t/vectors/other?wait=true"
    wanted = {"size": CODED_DIM, "distance": "Dot", "datatype": "turbo4"}
    for _ in range(2):
        assert call(node, "PUT", path, {"dense": wanted})[0] == 200
    taken = "Vector `other` already exists with a different configuration"
    refused(node, "PUT", path, {"dense": {**wanted, "datatype": "float16"}}, 400, taken)
    both = client.get_collection("t").config.params.vectors
    assert isinstance(both, dict)
    assert both["other"].datatype is models.Datatype.TURBO4
    refused(node, "PUT", "/collections/u", {"vectors": {**wanted, "datatype": "turbo2"}}, 400, "turbo2")


@pytest.mark.slow
def test_turbo4_scores_what_is_stored_through_changes_builds_and_a_restart(
    client: QdrantClient, node: LiveNode
) -> None:
    rng = np.random.default_rng(4)
    given = rng.normal(size=(2600, CODED_DIM)).astype(np.float32)
    several = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    client.create_collection(
        "t",
        vectors_config={
            "one": coded_params(models.Distance.EUCLID),
            "pages": coded_params(models.Distance.DOT, multivector_config=several),
        },
        optimizers_config=models.OptimizersConfigDiff(indexing_threshold=0),
    )
    for first in range(0, len(given), 200):
        part = range(first, first + 200)
        vectors = [given[i].tolist() for i in part]
        pages = [[(2 * given[i]).tolist(), (-given[i]).tolist()] for i in part]
        batch = models.Batch(ids=[*part], vectors={"one": vectors, "pages": pages})
        client.upsert("t", batch, wait=True)
    client.update_vectors("t", [models.PointVectors(id=7, vector={"pages": [given[8].tolist()]})], wait=True)
    client.delete("t", models.PointIdsList(points=[*range(2500, 2600)]), wait=True)
    held: list[Any] = []
    for threshold, quantization in ((0, None), (1, None), (1, models.ScalarType.INT8)):
        client.update_collection(
            "t",
            optimizers_config=models.OptimizersConfigDiff(indexing_threshold=threshold),
            quantization_config=quantization
            and models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type=quantization)),
        )
        wait_for(partial(is_green, client, bool(threshold)), seconds=60, what="the optimizer")
        node.restart()
        records = sorted(client.retrieve("t", [*range(2500)], with_vectors=True), key=lambda one: int(one.id))
        vectors = [record.vector for record in records]
        held.append(vectors)
        assert held[0] == vectors  # bit for bit: nothing is rounded twice
        shown = np.array([vector["one"] for vector in vectors])
        assert lost(shown, given[:2500]) < LOST_MAX
        assert lost(vectors[7]["pages"], given[8:9]) < 2 * LOST_MAX
        query = given[100]
        exact = models.SearchParams(exact=True)
        for params in (exact, models.SearchParams(hnsw_ef=200, quantization=RESCORED)):
            found = client.query_points("t", query.tolist(), using="one", limit=10, search_params=params)
            assert found.points[0].id == 100
            wanted = [float(np.linalg.norm(shown[int(hit.id)] - query)) for hit in found.points]
            assert [hit.score for hit in found.points] == pytest.approx(wanted, rel=1e-4)
        by_pages = client.query_points("t", [query.tolist()], using="pages", limit=5, search_params=exact)
        wanted = [max(np.array(vectors[int(hit.id)]["pages"]) @ query) for hit in by_pages.points]
        assert [hit.score for hit in by_pages.points] == pytest.approx(wanted, rel=1e-4)
        (itself,) = client.query_points("t", vectors[3]["one"], using="one", limit=1).points
        assert (itself.id, itself.score) == (3, pytest.approx(0, abs=1e-4))


RESCORED = models.QuantizationSearchParams(rescore=True)


def is_green(client: QdrantClient, indexed: bool) -> bool:
    info = client.get_collection("t")
    return info.status is models.CollectionStatus.GREEN and bool(info.indexed_vectors_count) is indexed


# --- names on a live collection --------------------------------------------------------------------


def test_sparse_names_are_added_and_removed(client: QdrantClient, node: LiveNode) -> None:
    client.create_collection("n", vectors_config={})
    client.upsert("n", [models.PointStruct(id=A, vector={})])
    path = "/collections/n/vectors/words?wait=true"
    for _ in range(2):
        assert call(node, "PUT", path, {"sparse": {"modifier": "idf"}})[0] == 200
    taken = "Vector `words` already exists with a different configuration"
    refused(node, "PUT", path, {"sparse": {}}, 400, taken)
    refused(node, "PUT", path, {"dense": {"size": 2, "distance": "Dot"}}, 400, taken)
    info = client.get_collection("n").config.params
    assert info.sparse_vectors == {"words": models.SparseVectorParams(modifier=models.Modifier.IDF)}
    client.update_vectors(
        "n", [models.PointVectors(id=A, vector={"words": SPARSE(indices=[2], values=[3.0])})]
    )
    node.restart()
    assert client.retrieve("n", [A], with_vectors=True)[0].vector != {}
    assert call(node, "DELETE", path, {})[0] == 200
    assert client.retrieve("n", [A], with_vectors=True)[0].vector == {}
    assert call(node, "PUT", path, {"dense": {"size": 2, "distance": "Dot"}})[0] == 200
    client.update_vectors("n", [models.PointVectors(id=A, vector={"words": [1.0, 2.0]})])
    assert scores(client.query_points("n", [1.0, 1.0], using="words")) == [(A, 3.0)]


def test_sparse_settings_are_shown_and_changed(client: QdrantClient, node: LiveNode) -> None:
    client.create_collection(
        "s",
        sparse_vectors_config={
            "words": models.SparseVectorParams(index=models.SparseIndexParams(full_scan_threshold=7))
        },
    )
    diff = {"words": models.SparseVectorParams(modifier=models.Modifier.IDF)}
    client.update_collection("s", sparse_vectors_config=diff)
    shown = client.get_collection("s").config.params.sparse_vectors
    assert shown is not None
    assert shown["words"].index == models.SparseIndexParams(full_scan_threshold=7)
    assert shown["words"].modifier is models.Modifier.IDF
    turbo = {"sparse_vectors": {"words": {"index": {"datatype": "turbo4"}}}}
    refused(node, "PUT", "/collections/t", turbo, 422, "sparse vectors do not support the `turbo4` datatype")
