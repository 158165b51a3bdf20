"""What people ask about trades and candles. Trades lie in a table per day: a time says which of them to open."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, select, text

from outcry.adapters.fills import Answered, answered, by_symbol, offsets_of
from outcry.adapters.postgres.book import Book
from outcry.adapters.postgres.reader import Rows
from outcry.adapters.postgres.seek import FOREVER, NOWHERE, Span, first_trade_at, first_trade_of, trades_between
from outcry.adapters.postgres.statements import query
from outcry.adapters.postgres.tables import CANDLES, OPENINGS, ORDERS, TRADES
from outcry.rows import CandleRow, OpeningRow, OrderRow, TradeRow

TRADE, CANDLE = TRADES.c, CANDLES.c

SPAN: Final = (
    select(TRADES)
    .where(TRADE.symbol_id == bindparam("symbol_id"), TRADE.trade_id.between(bindparam("first"), bindparam("last")))
    .where(TRADE.time_ms.between(bindparam("since"), bindparam("until")))
    .limit(bindparam("limit"))
)
UP: Final = SPAN.order_by(TRADE.trade_id)
DOWN: Final = SPAN.order_by(TRADE.trade_id.desc())
TAKEN: Final = UP.where(TRADE.taker_order == any_(bindparam("ids", type_=ARRAY(BigInteger))))
STORED: Final = (
    select(CANDLES)
    .where(CANDLE.symbol_id == bindparam("symbol_id"), CANDLE.interval_ms == bindparam("interval"))
    .where(CANDLE.open_ms.between(bindparam("since"), bindparam("until")))
    .limit(bindparam("limit"))
)
LIFETIME: Final = select(ORDERS.c.placed_ms, ORDERS.c.updated_ms, ORDERS.c.executed).where(
    ORDERS.c.order_id == bindparam("order")
)
OPENING: Final = select(OPENINGS).where(
    OPENINGS.c.account_id == bindparam("account_id"), OPENINGS.c.symbol_id == bindparam("symbol_id")
)


def _own(direction: str, *, of_order: bool = False) -> Any:
    sides = ("maker", "taker")
    narrow = {side: f"AND {side}_order = :order" if of_order else "" for side in sides}
    return text(query("fills_of_account").format(columns=", ".join(TradeRow._fields), direction=direction, **narrow))


OWN_UP: Final = _own("ASC")
OWN_DOWN: Final = _own("DESC")
OWN_OF_ORDER: Final = _own("ASC", of_order=True)


class PrintBook(Book):
    """The part of ``ports.QueryLedger`` that is about trades."""

    async def fills(
        self, account_id: int, symbol_id: int, *, order_id: int | None = None, from_id: int | None = None,
        start_ms: int | None = None, end_ms: int | None = None, limit: int = 500,
    ) -> list[TradeRow]:  # fmt: skip
        """In order of id: from an id or time on, or of one order; else the newest."""
        newest = order_id is None and from_id is None and start_ms is None
        times, which = _times(start_ms, end_ms), {}
        statement = OWN_DOWN if newest else OWN_UP
        if order_id is not None:
            statement, which = OWN_OF_ORDER, {"order": order_id}
            times = _overlap(times, await self._lifetime(order_id))
        first, last = await trades_between(self._reader, symbol_id, times)
        rows = await self._reader.rows(
            statement, account_id=account_id, symbol_id=symbol_id, first=max(first, from_id or 0), last=last,
            since=times[0], until=times[1], limit=limit, **which,
        )  # fmt: skip
        return _trades(rows[::-1] if newest else rows)

    async def carried_fills(
        self, account_id: int, symbol_id: int, *, from_id: int, limit: int
    ) -> tuple[OpeningRow | None, list[TradeRow]]:
        own = {"account_id": account_id, "symbol_id": symbol_id}
        async with self._reader.snapshot() as snapshot:
            opening = await snapshot.rows(OPENING, **own)
            rows = await snapshot.rows(OWN_UP, **own, first=from_id, last=FOREVER, since=0, until=FOREVER, limit=limit)
        return OpeningRow._make(map(int, opening[0])) if opening else None, _trades(rows)

    async def order_fills(self, placed: Sequence[OrderRow]) -> Answered:
        trades = [trade for symbol_id, rows in by_symbol(placed) for trade in await self._taken(symbol_id, rows)]
        return answered(placed, trades)

    async def _taken(self, symbol_id: int, placed: Sequence[OrderRow]) -> list[TradeRow]:
        """All that a record brings about has its time, and an order's time is that of its own record."""
        times = min(row.placed_ms for row in placed), max(row.placed_ms for row in placed)
        least, most = offsets_of(placed)
        first = await first_trade_at(self._reader, symbol_id, least, times)
        last = await first_trade_at(self._reader, symbol_id, most + 1, times) - 1
        rows = await self._reader.rows(
            TAKEN, symbol_id=symbol_id, ids=[row.order_id for row in placed], first=first, last=last, since=times[0],
            until=times[1], limit=FOREVER,
        )  # fmt: skip
        return _trades(rows)

    async def trades(
        self, symbol_id: int, *, from_id: int | None = None, start_ms: int | None = None,
        end_ms: int | None = None, limit: int = 500,
    ) -> list[TradeRow]:  # fmt: skip
        """In order of id: from an id or time on; else the newest."""
        newest = from_id is None and start_ms is None
        times = _times(start_ms, end_ms)
        first, last = await trades_between(self._reader, symbol_id, times)
        rows = await self._span(symbol_id, (max(first, from_id or 0), last), times, -limit if newest else limit)
        return _trades(rows[::-1] if newest else rows)

    async def agg_trades(
        self, symbol_id: int, *, from_id: int | None = None, start_ms: int | None = None,
        end_ms: int | None = None, limit: int = 500,
    ) -> list[list[TradeRow]]:  # fmt: skip
        """``from_id`` is an aggregate's id; the newest aggregates when neither it nor a start is given."""
        newest = from_id is None and start_ms is None
        times = _times(start_ms, end_ms)
        first, last = await trades_between(self._reader, symbol_id, times)
        if from_id is not None:
            first = max(first, await first_trade_of(self._reader, symbol_id, from_id))
        trades = await self._aggregates(symbol_id, (first, last), times, -limit if newest else limit)
        return _grouped(trades[::-1] if newest else trades)

    async def candles(
        self, symbol_id: int, interval_ms: int, *, start_ms: int | None = None, end_ms: int | None = None,
        limit: int = 500,
    ) -> list[CandleRow]:  # fmt: skip
        newest = start_ms is None
        since, until = _times(start_ms, end_ms)
        rows = await self._reader.rows(
            STORED.order_by(CANDLE.open_ms.desc() if newest else CANDLE.open_ms), symbol_id=symbol_id,
            interval=interval_ms, since=since, until=until, limit=limit,
        )  # fmt: skip
        return [CandleRow._make(row) for row in (rows[::-1] if newest else rows)]

    async def _span(self, symbol_id: int, span: Span, times: Span, count: int) -> Rows:
        """The first ``count`` trades of a span of ids and of times, or the last ones when negative, newest first."""
        return await self._reader.rows(
            UP if count > 0 else DOWN, symbol_id=symbol_id, first=span[0], last=span[1], since=times[0], until=times[1],
            limit=abs(count),
        )  # fmt: skip

    async def _aggregates(self, symbol_id: int, span: Span, times: Span, count: int) -> list[TradeRow]:
        """The trades of a span's first ``count`` aggregates, or of its last ones when negative, newest first.

        Aggregate ids are dense; an aggregate is whole when a trade of the next one has been read.
        """
        trades: list[TradeRow] = []
        page = abs(count) + 1
        while len(trades) % page == 0 and not _reaches(trades, abs(count)):
            if trades:
                beyond = trades[-1].trade_id
                span = (beyond + 1, span[1]) if count > 0 else (span[0], beyond - 1)
            rows = await self._span(symbol_id, span, times, page if count > 0 else -page)
            if not rows:
                break
            trades += _trades(rows)
        return [trade for trade in trades if abs(trade.agg_id - trades[0].agg_id) < abs(count)]

    async def _lifetime(self, order_id: int) -> Span:
        """The time from an order's own record to its last fill, if it has one; none for an unknown order."""
        rows = await self._reader.rows(LIFETIME, order=order_id)
        return (rows[0].placed_ms, rows[0].updated_ms) if rows and rows[0].executed else NOWHERE


def _times(start_ms: int | None, end_ms: int | None) -> Span:
    return start_ms or 0, FOREVER if end_ms is None else end_ms


def _overlap(one: Span, other: Span) -> Span:
    return max(one[0], other[0]), min(one[1], other[1])


def _reaches(trades: Sequence[TradeRow], count: int) -> bool:
    """Whether the trades belong to more than ``count`` aggregates."""
    return bool(trades) and abs(trades[-1].agg_id - trades[0].agg_id) >= count


def _trades(rows: Rows) -> list[TradeRow]:
    return [TradeRow._make(row) for row in rows]


def _grouped(trades: Sequence[TradeRow]) -> list[list[TradeRow]]:
    return [list(group) for _, group in groupby(trades, key=lambda trade: trade.agg_id)]
