"""What people ask about trades and candles; times and aggregates are found by bisection."""

import json
import sqlite3
from collections.abc import Sequence
from itertools import groupby

from outcry.adapters.fills import Answered, answered, by_symbol, offsets_of
from outcry.adapters.sqlite.bulk import as_json
from outcry.adapters.sqlite.file import OnFile
from outcry.adapters.sqlite.openings import openings
from outcry.adapters.sqlite.rowtext import CANDLE, TRADE, read_candles, read_trades
from outcry.adapters.sqlite.seek import first_trade_at, first_trade_of, first_trade_since
from outcry.adapters.sqlite.statements import statement
from outcry.rows import CandleRow, OpeningRow, OrderRow, TradeRow

FOREVER = 1 << 62

OWN_FILLS = statement("fills_of_account")
TRADES_UP = as_json(TRADE, "FROM trades WHERE symbol_id = ? AND trade_id BETWEEN ? AND ? ORDER BY trade_id LIMIT ?")
TRADES_DOWN = as_json(
    TRADE, "FROM trades WHERE symbol_id = ? AND trade_id BETWEEN ? AND ? ORDER BY trade_id DESC LIMIT ?"
)
TAKEN = as_json(
    TRADE,
    "FROM trades WHERE symbol_id = :symbol AND trade_id >= :first AND trade_id < :stop"
    " AND taker_order IN (SELECT value FROM json_each(:orders))"
    " ORDER BY trade_id",
)

Span = tuple[int, int]  # first and last trade id, both included


class PrintBook(OnFile):
    """The part of ``ports.QueryLedger`` that is about trades."""

    async def fills(
        self, account_id: int, symbol_id: int, *, order_id: int | None = None, from_id: int | None = None,
        start_ms: int | None = None, end_ms: int | None = None, limit: int = 500,
    ) -> list[TradeRow]:  # fmt: skip
        """In order of id: from an id or time on, or of one order; else the newest."""
        newest = order_id is None and from_id is None and start_ms is None
        query = as_json(
            TRADE,
            OWN_FILLS.format(
                maker="" if order_id is None else "AND maker_order = :order",
                taker="" if order_id is None else "AND taker_order = :order",
                direction="DESC" if newest else "ASC",
            ),
        )

        def ask(db: sqlite3.Connection) -> list[TradeRow]:
            first, last = _span(db, symbol_id, (start_ms, end_ms), from_id)
            if order_id is not None:
                lived = _lifetime(db, symbol_id, order_id)
                first, last = max(first, lived[0]), min(last, lived[1])
            values = {
                "symbol": symbol_id, "account": account_id, "first": first, "last": last, "limit": limit,
                "order": order_id,
            }  # fmt: skip
            return read_trades(db.execute(query, values).fetchone()[0])

        return await self._reader.ask(ask)

    async def carried_fills(
        self, account_id: int, symbol_id: int, *, from_id: int, limit: int
    ) -> tuple[OpeningRow | None, list[TradeRow]]:
        query = as_json(TRADE, OWN_FILLS.format(maker="", taker="", direction="ASC"))
        values = {"symbol": symbol_id, "account": account_id, "first": from_id, "last": FOREVER, "limit": limit}

        def ask(db: sqlite3.Connection) -> tuple[OpeningRow | None, list[TradeRow]]:
            kept = openings(db, symbol_id, [account_id])
            return kept.get(account_id), read_trades(db.execute(query, values).fetchone()[0])

        return await self._reader.ask(ask)

    async def order_fills(self, placed: Sequence[OrderRow]) -> Answered:
        def ask(db: sqlite3.Connection) -> list[TradeRow]:
            return [trade for symbol_id, rows in by_symbol(placed) for trade in _taken(db, symbol_id, rows)]

        return answered(placed, await self._reader.ask(ask))

    async def trades(
        self, symbol_id: int, *, from_id: int | None = None, start_ms: int | None = None,
        end_ms: int | None = None, limit: int = 500,
    ) -> list[TradeRow]:  # fmt: skip
        """In order of id: from an id or time on; else the newest."""
        newest = from_id is None and start_ms is None

        def ask(db: sqlite3.Connection) -> list[TradeRow]:
            span = _span(db, symbol_id, (start_ms, end_ms), from_id)
            query = TRADES_DOWN if newest else TRADES_UP
            return read_trades(db.execute(query, (symbol_id, *span, limit)).fetchone()[0])

        rows = await self._reader.ask(ask)
        return rows[::-1] if newest else rows

    async def agg_trades(
        self, symbol_id: int, *, from_id: int | None = None, start_ms: int | None = None,
        end_ms: int | None = None, limit: int = 500,
    ) -> list[list[TradeRow]]:  # fmt: skip
        """``from_id`` is an aggregate's id; the newest aggregates when neither it nor a start is given."""

        def ask(db: sqlite3.Connection) -> list[TradeRow]:
            first = 0 if from_id is None else first_trade_of(db, symbol_id, from_id)
            first, last = _span(db, symbol_id, (start_ms, end_ms), first)
            newest = from_id is None and start_ms is None
            first, last = _aggregates(db, symbol_id, (first, last), -limit if newest else limit)
            return read_trades(db.execute(TRADES_UP, (symbol_id, first, last, FOREVER)).fetchone()[0])

        return _grouped(await self._reader.ask(ask))

    async def candles(
        self, symbol_id: int, interval_ms: int, *, start_ms: int | None = None, end_ms: int | None = None,
        limit: int = 500,
    ) -> list[CandleRow]:  # fmt: skip
        direction = "DESC" if start_ms is None else "ASC"
        query = as_json(
            CANDLE,
            "FROM candles WHERE symbol_id = ? AND interval_ms = ? AND open_ms BETWEEN ? AND ?"
            f" ORDER BY open_ms {direction} LIMIT ?",
        )
        values = (symbol_id, interval_ms, start_ms or 0, FOREVER if end_ms is None else end_ms, limit)
        rows = await self._reader.ask(lambda db: read_candles(db.execute(query, values).fetchone()[0]))
        return rows[::-1] if start_ms is None else rows


