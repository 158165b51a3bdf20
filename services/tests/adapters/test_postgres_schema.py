"""The schema of the cluster's ledger: carried forward once, refused when it does not fit, closed to the wrong roles."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from outcry import rows
from outcry.adapters.postgres import PgStore, schema
from outcry.ports import Damaged, OutOfService
from tests.support.postgres import empty_database, migrated_database

TABLES = {
    "orders": rows.OrderRow, "trades": rows.TradeRow, "postings": rows.PostingRow, "intake": rows.IntakeRow,
    "openings": rows.OpeningRow, "prevented": rows.PreventedRow, "amendments": rows.AmendmentRow,
    "lists": rows.ListRow, "symbol_state": rows.SymbolRow, "candles": rows.CandleRow,
    "dead_letter": rows.DeadLetter, "checkpoints": rows.Checkpoint, "accounts": rows.AccountRow,
    "api_keys": rows.KeyRow, "assets": rows.AssetRow,
}  # fmt: skip
PRIVATE = {"orders": ["changed_before"], "postings": ["time_ms"], "dead_letter": ["letter_id"]}


@pytest.fixture
def empty() -> Iterator[str]:
    with empty_database() as url:
        yield url


@pytest.fixture(scope="module")
def unchanged() -> Iterator[str]:
    """One migrated database for tests that only look."""
    with migrated_database() as url:
        yield url


@pytest.fixture
def migrated() -> Iterator[str]:
    with migrated_database() as url:
        yield url


async def test_a_migration_is_carried_out_once(empty: str) -> None:
    assert await schema.migrate(empty) == schema.newest()
    assert await schema.migrate(empty) == schema.newest()
    store = PgStore(empty)
    await store.open()
    await store.close()


async def test_a_database_without_the_schema_is_refused_with_the_command_that_helps(empty: str) -> None:
    with pytest.raises(OutOfService, match=r"no schema yet.*outcry setup"):
        await PgStore(empty).open()


async def test_a_database_of_a_newer_release_is_refused_where_that_took_something_away(migrated: str) -> None:
    with psycopg.connect(migrated, autocommit=True) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        for note in ("'works from 9999'", "'something else'", "NULL"):
            database.execute(f"COMMENT ON TABLE alembic_version IS {note}")
            with pytest.raises(Damaged, match="newer Outcry"):
                await schema.migrate(migrated)
            with pytest.raises(Damaged, match="newer Outcry"):
                await PgStore(migrated).open()


async def test_a_release_works_on_with_a_newer_schema_that_only_added(migrated: str) -> None:
    with psycopg.connect(migrated, autocommit=True) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    assert await schema.migrate(migrated) == "9999"
    store = PgStore(migrated)
    await store.open()
    await store.close()


async def test_two_migrations_do_not_run_at_once(migrated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "LOCK_SECONDS", 1)
    with psycopg.connect(migrated) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (schema.MIGRATION_LOCK,))
        with pytest.raises(OutOfService, match="lock timeout"):
            await schema.migrate(migrated)


async def test_a_server_that_does_not_answer_is_out_of_service() -> None:
    with pytest.raises(OutOfService):
        await PgStore("postgresql://nobody@127.0.0.1:1/nothing").open()


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_the_columns_of_its_row(unchanged: str, table: str) -> None:
    with psycopg.connect(unchanged) as database:
        found = database.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum", (table,)
        ).fetchall()
    assert [name for (name,) in found] == [*TABLES[table]._fields, *PRIVATE.get(table, [])]


async def test_the_days_of_trades_and_postings_are_there_a_week_ahead(empty: str) -> None:
    await schema.migrate(empty)
    with psycopg.connect(empty) as database:
        for table in ("trades", "postings"):
            days = f"to_char(to_timestamp(outcry_now_ms() / 1000) + n * interval '1 day', '\"{table}_\"YYYYMMDD')"
            text = f"SET TIME ZONE 'UTC'; SELECT count(to_regclass({days})) FROM generate_series(0, 7) AS n"
            cursor = database.execute(text.encode())
            assert cursor.nextset()
            assert cursor.fetchone() == (8,)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("api_rw", "INSERT INTO trades SELECT * FROM trades"),
        ("api_rw", "UPDATE trades SET qty = 1"),
        ("api_rw", "INSERT INTO postings SELECT * FROM postings"),
        ("api_rw", "UPDATE orders SET status = 1"),
        ("api_rw", "UPDATE engine_partition SET next_offset = 0"),
        ("engine_rw", "UPDATE balances SET free = 1"),
        ("engine_rw", "UPDATE transfers SET amount = 1"),
        ("engine_rw", "UPDATE api_keys SET scopes = 'admin'"),
        ("engine_rw", "UPDATE trades SET qty = 1"),
        ("stream_ro", "UPDATE orders SET status = 1"),
        ("stream_ro", "DELETE FROM transfers"),
        ("stream_ro", "SELECT * FROM intake"),
    ],
)
def test_a_role_may_do_only_what_its_work_needs(unchanged: str, role: str, statement: str) -> None:
    with psycopg.connect(unchanged) as database:
        database.execute(f"SET ROLE {role}".encode())
        with pytest.raises(InsufficientPrivilege):
            database.execute(statement.encode())
