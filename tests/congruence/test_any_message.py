"""Whatever message a gRPC method takes is answered or refused, and never with an internal error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from qdrant_client.grpc import points_service_pb2
from qdrant_client.http import models

from tests.congruence.messages import messages
from tests.congruence.server import examples, serving_nodes
from tests.congruence.test_any_body import NO_INFERENCE, fill

SERVICE = points_service_pb2.DESCRIPTOR.services_by_name["Points"]
METHODS = {method.name: method for method in SERVICE.methods}
# Writes go to a collection of their own, so that reads have something to find.
READS = {
    *("Get", "Scroll", "Count", "Facet", "SearchMatrixPairs", "SearchMatrixOffsets"),
    *("Query", "QueryBatch", "QueryGroups", "Search", "SearchBatch", "SearchGroups"),
    *("Recommend", "RecommendBatch", "RecommendGroups", "Discover", "DiscoverBatch"),
}
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
    "Upsert": {"points": [{"id": ID, "vectors": VECTORS}]},
    "Delete": {"points": SELECTED},
    "Get": {"ids": [ID]},
    "UpdateVectors": {"points": [{"id": ID, "vectors": VECTORS}]},
    "DeleteVectors": {"points_selector": SELECTED, "vectors": {"names": ["several"]}},
    "SetPayload": NUMBER,
    "OverwritePayload": NUMBER,
    "DeletePayload": {"keys": ["n"], "points_selector": SELECTED},
    "ClearPayload": {"points": SELECTED},
    "CreateFieldIndex": {"field_name": "a.b[]", "field_type": 1},
    "DeleteFieldIndex": {"field_name": "a.b[]"},
    "CreateVectorName": {"vector_name": "more", "dense_config": {"size": 3, "distance": 1}},
    "DeleteVectorName": {"vector_name": "more"},
    "Search": SEARCH,
    "SearchBatch": {"search_points": [SEARCH]},
    "SearchGroups": {**SEARCH, "group_by": "tag", "group_size": 2},
    "Recommend": RECOMMEND,
    "RecommendBatch": {"recommend_points": [RECOMMEND]},
    "RecommendGroups": {**RECOMMEND, "group_by": "tag", "group_size": 2},
    "Discover": DISCOVER,
    "DiscoverBatch": {"discover_points": [DISCOVER]},
    "UpdateBatch": {"operations": [{"delete_points": {"points": SELECTED}}]},
    "Query": NEAREST,
    "QueryBatch": {"query_points": [NEAREST]},
    "QueryGroups": {**NEAREST, "group_by": "tag"},
    "Facet": {"key": "tag"},
    "SearchMatrixPairs": {"using": USING},
    "SearchMatrixOffsets": {"using": USING},
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
            for name in ("c", "other", "written"):
                fill(client, name)
        with grpc.insecure_channel(f"{nodes[0].host}:{nodes[0].grpc_port}") as found:
            yield found


@pytest.mark.parametrize("name", METHODS)
def test_any_message_is_answered_or_refused(channel: grpc.Channel, name: str) -> None:
    method = METHODS[name]
    kind, answer = method.input_type._concrete_class, method.output_type._concrete_class
    call = channel.unary_unary(
        f"/{SERVICE.full_name}/{name}",
        request_serializer=kind.SerializeToString,
        response_deserializer=answer.FromString,
    )
    told: dict[Any, int] = {}

    @settings(
        max_examples=max(examples(120), 60),
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(request=messages(kind, RIGHT.get(name, {}), "c" if name in READS else "written"))
    def check(request: Any) -> None:
        code, text = ask(call, request)
        assert code in FINE or NO_INFERENCE in text, (code, text, str(request))
        told[code] = told.get(code, 0) + 1

    check()
    assert told.get(grpc.StatusCode.OK), f"nothing was answered: {told}"


def ask(call: Callable[..., Any], request: Any) -> tuple[grpc.StatusCode, str]:
    try:
        call(request, timeout=30)
    except grpc.RpcError as error:
        return error.code(), str(error.details())
    return grpc.StatusCode.OK, ""


def test_the_collection_that_was_read_is_as_it_was(channel: grpc.Channel) -> None:
    count = channel.unary_unary(
        f"/{SERVICE.full_name}/Count",
        request_serializer=lambda _: b"\n\x01c",
        response_deserializer=METHODS["Count"].output_type._concrete_class.FromString,
    )
    assert count(None, timeout=30).result.count == models.CountResult(count=12).count