def _span(db: sqlite3.Connection, symbol_id: int, times: tuple[int | None, int | None], from_id: int | None) -> Span:
    start_ms, end_ms = times
    first = 0 if start_ms is None else first_trade_since(db, symbol_id, start_ms)
    last = FOREVER if end_ms is None else first_trade_since(db, symbol_id, end_ms + 1) - 1
    return max(first, from_id or 0), last


def _taken(db: sqlite3.Connection, symbol_id: int, placed: Sequence[OrderRow]) -> list[TradeRow]:
    """The trades of a span of the log in which one of the orders was the taker."""
    least, most = offsets_of(placed)
    values = {
        "symbol": symbol_id, "first": first_trade_at(db, symbol_id, least),
        "stop": first_trade_at(db, symbol_id, most + 1), "orders": json.dumps([row.order_id for row in placed]),
    }  # fmt: skip
    return read_trades(db.execute(TAKEN, values).fetchone()[0])


def _lifetime(db: sqlite3.Connection, symbol_id: int, order_id: int) -> Span:
    """The trades during an order's life; none for an unknown one."""
    row = db.execute(
        "SELECT placed_ms, CASE WHEN open = 0 THEN updated_ms END FROM orders WHERE order_id = ?", (order_id,)
    ).fetchone()
    return _span(db, symbol_id, row, None) if row else (1, 0)


def _aggregates(db: sqlite3.Connection, symbol_id: int, span: Span, count: int) -> Span:
    """Narrows a span to its first ``count`` aggregates, or its last ones when negative. Aggregate ids are dense."""
    up = count > 0
    edge = db.execute(
        f"SELECT agg_id FROM trades WHERE symbol_id = ? AND trade_id BETWEEN ? AND ? ORDER BY trade_id"
        f" {'ASC' if up else 'DESC'} LIMIT 1",
        (symbol_id, *span),
    ).fetchone()
    if edge is None:
        return 1, 0
    if up:
        return span[0], min(span[1], first_trade_of(db, symbol_id, edge[0] + count) - 1)
    return max(span[0], first_trade_of(db, symbol_id, edge[0] + count + 1)), span[1]


def _grouped(trades: Sequence[TradeRow]) -> list[list[TradeRow]]:
    return [list(group) for _, group in groupby(trades, key=lambda trade: trade.agg_id)]
