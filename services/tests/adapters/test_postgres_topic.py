"""The ledger belongs to one topic: another one of the same name has other records."""

from outcry.adapters.postgres import PgStore
from tests.support.postgres import migrated_database

FIRST, SECOND = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"


async def test_a_topic_that_was_made_anew_halts_its_partitions_and_no_others() -> None:
    with migrated_database() as url:
        store = PgStore(url)
        await store.open()
        try:
            assert await store.note_topic(FIRST, 2) == []
            assert [row.part for row in await store.ledger.partitions()] == [0, 1]
            assert await store.note_topic(FIRST, 2) == []
            assert await store.note_topic(SECOND, 3) == [0, 1]
            rows = await store.ledger.partitions()
            assert [(row.part, row.status) for row in rows] == [(0, "HALT"), (1, "HALT"), (2, "RUN")]
            assert "created again" in (rows[0].halt_reason or "")
            assert await store.lease.takeover(0, "engine/1") is None
        finally:
            await store.close()
