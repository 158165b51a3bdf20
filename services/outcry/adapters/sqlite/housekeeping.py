"""Money that moves without the engine, and rows whose time is over."""

import json
import sqlite3
from collections.abc import Sequence
from functools import partial

from outcry.adapters.pending import VOIDED_MS, voided_order
from outcry.adapters.positions import decode_instrument
from outcry.adapters.sqlite.bulk import as_json
from outcry.adapters.sqlite.file import OnFile
from outcry.adapters.sqlite.openings import carry_over
from outcry.adapters.sqlite.results import PUT_ORDERS
from outcry.adapters.sqlite.rowtext import INTAKE, TRADE, read_trades
from outcry.adapters.sqlite.seek import first_record_since, first_trade_at, record_time
from outcry.adapters.sqlite.statements import statement
from outcry.adapters.sqlite.writer import Work
from outcry.rows import IntakeRow

VOID_ORDERS = 1000  # orders voided per call
SWEEP_ROWS = 5000  # intake rows deleted per call
MAX_FOLD = 1 << 30  # postings, where somebody needs them all
RETAIN_ROWS = 5000  # rows deleted per transaction of retain
RETAIN_TRADES = 1000  # trades, which are also counted into positions

VOIDABLE = (
    f"SELECT {','.join(INTAKE)} FROM intake INDEXED BY intake_unapplied"
    " WHERE part = ? AND applied_offset IS NULL AND valid_until_ms < ? ORDER BY valid_until_ms LIMIT ?"
)
NOTE_VOIDED = "INSERT INTO voided (time_ms, account_id, order_id) VALUES (?, ?, ?)"
# The newest stays, so that numbers are never used twice.
SWEEP_VOIDED = "DELETE FROM voided WHERE time_ms < ? AND number < (SELECT max(number) FROM voided)"
UNFOLDED = (
    "SELECT json_group_array(json_array(account_id, asset_id, free_delta, held_delta, legs)) FROM"
    " (SELECT account_id, asset_id, sum(free_delta) AS free_delta, sum(held_delta) AS held_delta, count(*) AS legs"
    "  FROM postings WHERE part = ? AND log_offset >= ? AND log_offset < ?"
    "  GROUP BY account_id, asset_id ORDER BY account_id, asset_id)"
)
OLDEST_TRADES = as_json(TRADE, "FROM trades WHERE symbol_id = ? AND trade_id < ? ORDER BY trade_id LIMIT ?")
DROP_PREVENTED = statement("drop_prevented")


class HousekeepingBook(OnFile):
    """Keeps ``ports.Housekeeping``."""

    async def fold(self, parts: Sequence[int], max_postings: int = 5000) -> int:
        return await self._writer.do(lambda work: sum(fold_in(work, part, max_postings) for part in parts))

    async def void(self, part: int) -> list[int]:
        return await self._writer.do(lambda work: _void(work, part))

    async def sweep_intake(self, part: int) -> int:
        """Also drops idempotency keys that have expired, and notes of voided orders that everybody was told of."""
        return await self._writer.do(lambda work: _sweep(work, part))

    async def retain(self, part: int, trades_before_ms: int, keep_offset: int) -> int:
        """Closed orders, amendments and self-trade preventions of that age go too. The newest order always stays,
        and of every order that stays its last prevention. Deleted trades stay in their accounts' positions.

        A replay starts at ``keep_offset`` from now on: checkpoints before it go first.
        """
        age = (trades_before_ms, keep_offset)
        await self._writer.do(partial(_retain_checkpoints, part=part, before_offset=keep_offset))
        deleted = 0
        for job in (_retain_trades, _retain_postings, _retain_prevented, _retain_amendments):
            while count := await self._writer.do(partial(job, part=part, age=age)):
                deleted += count
        order_id: int | None = 0
        while order_id is not None:
            orders = partial(_retain_orders, part=part, age=age, from_id=order_id)
            count, order_id = await self._writer.do(orders)
            deleted += count
        return deleted


def folded_to(db: sqlite3.Connection, part: int) -> int:
    """The offset before which the partition's postings are in the balances."""
    row = db.execute("SELECT log_offset FROM folded WHERE part = ?", (part,)).fetchone()
    return int(row[0]) if row else 0


def fold_in(work: Work, part: int, max_postings: int = MAX_FOLD) -> int:
    """Sums the partition's next postings into the balances, within a transaction; returns how many."""
    db, purse = work.db, work.memory.purse
    fence = work.memory.fences(db).get(part)
    start = folded_to(db, part)
    if fence is None or start >= fence.next_offset:
        return 0
    beyond = db.execute(
        "SELECT log_offset FROM postings WHERE part = ? AND log_offset >= ? ORDER BY log_offset LIMIT 1 OFFSET ?",
        (part, start, max_postings),
    ).fetchone()
    # A record is folded whole, so that one offset says all; one record alone may exceed the bound.
    stop = min(max(beyond[0], start + 1), fence.next_offset) if beyond else fence.next_offset
    sums = json.loads(db.execute(UNFOLDED, (part, start, stop)).fetchone()[0])
    purse.load(db, [(account, asset) for account, asset, _, _, _ in sums])
    for account, asset, free, held, _ in sums:
        purse.move((account, asset), free, held)
    db.execute("REPLACE INTO folded VALUES (?, ?)", (part, stop))
    return sum(legs for *_, legs in sums)


