"""A connection that hears what others announce; without it one looks a little later."""

import asyncio
import contextlib
from typing import Final

from outcry.adapters.postgres.database import Database
from outcry.adapters.postgres.faults import TROUBLE
from outcry.adapters.postgres.sessions import SHARED_SETTINGS
from outcry.adapters.postgres.writer import Connection

RETRY_SECONDS: Final = 2.0  # between two attempts to connect


class Listener:
    """Connects when it is first asked, and again after trouble: nothing depends on what it hears."""

    def __init__(self, database: Database, channel: str) -> None:
        self._database = database
        self._channel = channel
        self._connection: Connection | None = None
        self._heard = asyncio.Event()
        self._retry_at = 0.0

    async def wait(self, seconds: float) -> None:
        """Returns at the next announcement since the last call, or after so long."""
        await self._connect()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._heard.wait(), seconds)
        self._heard.clear()

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _connect(self) -> None:
        now = asyncio.get_running_loop().time()
        if (self._connection is not None and not self._connection.is_closed()) or now < self._retry_at:
            return
        self._retry_at = now + RETRY_SECONDS
        try:
            connection = await self._database.connect(SHARED_SETTINGS)
            await connection.add_listener(self._channel, lambda *announced: self._heard.set())
            self._connection = connection
        except TROUBLE:
            return
