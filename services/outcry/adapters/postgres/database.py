"""The connections to one database, each kind with the settings that its work needs."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final, TypeAlias

import asyncpg

from outcry.adapters.breaker import Breaker, Watch
from outcry.adapters.postgres.faults import TROUBLE, fault_of
from outcry.adapters.postgres.reader import Reader
from outcry.adapters.postgres.rollcall import RollCall
from outcry.adapters.postgres.schema import check
from outcry.adapters.postgres.sessions import READER_SETTINGS, SHARED_SETTINGS, WRITER_SETTINGS
from outcry.adapters.postgres.writer import Connection, Writer

Pool: TypeAlias = asyncpg.Pool

LIFT_IDS: Final = "SELECT outcry_lift_ids()"
CONNECT_SECONDS: Final = 5
HOLDERS: Final = 4  # connections for holds and housekeeping; who comes when all work waits in line
WAIT_SECONDS: Final = 5  # for a free connection
ANSWER_SECONDS: Final = 12  # after which a connection is given up; a server that is there ends its work earlier
SMALL_SECONDS: Final = 5  # the same for what touches few rows, or for which others wait

log = logging.getLogger(__name__)


class Database:
    """Opens on first use, within one event loop."""

    def __init__(self, url: str, *, topic: str, lease_ms: int, watch: Watch) -> None:
        self.url = url
        self.topic = topic
        self.lease_ms = lease_ms
        self.writer = Writer(lambda: self.connect(WRITER_SETTINGS), SMALL_SECONDS)
        self.reader = Reader(lambda: self.connect(READER_SETTINGS), Breaker("database", watch))
        self.rolls = RollCall(lambda: self._dial(SHARED_SETTINGS))
        self._calling: asyncio.Task[None] | None = None
        self._pool: Pool | None = None

    @property
    def pool(self) -> Pool:
        """Connections for holds and housekeeping."""
        assert self._pool is not None, "the store is not open"
        return self._pool

    @property
    def connections(self) -> tuple[int, int, int]:
        """The pool's connections at work and at rest, and their limit."""
        if self._pool is None:
            return 0, 0, HOLDERS
        idle = self._pool.get_idle_size()
        return self._pool.get_size() - idle, idle, self._pool.get_max_size()

    async def open(self) -> None:
        """Connects and looks at the schema. Raises OutOfService, Damaged."""
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.close)
            try:
                self._pool = await asyncpg.create_pool(
                    self.url, min_size=1, max_size=HOLDERS, timeout=CONNECT_SECONDS, server_settings=SHARED_SETTINGS,
                    init=self._enter, reset=_keep, max_inactive_connection_lifetime=0,
                )  # fmt: skip
                async with self._pool.acquire() as connection:
                    await check(connection)
            except TROUBLE as error:
                raise fault_of(error) from error
            self._calling = asyncio.create_task(self.rolls.run())
            undo.pop_all()

    async def close(self) -> None:
        """Lets work under way end, then disconnects."""
        if self._calling is not None:
            self._calling.cancel()
            await asyncio.wait([self._calling])
            self._calling = None
        await self.writer.close()
        if self._pool is not None:
            await self._pool.close()
            self._pool = None
        await self.reader.close()

    async def fetch(self, statement: str, *values: Any, is_small: bool = False) -> list[Any]:
        """Runs one statement that commits by itself. Raises OutOfService, OutcomeUnknown, Damaged."""
        seconds = SMALL_SECONDS if is_small else ANSWER_SECONDS
        sent = False
        try:
            async with self.pool.acquire(timeout=WAIT_SECONDS) as connection, _answering(connection, seconds):
                sent = True
                found: list[Any] = await connection.fetch(statement, *values)
                return found
        except TROUBLE as error:
            raise fault_of(error, sent=sent) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection within one transaction, which is committed at the end; whatever is raised within undoes it.

        Raises OutOfService, OutcomeUnknown, Damaged.
        """
        sent = False
        try:
            async with (
                self.pool.acquire(timeout=WAIT_SECONDS) as connection,
                _ended_by_trouble(connection), asyncio.timeout(ANSWER_SECONDS),
            ):  # fmt: skip
                await connection.execute("BEGIN")
                yield connection
                sent = True
                await connection.execute("COMMIT")
        except TROUBLE as error:
            raise fault_of(error, sent=sent) from error

    async def connect(self, settings: dict[str, str]) -> Connection:
        """A connection of its own. Raises what asyncpg raises."""
        connection = await self._dial(settings)
        async with _ended_by_trouble(connection):
            await self.rolls.enter(connection)
        return connection

    async def _enter(self, connection: Connection) -> None:
        """A connection over which ids may be minted: before that, those of a server that was lost are left behind."""
        await self.rolls.enter(connection)
        with suppress(asyncpg.UndefinedFunctionError):  # there is no schema yet, or an old one: ``check`` says so
            if await connection.fetchval(LIFT_IDS):
                log.warning("The database's server is another one, or started again: ids of orders go on further up.")

    async def _dial(self, settings: dict[str, str]) -> Connection:
        return await asyncpg.connect(self.url, timeout=CONNECT_SECONDS, server_settings=settings)


@asynccontextmanager
async def _answering(connection: Connection, seconds: float) -> AsyncIterator[None]:
    """A bound for one answer: nobody tells when the database's machine is gone. Raises TimeoutError.

    The connection is ended then, and when its user is canceled: the pool would wait for the rest of its answer.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except (TimeoutError, asyncio.CancelledError):
        _end(connection)
        raise


@asynccontextmanager
async def _ended_by_trouble(connection: Connection) -> AsyncIterator[None]:
    """Nobody gets a connection back whose transaction may still be open."""
    done = False
    try:
        yield
        done = True
    finally:
        if not done:
            _end(connection)


def _end(connection: Connection) -> None:
    """What ended it may have given it back to the pool already."""
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


async def _keep(connection: Connection) -> None:
    """Leaves a returned connection as it is: nobody changes its settings, and a transaction is never left open."""
