"""A threaded HTTP server on this machine that asks no name server who it is, and answers JSON."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any


class QuickServer(ThreadingHTTPServer):
    """Listens on a free port and answers for ``keeper`` from the first moment on; ``stop`` ends it."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host: str, call: type[BaseHTTPRequestHandler], keeper: Any) -> None:
        self.keeper = keeper
        super().__init__((host, 0), call)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def server_bind(self) -> None:
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class JsonCall(BaseHTTPRequestHandler):
    """One request with a JSON body."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # head and body in one packet
    server: QuickServer

    def asked(self) -> Any:
        length = int(self.headers.get("Content-Length") or 0)
        return json.loads(self.rfile.read(length)) if length else None

    def told(self, status: int, found: Any) -> None:
        """Answers; a text goes as it is."""
        raw = found.encode() if isinstance(found, str) else json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, form: str, *words: Any) -> None:
        pass
