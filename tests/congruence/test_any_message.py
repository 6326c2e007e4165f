"""Whatever message a gRPC method takes is answered or refused, and never with an internal error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from qdrant_client.grpc import (
    collections_service_pb2,
    points_service_pb2,
    qdrant_pb2,
    snapshots_service_pb2,
)

from tests.congruence.bodies import POINTS
from tests.congruence.messages import messages
from tests.congruence.server import examples, serving_nodes
from tests.congruence.test_any_body import NO_INFERENCE, fill

SERVICES = (
    qdrant_pb2.DESCRIPTOR.services_by_name["Qdrant"],
    collections_service_pb2.DESCRIPTOR.services_by_name["Collections"],
    points_service_pb2.DESCRIPTOR.services_by_name["Points"],
    snapshots_service_pb2.DESCRIPTOR.services_by_name["Snapshots"],
)
METHODS = {f"{service.name}.{method.name}": method for service in SERVICES for method in service.methods}
# What reads asks ``c``; writes go to collections of their own, so that reads have something to find.
READS = {
    *("Get", "Scroll", "Count", "Facet", "SearchMatrixPairs", "SearchMatrixOffsets"),
    *("Query", "QueryBatch", "QueryGroups", "Search", "SearchBatch", "SearchGroups"),
    *("Recommend", "RecommendBatch", "RecommendGroups", "Discover", "DiscoverBatch"),
    *("CollectionClusterInfo", "CollectionExists", "ListCollectionAliases", "ListShardKeys"),
}
MADE = {"Collections.Create", "Collections.Delete"}
CHANGED = {method for method in METHODS if method.startswith("Collections.")} - MADE
# A node on its own refuses them, whatever they say.
OF_CLUSTERS = {
    f"Collections.{name}" for name in ("UpdateCollectionClusterSetup", "CreateShardKey", "DeleteShardKey")
}
# There is no snapshot of any name that is drawn.
OF_NOTHING = {"Snapshots.Delete", "Snapshots.DeleteFull"}
COSTLY = {"Snapshots.CreateFull": 8}  # one copies all that the node holds
ROW, USING = [1.0, 0.5, 0.0], "dense"
DENSE = {"dense": {"data": ROW}}
ID = {"num": 1}
SEARCH = {"vector": ROW, "vector_name": USING, "limit": 3}
RECOMMEND = {"positive": [ID], "using": USING, "limit": 3}
DISCOVER = {"target": {"single": {"id": ID}}, "using": USING, "limit": 3}
NEAREST = {"query": {"nearest": DENSE}, "using": USING}
SELECTED = {"points": {"ids": [ID]}}
VECTORS = {"vectors": {"vectors": {"dense": {"dense": {"data": ROW}}}}}
NUMBER = {"payload": {"n": {"integer_value": 1}}, "points_selector": SELECTED}
# What each method would answer; members are added to it and changed.
RIGHT: dict[str, dict[str, Any]] = {
    "Collections.Create": {"vectors_config": {"params": {"size": 3, "distance": 1}}},
    "Collections.UpdateAliases": {"actions": [{"delete_alias": {"alias_name": "a"}}]},
    "Points.Upsert": {"points": [{"id": ID, "vectors": VECTORS}]},
    "Points.Delete": {"points": SELECTED},
    "Points.Get": {"ids": [ID]},
    "Points.UpdateVectors": {"points": [{"id": ID, "vectors": VECTORS}]},
    "Points.DeleteVectors": {"points_selector": SELECTED, "vectors": {"names": ["several"]}},
    "Points.SetPayload": NUMBER,
    "Points.OverwritePayload": NUMBER,
    "Points.DeletePayload": {"keys": ["n"], "points_selector": SELECTED},
    "Points.ClearPayload": {"points": SELECTED},
    "Points.CreateFieldIndex": {"field_name": "a.b[]", "field_type": 1},
    "Points.DeleteFieldIndex": {"field_name": "a.b[]"},
    "Points.CreateVectorName": {"vector_name": "more", "dense_config": {"size": 3, "distance": 1}},
    "Points.DeleteVectorName": {"vector_name": "more"},
    "Points.Search": SEARCH,
    "Points.SearchBatch": {"search_points": [SEARCH]},
    "Points.SearchGroups": {**SEARCH, "group_by": "tag", "group_size": 2},
    "Points.Recommend": RECOMMEND,
    "Points.RecommendBatch": {"recommend_points": [RECOMMEND]},
    "Points.RecommendGroups": {**RECOMMEND, "group_by": "tag", "group_size": 2},
    "Points.Discover": DISCOVER,
    "Points.DiscoverBatch": {"discover_points": [DISCOVER]},
    "Points.UpdateBatch": {"operations": [{"delete_points": {"points": SELECTED}}]},
    "Points.Query": NEAREST,
    "Points.QueryBatch": {"query_points": [NEAREST]},
    "Points.QueryGroups": {**NEAREST, "group_by": "tag"},
    "Points.Facet": {"key": "tag"},
    "Points.SearchMatrixPairs": {"using": USING},
    "Points.SearchMatrixOffsets": {"using": USING},
}
FINE = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    with serving_nodes(tmp_path_factory.mktemp("messages")) as nodes:
        with httpx.Client(base_url=nodes[0].url, timeout=60) as client:
            for name in ("c", "other", "written", "changed"):
                fill(client, name)
        with grpc.insecure_channel(f"{nodes[0].host}:{nodes[0].grpc_port}") as found:
            yield found


@pytest.mark.parametrize("name", METHODS)
def test_any_message_is_answered_or_refused(channel: grpc.Channel, name: str) -> None:
    kind, call = METHODS[name].input_type._concrete_class, calling(channel, name)
    told: dict[Any, int] = {}

    @settings(
        max_examples=max(examples(120), 60) // COSTLY.get(name, 1),
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(request=messages(kind, RIGHT.get(name, {}), collection_for(name)))
    def check(request: Any) -> None:
        code, text = ask(call, request)
        assert code in FINE or NO_INFERENCE in text, (code, text, str(request))
        told[code] = told.get(code, 0) + 1
        if name == "Collections.Create" and code is grpc.StatusCode.OK:
            show_and_delete(channel, request)

    check()
    assert told.get(grpc.StatusCode.OK) or name in OF_CLUSTERS | OF_NOTHING, f"nothing was answered: {told}"


def collection_for(name: str) -> str:
    if name.partition(".")[2] in READS:
        return "c"
    return "made" if name in MADE else "changed" if name in CHANGED else "written"


def show_and_delete(channel: grpc.Channel, created: Any) -> None:
    for method in ("Get", "CollectionClusterInfo", "Delete"):
        name = f"Collections.{method}"
        request = METHODS[name].input_type._concrete_class(collection_name="made")
        assert ask(calling(channel, name), request) == (grpc.StatusCode.OK, ""), str(created)


def calling(channel: grpc.Channel, name: str) -> Callable[..., Any]:
    method = METHODS[name]
    return channel.unary_unary(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=method.input_type._concrete_class.SerializeToString,
        response_deserializer=method.output_type._concrete_class.FromString,
    )


def ask(call: Callable[..., Any], request: Any) -> tuple[grpc.StatusCode, str]:
    try:
        call(request, timeout=30)
    except grpc.RpcError as error:
        return error.code(), str(error.details())
    return grpc.StatusCode.OK, ""


def test_the_collection_that_was_read_is_as_it_was(channel: grpc.Channel) -> None:
    request = METHODS["Points.Count"].input_type._concrete_class(collection_name="c")
    assert calling(channel, "Points.Count")(request, timeout=30).result.count == POINTS
