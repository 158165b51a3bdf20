"""A sound ledger proves itself; any row that is changed, added or removed is found."""

import asyncio
import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from outcry.adapters.sqlite import Store
from outcry.codec import encode_frame
from outcry.market.commands import AmendOrder, Tick
from outcry.market.terms import STOP_LOSS_LIMIT
from outcry.ports import Clock
from outcry.roles.engine.keeper import Keeper
from outcry.roles.engine.replay import replay
from outcry.roles.engine.verify import verify
from outcry.rows import Record
from outcry.settings import Settings
from tests.support.engine_room import ANN, BEN, EngineRoom, engine_room
from tests.support.pg_room import PgRoom

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
# Each is seen by one check alone, which says so.
NAMED = {
    "a candle is higher": ("UPDATE candles SET high = high + 1 WHERE interval_ms = 60000", "a candle differs"),
    "a day's candle has more trades": ("UPDATE candles SET trades = 99 WHERE interval_ms = 86400000", "trades is 99"),
    "a candle is gone": ("DELETE FROM candles WHERE interval_ms = 3600000", "1 candle rows where the ledger has 0"),
    "a candle of no trade": (
        "INSERT INTO candles SELECT 2, interval_ms, open_ms, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1 FROM candles"
        " WHERE symbol_id = 1",
        "0 candle rows where the ledger has 1",
    ),
    "a dead letter is gone": ("DELETE FROM dead_letter", "1 dead letter rows where the ledger has 0"),
    "a dead letter of no record": (
        "INSERT INTO dead_letter SELECT part, 3, '', record FROM dead_letter",
        "dead letter",
    ),
    "a dead letter says something else": ("UPDATE dead_letter SET record = x'00'", "a dead letter differs"),
    "an amend is gone": ("DELETE FROM amendments", "1 amendment rows where the ledger has 0"),
    "an amend nobody made": (
        "INSERT INTO amendments SELECT part, execution_id + 900, 3, symbol_id, account_id, order_id, 'a', 'b', 9, 8,"
        " time_ms FROM amendments",
        "amendment",
    ),
    "an amend of more": ("UPDATE amendments SET old_qty = old_qty + 1", "an amendment differs"),
    "an ignored order was filled": ("UPDATE orders SET executed = 1 WHERE applied_offset = -1", "never reached the"),
    "an ignored order is forgotten": ("DELETE FROM orders WHERE applied_offset = -1", "has no outcome"),
    "an outcome nobody asked for": (
        "INSERT INTO orders SELECT order_id + 900, part, symbol_id, account_id, client_order_id, side, type,"
        " tif, price, qty, quote_qty, stop_price, trail_bps, iceberg_qty, stp, status, executed, cum_quote, held,"
        " visible, prevented, stage, trail_ref, priority_seq, list_id, maker_ppm, taker_ppm, strategy_id,"
        " strategy_type, placed_ms, updated_ms, working_ms, applied_offset, code, text, open FROM orders"
        " WHERE open = 0 AND applied_offset >= 0 LIMIT 1",
        "the ledger has outcomes of",
    ),
    "intake tells another outcome": (
        "UPDATE intake SET applied_offset = applied_offset + 1 WHERE open = 0 AND applied_offset > 0",
        "another at intake",
    ),
    "an outcome is known at intake alone": (
        "INSERT INTO intake SELECT 900, part, account_id, symbol_id, asset_id, 0, 'x', body, intake_ms, valid_until_ms,"
        " applied_offset, NULL, -1, 0 FROM intake WHERE applied_offset >= 0 LIMIT 1",
        "order 900 has one outcome among the orders and another at intake",
    ),
}


async def busy(room: EngineRoom) -> None:
    for n in range(5):
        await room.place(room.order(f"buy 3@{1000 + n}"), room.order("sell 2@1000", BEN))
    await room.place(room.order("buy 1@2000", type=STOP_LOSS_LIMIT, stop_price=1900))
    await room.store.journal.append([(0, b"no frame")])
    (late,) = await room.hold(room.order("buy 1@950"), window_ms=1)
    await asyncio.sleep(0.005)
    await room.journal([late])
    await room.place(room.order("buy 5@900", part=1), room.order("buy 1@940"))
    assert await room.store.ledger.void(0) == [late.order_id]
    (thick,) = await room.place(room.order("buy 5@900"))
    await room.send(
        AmendOrder(
            command_id=room.number(), symbol_id=1, account=ANN, order_id=thick.orders[0].order_id, qty=3,
            new_client_id="thin",
        )
    )  # fmt: skip
    await room.keeper.fold_now()
    await room.engine.stop()


def silent(text: str) -> None:
    """Shows no progress."""


async def proven_after(room: EngineRoom, change: str) -> list[str]:
    """The problems that are found in a copy of the room's file after a change."""
    copy = room.folder / "copy.db"
    with sqlite3.connect(room.folder / "outcry.db") as source, sqlite3.connect(copy) as target:
        source.backup(target)
        assert target.execute(change).rowcount > 0
    source.close()
    target.close()
    store = Store(copy, clock=room.clock, read_only=True)
    store.open()
    try:
        return (await verify(store.ledger, store.journal, silent)).problems
    finally:
        store.close()


@pytest.mark.parametrize("what", TAMPERED)
async def test_a_ledger_that_was_tampered_with_is_found_out(tmp_path: Path, what: str) -> None:
    async with engine_room(tmp_path, partitions=2) as room:
        await busy(room)
        assert (await room.verify()).problems == []
        assert await proven_after(room, TAMPERED[what]), what


