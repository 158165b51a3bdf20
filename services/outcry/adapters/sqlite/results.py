"""The engine's side of the ledger: results and offset in one transaction, and the way back from them."""

import asyncio
import json
import operator
import sqlite3
from collections.abc import Sequence
from itertools import chain

from outcry.adapters.sqlite.bulk import Bulk, as_json, insert, update, upsert
from outcry.adapters.sqlite.file import OnFile
from outcry.adapters.sqlite.lease import LEASE_MS
from outcry.adapters.sqlite.memory import Fence
from outcry.adapters.sqlite.rowtext import (
    AMENDMENT,
    CANDLE,
    LIST,
    ORDER,
    PARTITION,
    PREVENTED,
    SYMBOL,
    TRADE,
    read_candles,
    read_ids,
    read_lists,
    read_orders,
)
from outcry.adapters.sqlite.statements import statement
from outcry.adapters.sqlite.writer import Work
from outcry.ports import Damaged, IntakeMissing, Restoring
from outcry.rows import (
    CandleRow,
    Checkpoint,
    DeadLetter,
    OrderRow,
    PartBatch,
    PartitionRow,
    PartState,
    PostingRow,
    SymbolRow,
)

LOAD_ORDERS = 10_000  # order rows per query of a load
STORED_INTERVALS = (60_000, 3_600_000, 86_400_000)

FENCE_COLUMNS = (
    "part",
    "epoch",
    "from_offset",
    "next_offset",
    "log_time",
    "rules_version",
    "event_seq",
    "state_hash",
    "log_hash",
    "tail_hash",
)
# What an order may change after it was placed; its terms and its name stand apart.
CHANGING = (
    "price",
    "qty",
    "quote_qty",
    "stop_price",
    "iceberg_qty",
    "status",
    "executed",
    "cum_quote",
    "held",
    "visible",
    "prevented",
    "stage",
    "trail_ref",
    "priority_seq",
    "list_id",
    "updated_ms",
    "working_ms",
    "code",
    "text",
    "open",
)

ADVANCE = Bulk(
    "UPDATE engine_partition SET "
    + ", ".join(f"{name} = given.column{place}" for place, name in enumerate(FENCE_COLUMNS, start=1) if place > 3)
    + ", lease_until = given.column11 FROM ",
    11,
    " AS given WHERE part = given.column1 AND epoch = given.column2 AND next_offset = given.column3 AND status = 'RUN'",
)
PUT_ORDERS = insert("orders", ORDER)
CHANGE_ORDERS = update("orders", "order_id", CHANGING)
PUT_TRADES = insert("trades", TRADE)
PUT_POSTINGS = insert("postings", PostingRow._fields)
PUT_PREVENTED = insert("prevented", PREVENTED)
PUT_AMENDMENTS = insert("amendments", AMENDMENT)
PUT_LISTS = upsert("lists", LIST, ("list_id",))
PUT_SYMBOLS = upsert("symbol_state", SYMBOL, ("symbol_id",))
PUT_CANDLES = upsert("candles", CANDLE, ("symbol_id", "interval_ms", "open_ms"))
PUT_DEAD = insert("dead_letter", DeadLetter._fields)
MARK_APPLIED = Bulk(
    "UPDATE intake SET applied_offset = given.column4, open = given.column5 FROM ",
    5,
    " AS given WHERE order_id = given.column1 AND part = given.column2 AND held = given.column3"
    " AND applied_offset IS NULL",
)
MARK_CANCEL = Bulk(
    "UPDATE intake SET cancel_offset = given.column2 FROM ",
    2,
    " AS given WHERE order_id = given.column1 AND applied_offset IS NULL AND cancel_offset IS NULL",
)
RENAMED = Bulk(
    "SELECT json_group_array(json_array(given.column1, given.column2)) FROM ",
    2,
    " AS given CROSS JOIN orders ON order_id = given.column1 AND client_order_id <> given.column2",
)
CHARTED = statement("charted_symbols")
CHECKPOINT = Checkpoint._fields

OPEN_IDS = "SELECT json_group_array(order_id) FROM orders INDEXED BY orders_open WHERE open = 1 AND part = ?"
OPEN_ORDERS = as_json(ORDER, "FROM orders WHERE order_id IN (SELECT value FROM json_each(?))")


class RowRefused(IntakeMissing):
    """A row of the batch contradicts what the ledger holds: as with a missing intake row, its partition must halt."""


