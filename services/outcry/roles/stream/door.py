"""The way into a WebSocket: handshake, limits of connects and messages, and goodbye to all on shutdown."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol, TypeVar
from urllib.parse import unquote

import msgspec

from outcry.ports import Spending
from outcry.roles.api.errors import Refusal
from outcry.roles.api.gate import Gate
from outcry.roles.api.timeunit import wants_micros
from outcry.roles.stream.link import GOING_AWAY, Link, Receive, Round, Scope, Send
from outcry.telemetry import Telemetry

Before = Callable[[], Awaitable[None]]

CONNECTS_MS: Final = 5 * 60_000
FAREWELLS: Final = (
    20  # steps in which the clients of an ending server are closed, so that they do not come back at once
)


class Guest(Protocol):
    """Who came in."""

    link: Link

    def leave(self) -> None:
        """It is gone: ends what it asked for."""


G = TypeVar("G", bound=Guest)


async def nothing() -> None:
    """All is prepared."""


async def admit(
    scope: Scope, receive: Receive, send: Send, gate: Gate, *, shared: Round, before: Before = nothing
) -> Link | None:
    """Accepts a client within the limit of its address, once ``before`` is done; None when it was turned away."""
    allowed = gate.limits.profile.connects
    connect = Spending(f"connects:{ip_of(scope)}", 1, allowed, CONNECTS_MS)
    ((used, resets_ms),) = await gate.venue.shared.spend([connect])
    if used > allowed:
        await turn_away(receive, send, _too_many(resets_ms))
        return None
    await receive()
    await before()
    await send({"type": "websocket.accept"})
    return Link(scope, receive, send, shared=shared)


@contextlib.contextmanager
def present(guests: dict[G, None], guest: G, telemetry: Telemetry, kind: str) -> Iterator[None]:
    """One client among the others of its kind, and counted, until it is gone."""
    guests[guest] = None
    gauge = telemetry.sockets.labels(kind)
    gauge.inc()
    try:
        yield
    finally:
        guest.leave()
        guest.link.end()
        gauge.dec()
        if guest.link.too_slow:
            telemetry.slow_closed.inc()
        del guests[guest]


async def turn_away(receive: Receive, send: Send, refusal: Refusal) -> None:
    """Answers the handshake with an HTTP error."""
    await receive()
    body = msgspec.json.encode({"code": refusal.code, "msg": refusal.text})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers += [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
    await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


def _too_many(resets_ms: int) -> Refusal:
    seconds = max(-(-resets_ms // 1000), 1)
    text = "Too many WebSocket connections from this address; current limit is per 5 MINUTE."
    return Refusal(-1003, text, 429, headers={"Retry-After": str(seconds)})


def ip_of(scope: Scope) -> str:
    """Where the client comes from; "" when the server does not know."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def query_of(scope: Scope) -> dict[str, str]:
    """The URL's parameters; a plus is a plus, for time zones in stream names have one."""
    pairs = (pair.partition("=") for pair in scope.get("query_string", b"").decode("latin-1").split("&"))
    return {unquote(name): unquote(value) for name, _, value in pairs if name}


def wants_microseconds(query: dict[str, str]) -> bool:
    """Reads the URL's ``timeUnit``. Raises Refusal -1194."""
    return wants_micros(query.get("timeUnit", ""))


class Pace:
    """How many messages a client may still send within this second."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._second = 0
        self._seen = 0

    def allows(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._seen = second, 0
        self._seen += 1
        return self._seen <= self._limit


async def farewell(links: list[Link], spread_seconds: float) -> None:
    """Closes links with 1001, spread over a while."""
    size = -(-len(links) // FAREWELLS) or 1
    for start in range(0, len(links), size):
        for link in links[start : start + size]:
            link.close(GOING_AWAY, "the server is shutting down")
        await asyncio.sleep(spread_seconds / FAREWELLS)
