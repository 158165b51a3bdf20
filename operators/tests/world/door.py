"""The way to a server, which can be shut: what has come through is cut off and nobody is let in, or nobody is heard."""

import contextlib
import socket
import threading
from socketserver import BaseRequestHandler, ThreadingTCPServer

PIECE = 1 << 16


class Door(ThreadingTCPServer):
    """Listens on a free port of this machine and passes bytes both ways; ``stop`` ends it."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host: str, port: int) -> None:
        self.behind = (host, port)
        self.is_locked = False
        self.heard = threading.Event()
        self.heard.set()
        self._through: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Passage)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def lock(self) -> None:
        """Cuts every connection, and new ones as they come."""
        self.is_locked = True
        for end in list(self._through):
            _cut(end)

    def muffle(self) -> None:
        """Connections last and new ones are taken; no byte comes through."""
        self.heard.clear()

    def open(self) -> None:
        """As at the beginning. What was held back goes through now."""
        self.is_locked = False
        self.heard.set()

    def stop(self) -> None:
        self.lock()
        self.heard.set()
        self.shutdown()
        self.server_close()

    def carry(self, source: socket.socket, sink: socket.socket) -> None:
        """One direction of a connection, until either end goes."""
        self._through.update((source, sink))
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                self.heard.wait()
                sink.sendall(piece)
        for end in (source, sink):
            _cut(end)
            self._through.discard(end)


class _Passage(BaseRequestHandler):
    server: Door

    def handle(self) -> None:
        if self.server.is_locked:
            return
        with socket.create_connection(self.server.behind) as there:
            threading.Thread(target=self.server.carry, args=(there, self.request), daemon=True).start()
            self.server.carry(self.request, there)


def _cut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