class ResultBook(OnFile):
    """Keeps ``ports.EngineLedger``."""

    async def commit(self, parts: Sequence[PartBatch]) -> set[int]:
        return await self._writer.do(lambda work: _commit(work, parts))

    async def load(self, part: int, to: Restoring | None = None) -> PartState:
        state = await self._reader.ask(lambda db: _load(db, part))
        return state if to is None else await asyncio.to_thread(_hand_on, state, to)

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        text = f"REPLACE INTO checkpoints ({','.join(CHECKPOINT)}) VALUES ({','.join('?' * len(CHECKPOINT))})"
        await self._writer.do(lambda work: work.db.execute(text, checkpoint).rowcount)

    async def checkpoints(self, part: int) -> list[Checkpoint]:
        """Oldest first."""
        text = f"SELECT {','.join(CHECKPOINT)} FROM checkpoints WHERE part = ? ORDER BY next_offset"
        return await self._reader.ask(lambda db: [Checkpoint(*row) for row in db.execute(text, (part,)).fetchall()])

    async def drop_checkpoints(self, part: int, before_offset: int) -> int:
        """Deletes the checkpoints before an offset; returns how many."""
        text = "DELETE FROM checkpoints WHERE part = ? AND next_offset < ?"
        return await self._writer.do(lambda work: work.db.execute(text, (part, before_offset)).rowcount)


def _commit(work: Work, parts: Sequence[PartBatch]) -> set[int]:
    fences = work.memory.fences(work.db)
    named = {batch.advance.part for batch in parts if _passes(fences.get(batch.advance.part), batch)}
    if len(named) < len(parts):
        return named
    until = work.now_ms + LEASE_MS
    if ADVANCE.run(work.db, [(*batch.advance, until) for batch in parts]) != len(parts):
        raise Damaged("The partitions' rows are not what the writer knows. Restart the exchange.")
    for part, epoch, _, to_offset, log_time, *_ in (batch.advance for batch in parts):
        fences[part] = Fence(epoch, to_offset, log_time, running=True)
    _mark_intake(work.db, parts)
    try:
        _put_rows(work.db, parts)
    except (sqlite3.IntegrityError, OverflowError) as error:
        raise RowRefused(f"partitions {sorted(named)}: the ledger refuses a row: {error}") from error
    return named


def _passes(fence: Fence | None, batch: PartBatch) -> bool:
    """The compare-and-set; nothing can come between, for this thread alone writes."""
    advance = batch.advance
    return fence is not None and fence[:2] == (advance.epoch, advance.from_offset) and fence.running


def _mark_intake(db: sqlite3.Connection, parts: Sequence[PartBatch]) -> None:
    marks = list(chain.from_iterable(batch.intake_marks for batch in parts))
    if marks and MARK_APPLIED.run(db, marks) != len(marks):
        raise IntakeMissing(_missing(db, parts))
    closed = list(chain.from_iterable(batch.intake_closed for batch in parts))
    if closed:
        db.execute(
            "UPDATE intake SET open = 0 WHERE order_id IN (SELECT value FROM json_each(?))", (json.dumps(closed),)
        )
    cancels = list(chain.from_iterable(batch.cancel_marks for batch in parts))
    if cancels:
        MARK_CANCEL.run(db, cancels)


def _missing(db: sqlite3.Connection, parts: Sequence[PartBatch]) -> str:
    """Which partition's marks found no row: those whose mark did not arrive are the ones."""
    for batch in parts:
        for mark in batch.intake_marks:
            row = db.execute(
                "SELECT part, held, applied_offset FROM intake WHERE order_id = ?", (mark.order_id,)
            ).fetchone()
            if row != (mark.part, mark.held, mark.applied_offset):
                found = "no row" if row is None else f"partition {row[0]}, hold {row[1]}, applied at {row[2]}"
                return (
                    f"partition {mark.part}: order {mark.order_id} has its first outcome at offset"
                    f" {mark.applied_offset} with a hold of {mark.held}, but its intake says: {found}"
                )
    return "one order has two first outcomes in one batch"


