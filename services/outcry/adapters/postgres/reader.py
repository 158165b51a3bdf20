"""Queries and rare writes through SQLAlchemy, on a small pool of their own; a query sees only what is committed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias, TypeVar

from sqlalchemy import Executable, Row, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from outcry.adapters.breaker import Breaker
from outcry.adapters.postgres.faults import TROUBLE, fault_of
from outcry.adapters.postgres.schema import DRIVER
from outcry.adapters.postgres.sessions import DETOURS
from outcry.adapters.postgres.writer import Connection
from outcry.ports import OutOfService

WAIT_SECONDS: Final = 5  # for a free connection
CONNECTIONS: Final = 5
MAX_WAITING: Final = 4096  # calls at once; beyond it the ledger says that it is out of service
ANSWER_SECONDS: Final = 15  # then a call is given up; the server itself ends statements earlier
SURVEY_SECONDS: Final = 30  # for one statement of those that read whole tables
MAX_NUMBER: Final = (1 << 63) - 1  # of a column; what is asked for beyond it is not there either
SURVEY: Final = text(
    f"SELECT set_config('statement_timeout', '{SURVEY_SECONDS}s', true), "
    + ", ".join(f"set_config('{detour}', 'on', true)" for detour in DETOURS)
)

Rows: TypeAlias = Sequence[Row[*tuple[Any, ...]]]
T = TypeVar("T")


class Reader:
    """Opens on first use, within one event loop. All of it raises OutOfService and Damaged."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], breaker: Breaker) -> None:
        self._engine = create_async_engine(
            DRIVER, async_creator=connect, pool_size=CONNECTIONS, max_overflow=0, pool_timeout=WAIT_SECONDS,
            hide_parameters=True,
        )  # fmt: skip
        self._single = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._steady = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._breaker = breaker
        self._waiting = 0

    async def close(self) -> None:
        await self._engine.dispose()

    async def rows(self, statement: Executable, **values: Any) -> Rows:
        """What one query gives."""
        async with self._attempt(ANSWER_SECONDS):
            try:
                return await _ask(self._single, statement, values)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
            # The connection was lost, perhaps long ago, while nobody used it. All others of that age are gone by now.
            return await _ask(self._single, statement, values)

    @asynccontextmanager
    async def snapshot(self, seconds: float = ANSWER_SECONDS) -> AsyncIterator["Snapshot"]:
        """Several queries that see the same moment, and the time that they have together."""
        async with self._attempt(seconds), self._steady.connect() as connection:
            yield Snapshot(connection)

    async def change(self, job: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Runs a job in one transaction, which is undone when it raises. Raises OutcomeUnknown too."""
        async with self._attempt(ANSWER_SECONDS) as attempt, self._engine.connect() as connection:
            answer = await job(connection)
            attempt.is_committing = True
            await connection.commit()
            return answer

    @asynccontextmanager
    async def _attempt(self, seconds: float) -> AsyncIterator["Attempt"]:
        if self._waiting >= MAX_WAITING:
            raise OutOfService("Too many reads wait for the ledger.")
        self._waiting += 1
        attempt = Attempt()
        try:
            with self._breaker.attempt():
                try:
                    async with asyncio.timeout(seconds):
                        yield attempt
                except TROUBLE as error:
                    raise fault_of(error, sent=attempt.is_committing) from error
        finally:
            self._waiting -= 1


class Attempt:
    """How far a call has come."""

    is_committing = False


class Snapshot:
    """One moment of the database, read only."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def rows(self, statement: Executable, **values: Any) -> Rows:
        return (await self._connection.execute(statement, _within(values))).all()

    async def survey(self, statement: Executable, **values: Any) -> Rows:
        """The same for a query that reads whole tables and so may take its time."""
        await self._connection.execute(SURVEY)
        return await self.rows(statement, **values)


async def _ask(engine: AsyncEngine, statement: Executable, values: Mapping[str, Any]) -> Rows:
    async with engine.connect() as connection:
        return (await connection.execute(statement, _within(values))).all()


def _within(values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers that a column could hold: no client may make the database's driver fail."""
    return {name: min(value, MAX_NUMBER) if isinstance(value, int) else value for name, value in values.items()}
