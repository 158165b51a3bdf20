"""The database's schema: ``migrate`` carries it forward, ``check`` says in plain words when it does not fit."""

from collections.abc import Callable
from functools import partial
from importlib import resources
from typing import Final

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from outcry.adapters.postgres.faults import TROUBLE, fault_of
from outcry.ports import Damaged, OutOfService

OLDEST_SERVER: Final = 15
DAYS_AHEAD: Final = 7
DAY_MS: Final = 86_400_000
LOCK_SECONDS: Final = 10
MIGRATION_LOCK: Final = 0x4F757463  # "Outc": one migration at a time

DRIVER: Final = "postgresql+asyncpg://"  # SQLAlchemy's; asyncpg itself reads the URL, with all that it says of TLS
VERSIONS: Final = "SELECT to_regclass('public.alembic_version') IS NOT NULL"
# The oldest schema that a release must know in order to work with the newest here. Migrations that only add leave it
# alone, so that a release can be tried beside the one before, and taken back; one that takes away raises it to its own.
WORKS_FROM: Final = "0006"
NOTE_WORKS_FROM: Final = f"COMMENT ON TABLE alembic_version IS 'works from {WORKS_FROM}'"
STANDS: Final = """
    SELECT version_num, substring(obj_description(tableoid, 'pg_class') from 'works from (\\d{4})') AS works_from
    FROM alembic_version
"""


async def migrate(url: str, stop_at: str = "head") -> str:
    """Brings the schema up to date and makes the next days; returns the version. Waits for nobody longer than 10 s.

    A newer schema that suits this release stays as it is. Raises OutOfService (another migration runs, a table is in
    use, no such server), Damaged (a newer schema that does not).
    """
    engine = create_async_engine(DRIVER, async_creator=partial(asyncpg.connect, url), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await _lock(connection)
            if not _is_newer(*await _stands_there(connection)):
                await connection.run_sync(_upgrade(stop_at))
                await connection.exec_driver_sql(NOTE_WORKS_FROM)
            await connection.exec_driver_sql(f"SELECT outcry_make_days(outcry_now_ms() - {DAY_MS}, {DAYS_AHEAD + 2})")
            await connection.commit()
            return (await _stands_there(connection))[0] or ""
    except TROUBLE as error:
        raise fault_of(error) from error
    finally:
        await engine.dispose()


async def check(connection: asyncpg.Connection) -> None:
    """Raises OutOfService or Damaged when this release cannot work with the database's schema."""
    server = connection.get_server_version().major
    if server < OLDEST_SERVER:
        raise OutOfService(f"The server is PostgreSQL {server}, but {OLDEST_SERVER} or newer is needed.")
    found, works_from = None, None
    if await connection.fetchval(VERSIONS):
        found, works_from = await connection.fetchrow(STANDS)
    if not _is_newer(found, works_from) and found != newest():
        there = "has no schema yet" if found is None else f"has schema {found}"
        raise OutOfService(f"The database {there}, this release needs {newest()}. Run `outcry setup` first.")


def newest() -> str:
    """The newest version that this release knows."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def _is_newer(found: str | None, works_from: str | None) -> bool:
    """Whether a newer release migrated the database, which suits this one. Raises Damaged where it does not."""
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is None or found in known:
        return False
    if works_from in known:
        return True
    raise Damaged(
        f"The database was migrated by a newer Outcry (schema {found}; this one knows up to {newest()}). "
        "Install that release, or choose another database."
    )


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(resources.files("outcry.adapters.postgres") / "migrations"))
    config.attributes["connection"] = connection
    return config


def _upgrade(stop_at: str) -> Callable[[Connection], None]:
    return lambda connection: command.upgrade(_config(connection), stop_at)


async def _lock(connection: AsyncConnection) -> None:
    """One migration at a time; a lock that others hold is waited for only so long, as waiting stops those behind."""
    await connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_SECONDS}s'")
    await connection.exec_driver_sql(f"SELECT pg_advisory_lock({MIGRATION_LOCK})")
    await connection.commit()


async def _stands_there(connection: AsyncConnection) -> tuple[str | None, str | None]:
    if not (await connection.exec_driver_sql(VERSIONS)).scalar():
        return None, None
    row = (await connection.exec_driver_sql(STANDS)).first()
    return (row.version_num, row.works_from) if row else (None, None)
