"""One client's socket: ready-made frames out, text messages in, and the end of a client that cannot keep up."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol

from outcry.roles.stream.frames import close_frame, payload_of, text_frame

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_WAITING_BYTES: Final = 1 << 20  # unsent bytes at which a client is closed at once
LAG_BYTES: Final = 64 << 10  # unsent bytes that a client may have for a while
LAG_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 5.0  # for the client to answer a close frame
MAX_PIECES: Final = 64  # frames that wait for the end of a round of the loop; more go at once
LIFETIME_SECONDS: Final = 24 * 3600.0  # Binance ends every connection after a day

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
UNSUPPORTED: Final = 1003
POLICY: Final = 1008
RESTART: Final = 1012
TOO_SLOW: Final = 4008

TRANSPORT: Final = "outcry.transport"  # where the protocol puts the transport among the scope's extensions


class Outlet(Protocol):
    """What takes whole frames without waiting; an asyncio transport does."""

    def write(self, data: bytes, /) -> None: ...
    def writelines(self, data: list[bytes], /) -> None: ...
    def get_write_buffer_size(self) -> int: ...
    def is_closing(self) -> bool: ...
    def abort(self) -> None: ...


class QueuedOutlet:
    """An outlet for servers that give away no transport: a queue that a task empties through ASGI."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._frames: deque[bytes] = deque()
        self._waiting = 0
        self._more = asyncio.Event()
        self._task = asyncio.create_task(self._drain())

    def write(self, data: bytes, /) -> None:
        self._frames.append(data)
        self._waiting += len(data)
        self._more.set()

    def writelines(self, data: list[bytes], /) -> None:
        for frame in data:
            self.write(frame)

    def get_write_buffer_size(self) -> int:
        return self._waiting

    def is_closing(self) -> bool:
        return self._task.done()

    def abort(self) -> None:
        self._task.cancel()

    async def _drain(self) -> None:
        try:
            while await self._more.wait():
                self._more.clear()
                while self._frames:
                    await self._send_first()
        except OSError:  # ASGI: the client is gone
            self._frames.clear()

    async def _send_first(self) -> None:
        closes, payload = payload_of(self._frames[0])
        if closes:
            code, reason = int.from_bytes(payload[:2], "big"), payload[2:].decode()
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        else:
            await self._send({"type": "websocket.send", "text": payload.decode()})
        self._waiting -= len(self._frames.popleft())


class Round:
    """The links that have something to send in this round of the event loop, flushed together at its end."""

    def __init__(self) -> None:
        self._links: list[Link] = []

    def join(self, link: "Link") -> None:
        """The link is flushed before the loop looks at its sockets again."""
        if not self._links:
            asyncio.get_running_loop().call_soon(self._flush)
        self._links.append(link)

    def _flush(self) -> None:
        links, self._links = self._links, []
        for link in links:
            link.flush()


class Link:
    """A client's connection, from its acceptance on.

    ``push`` never waits: what one round of the event loop has for a client goes to the socket's own buffer at its
    end, in one piece, and a client whose buffer stays full is closed with 4008, for no message of a stream may be
    left out. Clients that are served together share a ``Round``.
    """

    __slots__ = (
        "_frames", "_join", "_lagging", "_loop", "_outlet", "_receive", "_timer", "closed", "patience_seconds",
        "too_slow",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, shared: Round | None = None) -> None:
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._join = (shared or Round()).join
        transport = scope.get("extensions", {}).get(TRANSPORT)
        self._outlet: Outlet = QueuedOutlet(send) if transport is None else transport
        self._frames: list[bytes] = []  # of this round of the loop, MAX_PIECES at most
        self._lagging: asyncio.TimerHandle | None = None
        self._timer = self._loop.call_later(LIFETIME_SECONDS, self.close, GOING_AWAY, "24 hours are over")
        self.patience_seconds = LAG_SECONDS
        self.closed = False
        self.too_slow = False

    @property
    def waiting_bytes(self) -> int:
        """What the socket could not take yet."""
        return 0 if self._outlet.is_closing() else self._outlet.get_write_buffer_size()

    def push(self, frame: bytes) -> None:
        """Sends one whole frame."""
        frames = self._frames
        frames.append(frame)
        if len(frames) == 1:
            self._join(self)
        elif len(frames) >= MAX_PIECES:
            self.flush()

    def flush(self) -> None:
        """Gives the socket what this round of the loop has had so far."""
        frames, outlet = self._frames, self._outlet
        if self.closed or outlet.is_closing():
            frames.clear()
        if not frames:
            return
        if len(frames) == 1:
            outlet.write(frames[0])
        else:
            outlet.writelines(frames)
        frames.clear()
        waiting = outlet.get_write_buffer_size()
        if waiting > LAG_BYTES or self._lagging is not None:
            self._judge(waiting)

    def say(self, payload: bytes) -> None:
        """Sends one text message."""
        self.push(text_frame(payload))

    def close(self, code: int, reason: str) -> None:
        """Says goodbye; a client that does not answer is cut off."""
        self.flush()
        if self.closed:
            return
        self.closed = True
        self._forget_timers()
        if not self._outlet.is_closing():
            self._outlet.write(close_frame(code, reason))
            self._timer = self._loop.call_later(CLOSE_SECONDS, self._outlet.abort)

    async def messages(self) -> AsyncIterator[str]:
        """Text messages in order until the client is gone; ends the connection of one that sends binary."""
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                self.close(UNSUPPORTED, "send text frames")
            elif not self.closed:
                yield text

    def end(self) -> None:
        """The client is gone, or is not served any longer."""
        self.closed = True
        self._frames.clear()
        self._forget_timers()
        if isinstance(self._outlet, QueuedOutlet):
            self._outlet.abort()

    def _judge(self, waiting: int) -> None:
        """Closes a client with far too many unsent bytes, and watches one with too many until it has caught up."""
        if waiting > MAX_WAITING_BYTES:
            self.give_up()
        elif waiting <= LAG_BYTES:
            self._forget_lag()
        elif self._lagging is None:
            self._lagging = self._loop.call_later(self.patience_seconds, self._judge_at_last)

    def _judge_at_last(self) -> None:
        """A client that is behind, and has been for as long as it may, has had its time."""
        self._lagging = None
        if not self.closed and self._outlet.get_write_buffer_size() > LAG_BYTES:
            self.give_up()

    def give_up(self) -> None:
        """Ends a client that cannot keep up."""
        self.too_slow = True
        self.close(TOO_SLOW, "the client reads too slowly")

    def _forget_lag(self) -> None:
        if self._lagging is not None:
            self._lagging.cancel()
            self._lagging = None

    def _forget_timers(self) -> None:
        self._forget_lag()
        self._timer.cancel()
