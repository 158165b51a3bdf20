"""A collector of traces: takes what OpenTelemetry's exporters send over HTTP, and keeps it."""

import contextlib
import gzip
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATIENCE_SECONDS = 60.0


class Collected(NamedTuple):
    """One span, and the role that sent it."""

    role: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    began_ns: int
    ended_ns: int


class Collector:
    """``url`` is what OUTCRY_OTLP_ENDPOINT names."""

    def __init__(self) -> None:
        self.spans: list[Collected] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._answering())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def of(self, trace_id: str, count: int) -> list[Collected]:
        """The spans of a trace in the order in which they began, once there are so many."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = [span for span in self.spans if span.trace_id == trace_id]
            if len(found) >= count or time.monotonic() > until:
                return sorted(found, key=lambda span: (span.began_ns, -span.ended_ns))
            time.sleep(0.05)

    def take(self, body: bytes) -> None:
        """Keeps the spans of one request."""
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            who = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.spans += [
                Collected(
                    who["outcry.role"], span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
                    span.start_time_unix_nano, span.end_time_unix_nano,
                )
                for scope in resource.scope_spans
                for span in scope.spans
            ]  # fmt: skip

    def _answering(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        return Answering


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A collector for the length of a ``with`` block."""
    collector = Collector()
    try:
        yield collector
    finally:
        collector.close()
