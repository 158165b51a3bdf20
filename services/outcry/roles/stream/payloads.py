"""Public payloads, field for field as Binance's ``web-socket-streams.md`` shows them.

Times are integer milliseconds; ``in_microseconds`` makes the ``timeUnit=MICROSECOND`` form of a payload.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from outcry.decimals import money_text, percent_text, price_text, qty_text, weighted_price
from outcry.market.candles import Bar
from outcry.market.instrument import Instrument
from outcry.market.terms import BUY, SELL
from outcry.roles.stream.changes import Changes
from outcry.rows import TradeRow

Payload = dict[str, Any]
Level = tuple[int, int]  # price ticks, visible lots

ZERO: Final = money_text(0)

# Fields that are times, by event type; a name with a dot is a field of a nested object.
_TIMES: Final[dict[str, tuple[str, ...]]] = {
    "trade": ("E", "T"),
    "aggTrade": ("E", "T"),
    "depthUpdate": ("E",),
    "kline": ("E",),
    "24hrMiniTicker": ("E",),
    "24hrTicker": ("E", "O", "C"),
    "1hTicker": ("E", "O", "C"),
    "4hTicker": ("E", "O", "C"),
    "1dTicker": ("E", "O", "C"),
    "avgPrice": ("E", "T"),
    "serverShutdown": ("E",),
    "executionReport": ("E", "T", "O", "W", "D"),
    "outboundAccountPosition": ("E", "u"),
    "balanceUpdate": ("E", "T"),
    "listStatus": ("E", "T"),
    "eventStreamTerminated": ("E",),
    "listenKeyExpired": ("E",),
}


def in_microseconds(payload: Payload | Sequence[Payload]) -> Any:
    """The payload with its times in microseconds."""
    if not isinstance(payload, dict):
        return [in_microseconds(each) for each in payload]
    event = payload.get("e", "")
    changed = {name: payload[name] * 1000 for name in _TIMES.get(event, ()) if name in payload}
    if event == "kline":
        k = payload["k"]
        changed["k"] = {**k, "t": k["t"] * 1000, "T": k["T"] * 1000 + 999}
    return {**payload, **changed}


def trade(instrument: Instrument, event_ms: int, row: TradeRow) -> Payload:
    """``<symbol>@trade``; ``m``: the buyer was the maker."""
    return {
        "e": "trade",
        "E": event_ms,
        "s": instrument.symbol,
        "t": row.trade_id,
        "p": price_text(instrument, row.price),
        "q": qty_text(instrument, row.qty),
        "T": row.time_ms,
        "m": row.taker_side == SELL,
        "M": True,
    }


def aggregate(instrument: Instrument, event_ms: int, trades: Sequence[TradeRow]) -> Payload:
    """``<symbol>@aggTrade``: trades of one taker order at one price."""
    first, last = trades[0], trades[-1]
    return {
        "e": "aggTrade",
        "E": event_ms,
        "s": instrument.symbol,
        "a": first.agg_id,
        "p": price_text(instrument, first.price),
        "q": qty_text(instrument, sum(each.qty for each in trades)),
        "f": first.trade_id,
        "l": last.trade_id,
        "T": first.time_ms,
        "m": first.taker_side == SELL,
        "M": True,
    }


def aggregates(trades: Iterable[TradeRow]) -> list[list[TradeRow]]:
    """Trades in order, split where the aggregate trade id changes."""
    groups: list[list[TradeRow]] = []
    for each in trades:
        if groups and groups[-1][0].agg_id == each.agg_id:
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups


def levels(instrument: Instrument, side: Iterable[Level]) -> list[tuple[str, str]]:
    """Levels as pairs of decimal strings; a quantity of zero removes the level."""
    tick, lot = instrument.tick_size, instrument.lot_size
    return [(money_text(price * tick), money_text(lots * lot)) for price, lots in side]


def depth_update(instrument: Instrument, window: Changes) -> Payload:
    """``<symbol>@depth``: every level that changed from update ``U`` to update ``u``, absolute."""
    bids, asks = depth_sides(instrument, window)
    return {
        "e": "depthUpdate",
        "E": window.time_ms,
        "s": instrument.symbol,
        "U": window.first_u,
        "u": window.last_u,
        "b": bids,
        "a": asks,
    }


def depth_sides(instrument: Instrument, window: Changes) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The changed bids and asks of a window, best first."""
    bids = sorted(((price, lots) for (side, price), lots in window.levels.items() if side == BUY), reverse=True)
    asks = sorted((price, lots) for (side, price), lots in window.levels.items() if side == SELL)
    return levels(instrument, bids), levels(instrument, asks)


