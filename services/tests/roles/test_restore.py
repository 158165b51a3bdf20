"""Holds that a failover lost are put back from the frames, once, and no id is given out again."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import psycopg
import pytest

from outcry.adapters.postgres import PgStore
from outcry.codec import encode_frame
from outcry.market.commands import PlaceOrder
from outcry.market.instrument import Instrument
from outcry.market.terms import BUY, LIMIT
from outcry.ports import Damaged
from outcry.roles.admin.restore import Restored, restore
from outcry.rows import SymbolRow
from tests.support.postgres import DatabaseClock, migrated_database
from tests.support.storage import ALICE, BTC, MONEY, USD, Storage, fund, sqlite_storage

LISTED = Instrument(
    symbol_id=1, symbol="BTCUSD", partition=0, base="BTC", quote="USD", base_asset=BTC, quote_asset=USD,
    tick_size=1_000_000, lot_size=100_000,
)  # fmt: skip


class Failover(Storage):
    """A ledger that can be set back to before its holds."""

    url: str

    async def place(self, name: str, amount: int = 100) -> int:
        """Holds for an order and journals it; returns its id."""
        held = await self.hold(name, amount)
        order = PlaceOrder(
            command_id=0, symbol_id=1, order_id=held.order_id, account=ALICE, client_order_id=name, side=BUY,
            type=LIMIT, qty=5, price=20, held=amount, intake_ms=held.intake_ms, valid_until_ms=held.valid_until_ms,
        )  # fmt: skip
        await self.journal.append([(0, encode_frame([order]))])
        return held.order_id

    def sql(self, text: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as database:
            database.execute(text.encode())

    def lose(self, free: int = MONEY) -> None:
        """As a standby that never heard of the holds."""
        self.sql("DELETE FROM intake; SELECT setval('order_ids', 1)")
        self.sql(f"UPDATE balances SET free = {free}, held = 0 WHERE account_id = {ALICE} AND asset_id = {USD}")

    async def restored(self) -> Restored:
        return await restore(self.ledger, self.journal, lambda line: None)  # type: ignore[arg-type]


@pytest.fixture
async def failover(tmp_path: Path) -> AsyncIterator[Failover]:
    async with sqlite_storage(tmp_path) as beside:
        with migrated_database() as url:
            clock, store = DatabaseClock(url), PgStore(url)
            await store.open()
            try:
                opened = Failover(beside.journal, store.ledger, store.lease, clock)
                opened.url = url
                await fund(opened)
                await opened.own(0)
                listing = SymbolRow(1, 0, 0, 0, 0, 0, 0, 0, 0, msgspec.msgpack.encode(LISTED), b"")
                await opened.commit(opened.batch(records=0, symbols=[listing]))
                yield opened
            finally:
                await store.close()
                clock.close()


async def test_lost_holds_are_put_back_from_the_frames_and_only_once(failover: Failover) -> None:
    ids = [await failover.place(name, amount) for name, amount in (("a", 100), ("b", 250))]
    before = await failover.ledger.open_targets(ALICE, None)
    failover.lose()
    assert await failover.ledger.open_targets(ALICE, None) == []
    assert await failover.restored() == Restored(looked_at=2, put_back=2)
    after = await failover.ledger.open_targets(ALICE, None)
    assert [row.order_id for row in after] == ids
    assert [row._replace(body=b"") for row in after] == [row._replace(body=b"") for row in before]
    assert await failover.money(ALICE) == (MONEY - 350, 350)
    assert await failover.restored() == Restored(looked_at=2, put_back=0)
    assert await failover.money(ALICE) == (MONEY - 350, 350)


async def test_no_id_in_the_journal_is_given_out_again(failover: Failover) -> None:
    last = [await failover.place(name) for name in "abc"][-1]
    failover.lose()
    await failover.restored()
    assert (await failover.hold("new")).order_id > last


async def test_holds_without_the_money_for_them_are_refused_whole(failover: Failover) -> None:
    await failover.place("a", 100)
    await failover.place("b", 250)
    failover.lose(free=300)
    with pytest.raises(Damaged, match="Deposit what the account lacks"):
        await failover.restored()
    assert await failover.ledger.open_targets(ALICE, None) == []
    assert await failover.money(ALICE) == (300, 0)
