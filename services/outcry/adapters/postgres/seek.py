"""Finds places in rows by bisection where ids, times and offsets grow together, so that no index is needed."""

from typing import Final

from sqlalchemy import text

from outcry.adapters.postgres.reader import Reader
from outcry.adapters.postgres.schema import DAY_MS
from outcry.adapters.postgres.statements import query

FOREVER: Final = 1 << 62
LONGEST_WAY_MS: Final = 600_000  # more than any bound of an order after its intake

Span = tuple[int, int]  # first and last, both included
ALWAYS: Final = (0, FOREVER)
NOWHERE: Final = (1, 0)  # a span without anything in it

BY_TIME: Final = text(query("first_trade").format(column="time_ms"))
BY_OFFSET: Final = text(query("first_trade").format(column="log_offset"))
BY_AGGREGATE: Final = text(query("first_trade").format(column="agg_id"))
FIRST_ORDER: Final = text(query("first_order"))


async def trades_between(reader: Reader, symbol_id: int, times: Span) -> Span:
    """Ids outside of which no trade of the symbol has such a time. Only the first and the last day are looked into."""
    start_ms, end_ms = times
    if start_ms > end_ms:
        return NOWHERE
    first = None if start_ms <= 0 else await _trade_since(reader, symbol_id, start_ms)
    beyond = None if end_ms >= FOREVER else await _trade_since(reader, symbol_id, end_ms + 1)
    return first or 0, FOREVER if beyond is None else beyond - 1


async def _trade_since(reader: Reader, symbol_id: int, time_ms: int) -> int | None:
    """The first trade of a time's day that is not earlier; one past the day's last, None for a day without trades."""
    day_ms = time_ms // DAY_MS * DAY_MS
    rows = await reader.rows(
        BY_TIME, symbol=symbol_id, wanted=time_ms, since=day_ms, until=day_ms + DAY_MS - 1
    )  # fmt: skip
    return rows[0][0] if rows else None


async def first_trade_at(reader: Reader, symbol_id: int, log_offset: int, times: Span) -> int:
    """The id of the first trade of a time at or after a log offset; 0 where there are none."""
    rows = await reader.rows(BY_OFFSET, symbol=symbol_id, wanted=log_offset, since=times[0], until=times[1])
    return rows[0][0] if rows else 0


async def first_trade_of(reader: Reader, symbol_id: int, agg_id: int) -> int:
    """The id of the first trade of an aggregate or a later one; 0 where there are no trades."""
    rows = await reader.rows(BY_AGGREGATE, symbol=symbol_id, wanted=agg_id, since=0, until=FOREVER)
    return rows[0][0] if rows else 0


async def placed_between(reader: Reader, times: Span) -> Span:
    """Order ids outside of which no order was placed in that time.

    Ids are given at intake, nearly in order; an order is placed when its record is applied, which is later by at
    most the longest time that an order may be under way.
    """
    start_ms, end_ms = times
    first = 0 if start_ms <= 0 else await _order_since(reader, start_ms - LONGEST_WAY_MS)
    return first, FOREVER if end_ms >= FOREVER else await _order_since(reader, end_ms + LONGEST_WAY_MS)


async def _order_since(reader: Reader, time_ms: int) -> int:
    rows = await reader.rows(FIRST_ORDER, time=time_ms)
    return rows[0][0] if rows else 0
