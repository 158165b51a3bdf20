"""A TCP proxy whose links a test makes slow, choppy, silent or dead; what runs through it is untouched real traffic.

What one end hears is written to the other's transport at once. Only while a link is in trouble does it wait in the
end that heard it, and a task passes it on as the trouble lets it.
"""

import asyncio
import contextlib
import os
import socket
import struct
from typing import Any, Final

MAX_CONNECTIONS: Final = 256  # more are reset at once
CHUNK_BYTES: Final = 1 << 16
MAX_WAITING_BYTES: Final = 2 * CHUNK_BYTES  # in one end; then it reads no more
LOOK_SECONDS: Final = 0.02  # between two looks at a silent link
MAX_SILENCE_SECONDS: Final = 60.0  # after which a silent connection is dropped
CONNECT_SECONDS: Final = 5.0
RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST


class Link:
    """One address through which a role reaches one component. Set its fields; ``heal`` undoes them."""

    def __init__(self, name: str, target_port: int, port: int = 0) -> None:
        self.name = name
        self.port = port
        self.latency_seconds = 0.0  # added to each piece, each way
        self.slice_bytes = 0  # the most that is sent on at once; 0: as it comes
        self.is_silent = False  # nothing passes, nothing is closed: a partition
        self.is_closed = False  # new connections are reset
        self.target_port = target_port
        self._pairs: set[Pair] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listens on its port, a free one where it is 0."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Ends every connection and listens no more."""
        if self._server is not None:
            self._server.close()
        tasks = [task for pair in self._pairs for task in pair.tasks()]
        self.cut()
        await asyncio.gather(*tasks, return_exceptions=True)

    def heal(self) -> None:
        """Lets everything pass again."""
        self.latency_seconds, self.slice_bytes, self.is_silent, self.is_closed = 0.0, 0, False, False

    def cut(self) -> int:
        """Resets both ends of every connection; returns how many there were."""
        pairs = self._carried()
        for pair in list(self._pairs):
            pair.cut()
        return len(pairs)

    def lose_servers(self) -> int:
        """Half-open: the servers see their clients go, the clients keep connections with nobody behind them."""
        pairs = self._carried()
        for pair in pairs:
            pair.lose_server()
        return len(pairs)

    def server_side_ports(self) -> list[int]:
        """The ports from which its connections reach the server; this is how the server names them."""
        return [int(pair.server.transport.get_extra_info("sockname")[1]) for pair in self._carried()]

    @property
    def is_in_trouble(self) -> bool:
        """Whether what is heard cannot simply be passed on."""
        return bool(self.is_silent or self.slice_bytes or self.latency_seconds)

    async def speaks(self) -> None:
        """Waits until it is not silent. Raises TimeoutError after MAX_SILENCE_SECONDS."""
        async with asyncio.timeout(MAX_SILENCE_SECONDS):
            while self.is_silent:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_SECONDS)

    def drop(self, pair: "Pair") -> None:
        """Forgets a pair that has ended."""
        self._pairs.discard(pair)

    def _accept(self) -> "End":
        pair = Pair(self)
        if self.is_closed or len(self._pairs) >= MAX_CONNECTIONS:
            pair.is_over = True
        else:
            self._pairs.add(pair)
        return pair.client

    def _carried(self) -> list["Pair"]:
        return [pair for pair in self._pairs if pair.server.is_connected]


class Pair:
    """A client's connection and the one to the server that carries it on; where one ends, both are reset."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.client, self.server = End(self), End(self)
        self.client.other, self.server.other = self.server, self.client
        self.is_orphan = False  # its server is gone, and the client does not know
        self.is_over = False
        self._connecting: asyncio.Task[None] | None = None
        self._last: asyncio.TimerHandle | None = None  # of an orphan

    def tasks(self) -> list[asyncio.Task[None]]:
        """What is under way for it."""
        return [task for task in (self._connecting, self.client.passing, self.server.passing) if task is not None]

    def cut(self) -> None:
        """Resets both ends."""
        self.is_over = True
        self.link.drop(self)
        for task in self.tasks():
            task.cancel()
        if self._last is not None:
            self._last.cancel()
        self.client.reset()
        self.server.reset()

    def lose_server(self) -> None:
        """Resets the server's end alone; whatever the client says from now on is heard by nobody."""
        if not self.is_orphan:
            self.is_orphan = True
            self._last = asyncio.get_running_loop().call_later(MAX_SILENCE_SECONDS, self.cut)
        self.server.reset()
        self.server.resume_writing()  # who waits for it to take more need not

    def begin(self) -> None:
        """The client is there: connects to the server."""
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await loop.create_connection(lambda: self.server, "127.0.0.1", self.link.target_port)
        except OSError:  # a TimeoutError is one too
            self.cut()


