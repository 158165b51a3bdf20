"""The tracer on OpenTelemetry, sent out by OTLP; needs the extra ``otel``, and only who wants traces imports it."""

import time
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from outcry import __version__

MAX_WAITING: Final = 2_048  # spans; more are dropped
CLOSE_MS: Final = 3_000
_KINDS: Final = {"journal": SpanKind.PRODUCER, "match": SpanKind.CONSUMER}
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class OtelTrace:
    """Keeps ``traces.Trace``."""

    def __init__(self, tracer: "OtelTracer", span: Span) -> None:
        context = span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
        self._tracer = tracer
        self._span = span

    def stage(self, name: str, began: float, ended: float) -> None:
        self._tracer.stage(self.traceparent, name, began, ended)

    def end(self, ended: float, trouble: str = "") -> None:
        if trouble:
            self._span.set_status(Status(StatusCode.ERROR, trouble))
        self._span.end(self._tracer.epoch_ns(ended))


class OtelTracer:
    """Keeps ``traces.Tracer``. Whether an order is traced is decided by who begins, so that a trace is never cut."""

    def __init__(self, sample: float, processor: SpanProcessor, **who: str) -> None:
        self.sample = sample
        resource = Resource.create({"service.name": "outcry", "service.version": __version__, **who})
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("outcry")
        self._since_epoch = time.time() - time.monotonic()
        self.begun = 0

    def begin(self, name: str, began: float, traceparent: str = "") -> OtelTrace:
        self.begun += 1
        return OtelTrace(self, self._start(name, began, traceparent, SpanKind.SERVER))

    def stage(self, traceparent: str, name: str, began: float, ended: float, **about: int) -> None:
        span = self._start(name, began, traceparent, _KINDS.get(name, SpanKind.INTERNAL))
        for attribute, value in about.items():
            span.set_attribute(f"outcry.{attribute}", value)
        span.end(self.epoch_ns(ended))

    def close(self) -> None:
        self._provider.force_flush(CLOSE_MS)
        self._provider.shutdown()

    def epoch_ns(self, at: float) -> int:
        """A moment of the steady clock as nanoseconds of Unix time."""
        return int((at + self._since_epoch) * 1e9)

    def _start(self, name: str, began: float, traceparent: str, kind: SpanKind) -> Span:
        parent = _PROPAGATOR.extract({"traceparent": traceparent}) if traceparent else Context()
        span = self._tracer.start_span(name, parent, kind, start_time=self.epoch_ns(began))
        assert isinstance(span, Span)
        return span


def otlp_tracer(endpoint: str, sample: float, **who: str) -> OtelTracer:
    """A tracer that sends to ``endpoint``/v1/traces from a thread of its own."""
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=CLOSE_MS / 1000)
    return OtelTracer(sample, BatchSpanProcessor(exporter, max_queue_size=MAX_WAITING), **who)
