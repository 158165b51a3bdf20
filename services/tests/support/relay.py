"""A line between a client and a server that can be cut at the worst moment."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

LET_THE_SERVER_ACT_SECONDS = 0.3


class Relay:
    """Passes bytes both ways. Once armed, the server still gets what holds ``trigger``, and the client no answer."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._trigger = b""
        self._is_cut = False

    def arm(self, trigger: bytes) -> None:
        self._trigger = trigger

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends or the line is cut."""
        there, back = await asyncio.open_connection(*self._server)
        up = asyncio.create_task(self._ask(reader, back))
        down = asyncio.create_task(self._answer(there, writer))
        await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        if self._is_cut:
            await asyncio.sleep(LET_THE_SERVER_ACT_SECONDS)
        for task in (up, down):
            task.cancel()
        for side in (back, writer):
            side.close()

    async def _ask(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        while piece := await reader.read(1 << 16):
            self._is_cut = self._is_cut or bool(self._trigger and self._trigger in piece)
            server.write(piece)
            await server.drain()
            if self._is_cut:
                return

    async def _answer(self, server: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await server.read(1 << 16):
            if not self._is_cut:
                writer.write(piece)
                await writer.drain()


@contextlib.asynccontextmanager
async def relay(url: str) -> AsyncIterator[tuple[Relay, str]]:
    """A relay to the server of a URL, and the URL that leads through it."""
    parts = urlsplit(url)
    line = Relay(parts.hostname or "", parts.port or 5432)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield line, urlunsplit(parts._replace(netloc=f"{parts.username}@{host}:{port}"))
    finally:
        server.close()
        await server.wait_closed()
