"""Queries on PostgreSQL: each goes along its index, and trouble of the database is what the ports say it is."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncConnection

from outcry.adapters import breaker
from outcry.adapters.postgres import PgStore, evidence, prints, queries, reader, seek
from outcry.ports import OutcomeUnknown, OutOfService
from outcry.rows import AuditRow
from tests.support.postgres import migrated_database, server_url
from tests.support.storage import START_MS

EVER = {"since": "0", "until": "9000000000000"}  # else the days are left out of the plan
# Two accounts, one with nearly all there is: whoever goes along a primary key meets his rows soon, the other's never.
CROWD = """
CREATE TEMPORARY VIEW crowd AS
  SELECT n, 1001 + (n %% 100 = 0)::int AS one, 1001 + (n %% 99 = 0)::int AS other, %(now)s + n AS ms,
         n %% 50 = 0 AS is_open FROM generate_series(1, 20000) AS n;
INSERT INTO orders SELECT n, 0, 1, one, 'c' || n, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 4, 1, 1, 0, 0, 0, 0, 0, n, n,
  0, 0, 0, 0, ms, ms, 0, n, 0, '', is_open::int, n FROM crowd;
INSERT INTO intake SELECT n, 0, one, 1, 1, 0, 'c' || n, '', ms, ms, 0, NULL, -1, 1 FROM crowd WHERE is_open;
INSERT INTO lists SELECT n, 0, 1, one, 'l' || n, n, n, CASE WHEN is_open THEN 'RUNS' ELSE 'ALL_DONE' END, ms FROM crowd;
INSERT INTO prevented SELECT 1, n, 0, n, one, n, n, 1, 1, 1, 1, ms FROM crowd;
INSERT INTO trades SELECT 1, n, n, 0, n, 0, ms, 1, 1, 1, 1, n, n, one, other, 0, 0 FROM crowd;
ANALYZE orders, intake, lists, prevented, trades;
"""
LOOK = AuditRow(1, "root", "look", "", "")

PLANS = {
    "an order by id": (queries.BY_ID, ["orders_", "intake_pkey"]),
    "an order by name": (queries.BY_NAME, ["orders_by_name", "intake_open"]),
    "open orders": (queries.OPEN, ["intake_open", "orders_pkey"]),
    "open orders of a symbol": (queries.OPEN_OF_SYMBOL, ["intake_open", "orders_pkey"]),
    "all orders": (queries.ALL_UP, ["orders_of_account"]),
    "the newest orders": (queries.ALL_DOWN, ["orders_of_account"]),
    "orders by id": (queries.BY_IDS, ["orders_pkey"]),
    "orders of lists": (queries.OF_LISTS, ["orders_of_list"]),
    "lists": (queries.LISTS_UP, ["lists_of_account"]),
    "the newest lists": (queries.LISTS_DOWN, ["lists_of_account"]),
    "open lists": (queries.LISTS_DOWN.where(queries.LIST_RUNS), ["lists_open"]),
    "a list by name": (queries.NAMED_LIST, ["lists_by_client_id"]),
    "prevented matches": (queries.STOPPED, ["prevented_of_account"]),
    "prevented matches of an order": (queries.STOPPED_OF, ["prevented_of_maker", "prevented_of_taker"]),
    "last prevented matches": (queries.LAST_PREVENTED, ["prevented_of_maker", "prevented_of_taker"]),
    "amendments": (queries.AMENDED_DOWN, ["amendments_of_order"]),
    "balances": (queries.BALANCES, ["balances_pkey", "_part_log_offset_idx"]),
    "trades": (prints.UP, ["_symbol_id_trade_id_time_ms_key"]),
    "the newest trades": (prints.DOWN, ["_symbol_id_trade_id_time_ms_key"]),
    "trades of a taker": (prints.TAKEN, ["_symbol_id_trade_id_time_ms_key"]),
    "fills": (prints.OWN_UP, ["_maker_account_symbol_id", "_taker_account_symbol_id"]),
    "the newest fills": (prints.OWN_DOWN, ["_maker_account_symbol_id", "_taker_account_symbol_id"]),
    "fills of an order": (prints.OWN_OF_ORDER, ["_maker_account_symbol_id", "_taker_account_symbol_id"]),
    "candles": (prints.STORED.order_by(prints.CANDLE.open_ms), ["candles_pkey"]),
    "a trade by its time": (seek.BY_TIME, ["_symbol_id_trade_id_time_ms_key"]),
    "an order by its time": (seek.FIRST_ORDER, ["orders_pkey"]),
    "postings": (evidence.LEGS, ["_part_log_offset_idx"]),
    "entries": (evidence.ENTRIES, ["intake_pkey"]),
}


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with migrated_database() as url:
        with psycopg.connect(url, autocommit=True) as filled:
            filled.execute((CROWD % {"now": START_MS}).encode())
        yield url


@pytest.fixture
async def store(database: str) -> AsyncIterator[PgStore]:
    opened = PgStore(database)
    await opened.open()
    yield opened
    await opened.close()


def readers(url: str) -> list[int]:
    """The server's processes that serve queries."""
    with psycopg.connect(url, autocommit=True) as other:
        found = other.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE application_name = 'outcry queries' AND datname = current_database()"
        )
        return [pid for (pid,) in found]


