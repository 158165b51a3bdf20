"""Databases of a test's own, copied from a migrated template; their time is moved by hand."""

import asyncio
import contextlib
import hashlib
import os
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg.errors import DuplicateObject, UniqueViolation

from outcry.adapters.postgres import PgStore
from tests.support.storage import START_MS, HandClock, Storage, sqlite_storage

BY_HAND = """
CREATE TABLE hand_clock (ms bigint NOT NULL);
GRANT SELECT ON hand_clock TO PUBLIC;
INSERT INTO hand_clock VALUES (%(start)s);
CREATE OR REPLACE FUNCTION outcry_now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT ms FROM hand_clock';
SELECT outcry_make_days(%(start)s - 86400000, 4);
"""
NAP = "CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN NEW; END'"


def server_url() -> str:
    """Where the test server listens; skips the test where there is none, fails it in CI."""
    url = os.environ.get("OUTCRY_POSTGRES")
    if not url:
        assert os.environ.get("CI") != "true", "OUTCRY_POSTGRES names no server"
        pytest.skip("no PostgreSQL: OUTCRY_POSTGRES is not set")
    return url


def url_of(database: str) -> str:
    return urlunsplit(urlsplit(server_url())._replace(path=f"/{database}"))


@contextmanager
def empty_database(template: str = "template0") -> Iterator[str]:
    """The URL of a new database, dropped at the end."""
    name = f"outcry_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url(), autocommit=True) as server:
        # By files: where nothing is synced, as on the server of `make test`, this is three times less work.
        server.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY".encode())
    try:
        yield url_of(name)
    finally:
        with psycopg.connect(server_url(), autocommit=True) as server:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@contextmanager
def migrated_database() -> Iterator[str]:
    """The same with the schema, at ``START_MS`` by the hand clock."""
    with empty_database(_template()) as url:
        yield url


class DatabaseClock(HandClock):
    """The hand clock that a database reads."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._ms = START_MS

    @property
    def ms(self) -> int:  # type: ignore[override]
        return self._ms

    @ms.setter
    def ms(self, value: int) -> None:
        self._ms = value
        self._connection.execute("UPDATE hand_clock SET ms = %s", (value,))

    def close(self) -> None:
        self._connection.close()


@contextlib.asynccontextmanager
async def postgres_storage(folder: Path) -> AsyncIterator[Storage]:
    """An exchange whose ledger is a database of its own; its journal is a file in the folder."""
    async with sqlite_storage(folder) as beside:
        with migrated_database() as url:
            clock = DatabaseClock(url)
            owner, api, engine = (PgStore(each) for each in (url, login(url, "api_rw"), login(url, "engine_rw")))
            for store in (owner, api, engine):
                await store.open()
            try:
                yield Storage(beside.journal, Apart(owner.ledger, api.ledger, engine.ledger), engine.lease, clock)
            finally:
                for store in (owner, api, engine):
                    await store.close()
                clock.close()


@contextlib.asynccontextmanager
async def process(url: str, clock: DatabaseClock) -> AsyncIterator[Storage]:
    """What one process of the exchange has: its own connections to the common database. It has no journal."""
    store = PgStore(url)
    await store.open()
    try:
        yield Storage(None, store.ledger, store.lease, clock)  # type: ignore[arg-type]
    finally:
        await store.close()


def ask(url: str, text: str, *values: object) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(text.encode(), values)
        return cursor.fetchall() if cursor.description else []


async def own(storage: Storage, owner: str, part: int = 0) -> None:
    row = await storage.lease.takeover(part, owner)
    assert row is not None
    storage.partitions[part] = row


async def until(database: str, question: str) -> None:
    """Asks again and again until there is a row."""
    deadline = time.monotonic() + 60
    while not await asyncio.to_thread(ask, database, question):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def killed(database: str, which: str) -> None:
    """Ends the first backend of the database that fits, once there is one."""
    text = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND {which}"
    await until(database, text)


class Apart:
    """A ledger whose every call is made as the role that makes it in a cluster, and with no more rights than that."""

    ENGINES = frozenset({"commit"})
    PERSONS = frozenset({"put_back", "raise_ids"})  # restore is a verb of the command line

    def __init__(self, owner: Any, api: Any, engine: Any) -> None:
        self._owner = owner
        self._api = api
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        if name in self.ENGINES:
            return getattr(self._engine, name)
        return getattr(self._owner if name in self.PERSONS else self._api, name)


def login(url: str, group: str) -> str:
    """The same database for a login of one group; as its owner where the server wants passwords."""
    parts = urlsplit(url)
    if parts.password is not None:
        return url
    name = f"outcry_test_{group}"
    with (
        psycopg.connect(server_url(), autocommit=True) as server,
        contextlib.suppress(DuplicateObject, UniqueViolation),
    ):
        server.execute(f"CREATE ROLE {name} LOGIN IN ROLE {group}".encode())
    return urlunsplit(parts._replace(netloc=f"{name}@{parts.netloc.rpartition('@')[2]}"))


def _template() -> str:
    """The name of the template for this schema; whoever comes first makes it."""
    name = f"outcry_template_{_schema_hash()}"
    with psycopg.connect(server_url(), autocommit=True) as server:
        server.execute("SELECT pg_advisory_lock(hashtext('outcry tests'))")
        if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            server.execute(f"CREATE DATABASE {name}_new TEMPLATE template0".encode())
            _fill(url_of(f"{name}_new"))
            server.execute(f"ALTER DATABASE {name}_new RENAME TO {name}".encode())
    return name


def _fill(url: str) -> None:
    with ThreadPoolExecutor(1) as thread:  # an event loop may be running in this one
        thread.submit(lambda: asyncio.run(PgStore(url).migrate())).result()
    with psycopg.connect(url, autocommit=True) as database:
        text = BY_HAND % {"start": START_MS}
        database.execute(text.encode())


def _schema_hash() -> str:
    folder = resources.files("outcry.adapters.postgres") / "migrations" / "versions"
    texts = [BY_HAND, *(path.read_text() for path in sorted(folder.iterdir(), key=str) if path.is_file())]
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:12]
