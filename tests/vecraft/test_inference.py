"""A server whose configuration names a remote inference service, asked over both protocols."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import httpx
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client import grpc as qdrant

from tests.live import LiveNode

Json = dict[str, Any]


class Service(ThreadingHTTPServer):
    """Makes of a text the vector (its length, 1), and of "wide" one of three numbers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[Json, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/infer"


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((body, self.headers.get("vendor-api-key")))
        texts = [each["data"] for each in body["inputs"]]
        embeddings = [[1, 2, 3] if text == "wide" else [len(text), 1] for text in texts]
        usage = {"models": {"some/model": {"tokens": 5 * len(texts)}}}
        answer = json.dumps({"embeddings": embeddings, "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def node(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNode]:
    environment = {"QDRANT__INFERENCE__ADDRESS": service.url, "QDRANT__INFERENCE__TOKEN": "secret"}
    with LiveNode(tmp_path_factory.mktemp("inference"), environment=environment) as made:
        yield made


def text(value: str) -> models.Document:
    return models.Document(text=value, model="some/model")


def test_other_models_are_asked_of_the_service_over_both_protocols(service: Service, node: LiveNode) -> None:
    options: Json = {"timeout": 60, "check_compatibility": False, "cloud_inference": True}
    rest = QdrantClient(url=node.url, **options)
    wire = QdrantClient(url=node.url, grpc_port=node.grpc_port, prefer_grpc=True, **options)
    before = len(service.asked)
    rest.create_collection("c", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    for client, first in ((rest, 1), (wire, 3)):
        points = [models.PointStruct(id=first + i, vector=text("x" * (first + i))) for i in range(2)]
        client.upsert("c", points, wait=True)
        found = client.query_points("c", query=text("ab"), limit=9).points
        assert [(point.id, point.score) for point in found] == [
            (n, 2.0 * n + 1) for n in range(first + 1, 0, -1)
        ]
        with pytest.raises(Exception, match="expected dim: 2, got 3"):
            client.upsert("c", [models.PointStruct(id=9, vector=text("wide"))])
    kinds = [(body["inference"], body["token"], len(body["inputs"])) for body, _ in service.asked[before:]]
    assert kinds == [("update", "secret", 2), ("search", "secret", 1), ("update", "secret", 1)] * 2


def test_tokens_are_told_and_keys_of_vendors_passed_on(service: Service, node: LiveNode) -> None:
    url = f"{node.url}/collections/usage"
    assert httpx.put(url, json={"vectors": {"size": 2, "distance": "Dot"}}).status_code == 200
    document = {"text": "abc", "model": "some/model"}
    points = {"points": [{"id": 1, "vector": document}, {"id": 2, "vector": document}]}
    answer = httpx.put(f"{url}/points", json=points, headers={"vendor-api-key": "k"})
    assert answer.json()["usage"] == {"inference": {"models": {"some/model": {"tokens": 5}}}}
    assert service.asked[-1][1] == "k"
    plain = httpx.post(f"{url}/points/query", json={"query": [1, 2]})
    assert "usage" not in plain.json()
    asked = httpx.post(f"{url}/points/query", json={"query": document})
    assert asked.json()["usage"]["inference"]["models"]["some/model"]["tokens"] == 5


def test_tokens_are_told_over_grpc(node: LiveNode) -> None:
    url = f"{node.url}/collections/wire"
    assert httpx.put(url, json={"vectors": {"size": 2, "distance": "Dot"}}).status_code == 200
    with grpc.insecure_channel(f"127.0.0.1:{node.grpc_port}") as channel:
        stub = qdrant.PointsStub(channel)
        nearest = qdrant.VectorInput(document=qdrant.Document(text="abc", model="some/model"))
        request = qdrant.QueryPoints(collection_name="wire", query=qdrant.Query(nearest=nearest))
        answer = stub.Query(request)
    assert answer.usage.inference.models["some/model"].tokens == 5
