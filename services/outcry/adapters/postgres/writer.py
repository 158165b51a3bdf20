"""The engine's one connection: commits and leases go through it, one transaction at a time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg

Connection: TypeAlias = asyncpg.Connection


class Writer:
    """Connects when it is first needed, and again after trouble."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], answer_seconds: float) -> None:
        self._connect = connect
        self._answer_seconds = answer_seconds
        self._turn = asyncio.Lock()
        self._connection: Connection | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Connection]:
        """The connection, alone and for a bounded time: nobody tells when the database's machine is gone.

        Whatever is raised within ends it: its transaction is gone, its locks are free.
        """
        async with self._turn:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._connect()
            done = False
            try:
                async with asyncio.timeout(self._answer_seconds):
                    yield self._connection
                done = True
            finally:
                if not done:
                    self._connection.terminate()
                    self._connection = None

    async def close(self) -> None:
        async with self._turn:
            if self._connection is not None:
                await self._connection.close()
                self._connection = None
