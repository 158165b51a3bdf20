"""What was told is kept beside its rows for a while, for a feed that has lost it."""

from collections.abc import AsyncIterator

import pytest

from outcry.adapters.postgres import PgStore
from outcry.feedcodec import encode_publication
from outcry.ports import MarketUpdate, Publication
from tests.support.postgres import DatabaseClock, migrated_database
from tests.support.storage import Storage


class Told(Storage):
    """A ledger whose batches tell something."""

    store: PgStore

    async def tell(self, first: int, last: int, symbol: int = 1) -> None:
        update = MarketUpdate(
            symbol_id=symbol, part=0, epoch=1, first_seq=first, last_seq=last, first_u=first, last_u=last, time_ms=last,
            levels=((1, 100, last),),
        )  # fmt: skip
        await self.commit(self.batch(told=encode_publication(Publication(updates=(update,)))))

    async def lacks(self, after_seq: int, symbol: int = 1) -> list[tuple[int, int]]:
        found = await self.store.backlog.missing(0, symbol, after_seq)
        return [(each.updates[0].first_seq, each.updates[0].last_seq) for each in found]


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    with migrated_database() as url:
        clock, store = DatabaseClock(url), PgStore(url)
        await store.open()
        try:
            opened = Told(None, store.ledger, store.lease, clock)  # type: ignore[arg-type]
            opened.store = store
            await opened.own(0)
            yield opened
        finally:
            await store.close()
            clock.close()


async def test_a_feed_gets_what_it_lacks_of_a_symbol_in_order(told: Told) -> None:
    for first, last, symbol in ((1, 3, 1), (1, 2, 2), (4, 4, 1), (5, 9, 1)):
        await told.tell(first, last, symbol)
    assert await told.lacks(0) == [(1, 3), (4, 4), (5, 9)]
    assert await told.lacks(3) == [(4, 4), (5, 9)]
    assert await told.lacks(9) == []
    assert await told.lacks(0, symbol=2) == [(1, 2)]


async def test_a_batch_that_was_not_committed_told_nothing(told: Told) -> None:
    await told.tell(1, 3)
    stale = told.batch(told=b"never")
    stale = stale._replace(advance=stale.advance._replace(epoch=99))
    assert await told.ledger.commit([stale]) == set()
    assert await told.lacks(0) == [(1, 3)]


async def test_what_was_told_is_kept_for_a_minute(told: Told) -> None:
    await told.tell(1, 3)
    told.clock.ms += 40_000
    await told.tell(4, 4)
    await told.ledger.sweep_intake(0)
    assert await told.lacks(0) == [(1, 3), (4, 4)]
    told.clock.ms += 40_000
    await told.ledger.sweep_intake(0)
    assert await told.lacks(0) == [(4, 4)]
