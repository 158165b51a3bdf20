"""A frugal HTTP/1.1 client for load: kept-alive connections, requests as bytes, answers by Content-Length."""

import asyncio
import hashlib
import hmac
import time
from urllib.parse import urlencode

MAX_ANSWER_BYTES = 4 << 20


class Connection:
    """One connection; a request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, host: str, port: int) -> "Connection":
        """Connects to a loopback address."""
        assert host in ("127.0.0.1", "localhost"), "a load test sends only to loopback"
        return cls(*await asyncio.open_connection(host, port, limit=MAX_ANSWER_BYTES))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Sends one whole request; returns status and body."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        return int(head[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        """Closes the connection."""
        self._writer.close()


class Signer:
    """Builds signed requests of one demo key."""

    def __init__(self, key: str, secret: str, port: int) -> None:
        self._head = f"Host: 127.0.0.1:{port}\r\nX-MBX-APIKEY: {key}\r\n"
        self._secret = secret.encode()

    def signature(self, payload: bytes) -> str:
        """HMAC-SHA256, hex."""
        return hmac.digest(self._secret, payload, hashlib.sha256).hex()

    def order(self, params: dict[str, str], *, window_ms: int = 5_000) -> bytes:
        """POST /api/v3/order with everything in the query."""
        query = f"{urlencode(params)}&timestamp={time.time_ns() // 1_000_000}&recvWindow={window_ms}"
        path = f"/api/v3/order?{query}&signature={self.signature(query.encode())}"
        return f"POST {path} HTTP/1.1\r\n{self._head}Content-Length: 0\r\n\r\n".encode()

    def batch(self, body: bytes, *, window_ms: int = 5_000) -> bytes:
        """POST /v1/orders:batch; the signature covers query and body."""
        query = f"timestamp={time.time_ns() // 1_000_000}&recvWindow={window_ms}"
        path = f"/v1/orders:batch?{query}&signature={self.signature(query.encode() + body)}"
        head = (
            f"POST {path} HTTP/1.1\r\n{self._head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body
