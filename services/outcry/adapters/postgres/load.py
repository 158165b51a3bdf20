"""LOAD: a partition exactly as its last commit left it, read in one snapshot.

What there may be a million of comes by COPY as text that is JSON within a row, and msgspec makes rows of it: a driver
that makes each value alone costs several times as much. A piece is built while the server sends on.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from outcry.adapters.postgres.statements import statement
from outcry.adapters.postgres.writer import Connection
from outcry.ports import Damaged, Restoring
from outcry.rows import CandleRow, ListRow, OrderRow, PartitionRow, PartState, SymbolRow

PIECE_BYTES: Final = 1 << 20  # of text, some 6,000 orders; then the event loop breathes
STORED_INTERVALS: Final = (60_000, 3_600_000, 86_400_000)

PARTITION: Final = f"SELECT {', '.join(PartitionRow._fields)} FROM engine_partition WHERE topic = $1 AND part = $2"
SYMBOLS: Final = f"SELECT {', '.join(SymbolRow._fields)} FROM symbol_state WHERE part = $1 ORDER BY symbol_id"
AS_JSON: Final = ", ".join(
    f"to_json({name})" if kind is str else name for name, kind in OrderRow.__annotations__.items()
)
# A market gives each number of priority once, and their index has the orders in that order: nothing is sorted.
ORDERS: Final = f"SELECT {AS_JSON} FROM orders WHERE part = $1 AND open = 1 ORDER BY symbol_id, priority_seq"
LISTS: Final = (
    f"SELECT {', '.join(ListRow._fields)} FROM lists WHERE part = $1 AND status <> 'ALL_DONE' ORDER BY list_id"
)
CANDLES: Final = statement("newest_candles")
# The window's index is one of whole ranges of pages, which is read as a bitmap only. Open orders are not: they would be
# sorted, a million of them on disk, where their index has them in order.
BY_RANGES: Final = "SET LOCAL enable_bitmapscan = on"
BY_ORDER: Final = "SET LOCAL enable_bitmapscan = off"
APPLIED: Final = (
    "SELECT order_id, valid_until_ms FROM intake WHERE part = $1 AND applied_offset >= 0 AND valid_until_ms >= $2"
)
CANCELS: Final = (
    "SELECT order_id FROM intake WHERE part = $1 AND applied_offset IS NULL AND cancel_offset IS NOT NULL"
    " ORDER BY order_id"
)
SKIPS: Final = "SELECT log_offset, idx, reason FROM engine_skip WHERE part = $1 ORDER BY 1, 2"

_orders_of: Final = msgspec.json.Decoder(list[OrderRow]).decode
_applied_of: Final = msgspec.json.Decoder(list[tuple[int, int]]).decode


async def load_partition(connection: Connection, topic: str, part: int, to: Restoring | None) -> PartState:
    """Raises Damaged where the partition has no row, and what asyncpg raises."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = await connection.fetchrow(PARTITION, topic, part)
        if found is None:
            raise Damaged(f"Partition {part} has no row: it must be taken over before it is loaded.")
        state = await _without_orders(connection, PartitionRow(*found))
        take: Callable[[list[OrderRow]], object] = state.orders.extend
        if to is not None:
            await asyncio.to_thread(to.begin, state)
            take = to.go_on
        await connection.execute(BY_ORDER)
        await _copy(connection, ORDERS, part, to=lambda text: take(_orders_of(text)))
        return state


async def _without_orders(connection: Connection, row: PartitionRow) -> PartState:
    part = row.part
    applied: list[tuple[int, int]] = []
    await connection.execute(BY_RANGES)
    await _copy(connection, APPLIED, part, row.log_time, to=lambda text: applied.extend(_applied_of(text)))
    applied.sort()
    return PartState(
        row=row,
        symbols=[SymbolRow(*each) for each in await connection.fetch(SYMBOLS, part)],
        orders=[],
        lists=[ListRow(*each) for each in await connection.fetch(LISTS, part)],
        candles=[CandleRow(*each) for each in await connection.fetch(CANDLES, part, STORED_INTERVALS)],
        applied=applied,
        cancel_marks=[order_id for (order_id,) in await connection.fetch(CANCELS, part)],
        skips=[tuple(each) for each in await connection.fetch(SKIPS, part)],
    )


async def _copy(connection: Connection, query: str, *values: Any, to: Callable[[bytes], object]) -> None:
    """Gives ``to`` the rows in pieces, each a JSON array of arrays, beside the event loop."""
    pieces: list[bytes] = []
    size = 0

    async def hear(text: bytes) -> None:
        nonlocal size
        pieces.append(text)
        size += len(text)
        if size >= PIECE_BYTES:
            whole, _, rest = b"".join(pieces).rpartition(b"\n")
            pieces[:], size = [rest], len(rest)
            await asyncio.to_thread(_pass_on, whole, to)

    await connection.copy_from_query(query, *values, output=hear, delimiter=",")
    await asyncio.to_thread(_pass_on, b"".join(pieces).removesuffix(b"\n"), to)


def _pass_on(lines: bytes, to: Callable[[bytes], object]) -> None:
    """COPY puts a backslash before backslashes and its delimiter; what else it would mark is nowhere in JSON."""
    if not lines:
        return
    if b"\\" in lines:
        lines = lines.replace(b"\\,", b",").replace(b"\\\\", b"\\")
    to(b"[[" + lines.replace(b"\n", b"],[") + b"]]")
