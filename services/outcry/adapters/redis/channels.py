"""One connection that hears Redis' channels and comes back by itself; replies go straight from hiredis to the caller.

redis-py wakes a coroutine for every message; here one chunk of the socket is read, parsed and told in one go.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

import hiredis

from outcry.adapters.redis.client import SECURE, end, trusted_by

CONNECT_SECONDS: Final = 2.0
FIRST_RETRY_SECONDS: Final = 0.05
LAST_RETRY_SECONDS: Final = 1.0
QUIET_SECONDS: Final = 2.0  # without a byte for so long the other side is asked whether it lives
DEAD_SECONDS: Final = 3.0  # without an answer for so long it is given up

log = logging.getLogger(__name__)

Hear = Callable[[bytes, bytes], None]  # channel, message


def supervise_hearing(hear: Hear, channel: bytes, message: bytes) -> None:
    """Tells one message; a listener that fails keeps no other from hearing the next one."""
    try:
        hear(channel, message)
    except Exception:
        log.exception("A message on %s could not be taken.", channel.decode(errors="replace"))


class Channels:
    """``hear`` gets every message, ``opened`` is called whenever all channels are subscribed (again)."""

    def __init__(self, url: str, hear: Hear, opened: Callable[[], None]) -> None:
        self._url = url
        self._hear = hear
        self._opened = opened
        self._names: dict[bytes, None] = {}
        self._wire: _Wire | None = None
        self._task: asyncio.Task[None] | None = None
        self._first = asyncio.Event()
        self._cause = "Redis has not answered yet."  # of what keeps it closed

    @property
    def trouble(self) -> str:
        """Why not every channel is heard at this moment; "" while each is."""
        return "" if self.is_open else self._cause

    @property
    def is_open(self) -> bool:
        """Whether every channel is subscribed at this moment."""
        return self._wire is not None and self._wire.ready

    async def start(self, names: Iterable[str]) -> None:
        """Subscribes; returns when Redis has confirmed, or after CONNECT_SECONDS while it goes on trying."""
        self._names.update(dict.fromkeys(name.encode() for name in names))
        self._task = asyncio.create_task(self._stay())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._first.wait(), CONNECT_SECONDS)

    async def close(self) -> None:
        """Leaves for good."""
        await end(self._task)

    def subscribe(self, name: str) -> None:
        """Hears this channel too, from the moment Redis has taken note, and after every reconnect."""
        self._names[name.encode()] = None
        if self._wire is not None:
            self._wire.send("SUBSCRIBE", name)

    def unsubscribe(self, name: str) -> None:
        """Hears it no longer."""
        self._names.pop(name.encode(), None)
        if self._wire is not None:
            self._wire.send("UNSUBSCRIBE", name)

    async def _stay(self) -> None:
        pause = FIRST_RETRY_SECONDS
        while True:
            try:
                if await self._connected():
                    pause = FIRST_RETRY_SECONDS
            except (OSError, TimeoutError) as trouble:
                self._blame(str(trouble) or type(trouble).__name__)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_RETRY_SECONDS)

    async def _connected(self) -> bool:
        """Stays until the connection breaks; returns whether it came to be open at all."""
        async with asyncio.timeout(CONNECT_SECONDS):
            wire = await _connect(self._url, lambda: _Wire(self._hear, self._names, self._confirm))
        self._wire = wire
        try:
            await wire.stay()
        finally:
            self._wire = None
            wire.abort()
        self._blame(wire.refusal or "Redis closed the connection.")
        return wire.ready

    def _blame(self, cause: str) -> None:
        """What goes on and on is told once."""
        if cause != self._cause:
            log.warning("Redis' channels cannot be heard: %s", cause)
        self._cause = cause

    def _confirm(self) -> None:
        self._cause = ""
        self._first.set()
        self._opened()


class _Wire(asyncio.Protocol):
    """The connection itself, from its opening to its end."""

    def __init__(self, hear: Hear, names: Iterable[bytes], confirm: Callable[[], None]) -> None:
        self.ready = False
        self.refusal = ""  # what Redis said before it was left
        self._hear = hear
        self._awaited = set(names)
        self._confirm = confirm
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._heard = self._loop.time()

    def send(self, *words: str | bytes) -> None:
        """Asks something of Redis; the answer comes among the messages."""
        if self._transport is not None:
            self._transport.write(hiredis.pack_command(words))  # type: ignore[arg-type]  # its stub knows one word

    def abort(self) -> None:
        """Closes at once."""
        if self._transport is not None:
            self._transport.abort()

    async def stay(self) -> None:
        """Until the connection is lost. Raises TimeoutError when the other side is silent."""
        if self._awaited:
            self.send("SUBSCRIBE", *self._awaited)
        asked: float | None = None
        while not self._lost.done():
            await asyncio.wait([self._lost], timeout=QUIET_SECONDS / 2)
            now = self._loop.time()
            if now - self._heard < QUIET_SECONDS:
                asked = None
            elif asked is None:
                asked = now
                self.send("PING")
            elif now - asked > DEAD_SECONDS:
                raise TimeoutError(f"no answer for {DEAD_SECONDS:g} s")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none of asyncio's by type

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self._lost.done():
            self._lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._take(reply)
        except hiredis.ProtocolError as problem:
            log.warning("Redis sent what is no reply: %s", problem)
            self.abort()

    def _take(self, reply: Any) -> None:
        if isinstance(reply, list) and len(reply) == 3 and reply[0] == b"message":
            supervise_hearing(self._hear, reply[1], reply[2])
        elif isinstance(reply, list) and len(reply) == 3 and reply[0] == b"subscribe":
            self._awaited.discard(reply[1])
            if not self._awaited and not self.ready:
                self.ready = True
                self._confirm()
        elif isinstance(reply, hiredis.ReplyError):
            self.refusal = self.refusal or f"Redis refuses: {reply}"
            self.abort()


async def _connect(url: str, protocol: Callable[[], _Wire]) -> _Wire:
    """A connection that has logged in and chosen its database. Raises OSError."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    if parts.scheme == "unix":
        _, wire = await loop.create_unix_connection(protocol, parts.path)
    elif parts.scheme in ("redis", SECURE):
        context = trusted_by(url) if parts.scheme == SECURE else None
        host, port = parts.hostname or "localhost", parts.port or 6379
        _, wire = await loop.create_connection(protocol, host, port, ssl=context)
    else:
        raise OSError(f"{parts.scheme}:// is no address of Redis")
    if parts.password:
        wire.send("AUTH", *([unquote(parts.username)] if parts.username else []), unquote(parts.password))
    return wire