def partial_depth(instrument: Instrument, update_id: int, bids: Sequence[Level], asks: Sequence[Level]) -> Payload:
    """``<symbol>@depth5``, ``10``, ``20``: the best levels; it has no event type."""
    return {"lastUpdateId": update_id, "bids": levels(instrument, bids), "asks": levels(instrument, asks)}


def book_ticker(instrument: Instrument, update_id: int, bid: Level, ask: Level) -> Payload:
    """``<symbol>@bookTicker``; clients know it by its lack of an event type."""
    return {
        "u": update_id,
        "s": instrument.symbol,
        "b": price_text(instrument, bid[0]),
        "B": qty_text(instrument, bid[1]),
        "a": price_text(instrument, ask[0]),
        "A": qty_text(instrument, ask[1]),
    }


def kline(instrument: Instrument, event_ms: int, interval: str, bar: Bar, *, close_ms: int, closed: bool) -> Payload:
    """``<symbol>@kline_<interval>``; ``close_ms`` is the last millisecond of the candle."""
    return {
        "e": "kline",
        "E": event_ms,
        "s": instrument.symbol,
        "k": {
            "t": bar.open_ms,
            "T": close_ms,
            "s": instrument.symbol,
            "i": interval,
            "f": bar.first_trade,
            "L": bar.last_trade,
            "o": price_text(instrument, bar.open),
            "c": price_text(instrument, bar.close),
            "h": price_text(instrument, bar.high),
            "l": price_text(instrument, bar.low),
            "v": qty_text(instrument, bar.volume),
            "n": bar.trades,
            "x": closed,
            "q": money_text(bar.amount),
            "V": qty_text(instrument, bar.taker_buy_volume),
            "Q": money_text(bar.taker_buy_amount),
            "B": "0",
        },
    }


def mini_ticker(instrument: Instrument, event_ms: int, bar: Bar) -> Payload:
    """``<symbol>@miniTicker``: the last 24 hours in eight fields."""
    return {
        "e": "24hrMiniTicker",
        "E": event_ms,
        "s": instrument.symbol,
        "c": price_text(instrument, bar.close),
        "o": price_text(instrument, bar.open),
        "h": price_text(instrument, bar.high),
        "l": price_text(instrument, bar.low),
        "v": qty_text(instrument, bar.volume),
        "q": money_text(bar.amount),
    }


def window_ticker(instrument: Instrument, event_ms: int, window: str, bar: Bar) -> Payload:
    """``<symbol>@ticker_<window>``: rolling statistics; ``bar`` opens where the window does."""
    change = bar.close - bar.open
    return {
        "e": f"{window}Ticker",
        "E": event_ms,
        "s": instrument.symbol,
        "p": price_text(instrument, change),
        "P": percent_text(change, bar.open),
        "o": price_text(instrument, bar.open),
        "h": price_text(instrument, bar.high),
        "l": price_text(instrument, bar.low),
        "c": price_text(instrument, bar.close),
        "w": money_text(weighted_price(instrument, bar.amount, bar.volume)),
        "v": qty_text(instrument, bar.volume),
        "q": money_text(bar.amount),
        "O": bar.open_ms,
        "C": event_ms,
        "F": bar.first_trade,
        "L": bar.last_trade,
        "n": bar.trades,
    }


def average_price(instrument: Instrument, event_ms: int, price: int, trade_ms: int) -> Payload:
    """``<symbol>@avgPrice``: ``price`` in minor units over five minutes, ``trade_ms`` the last trade's time."""
    return {
        "e": "avgPrice",
        "E": event_ms,
        "s": instrument.symbol,
        "i": "5m",
        "w": money_text(price),
        "T": trade_ms,
    }


def shutdown(event_ms: int) -> Payload:
    """The last event before the server ends."""
    return {"e": "serverShutdown", "E": event_ms}
