"""LOAD: a partition exactly as its last commit left it, read in one snapshot."""

from typing import Any, Final

from outcry.adapters.postgres.statements import statement
from outcry.adapters.postgres.writer import Connection
from outcry.ports import Damaged
from outcry.rows import CandleRow, ListRow, OrderRow, PartitionRow, PartState, SymbolRow

LOAD_ORDERS: Final = 10_000  # order rows per fetch
STORED_INTERVALS: Final = (60_000, 3_600_000, 86_400_000)

PARTITION: Final = f"SELECT {', '.join(PartitionRow._fields)} FROM engine_partition WHERE topic = $1 AND part = $2"
SYMBOLS: Final = f"SELECT {', '.join(SymbolRow._fields)} FROM symbol_state WHERE part = $1 ORDER BY symbol_id"
ORDERS: Final = (
    f"SELECT {', '.join(OrderRow._fields)} FROM orders WHERE part = $1 AND open = 1"
    " ORDER BY symbol_id, priority_seq, order_id"
)
LISTS: Final = (
    f"SELECT {', '.join(ListRow._fields)} FROM lists WHERE part = $1 AND status <> 'ALL_DONE' ORDER BY list_id"
)
CANDLES: Final = statement("newest_candles")
# The window's index is one of whole ranges of pages, which is read as a bitmap only. Open orders are not: they would be
# sorted, a million of them on disk, where their index has them in order.
BY_RANGES: Final = "SET LOCAL enable_bitmapscan = on"
APPLIED: Final = (
    "SELECT order_id, valid_until_ms FROM intake WHERE part = $1 AND applied_offset >= 0 AND valid_until_ms >= $2"
    " ORDER BY order_id"
)
CANCELS: Final = (
    "SELECT order_id FROM intake WHERE part = $1 AND applied_offset IS NULL AND cancel_offset IS NOT NULL"
    " ORDER BY order_id"
)
SKIPS: Final = "SELECT log_offset, idx, reason FROM engine_skip WHERE part = $1 ORDER BY 1, 2"


async def load_partition(connection: Connection, topic: str, part: int) -> PartState:
    """Raises Damaged where the partition has no row, and what asyncpg raises."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = await connection.fetchrow(PARTITION, topic, part)
        if found is None:
            raise Damaged(f"Partition {part} has no row: it must be taken over before it is loaded.")
        row = PartitionRow(*found)
        orders = await _open_orders(connection, part)
        await connection.execute(BY_RANGES)
        return PartState(
            row=row,
            symbols=[SymbolRow(*each) for each in await connection.fetch(SYMBOLS, part)],
            orders=orders,
            lists=[ListRow(*each) for each in await connection.fetch(LISTS, part)],
            candles=[CandleRow(*each) for each in await connection.fetch(CANDLES, part, STORED_INTERVALS)],
            applied=[tuple(each) for each in await connection.fetch(APPLIED, part, row.log_time)],
            cancel_marks=[order_id for (order_id,) in await connection.fetch(CANCELS, part)],
            skips=[tuple(each) for each in await connection.fetch(SKIPS, part)],
        )


async def _open_orders(connection: Connection, part: int) -> list[OrderRow]:
    """By symbol and priority, as the book wants them; fetched in pieces, between which the event loop breathes."""
    cursor: Any = await connection.cursor(ORDERS, part)
    orders: list[OrderRow] = []
    while rows := await cursor.fetch(LOAD_ORDERS):
        orders += map(OrderRow._make, rows)
    return orders
