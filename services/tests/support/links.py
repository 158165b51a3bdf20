"""A TCP proxy whose links a test makes slow, choppy, silent or dead; what runs through it is untouched real traffic."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Final

MAX_CONNECTIONS: Final = 256  # more are reset at once
CHUNK_BYTES: Final = 1 << 16
LOOK_SECONDS: Final = 0.02  # between two looks at a silent link
MAX_SILENCE_SECONDS: Final = 60.0  # after which a silent connection is dropped
CONNECT_SECONDS: Final = 5.0
RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST


@dataclass(eq=False)
class Pair:
    """A client's connection and the one to the server that carries it on."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_orphan: bool = False  # its server is gone, and the client does not know

    def cut(self) -> None:
        _reset(self.client)
        _reset(self.server)

    def lose_server(self) -> None:
        self.is_orphan = True
        _reset(self.server)


class Link:
    """One address through which a role reaches one component. Set its fields; ``heal`` undoes them."""

    def __init__(self, name: str, target_port: int, port: int = 0) -> None:
        self.name = name
        self.port = port
        self.latency_seconds = 0.0  # added to each piece, each way
        self.slice_bytes = 0  # the most that is sent on at once; 0: as it comes
        self.is_silent = False  # nothing passes, nothing is closed: a partition
        self.is_closed = False  # new connections are reset
        self._target_port = target_port
        self._pairs: set[Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listens on its port, a free one where it is 0."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=CHUNK_BYTES)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Ends every connection and listens no more."""
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def heal(self) -> None:
        """Lets everything pass again."""
        self.latency_seconds, self.slice_bytes, self.is_silent, self.is_closed = 0.0, 0, False, False

    def cut(self) -> int:
        """Resets both ends of every connection; returns how many there were."""
        pairs = list(self._pairs)
        for pair in pairs:
            pair.cut()
        return len(pairs)

    def lose_servers(self) -> int:
        """Half-open: the servers see their clients go, the clients keep connections with nobody behind them."""
        pairs = list(self._pairs)
        for pair in pairs:
            pair.lose_server()
        return len(pairs)

    def server_side_ports(self) -> list[int]:
        """The ports from which its connections reach the server; this is how the server names them."""
        return [int(pair.server.get_extra_info("sockname")[1]) for pair in self._pairs]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            if not self.is_closed and len(self._pairs) < MAX_CONNECTIONS:
                await self._carry(reader, writer)
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # either end is gone, which is what a link is for
        finally:
            _reset(writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            there, back = await asyncio.open_connection("127.0.0.1", self._target_port, limit=CHUNK_BYTES)
        pair = Pair(writer, back)
        self._pairs.add(pair)
        try:
            with contextlib.suppress(OSError):
                await self._until_one_ends(self._pump(reader, back, pair), self._pump(there, writer, pair))
            if pair.is_orphan:
                async with asyncio.timeout(MAX_SILENCE_SECONDS):
                    while await reader.read(CHUNK_BYTES):
                        pass
        finally:
            self._pairs.discard(pair)
            _reset(back)

    async def _until_one_ends(self, *pumps: Coroutine[None, None, None]) -> None:
        tasks = [asyncio.create_task(pump) for pump in pumps]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pair: Pair) -> None:
        """One direction, until it ends."""
        while chunk := await reader.read(CHUNK_BYTES):
            if self.is_silent:
                await self._speaks()
            if self.latency_seconds:
                await asyncio.sleep(self.latency_seconds)
            for piece in _pieces(chunk, self.slice_bytes):
                if pair.is_orphan:
                    return
                writer.write(piece)
                await writer.drain()
                if self.slice_bytes:
                    await asyncio.sleep(0)
        await self._speaks()

    async def _speaks(self) -> None:
        async with asyncio.timeout(MAX_SILENCE_SECONDS):
            while self.is_silent:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_SECONDS)


def _pieces(chunk: bytes, size: int) -> Iterator[bytes]:
    step = size or len(chunk)
    return (chunk[start : start + step] for start in range(0, len(chunk), step))


def _reset(writer: asyncio.StreamWriter) -> None:
    end: socket.socket | None = writer.get_extra_info("socket")
    if end is not None and not writer.transport.is_closing():
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()
