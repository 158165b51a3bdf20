"""What the ledger and the leases do when the database is gone and nobody tells."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import pytest

from outcry.adapters.postgres import PgStore, database
from outcry.ports import OutcomeUnknown, OutOfService
from tests.support.links import Link
from tests.support.postgres import migrated_database

OWNER = "engine-0/1"


@contextlib.asynccontextmanager
async def linked_store(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[PgStore, Link]]:
    """A store that reaches its database through a link, and gives an answer up after half a second."""
    monkeypatch.setattr(database, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(database, "SMALL_SECONDS", 0.5)
    with migrated_database() as url:
        parts = urlsplit(url)
        link = Link("store-postgres", parts.port or 0)
        await link.open()
        store = PgStore(urlunsplit(parts._replace(netloc=f"postgres@127.0.0.1:{link.port}")))
        await store.open()
        try:
            yield store, link
        finally:
            link.cut()
            await store.close()
            await link.close()


async def test_a_lost_database_is_given_up_and_reached_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with linked_store(monkeypatch) as (store, link):
        assert await store.lease.takeover(0, OWNER) is not None
        link.lose_servers()
        for question in (store.lease.renew({0: 1}), store.ledger.checkpoints(0)):
            with pytest.raises((OutOfService, OutcomeUnknown)):
                await asyncio.wait_for(question, 10)
        assert await store.lease.takeover(0, OWNER) is not None
        assert (await store.lease.look()).leases