@pytest.mark.parametrize("what", NAMED)
async def test_what_only_one_check_can_see_is_named(tmp_path: Path, what: str) -> None:
    change, words = NAMED[what]
    async with engine_room(tmp_path, partitions=2) as room:
        await busy(room)
        problems = await proven_after(room, change)
        assert problems and all(words in problem for problem in problems), problems


# What a database says in other words than a file.
IN_A_DATABASE = {
    "a deposit nobody made": "INSERT INTO transfers OVERRIDING SYSTEM VALUE"
    " SELECT 9999, 0, 1001, asset_id, 5, 'x', 'y' FROM assets LIMIT 1",
    "a dead letter says something else": r"UPDATE dead_letter SET record = '\x00'",
    "an outcome nobody asked for": NAMED["an outcome nobody asked for"][0].replace("open FROM", "open, 0 FROM"),
}
TOUCHED = re.compile("(?:UPDATE|INTO|FROM) ([a-z_]+)")


def changed(database: psycopg.Connection[Any], change: str) -> str:
    """Makes a change and remembers what the table was; returns the table."""
    match = TOUCHED.search(change)
    assert match is not None
    table = match[1]
    database.execute(f"CREATE TABLE was AS TABLE {table}".encode())
    assert database.execute(change.encode()).rowcount > 0
    return table


def undo(database: psycopg.Connection[Any], table: str) -> None:
    database.execute(f"DELETE FROM {table}".encode())
    database.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE was".encode())
    database.execute(b"DROP TABLE was")


async def test_whatever_is_changed_in_a_database_is_found_out(tmp_path: Path) -> None:
    changes = {what: (change, "") for what, change in TAMPERED.items() if "journal" not in change} | NAMED
    async with engine_room(tmp_path, partitions=2, kind=PgRoom) as room:
        await busy(room)
        assert isinstance(room, PgRoom) and (await room.verify()).problems == []
        unseen = []
        with psycopg.connect(room.url, autocommit=True) as database:
            for what, (change, words) in changes.items():
                table = changed(database, IN_A_DATABASE.get(what, change))
                problems = (await room.verify()).problems
                if not problems or not all(words in problem for problem in problems):
                    unseen.append((what, problems))
                undo(database, table)
        assert unseen == []


class Ahead:
    """The clock of a later hour."""

    def __init__(self, clock: Clock, hours: int) -> None:
        self._clock, self._ms = clock, hours * 3_600_000

    def now_ms(self) -> int:
        return self._clock.now_ms() + self._ms

    def now_us(self) -> int:
        return self.now_ms() * 1000


async def test_candles_of_earlier_hours_and_between_two_trades_are_proven(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        for hours in (2, 2, 30):
            await room.place(room.order("buy 3@1000"), room.order("sell 3@1000", BEN))
            room.clock = Ahead(room.clock, hours)  # type: ignore[assignment]
            await room.crash()
            await room.start()
        await room.place(room.order("buy 3@1000"), room.order("sell 3@1000", BEN))
        hour = "FROM candles WHERE interval_ms = 3600000 ORDER BY open_ms LIMIT 1 OFFSET"
        earlier = f"UPDATE candles SET close = 7 WHERE (interval_ms, open_ms) IN (SELECT interval_ms, open_ms {hour} 1)"
        assert any("close is 7" in problem for problem in await proven_after(room, earlier))
        for place, counts in ((1, "3 candle rows where the ledger has 4"), (2, "0 candle rows where the ledger has 1")):
            extra = f"INSERT INTO candles SELECT 1, interval_ms, open_ms + 3600000,1,1,1,1,1,1,1,0,0,1,1 {hour} {place}"
            assert any(counts in problem for problem in await proven_after(room, extra))
        await room.keeper.checkpoint_all()
        kept = await room.store.ledger.checkpoints(0)
        await room.store.ledger.drop_checkpoints(0, kept[-1].next_offset)
        newest = "UPDATE candles SET low = 0 WHERE open_ms IN (SELECT max(open_ms) FROM candles)"
        assert any("low is 0" in problem for problem in await proven_after(room, newest))


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


class RetainingJournal:
    """A journal whose keeper throws old records away when it is first read."""

    def __init__(self, room: EngineRoom) -> None:
        self._room = room
        self.retained = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._room.store.journal, name)

    async def read(self, positions: Mapping[int, int], max_records: int, wait_seconds: float) -> list[Record]:
        if not self.retained:
            self.retained = True
            settings = Settings(journal_max_bytes=1)
            room = self._room
            keeper = Keeper(
                ledger=room.store.ledger, journal=room.store.journal, clock=room.clock, partitions=room.partitions,
                settings=settings,
            )  # fmt: skip
            await keeper._retain(0)
        return await self._room.store.journal.read(positions, max_records, wait_seconds)


async def test_retention_in_the_middle_of_a_replay_is_no_finding(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        await room.place(room.order("buy 3@1000"), room.order("sell 3@1000", BEN))
        await room.keeper.checkpoint_all()
        await room.place(room.order("buy 3@1000"), room.order("sell 3@1000", BEN))
        await room.keeper.fold_now()
        journal = RetainingJournal(room)
        report = await verify(room.store.ledger, journal, silent)  # type: ignore[arg-type]
        assert journal.retained and (await room.store.journal.first_offsets())[0] > 0
        assert report.problems == []
