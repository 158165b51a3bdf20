"""A roll call of connections: one whose session the server does not have any more is ended, for whoever waits on it.

A link can lose connections without a word to their client. Each of them would then cost whoever uses it next the whole
time for an answer, one after the other. The server knows which sessions it has; a new connection can ask.
"""

import asyncio
import datetime
import logging
from collections.abc import Awaitable, Callable
from typing import Final
from weakref import WeakKeyDictionary

import asyncpg

from outcry.adapters.postgres.faults import TROUBLE
from outcry.adapters.postgres.writer import Connection

LOOK_SECONDS: Final = 1.0  # between two roll calls
ANSWER_SECONDS: Final = 1.0  # after which the connection that asks is taken for lost itself
CONNECT_SECONDS: Final = 3.0

SESSION: Final = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
PRESENT: Final = """
SELECT a.pid, a.backend_start FROM unnest($1::int[], $2::timestamptz[]) AS w(pid, backend_start)
  JOIN pg_stat_activity a ON a.pid = w.pid AND a.backend_start = w.backend_start"""

Session = tuple[int, datetime.datetime]  # the server's process and when it began: processes' ids come again

log = logging.getLogger(__name__)


class RollCall:
    """Of one process's connections to one server, within one event loop. It needs a connection of its own."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._asking: Connection | None = None
        self._sessions: WeakKeyDictionary[asyncpg.Connection, Session] = WeakKeyDictionary()

    async def enter(self, connection: Connection) -> None:
        """Calls a new connection from now on. Raises what asyncpg raises."""
        row = await connection.fetchrow(SESSION)
        if row is not None and row["backend_start"] is not None:
            self._sessions[connection] = (row["pid"], row["backend_start"])

    async def run(self) -> None:
        """Calls until canceled. What cannot be asked is asked once more at once, over a new connection, then later."""
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                if await self.call() is None:
                    await self.call()
        finally:
            self._hang_up()

    async def call(self) -> int | None:
        """Ends the connections that the server does not have; returns how many, None where it gave no answer."""
        called = [(c, session) for c, session in self._sessions.items() if not c.is_closed()]
        if not called:
            return 0
        try:
            if self._asking is None or self._asking.is_closed():
                async with asyncio.timeout(CONNECT_SECONDS):
                    self._asking = await self._connect()
            async with asyncio.timeout(ANSWER_SECONDS):
                pids, starts = zip(*(session for _, session in called), strict=True)
                present = {(row[0], row[1]) for row in await self._asking.fetch(PRESENT, pids, starts)}
        except TROUBLE:
            self._hang_up()
            return None
        absent = [connection for connection, session in called if session not in present]
        for connection in absent:
            connection.terminate()
        if absent:
            log.warning("%d connections to the database had no session any more and were ended.", len(absent))
        return len(absent)

    def _hang_up(self) -> None:
        if self._asking is not None:
            self._asking.terminate()
            self._asking = None