class End(asyncio.Protocol):
    """One end of a pair: what it hears goes to the other end."""

    other: "End"

    def __init__(self, pair: Pair) -> None:
        self.transport: Any = None  # uvloop's is none of asyncio's by type
        self.is_connected = False
        self.passing: asyncio.Task[None] | None = None
        self._pair = pair
        self._link = pair.link
        self._waiting = bytearray()  # heard, and not passed on yet
        self._has_ended = False
        self._is_full = False  # nothing more may be written to it
        self._drained = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.is_connected = transport, True
        if self._pair.is_over:
            self.reset()
        elif self._pair.client is self:
            self._pair.begin()
        else:
            self.other.pass_on()

    def data_received(self, data: bytes) -> None:
        """Passes it on at once where nothing is in the way."""
        if self._pair.is_orphan:
            return
        if self.passing is None and self.other.is_connected and not self._link.is_in_trouble:
            self.other.transport.write(data)
            return
        self._waiting += data
        self._regulate()
        self.pass_on()

    def eof_received(self) -> bool:
        self._end()
        return True  # what was heard before may have to wait; then both ends are reset

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def pause_writing(self) -> None:
        self._is_full = True
        self._drained.clear()
        self.other._regulate()

    def resume_writing(self) -> None:
        self._is_full = False
        self._drained.set()
        self.other._regulate()

    def reset(self) -> None:
        """Ends its connection with RST, whatever was not sent yet."""
        if self.transport is None or self.transport.is_closing():
            return
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._descriptor())) as end:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()

    def pass_on(self) -> None:
        """Begins to pass on what waits, if it can and nobody does."""
        if self.passing is None and self.other.is_connected and (self._waiting or self._has_ended):
            self.passing = asyncio.get_running_loop().create_task(self._pass_on())

    def _descriptor(self) -> int:
        return int(self.transport.get_extra_info("socket").fileno())

    def _end(self) -> None:
        """It will hear no more: so will the other end, but not before what was heard."""
        if self._has_ended or self._pair.is_over:
            return
        if self._pair.is_orphan:
            if self is self._pair.client:
                self._pair.cut()
            return
        self._has_ended = True
        if self.passing is None and not self._waiting and not self._link.is_silent:
            self._pair.cut()
        else:
            self.pass_on()

    async def _pass_on(self) -> None:
        try:
            while self._waiting or self._has_ended:
                await self._link.speaks()
                if not self._waiting:
                    break
                await self._pass_chunk()
        except TimeoutError:
            self._has_ended = True  # silent for too long
        self.passing = None
        if self._has_ended and not self._pair.is_over:
            self._pair.cut()

    async def _pass_chunk(self) -> None:
        chunk = memoryview(bytes(self._waiting[:CHUNK_BYTES]))
        del self._waiting[:CHUNK_BYTES]
        self._regulate()
        if self._link.latency_seconds:
            await asyncio.sleep(self._link.latency_seconds)
        while chunk and not self._pair.is_orphan:
            size = self._link.slice_bytes or len(chunk)  # once it is healed the rest goes at once
            self.other.transport.write(chunk[:size])
            chunk = chunk[size:]
            if self.other._is_full:
                await self.other._drained.wait()
            if self._link.slice_bytes:
                await asyncio.sleep(0)

    def _regulate(self) -> None:
        """Reads only as much as the other end takes and as may wait here."""
        if self.transport is None or self.transport.is_closing() or self._has_ended:
            return
        if self.other._is_full or len(self._waiting) >= MAX_WAITING_BYTES:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()
