"""The HTTP protocol of the server: bounds a request's head in bytes and seconds, and answers bad HTTP in shape."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from outcry.roles.api.errors import Refusal, overloaded
from outcry.roles.api.problem import render
from outcry.roles.api.wire import MAX_HEADER_BYTES, MAX_URL_BYTES, encoded

MAX_HEAD_BYTES: Final = MAX_URL_BYTES + MAX_HEADER_BYTES + 4096  # what the app refuses politely has to fit
MAX_CONNECTIONS: Final = 20_000  # of one process; more are told that it is overloaded
HEAD_SECONDS: Final = 10.0  # for a whole head to arrive, from the connection or the head's first byte on

DISCARD_SECONDS: Final = 10.0  # for the rest of a body that was refused at its length


class GuardedHttp(HttpToolsProtocol):
    """uvicorn's protocol on httptools, for ``uvicorn.Config(http=GuardedHttp)``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._in_body = False
        self._head_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._head_is_late)
        if len(self.connections) > MAX_CONNECTIONS:
            self._end(overloaded())

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._in_body = True
        self._forget_deadline()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()
        if self._is_answered():
            self._forget_deadline()
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._in_head:
            self._count_head(len(data))
        elif self._in_body and self._deadline is None and self._is_answered():
            self._deadline = self.loop.call_later(DISCARD_SECONDS, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP."""
        self._end(Refusal(-1100, "This is not a valid HTTP request.", 400))

    def _count_head(self, received: int) -> None:
        self._head_bytes += received
        if self._head_bytes > MAX_HEAD_BYTES:
            self._end(Refusal(-1013, f"The request's head is larger than {MAX_HEAD_BYTES} bytes.", 431))
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _is_answered(self) -> bool:
        """Whether the request whose body still arrives was refused already; what is left of it is thrown away."""
        return self.cycle is not None and self.cycle.response_complete

    def _head_is_late(self) -> None:
        self._deadline = None
        self._end(Refusal(-1013, "The request did not arrive in time.", 408))

    def _end(self, refusal: Refusal) -> None:
        """Answers without an app, then closes; after half an answer there is nothing more to say."""
        self._forget_deadline()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_whole_response(self._path(), refusal))
        self.transport.close()

    def _path(self) -> str:
        url: bytes = getattr(self, "url", b"")
        return url.decode("latin-1")

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _whole_response(path: str, refusal: Refusal) -> bytes:
    content_type, body = render(path.partition("?")[0], refusal)
    headers = [
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        *encoded(refusal.headers),
    ]
    lines = b"".join([name + b": " + value + b"\r\n" for name, value in headers])
    return STATUS_LINE[refusal.status] + lines + b"\r\n" + body
