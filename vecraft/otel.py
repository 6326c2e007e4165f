"""Tracing by OpenTelemetry: spans of requests, over all nodes they touch, sent by OTLP.

An extra, ``pip install vecraft[otel]``, that is used when a standard variable names a collector:
``OTEL_EXPORTER_OTLP_ENDPOINT`` or ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``. The SDK reads its other variables
(``OTEL_SERVICE_NAME``, ``OTEL_TRACES_SAMPLER`` ...) itself. Nothing of it is imported otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from protos import spans
from protos.logger import get_logger
from protos.request_ids import REQUEST_ID

if TYPE_CHECKING:
    from opentelemetry import trace

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
SERVICE = "vecraft"

_log = get_logger(__name__)


@contextmanager
def tracing() -> Iterator[None]:
    """Trace within the block, if that is asked for; what is not sent yet is sent at its end."""
    provider = _provider() if any(os.environ.get(name) for name in ENDPOINTS) else None
    if provider is None:
        yield
        return
    spans.install(OtelTracer(provider.get_tracer(SERVICE)))
    try:
        yield
    finally:
        spans.install(None)
        provider.shutdown()


def _provider() -> Any:
    """None: the extra is not installed."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        _log.warning("tracing_not_installed", reason=str(error), remedy="pip install vecraft[otel]")
        return None
    named = os.environ.get("OTEL_SERVICE_NAME", SERVICE)
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: named}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class OtelTracer:
    """Implements ``protos.spans.Tracer``; contexts travel as ``traceparent``."""

    def __init__(self, tracer: trace.Tracer) -> None:
        from opentelemetry import trace as api
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._api, self._tracer = api, tracer
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def serving(self, name: str, header: spans.Header) -> Iterator[OtelSpan]:
        carrier = {key: value for key in self._propagator.fields if isinstance(value := header(key), str)}
        with self._tracer.start_as_current_span(
            name, self._propagator.extract(carrier), kind=self._api.SpanKind.SERVER
        ) as span:
            yield OtelSpan(span, self._api)

    def outgoing(self) -> tuple[tuple[str, str], ...]:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return tuple(carrier.items())


class OtelSpan:
    def __init__(self, span: trace.Span, api: Any) -> None:
        self._span, self._api = span, api

    def answered(self, name: str, *, status: int, failed: bool, collection: str | None = None) -> None:
        self._span.update_name(name)
        self._span.set_attribute("vecraft.status", status)
        self._span.set_attribute("vecraft.request_id", REQUEST_ID.get())
        if collection is not None:
            self._span.set_attribute("db.collection.name", collection)
        if failed:
            self._span.set_status(self._api.StatusCode.ERROR)
