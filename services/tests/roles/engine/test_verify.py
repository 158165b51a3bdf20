"""A sound ledger proves itself; any row that is changed, added or removed is found."""

import sqlite3
from pathlib import Path

import pytest

from outcry.adapters.sqlite import Store
from outcry.codec import encode_frame
from outcry.market.commands import Tick
from outcry.market.terms import STOP_LOSS_LIMIT
from outcry.roles.engine.replay import replay
from outcry.roles.engine.verify import verify
from tests.support.engine_room import BEN, EngineRoom, engine_room

TAMPERED = {
    "a price of a trade": "UPDATE trades SET price = price + 1 WHERE trade_id = 2",
    "a trade is gone": "DELETE FROM trades WHERE trade_id = 3",
    "a fee is kept": "UPDATE trades SET taker_fee = 0 WHERE trade_id = 1",
    "a posting is doubled": "UPDATE postings SET free_delta = 5 WHERE idx = (SELECT max(idx) FROM postings)",
    "a posting is gone": "DELETE FROM postings WHERE idx IN (SELECT min(idx) FROM postings)",
    "an open order is larger": "UPDATE orders SET qty = qty + 1 WHERE open = 1",
    "a closed order was filled less": "UPDATE orders SET executed = executed - 1 WHERE open = 0 AND executed > 0",
    "an order lost its place": "UPDATE orders SET priority_seq = priority_seq + 900 WHERE open = 1 AND symbol_id = 1",
    "a counter went back": "UPDATE symbol_state SET update_id = update_id - 1 WHERE symbol_id = 1",
    "the offset is ahead": "UPDATE engine_partition SET log_time = log_time + 1 WHERE part = 0",
    "the log was changed": "UPDATE journal SET timestamp_ms = timestamp_ms + 1 WHERE place = 3",
    "money appeared": "UPDATE balances SET free = free + 1 WHERE account_id = 1001",
    "a hold was lost": "UPDATE balances SET held = 0, free = free + held WHERE account_id = 1001 AND held > 0",
    "an intake row is gone": "DELETE FROM intake WHERE order_id IN (SELECT order_id FROM orders WHERE open = 1)",
    "a deposit nobody made": "INSERT INTO transfers SELECT 9999, 0, 1001, asset_id, 5, 'x', 'y' FROM assets LIMIT 1",
}


async def busy(room: EngineRoom) -> None:
    for n in range(5):
        await room.place(room.order(f"buy 3@{1000 + n}"), room.order("sell 2@1000", BEN))
    await room.place(room.order("buy 1@2000", type=STOP_LOSS_LIMIT, stop_price=1900))
    await room.place(room.order("buy 5@900", part=1))
    await room.keeper.fold_now()
    await room.engine.stop()


def silent(text: str) -> None:
    """Shows no progress."""


@pytest.mark.parametrize("what", TAMPERED)
async def test_a_ledger_that_was_tampered_with_is_found_out(tmp_path: Path, what: str) -> None:
    async with engine_room(tmp_path, partitions=2) as room:
        await busy(room)
        assert (await room.verify()).problems == []
        copy = tmp_path / "copy.db"
        with sqlite3.connect(tmp_path / "outcry.db") as source, sqlite3.connect(copy) as target:
            source.backup(target)
            assert target.execute(TAMPERED[what]).rowcount > 0
        source.close()
        target.close()
        store = Store(copy, clock=room.clock, read_only=True)
        store.open()
        try:
            report = await verify(store.ledger, store.journal, silent)
        finally:
            store.close()
        assert report.problems, what


async def test_a_running_exchange_can_be_verified_and_replayed(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        await room.place(room.order("buy 3@1000"), room.order("sell 2@1000", BEN))
        await room.assert_sound()
        ((line, equal),) = await replay(room.store.ledger, room.store.journal, 0, silent)
        assert equal and line.endswith("equal to the ledger") and line.startswith("partition 0: records 0 to ")
        assert await replay(room.store.ledger, room.store.journal, 5, silent) == []


async def test_a_journal_that_is_gone_before_its_checkpoint_is_a_finding(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        await room.place(room.order("buy 3@1000"), room.order("sell 2@1000", BEN))
        await room.store.journal.trim(0, 2)
        report = await room.verify()
        assert any("no checkpoint reaches it" in problem for problem in report.problems)
        await room.keeper.checkpoint_all()
        await room.store.journal.append([(0, encode_frame([Tick(command_id=0, symbol_id=0)]))])
        await room.caught_up()