def _put_rows(db: sqlite3.Connection, parts: Sequence[PartBatch]) -> None:
    orders = list(chain.from_iterable(batch.new_orders for batch in parts))
    if orders:
        PUT_ORDERS.run(db, orders)
    _change_orders(db, list(chain.from_iterable(batch.touched_orders for batch in parts)))
    for put, rows in (
        (PUT_TRADES, [row for batch in parts for row in batch.trades]),
        (PUT_POSTINGS, [row for batch in parts for row in batch.postings]),
        (PUT_PREVENTED, [row for batch in parts for row in batch.prevented]),
        (PUT_AMENDMENTS, [row for batch in parts for row in batch.amendments]),
        (PUT_LISTS, [row for batch in parts for row in batch.lists]),
        (PUT_SYMBOLS, [row for batch in parts for row in batch.symbols]),
        (PUT_CANDLES, [row for batch in parts for row in batch.candles]),
        (PUT_DEAD, [row for batch in parts for row in batch.dead_letters]),
    ):
        if rows:
            put.run(db, rows)


def _change_orders(db: sqlite3.Connection, touched: Sequence[OrderRow]) -> None:
    if not touched:
        return
    if CHANGE_ORDERS.run(db, [_changed(row) for row in touched]) != len(touched):
        raise RowRefused(f"partition {touched[0].part} changes an order that is not in the ledger")
    names = [(row.order_id, row.client_order_id) for row in touched]
    for text in RENAMED.ask(db, names):
        for order_id, name in json.loads(text):
            # The name may have been taken in between: the order keeps its old one at intake then.
            db.execute("UPDATE OR IGNORE intake SET client_order_id = ? WHERE order_id = ?", (name, order_id))
            db.execute("UPDATE orders SET client_order_id = ? WHERE order_id = ?", (name, order_id))


_changed = operator.itemgetter(*(ORDER.index(name) for name in ("order_id", *CHANGING)))


def _hand_on(state: PartState, to: Restoring) -> PartState:
    rest = state._replace(orders=[])
    to.begin(rest)
    to.go_on(state.orders)
    return rest


def _load(db: sqlite3.Connection, part: int) -> PartState:
    row = db.execute(f"SELECT {','.join(PARTITION)} FROM engine_partition WHERE part = ?", (part,)).fetchone()
    if row is None:
        raise Damaged(f"Partition {part} has no row: it must be taken over before it is loaded.")
    partition = PartitionRow(*row)
    symbols = db.execute(
        f"SELECT {','.join(SYMBOL)} FROM symbol_state WHERE part = ? ORDER BY symbol_id", (part,)
    ).fetchall()
    lists = as_json(LIST, "FROM lists WHERE part = ? AND status <> 'ALL_DONE' ORDER BY list_id")
    applied = db.execute(
        "SELECT order_id, valid_until_ms FROM intake WHERE part = ? AND applied_offset >= 0 AND valid_until_ms >= ?"
        " ORDER BY order_id",
        (part, partition.log_time),
    ).fetchall()
    marks = db.execute(
        "SELECT order_id FROM intake INDEXED BY intake_unapplied WHERE part = ? AND applied_offset IS NULL"
        " AND cancel_offset IS NOT NULL ORDER BY order_id",
        (part,),
    ).fetchall()
    skips = db.execute(
        "SELECT log_offset, idx, reason FROM engine_skip WHERE part = ? ORDER BY 1, 2", (part,)
    ).fetchall()
    return PartState(
        partition,
        [SymbolRow(*symbol) for symbol in symbols],
        _open_orders(db, part),
        read_lists(db.execute(lists, (part,)).fetchone()[0]),
        [candle for (symbol_id,) in db.execute(CHARTED, (part,)) for candle in _newest_candles(db, symbol_id)],
        applied,
        [order_id for (order_id,) in marks],
        skips,
    )


def _open_orders(db: sqlite3.Connection, part: int) -> list[OrderRow]:
    """By symbol and priority, as the book wants them."""
    ids = sorted(read_ids(db.execute(OPEN_IDS, (part,)).fetchone()[0]))
    rows: list[OrderRow] = []
    for start in range(0, len(ids), LOAD_ORDERS):
        chunk = json.dumps(ids[start : start + LOAD_ORDERS])
        rows += read_orders(db.execute(OPEN_ORDERS, (chunk,)).fetchone()[0])
    rows.sort(key=lambda row: (row.symbol_id, row.priority_seq, row.order_id))
    return rows


def _newest_candles(db: sqlite3.Connection, symbol_id: int) -> list[CandleRow]:
    source = "FROM candles WHERE symbol_id = ? AND interval_ms = ? ORDER BY open_ms DESC LIMIT 1"
    found: list[CandleRow] = []
    for interval_ms in STORED_INTERVALS:
        found += read_candles(db.execute(as_json(CANDLE, source), (symbol_id, interval_ms)).fetchone()[0])
    return found
