"""What the ledger and the leases do when the database is gone and nobody tells."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import pytest

from outcry.adapters.postgres import PgStore, database, reader, rollcall
from outcry.ports import OutcomeUnknown, OutOfService
from tests.support.links import Link
from tests.support.postgres import migrated_database

OWNER = "engine-0/1"


@contextlib.asynccontextmanager
async def linked_store(
    monkeypatch: pytest.MonkeyPatch, answer_seconds: float = 1.5
) -> AsyncIterator[tuple[PgStore, Link]]:
    """A store that reaches its database through a link, and gives an answer up after a while."""
    for bound in ("ANSWER_SECONDS", "SMALL_SECONDS"):
        monkeypatch.setattr(database, bound, answer_seconds)
    monkeypatch.setattr(reader, "ANSWER_SECONDS", answer_seconds)
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
        questions = asyncio.gather(store.lease.renew({0: 1}), store.ledger.checkpoints(0), return_exceptions=True)
        for found in await asyncio.wait_for(questions, 20):
            assert isinstance(found, OutOfService | OutcomeUnknown)
        assert await store.lease.takeover(0, OWNER) is not None
        assert (await store.lease.look()).leases


async def test_connections_that_lost_their_server_are_given_up_together_and_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those at work, those at rest, the writer and the readers; by its own bound each would be given up after 30 s."""
    async with linked_store(monkeypatch, answer_seconds=30) as (store, link):
        assert await store.lease.takeover(0, OWNER) is not None
        await asyncio.gather(*(store.ledger.checkpoints(0) for _ in range(8)), *(store.ledger.ping() for _ in range(8)))
        assert store.connections[1] == database.HOLDERS
        link.lose_servers()
        waiting = asyncio.create_task(store.ledger.checkpoints(0))
        async with asyncio.timeout(20):
            with pytest.raises((OutOfService, OutcomeUnknown)):
                await waiting
            for _ in range(database.HOLDERS):
                assert await store.ledger.checkpoints(0) == []
            await store.ledger.ping()
            assert await store.lease.takeover(0, OWNER) is not None


async def test_a_roll_call_ends_no_connection_that_the_server_has_and_none_while_it_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with linked_store(monkeypatch, answer_seconds=30) as (store, link):
        rolls = store._database.rolls
        mine = await store._database.connect(database.SHARED_SETTINGS)
        assert await rolls.call() == 0
        link.is_silent = True
        with monkeypatch.context() as hasty:
            hasty.setattr(rollcall, "ANSWER_SECONDS", 0.2)
            hasty.setattr(rollcall, "CONNECT_SECONDS", 0.2)
            assert (await rolls.call(), await rolls.call()) == (None, None)
        link.heal()
        assert await rolls.call() == 0
        assert not mine.is_closed()
        pid, began = rolls._sessions[mine]
        rolls._sessions[mine] = (pid, began.replace(year=began.year - 1))
        assert await rolls.call() == 1, "the process's id is another session's now"
        assert mine.is_closed()
