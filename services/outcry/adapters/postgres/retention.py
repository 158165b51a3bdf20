"""Deletes what is old, folded, and not needed for a replay: whole days where nobody needs them, else rows in pieces."""

from collections.abc import Awaitable, Callable
from typing import Final

from outcry.adapters.positions import accounts_of, counted_in, decode_instrument
from outcry.adapters.postgres.bulk import Upsert
from outcry.adapters.postgres.database import Database
from outcry.adapters.postgres.days import DAY_MS
from outcry.adapters.postgres.schema import DAYS_AHEAD
from outcry.adapters.postgres.statements import statement
from outcry.adapters.postgres.writer import Connection
from outcry.ports import OutOfService
from outcry.rows import OpeningRow, TradeRow

RETAIN_ROWS: Final = 5000  # rows deleted per transaction
RETAIN_TRADES: Final = 1000  # trades, which are also counted into positions

ALONE: Final = "SELECT pg_try_advisory_xact_lock(hashtext('outcry retain'), $1)"
AHEAD: Final = "SELECT outcry_make_days(outcry_now_ms(), $1)"
FORGET_CHECKPOINTS: Final = "DELETE FROM checkpoints WHERE part = $1 AND next_offset < $2"
OLDEST_KEPT: Final = statement("oldest_kept")
DAYS: Final = """
SELECT inhparent::regclass::text AS parent,
       (extract(epoch FROM to_date(right(inhrelid::regclass::text, 8), 'YYYYMMDD')) * 1000)::bigint AS day_ms
  FROM pg_inherits WHERE inhparent IN ('trades'::regclass, 'postings'::regclass) ORDER BY 2, 1"""
DROP_DAY: Final = "SELECT outcry_drop_day($1, $2)"
SYMBOLS: Final = "SELECT symbol_id, instrument FROM symbol_state WHERE part = $1 ORDER BY symbol_id"
OLDEST_TRADES: Final = (
    f"SELECT {', '.join(TradeRow._fields)} FROM trades WHERE symbol_id = $1 ORDER BY trade_id LIMIT $2"
)
DROP_TRADES: Final = "DELETE FROM trades WHERE symbol_id = $1 AND trade_id <= $2"
OPENINGS: Final = f"SELECT {', '.join(OpeningRow._fields)} FROM openings WHERE symbol_id = $1 AND account_id = ANY($2)"
PUT_OPENINGS: Final = Upsert(
    "openings", OpeningRow._fields, ("account_id", "symbol_id"), qty="numeric", cost="numeric", realised="numeric",
    base_fees="numeric", quote_fees="numeric",
)  # fmt: skip
RETAIN_POSTINGS: Final = statement("retain_postings")
RETAIN_PREVENTED: Final = statement("retain_prevented")
RETAIN_AMENDMENTS: Final = statement("retain_amendments")
NEXT_ORDERS: Final = (
    "SELECT min(order_id), max(order_id), min(placed_ms) FROM"
    f" (SELECT order_id, placed_ms FROM orders WHERE order_id >= $1 ORDER BY order_id LIMIT {RETAIN_ROWS}) AS o"
)
RETAIN_ORDERS: Final = statement("retain_orders")
RETAIN_LISTS: Final = statement("retain_lists")

Job = Callable[[Connection], Awaitable[int]]


class Retention:
    """One pass over one partition, in pieces that are transactions of their own; ends where another pod is at it."""

    def __init__(self, database: Database, part: int, before_ms: int, keep_offset: int) -> None:
        self._database = database
        self._part = part
        self._before_ms = before_ms
        self._keep_offset = keep_offset
        self._offset = 0  # before it, rows are folded and no replay needs them
        self._next_order: int | None = 0

    async def run(self) -> int:
        """How many rows were deleted, days that were dropped whole not counted."""
        await self._alone(self._begin)
        await self._drop_days()
        deleted = 0
        for job in (self._trades, self._postings, self._prevented, self._amendments):
            while count := await self._alone(job):
                deleted += count
        while self._next_order is not None:
            deleted += await self._alone(self._orders)
        return deleted

    async def _alone(self, job: Job) -> int:
        async with self._database.transaction() as connection:
            if not await connection.fetchval(ALONE, self._part):
                self._next_order = None
                return 0
            return await job(connection)

    async def _begin(self, connection: Connection) -> int:
        await connection.execute(AHEAD, DAYS_AHEAD + 1)
        await connection.execute(FORGET_CHECKPOINTS, self._part, self._keep_offset)
        self._offset = await connection.fetchval(OLDEST_KEPT, self._part, self._keep_offset, self._before_ms)
        return 0

    async def _drop_days(self) -> None:
        """The last partition that is done with a day drops it."""
        for parent, day_ms in await self._database.fetch(DAYS):
            if day_ms + DAY_MS <= self._before_ms:
                try:
                    await self._database.fetch(DROP_DAY, parent, day_ms)
                except OutOfService:
                    return  # somebody reads it: another time

    async def _trades(self, connection: Connection) -> int:
        """Before a symbol's oldest trades go, they are counted into their accounts' positions."""
        for symbol_id, instrument in await connection.fetch(SYMBOLS, self._part):
            trades = [TradeRow._make(row) for row in await connection.fetch(OLDEST_TRADES, symbol_id, RETAIN_TRADES)]
            old = [row for row in trades if row.log_offset < self._offset and row.time_ms < self._before_ms]
            if old:
                rows = await connection.fetch(OPENINGS, symbol_id, accounts_of(old))
                kept = {row[0]: OpeningRow._make(map(int, row)) for row in rows}
                await PUT_OPENINGS.run(connection, counted_in(old, decode_instrument(instrument), kept))
                await connection.execute(DROP_TRADES, symbol_id, old[-1].trade_id)
                return len(old)
        return 0

    async def _postings(self, connection: Connection) -> int:
        day_ms = self._before_ms // DAY_MS * DAY_MS
        return len(await connection.fetch(RETAIN_POSTINGS, *self._age, day_ms, RETAIN_ROWS))

    async def _prevented(self, connection: Connection) -> int:
        return len(await connection.fetch(RETAIN_PREVENTED, *self._age, RETAIN_ROWS))

    async def _amendments(self, connection: Connection) -> int:
        return len(await connection.fetch(RETAIN_AMENDMENTS, *self._age, RETAIN_ROWS))

    async def _orders(self, connection: Connection) -> int:
        """Looks at the next orders by id, and notes where to go on."""
        first, last, placed_ms = await connection.fetchrow(NEXT_ORDERS, self._next_order)
        if first is None or placed_ms >= self._before_ms:
            self._next_order = None
            return 0
        gone = await connection.fetch(RETAIN_ORDERS, *self._age, first, last)
        lists = {list_id for _, list_id in gone if list_id >= 0}
        if lists:
            await connection.execute(RETAIN_LISTS, list(lists))
        self._next_order = last + 1
        return len(gone)

    @property
    def _age(self) -> tuple[int, int, int]:
        return self._part, self._offset, self._before_ms
