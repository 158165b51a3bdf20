"""One HTTP exchange at its edge: reads a request within its limits, writes an answer."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final

from outcry.roles.api.gate import RawRequest
from outcry.roles.api.limits import Spent, ietf_headers, mbx_headers
from outcry.roles.api.problem import body_too_large, body_too_slow, headers_too_large, only_json, url_too_long

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES: Final = 64 << 10
MAX_DISCARDED_BYTES: Final = 4 << 20  # of a refused body are read to their end, so that the client reads the refusal
MAX_URL_BYTES: Final = 8 << 10
MAX_HEADER_BYTES: Final = 16 << 10
BODY_SECONDS: Final = 10.0  # for a whole body to arrive

_UNSAFE = re.compile(r"[^\t\x20-\x7e\xa0-\xff]")


class Gone(Exception):
    """The client left before its request was complete."""


class Head(RawRequest):
    """A request before its body: what its headers say."""

    __slots__ = ("accept", "length", "time_unit")

    def __init__(self) -> None:
        super().__init__()
        self.length = 0  # -1: chunked
        self.accept = b""
        self.time_unit = ""


def head_of(scope: Scope) -> Head:
    """Reads the headers. Raises Refusal 414, 431, 413 or 406."""
    head = Head()
    head.query = scope["query_string"]
    if len(head.query) + len(scope.get("raw_path") or scope["path"]) > MAX_URL_BYTES:
        raise url_too_long(MAX_URL_BYTES)
    client = scope.get("client")
    head.client_ip = client[0] if client else ""
    size = 0
    for name, value in scope["headers"]:
        size += len(name) + len(value) + 4
        take = _TAKEN.get(name)
        if take is not None:
            take(head, value)
    if size > MAX_HEADER_BYTES:
        raise headers_too_large(MAX_HEADER_BYTES)
    if head.length > MAX_BODY_BYTES:
        raise body_too_large(MAX_BODY_BYTES, close=head.length > MAX_DISCARDED_BYTES)
    if head.accept.startswith(b"application/sbe") and b"json" not in head.accept and b"*/*" not in head.accept:
        raise only_json()
    return head


async def body_of(head: Head, receive: Receive) -> bytes:
    """The request's body. Raises Refusal 413 or 408, or Gone."""
    if head.length == 0:
        return b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            message = await receive()
            body: bytes = message.get("body", b"")
            while message.get("more_body"):
                if len(body) > MAX_BODY_BYTES:
                    break
                message = await receive()
                body += message.get("body", b"")
    except TimeoutError:
        raise body_too_slow() from None
    if message["type"] == "http.disconnect":
        raise Gone
    if len(body) > MAX_BODY_BYTES:
        raise body_too_large(MAX_BODY_BYTES, close=True)
    return body


async def answer(
    send: Send, status: int, content_type: bytes, body: bytes, *, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Writes a whole response."""
    fixed = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*fixed, *headers]})
    await send({"type": "http.response.body", "body": body})


def limit_headers(spent: tuple[Spent, ...], native: bool) -> list[tuple[bytes, bytes]]:
    """The headers that tell what is used of the limits."""
    return mbx_headers(spent) + ietf_headers(spent) if native else mbx_headers(spent)


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as bytes; characters that no header may hold become question marks."""
    return [(n.lower().encode("ascii"), _UNSAFE.sub("?", v).encode("latin-1")) for n, v in headers.items()]


def _take_api_key(head: Head, value: bytes) -> None:
    head.api_key = value.decode("latin-1")


def _take_content_type(head: Head, value: bytes) -> None:
    head.content_type = value.decode("latin-1").lower()


def _take_length(head: Head, value: bytes) -> None:
    head.length = int(value) if value.isdigit() and len(value) < 18 else MAX_BODY_BYTES + 1


def _take_transfer_encoding(head: Head, value: bytes) -> None:
    head.length = -1


def _take_idempotency_key(head: Head, value: bytes) -> None:
    head.idempotency_key = value.decode("latin-1")


def _take_traceparent(head: Head, value: bytes) -> None:
    head.traceparent = value.decode("latin-1")[:128]


def _take_accept(head: Head, value: bytes) -> None:
    head.accept = value.lower()


def _take_time_unit(head: Head, value: bytes) -> None:
    head.time_unit = value.decode("latin-1")


_TAKEN: Final[dict[bytes, Callable[[Head, bytes], None]]] = {
    b"x-mbx-apikey": _take_api_key,
    b"content-type": _take_content_type,
    b"content-length": _take_length,
    b"transfer-encoding": _take_transfer_encoding,
    b"idempotency-key": _take_idempotency_key,
    b"traceparent": _take_traceparent,
    b"accept": _take_accept,
    b"x-mbx-time-unit": _take_time_unit,
}
