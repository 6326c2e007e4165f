"""Spans of requests, as a collector receives them over OTLP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from protos import spans
from tests.live import LiveNode, wait_for
from vecraft.otel import tracing

pytestmark = pytest.mark.slow

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "mine"}


class Collector:
    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def spans(self) -> dict[str, dict[str, str]]:
        """By name: what each tells."""
        return {
            span.name: {
                "trace": span.trace_id.hex(),
                "parent": span.parent_span_id.hex(),
                "failed": str(span.status.code == span.status.STATUS_CODE_ERROR),
                **{
                    pair.key: pair.value.string_value or str(pair.value.int_value) for pair in span.attributes
                },
            }
            for request in list(self.requests)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def test_requests_are_spans_of_their_callers_traces(tmp_path: Path, collector: Collector) -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with LiveNode(tmp_path, environment=environment) as node:
        httpx.get(f"{node.url}/collections/c", headers=HEADERS)
        with grpc.insecure_channel(f"127.0.0.1:{node.grpc_port}") as channel:
            channel.unary_unary("/qdrant.Collections/List")(b"", metadata=tuple(HEADERS.items()))
        names = {"GET /collections/{collection_name}", "/qdrant.Collections/List"}
        wait_for(lambda: names <= collector.spans().keys(), what="the spans of both requests")
        found = collector.spans()
        for name in names:
            assert (found[name]["trace"], found[name]["parent"]) == (TRACE, PARENT)
            assert found[name]["vecraft.request_id"] == "mine"
            assert found[name]["failed"] == "False"
        rest = found["GET /collections/{collection_name}"]
        assert (rest["db.collection.name"], rest["vecraft.status"]) == ("c", "404")
        node.stop()


def test_nothing_is_traced_unless_a_collector_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    with tracing():
        assert spans.tracer() is None