def end(url: str, *pids: int) -> None:
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", (list(pids),))


@contextmanager
def closed(url: str) -> Iterator[None]:
    """Nobody can connect to the database, and whoever was is thrown out."""
    name = url.rpartition("/")[2]
    with psycopg.connect(server_url(), autocommit=True) as server:
        server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


@pytest.mark.parametrize("what", PLANS)
async def test_a_query_goes_along_its_index_whoever_asks(store: PgStore, what: str) -> None:
    statement, indexes = PLANS[what]
    compiled = statement.compile(dialect=dialect())
    assert compiled.positiontup is not None
    values = ", ".join(EVER.get(name.partition("__")[0], "NULL") for name in compiled.positiontup)
    async with store.ledger._reader.snapshot() as snapshot:
        await snapshot._connection.exec_driver_sql(f"PREPARE asked AS {compiled}")
        rows = await snapshot._connection.exec_driver_sql(f"EXPLAIN EXECUTE asked ({values})")
        plan = "\n".join(row[0] for row in rows)
        await snapshot._connection.exec_driver_sql("DEALLOCATE asked")
    assert "Seq Scan" not in plan and "Bitmap" not in plan, plan
    for index in indexes:
        assert index in plan, plan


async def test_a_connection_that_was_lost_while_idle_is_replaced_unnoticed(store: PgStore, database: str) -> None:
    await asyncio.gather(*(store.ledger.ping() for _ in range(3)))
    lost = readers(database)
    assert lost
    end(database, *lost)
    await store.ledger.ping()
    assert set(lost).isdisjoint(readers(database))


async def test_a_database_that_cannot_be_reached_is_left_alone_until_it_is_back(
    database: str,
) -> None:
    told: list[tuple[str, bool]] = []
    store = PgStore(database, watch=lambda *change: told.append(change))
    await store.ledger.ping()
    with closed(database):
        for _ in range(breaker.MAX_FAILURES):
            with pytest.raises(OutOfService, match="not currently accepting connections"):
                await store.ledger.ping()
        assert told == [("database", True)]
        with pytest.raises(OutOfService, match="again and again"):
            await store.ledger.balances(1)
    await asyncio.sleep(breaker.REST_SECONDS)
    await store.ledger.ping()
    assert told == [("database", True), ("database", False)]
    await store.close()


async def test_a_commit_whose_end_is_lost_is_unknown(store: PgStore, database: str) -> None:
    async def job(connection: AsyncConnection) -> None:
        pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        await asyncio.to_thread(end, database, pid)

    with pytest.raises(OutcomeUnknown):
        await store.ledger._reader.change(job)


async def test_a_job_that_fails_on_the_way_writes_nothing(store: PgStore, database: str) -> None:
    before = await store.ledger.audit_log(1000)

    async def job(connection: AsyncConnection) -> None:
        await connection.execute(
            text("INSERT INTO audit (time_ms, actor, action, subject, detail) VALUES (1,'','','','')")
        )
        pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        await asyncio.to_thread(end, database, pid)
        await connection.execute(text("SELECT 1"))

    with pytest.raises(OutOfService):
        await store.ledger._reader.change(job)
    assert await store.ledger.audit_log(1000) == before


async def test_a_snapshot_sees_one_moment(store: PgStore) -> None:
    count = text("SELECT count(*) FROM audit")
    async with store.ledger._reader.snapshot() as snapshot:
        before = await snapshot.rows(count)
        await store.ledger.audit(LOOK)
        assert await snapshot.rows(count) == before
    assert (await store.ledger._reader.rows(count))[0][0] == before[0][0] + 1


async def test_who_finds_no_free_connection_is_refused_after_a_while(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "WAIT_SECONDS", 0.2)
    monkeypatch.setattr(reader, "CONNECTIONS", 1)
    store = PgStore(database)
    await store.ledger.ping()
    slow = asyncio.create_task(store.ledger._reader.rows(text("SELECT pg_sleep(1)")))
    await asyncio.sleep(0.05)
    with pytest.raises(OutOfService):
        await store.ledger.ping()
    await slow
    await store.ledger.ping()
    await store.close()


async def test_an_error_shows_neither_the_statement_nor_its_values(store: PgStore) -> None:
    with pytest.raises(OutOfService) as caught:
        await store.ledger._reader.rows(text("SELECT secret FROM nowhere WHERE x = :x"), x="canary")
    assert "canary" not in str(caught.value) and "SELECT" not in str(caught.value)
    assert "canary" not in str(caught.value.__cause__)


@pytest.mark.parametrize("number", [1 << 63, 1 << 70])
async def test_numbers_beyond_all_columns_are_asked_for_in_vain(store: PgStore, number: int) -> None:
    ledger: Any = store.ledger
    assert await ledger.order(1001, 1, number, None) is None
    assert await ledger.orders(1001, 1, from_id=number, start_ms=None, end_ms=number, limit=5) == []
    assert await ledger.trades(1, start_ms=number, end_ms=number) == []
    assert await ledger.fills(1001, 1, order_id=number) == []
    assert await ledger.candles(1, 60_000, end_ms=number) == []
