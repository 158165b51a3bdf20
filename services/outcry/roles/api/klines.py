"""Candles of every interval, read from the stored ones (1 m, 1 h, 1 d) or, for seconds, from trades."""

from dataclasses import replace
from typing import Any, Final

from outcry.decimals import money_text, price_text, qty_text
from outcry.market.candles import MINUTE, Bar, fill, merge, source_of
from outcry.market.instrument import Instrument
from outcry.ports import QueryLedger
from outcry.roles.api.intervals import Span
from outcry.rows import CandleRow, TradeRow

MAX_SOURCE_ROWS: Final = 45_000  # stored candles summed for one answer; it has fewer candles than asked for beyond
MAX_TRADES: Final = 20_000  # trades summed for one answer in seconds; it covers fewer seconds beyond
PAGE_ROWS: Final = 4_000  # read and summed at a time, so that other requests get their turn
PAGE_TRADES: Final = 1_000


async def klines_of(ledger: QueryLedger, symbol_id: int, span: Span) -> list[CandleRow]:
    """The wanted candles, oldest first, without gaps since the first trade."""
    source_ms = source_of(span.interval_ms, span.shift_ms)
    if not source_ms:
        return await _seconds(ledger, symbol_id, span)
    span = replace(span, limit=min(span.limit, max(MAX_SOURCE_ROWS * source_ms // span.interval_ms, 1)))
    first, last = span.opens()
    before = await ledger.candles(symbol_id, source_ms, end_ms=first - 1, limit=1)
    if not before:
        oldest = await ledger.candles(symbol_id, source_ms, start_ms=max(first, 0), limit=1)
        if not oldest:
            return []
        first, last = span.opens(since_ms=oldest[0].open_ms)
    rows = await _merged(ledger, symbol_id, source_ms, replace(span, start_ms=first, end_ms=last))
    return _filled(rows, before[-1].close if before else 0, replace(span, start_ms=first, end_ms=last))


def kline_json(row: CandleRow, instrument: Instrument, span: Span) -> list[Any]:
    """One candle as GET /api/v3/klines shows it."""
    return [
        row.open_ms,
        price_text(instrument, row.open),
        price_text(instrument, row.high),
        price_text(instrument, row.low),
        price_text(instrument, row.close),
        qty_text(instrument, row.volume),
        span.next(row.open_ms) - 1,
        money_text(row.amount),
        row.trades,
        qty_text(instrument, row.taker_buy_volume),
        money_text(row.taker_buy_amount),
        "0",
    ]


async def _merged(ledger: QueryLedger, symbol_id: int, source_ms: int, span: Span) -> list[CandleRow]:
    """Candles of the span, which here runs exactly from its first to its last opening; gaps stay gaps."""
    start_ms, until_ms = span.start_ms or 0, span.next(span.end_ms)
    merged: list[CandleRow] = []
    while start_ms < until_ms:
        page = await ledger.candles(symbol_id, source_ms, start_ms=start_ms, end_ms=until_ms - 1, limit=PAGE_ROWS)
        unfinished = merged[-1:]
        merged[-1:] = merge([*unfinished, *page], span.interval_ms, span.shift_ms)
        if len(page) < PAGE_ROWS:
            break
        start_ms = page[-1].open_ms + source_ms
    return merged


def _filled(rows: list[CandleRow], before: int, span: Span) -> list[CandleRow]:
    """The rows without gaps; ``before`` is the price at which the span begins, 0 where trading begins in it."""
    if not before:
        return fill(rows, span.end_ms, span.shift_ms)
    first = span.start_ms or 0
    symbol_id = rows[0].symbol_id if rows else 0
    seed = Bar(span.open_of(first - 1), before).row(symbol_id, span.interval_ms)
    return fill([seed, *rows], span.end_ms, span.shift_ms)[1:]


async def _seconds(ledger: QueryLedger, symbol_id: int, span: Span) -> list[CandleRow]:
    first, last = span.opens()
    if span.start_ms is None:
        trades, first = await _newest_trades(ledger, symbol_id, first, span.next(last))
    else:
        trades, last = await _oldest_trades(ledger, symbol_id, first, span.next(last))
    before = await _price_before(ledger, symbol_id, first)
    bars: dict[int, Bar] = {}
    for trade in trades:
        open_ms = span.open_of(trade.time_ms)
        if open_ms not in bars:
            bars[open_ms] = Bar(open_ms, trade.price)
        bars[open_ms].add(trade)
    rows = [bar.row(symbol_id, span.interval_ms) for bar in bars.values() if first <= bar.open_ms <= last]
    return _filled(rows, before, replace(span, start_ms=first, end_ms=last))


async def _newest_trades(ledger: QueryLedger, symbol_id: int, first: int, until_ms: int) -> tuple[list[TradeRow], int]:
    """Trades before ``until_ms`` back to ``first``, and since when they are complete."""
    trades = await ledger.trades(symbol_id, end_ms=until_ms - 1, limit=PAGE_TRADES)
    while trades and trades[0].time_ms >= first and trades[0].trade_id > 1:
        if len(trades) >= MAX_TRADES:
            return trades, trades[0].time_ms // 1000 * 1000 + 1000
        oldest = trades[0].trade_id
        page = await ledger.trades(symbol_id, from_id=max(oldest - PAGE_TRADES, 1), limit=PAGE_TRADES)
        older = [trade for trade in page if trade.trade_id < oldest]
        if not older:
            break
        trades = older + trades
    return trades, first


async def _oldest_trades(ledger: QueryLedger, symbol_id: int, first: int, until_ms: int) -> tuple[list[TradeRow], int]:
    """Trades from ``first`` on, and when the last complete second before ``until_ms`` opens."""
    trades = await ledger.trades(symbol_id, start_ms=first, end_ms=until_ms - 1, limit=PAGE_TRADES)
    page = trades
    while len(page) == PAGE_TRADES:
        if len(trades) >= MAX_TRADES:
            return trades, trades[-1].time_ms // 1000 * 1000 - 1000
        page = await ledger.trades(symbol_id, from_id=trades[-1].trade_id + 1, limit=PAGE_TRADES)
        page = [trade for trade in page if trade.time_ms < until_ms]
        trades = trades + page
    return trades, until_ms - 1000


async def _price_before(ledger: QueryLedger, symbol_id: int, time_ms: int) -> int:
    """The last price before a time: of a trade, else of a minute from before there were trades."""
    trades = await ledger.trades(symbol_id, end_ms=time_ms - 1, limit=1)
    if trades:
        return trades[-1].price
    minutes = await ledger.candles(symbol_id, MINUTE, end_ms=time_ms - 1, limit=1)
    return minutes[-1].close if minutes else 0