def _void(work: Work, part: int) -> list[int]:
    db, purse = work.db, work.memory.purse
    fence = work.memory.fences(db).get(part)
    if fence is None:
        return []
    rows = [IntakeRow(*row) for row in db.execute(VOIDABLE, (part, fence.log_time, VOID_ORDERS)).fetchall()]
    if not rows:
        return []
    purse.load(db, [(row.account_id, row.asset_id) for row in rows])
    for row in rows:
        purse.move((row.account_id, row.asset_id), row.held, -row.held)
    ids = [row.order_id for row in rows]
    PUT_ORDERS.run(db, [voided_order(row, fence.log_time) for row in rows])
    db.execute(
        "UPDATE intake SET applied_offset = -1, open = 0 WHERE order_id IN (SELECT value FROM json_each(?))",
        (json.dumps(ids),),
    )
    db.executemany(NOTE_VOIDED, [(work.now_ms, row.account_id, row.order_id) for row in rows])
    return ids


def _sweep(work: Work, part: int) -> int:
    fence = work.memory.fences(work.db).get(part)
    if fence is None:
        return 0
    work.db.execute(
        "DELETE FROM idempotency WHERE (account_id, key) IN"
        " (SELECT account_id, key FROM idempotency WHERE expires_ms < ? LIMIT ?)",
        (work.now_ms, SWEEP_ROWS),
    )
    work.db.execute(SWEEP_VOIDED, (work.now_ms - VOIDED_MS,))
    return work.db.execute(
        "DELETE FROM intake WHERE order_id IN (SELECT order_id FROM intake INDEXED BY intake_closed"
        " WHERE part = ? AND open = 0 AND valid_until_ms < ? LIMIT ?)",
        (part, fence.log_time, SWEEP_ROWS),
    ).rowcount


Age = tuple[int, int]  # (older than this time in ms, before this offset)


def _oldest_kept(work: Work, part: int, age: Age) -> int:
    """The offset before which rows may go: old enough, not needed for a replay, and folded."""
    before_ms, keep_offset = age
    return min(keep_offset, first_record_since(work.db, part, before_ms), folded_to(work.db, part))


def _retain_checkpoints(work: Work, part: int, before_offset: int) -> int:
    return work.db.execute("DELETE FROM checkpoints WHERE part = ? AND next_offset < ?", (part, before_offset)).rowcount


def _retain_trades(work: Work, part: int, age: Age) -> int:
    """Before a symbol's oldest trades go, they are counted into their accounts' positions."""
    db, offset = work.db, _oldest_kept(work, part, age)
    symbols = db.execute("SELECT symbol_id, instrument FROM symbol_state WHERE part = ?", (part,)).fetchall()
    for symbol_id, instrument in symbols:
        before = first_trade_at(db, symbol_id, offset)
        trades = read_trades(db.execute(OLDEST_TRADES, (symbol_id, before, RETAIN_TRADES)).fetchone()[0])
        if trades:
            carry_over(db, trades, decode_instrument(instrument))
            db.execute("DELETE FROM trades WHERE symbol_id = ? AND trade_id <= ?", (symbol_id, trades[-1].trade_id))
            return len(trades)
    return 0


def _retain_postings(work: Work, part: int, age: Age) -> int:
    return work.db.execute(
        "DELETE FROM postings WHERE part = ? AND (log_offset, idx) IN (SELECT log_offset, idx FROM postings"
        " WHERE part = ? AND log_offset < ? ORDER BY log_offset, idx LIMIT ?)",
        (part, part, _oldest_kept(work, part, age), RETAIN_ROWS),
    ).rowcount


def _retain_prevented(work: Work, part: int, age: Age) -> int:
    values = {"part": part, "offset": _oldest_kept(work, part, age), "limit": RETAIN_ROWS}
    return work.db.execute(DROP_PREVENTED, values).rowcount


def _retain_amendments(work: Work, part: int, age: Age) -> int:
    return work.db.execute(
        "DELETE FROM amendments WHERE part = ? AND (log_offset, execution_id) IN (SELECT log_offset, execution_id"
        " FROM amendments WHERE part = ? AND log_offset < ? ORDER BY log_offset, execution_id LIMIT ?)",
        (part, part, _oldest_kept(work, part, age), RETAIN_ROWS),
    ).rowcount


def _retain_orders(work: Work, part: int, age: Age, from_id: int) -> tuple[int, int | None]:
    """Looks at the next orders by id; returns how many went and the id to go on with, None at the end."""
    db, offset = work.db, _oldest_kept(work, part, age)
    # Before this time an order was closed by a record before the offset: a replay from there on never meets it.
    before_ms = min(age[0], record_time(db, part, offset))
    seen = db.execute(
        "SELECT min(order_id), max(order_id), min(placed_ms) FROM"
        " (SELECT order_id, placed_ms FROM orders WHERE order_id >= ? ORDER BY order_id LIMIT ?)",
        (from_id, RETAIN_ROWS),
    ).fetchone()
    newest = db.execute("SELECT max(order_id) FROM orders").fetchone()[0]
    if seen[0] is None or seen[2] >= before_ms:
        return 0, None
    gone = db.execute(
        "SELECT order_id, list_id FROM orders WHERE order_id BETWEEN ? AND ? AND order_id < ?"
        " AND part = ? AND open = 0 AND updated_ms < ? AND applied_offset < ?",
        (seen[0], seen[1], newest, part, before_ms, offset),
    ).fetchall()
    ids = json.dumps([order_id for order_id, _ in gone])
    lists = json.dumps(sorted({list_id for _, list_id in gone if list_id >= 0}))
    db.execute("DELETE FROM orders WHERE order_id IN (SELECT value FROM json_each(?))", (ids,))
    db.execute(
        "DELETE FROM lists WHERE list_id IN (SELECT value FROM json_each(?)) AND status = 'ALL_DONE'"
        " AND list_id < (SELECT max(list_id) FROM lists) AND NOT EXISTS"
        " (SELECT 1 FROM orders WHERE orders.list_id = lists.list_id)",
        (lists,),
    )
    return len(gone), None if seen[1] == newest else seen[1] + 1
