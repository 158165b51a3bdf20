"""The two ways of a commit on PostgreSQL: one statement for what is small and plain, a transaction for all else."""

import asyncio

import asyncpg
import psycopg
import pytest

from outcry.adapters.postgres import PgStore, swift
from outcry.adapters.postgres.results import Commit
from outcry.adapters.postgres.sessions import WRITER_SETTINGS
from outcry.ports import OutcomeUnknown
from outcry.rows import AmendmentRow, CancelMark, DeadLetter, ListRow, PartBatch, PreventedRow
from tests.support.postgres import NAP, ask, killed, own, until
from tests.support.storage import ALICE, MONEY, START_MS, Storage, posting

DEAD = DeadLetter(0, 0, "why", b"x")


async def test_a_backend_killed_within_the_one_statement_of_a_batch_leaves_the_outcome_unknown(
    one: Storage, database: str
) -> None:
    await own(one, "a/1")
    ask(database, NAP)
    ask(database, "CREATE TRIGGER nap BEFORE INSERT ON engine_feed FOR EACH ROW EXECUTE FUNCTION nap()")
    batch = one.batch(postings=[posting(ALICE, 5, 0, offset=0)], told=b"told")
    commit = asyncio.create_task(one.ledger.commit([batch]))
    await killed(database, "wait_event = 'PgSleep'")
    with pytest.raises(OutcomeUnknown):
        await commit
    ask(database, "DROP FUNCTION nap CASCADE")
    assert await one.money(ALICE) == (MONEY, 0)
    assert await one.ledger.commit([batch]) == {0}
    assert await one.money(ALICE) == (MONEY + 5, 0)


async def begins(database: str, batch: PartBatch) -> list[str]:
    """With which statements a commit begins what it does: the one for all, a transaction, or both."""
    texts: list[str] = []
    connection = await asyncpg.connect(database, server_settings=WRITER_SETTINGS)
    connection.add_query_logger(lambda record: texts.append(record.query))
    assert await Commit([batch]).attempt(connection, PgStore(database)._database) == {0}
    await connection.close()
    return [text for text in texts if text in (swift.COMMIT, "BEGIN")]


async def test_a_small_plain_batch_is_one_statement_and_any_other_a_transaction(
    one: Storage, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await own(one, "a/1")

    def batch(**rows: object) -> PartBatch:
        made = one.batch(postings=[posting(ALICE, 1, -1, offset=one.partitions[0].next_offset)], **rows)
        one.partitions[0] = one.partitions[0]._replace(next_offset=made.advance.to_offset)
        return made

    monkeypatch.setattr(swift, "MAX_ROWS", 2)
    assert await begins(database, batch()) == [swift.COMMIT]
    assert await begins(database, batch(told=b"one row more")) == ["BEGIN"]
    monkeypatch.setattr(swift, "MAX_ROWS", 100)
    assert await begins(database, batch(told=b"one row more")) == [swift.COMMIT]
    for rare in (
        {"dead_letters": [DEAD]}, {"cancel_marks": [CancelMark(1, 0)]},
        {"lists": [ListRow(1, 0, 1, ALICE, "l", 1, 2, "EXEC_STARTED", START_MS)]},
        {"prevented": [PreventedRow(1, 1, 0, 0, ALICE, 1, 2, 20, 1, 1, 1, START_MS)]},
        {"amendments": [AmendmentRow(0, 1, 0, 1, ALICE, 1, "a", "b", 2, 1, START_MS)]},
    ):  # fmt: skip
        assert await begins(database, batch(**rare)) == ["BEGIN"]


@pytest.mark.parametrize(("meanwhile", "named"), [("epoch = epoch + 1", set()), ("lease_until = lease_until + 1", {0})])
async def test_a_commit_that_had_to_wait_goes_by_what_the_partition_is_then(
    one: Storage, database: str, monkeypatch: pytest.MonkeyPatch, meanwhile: str, named: set[int]
) -> None:
    monkeypatch.setitem(WRITER_SETTINGS, "lock_timeout", "4s")
    await own(one, "a/1")
    batch = one.batch(postings=[posting(ALICE, 5, 0, offset=0)], told=b"told", log_time=START_MS + 7)
    with psycopg.connect(database) as rival:
        rival.execute(f"UPDATE engine_partition SET {meanwhile}".encode())
        commit = asyncio.create_task(one.ledger.commit([batch]))
        await until(database, "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'")
        rival.commit()
    assert await commit == named
    (row,) = await one.ledger.partitions()
    assert (row.next_offset, row.log_time) == ((1, START_MS + 7) if named else (0, 0))
    assert await one.money(ALICE) == (MONEY + 5 * len(named), 0)
    assert ask(database, "SELECT count(*) FROM engine_feed") == [(len(named),)]
