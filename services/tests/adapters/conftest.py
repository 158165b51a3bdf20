"""Every adapter of a port passes the same tests: another one is another parameter here."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from outcry.roles.engine.keeper import SizedJournal
from tests.support.kafka import CLIENTS, kafka_journal
from tests.support.leases import Leases, postgres_leases
from tests.support.postgres import DatabaseClock, migrated_database, postgres_storage, process
from tests.support.storage import Storage, fund, sqlite_storage

ADAPTERS = {"postgres": postgres_storage, "sqlite": sqlite_storage}


@pytest.fixture(params=sorted(ADAPTERS))
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    """An empty exchange with two funded accounts."""
    async with ADAPTERS[request.param](tmp_path) as opened:
        await fund(opened)
        yield opened


@pytest.fixture(params=["postgres", "sqlite"])
async def leases(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Leases]:
    """Leases whose time a test moves."""
    if request.param == "postgres":
        async with postgres_leases() as opened:
            yield opened
    else:
        async with sqlite_storage(tmp_path) as storage:
            yield Leases(storage.lease, storage.clock)


@pytest.fixture(params=sorted(CLIENTS))
def client(request: pytest.FixtureRequest) -> str:
    """A client library of Kafka."""
    return str(request.param)


@pytest.fixture(params=[*sorted(CLIENTS), "sqlite"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SizedJournal]:
    """An empty journal of four partitions."""
    if request.param in CLIENTS:
        async with kafka_journal(client=request.param) as opened:
            yield opened
    else:
        async with sqlite_storage(tmp_path) as storage:
            yield storage.journal


@pytest.fixture
def database() -> Iterator[str]:
    with migrated_database() as url:
        yield url


@pytest.fixture
def clock(database: str) -> Iterator[DatabaseClock]:
    clock = DatabaseClock(database)
    yield clock
    clock.close()


@pytest.fixture
async def one(database: str, clock: DatabaseClock) -> AsyncIterator[Storage]:
    async with process(database, clock) as opened:
        await fund(opened)
        yield opened


@pytest.fixture
async def other(one: Storage, database: str, clock: DatabaseClock) -> AsyncIterator[Storage]:
    async with process(database, clock) as opened:
        yield opened
