"""The operator's port: probes, metrics, and the last look at each pool."""

import json
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Thread
from typing import Any, Final

JSON: Final = "application/json"
TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
READ_SECONDS: Final = 10  # a client that sends nothing for longer is hung up on

Probe = Callable[[], str]  # "" or why not


class Port(ThreadingHTTPServer):
    """Answers in its own threads; ``start`` and ``shutdown``."""

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], *, is_alive: Probe, is_ready: Probe,
        exposition: Callable[[], bytes], pools: Mapping[str, Any],
    ) -> None:  # fmt: skip
        super().__init__(address, _Call)
        self.probes = {"/livez": is_alive, "/readyz": is_ready}
        self.exposition = exposition
        self.pools = pools

    def server_bind(self) -> None:
        """Without asking a name server for the own name, which may take long or fail."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def start(self) -> None:
        Thread(target=self.serve_forever, name="port", daemon=True).start()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """The status, type and body for a path."""
        if path in self.probes:
            why = self.probes[path]()
            return (503 if why else 200), TEXT, (why or "ok").encode()
        if path == "/metrics":
            return 200, TEXT, self.exposition()
        if path == "/v1/pools":
            return 200, JSON, json.dumps({"pools": sorted(self.pools)}).encode()
        name = path.removeprefix("/v1/pools/")
        if name != path and name in self.pools:
            return 200, JSON, json.dumps(self.pools[name]).encode()
        return 404, JSON, b'{"error": "no such call"}'


class _Call(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # head and body in one packet
    timeout = READ_SECONDS
    server: Port

    def do_GET(self) -> None:
        status, kind, body = self.server.answer(self.path.partition("?")[0])
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form: str, *words: Any) -> None:
        """Probes come every few seconds; nobody wants to read them."""
