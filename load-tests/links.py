"""Connections that cost a load generator next to nothing: raw sockets, answers looked at only as far as needed."""

import asyncio
import json
import struct
import time
from collections.abc import Callable
from typing import Any

from wire import Signer

HOST = "127.0.0.1"
MAX_ANSWER_BYTES = 4 << 20

OnAnswer = Callable[["Link", int, int], None]  # link, number of the request, orders accepted


class Link(asyncio.Protocol):
    """``send`` a numbered request; ``on_answer`` is told of its answer."""

    def __init__(self) -> None:
        self.on_answer: OnAnswer = lambda link, number, accepted: None
        self.transport: Any = None
        self.is_lost = False  # what it was asked and has not answered stays without an answer
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        assert len(self._buffer) <= MAX_ANSWER_BYTES, "an answer has no end"
        self.read()

    def send(self, number: int, request: bytes) -> None:
        """Sends one request."""
        raise NotImplementedError

    def read(self) -> None:
        """Looks for whole answers in the buffer."""
        raise NotImplementedError


class HttpLink(Link):
    """HTTP/1.1, one request at a time."""

    def __init__(self, *, batch: bool) -> None:
        super().__init__()
        self._batch = batch
        self._number = 0

    @classmethod
    async def open(cls, port: int, *, batch: bool) -> "HttpLink":
        """Connects to a port of this machine."""
        _, link = await asyncio.get_running_loop().create_connection(lambda: cls(batch=batch), HOST, port)
        return link

    def send(self, number: int, request: bytes) -> None:
        self._number = number
        self.transport.write(request)

    def read(self) -> None:
        answer = self._buffer
        end = answer.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        at = answer.find(b"content-length: ", 0, end) + 16
        length = int(answer[at : answer.index(b"\r", at)])
        if len(answer) < end + length:
            return
        self._buffer = b""
        fine = answer.startswith(b"HTTP/1.1 200")
        accepted = answer.count(b'"orderId"', end) if self._batch and fine else int(fine)
        self.on_answer(self, self._number, accepted)


class SocketLink(Link):
    """The WebSocket API on one logged-on session; many requests at a time, told apart by their ids."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.logged_on: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, port: int, key: str, secret: str) -> "SocketLink":
        """Connects to a port of this machine and logs on."""
        _, link = await asyncio.get_running_loop().create_connection(cls, HOST, port)
        path = "/ws-api/v3?returnRateLimits=false"
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        nonce = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        link.transport.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\n{upgrade}{nonce}\r\n".encode())
        await link.opened
        now = int(time.time() * 1000)
        signature = Signer(key, secret, port).signature(f"apiKey={key}&recvWindow=5000&timestamp={now}".encode())
        params = {"apiKey": key, "recvWindow": 5000, "timestamp": now, "signature": signature}
        link.send(-1, json.dumps({"id": -1, "method": "session.logon", "params": params}).encode())
        await link.logged_on
        return link

    def send(self, number: int, request: bytes) -> None:
        """One text frame, masked with zeros, as RFC 6455 lets a client choose."""
        size = len(request)
        head = struct.pack("!BB", 0x81, 0x80 | size) if size < 126 else struct.pack("!BBH", 0x81, 0x80 | 126, size)
        self.transport.write(head + bytes(4) + request)

    def read(self) -> None:
        if not self.opened.done():
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            assert self._buffer.startswith(b"HTTP/1.1 101"), self._buffer[:200]
            self._buffer = self._buffer[end + 4 :]
            self.opened.set_result(None)
        self._buffer = self._buffer[self._frames() :]

    def _frames(self) -> int:
        """Takes whole frames; returns where the first one that is not whole begins."""
        buffer, at = self._buffer, 0
        while len(buffer) >= at + 4:
            size, start = buffer[at + 1], at + 2
            assert size < 127, "no answer is that long"
            if size == 126:
                size, start = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
            if len(buffer) < start + size:
                break
            if buffer[at] & 0x0F == 1:
                self._answer(buffer[start : start + size])
            at = start + size
        return at

    def _answer(self, text: bytes) -> None:
        if not self.logged_on.done():
            assert b'"status":200' in text, text
            self.logged_on.set_result(None)
            return
        number = int(text[text.index(b'"id":') + 5 : text.index(b",")])
        self.on_answer(self, number, int(b'"status":200' in text[:40]))
