"""Traces that a test can look at."""

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from outcry.telemetry.otel import OtelTracer


class Notebook:
    """A tracer whose spans can be looked at."""

    def __init__(self, sample: float) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracer = OtelTracer(sample, SimpleSpanProcessor(self._exporter))

    @property
    def spans(self) -> list[ReadableSpan]:
        """In the order in which they began; of those that began together, the longest first."""
        return sorted(
            self._exporter.get_finished_spans(), key=lambda span: (span.start_time or 0, -(span.end_time or 0))
        )

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]
