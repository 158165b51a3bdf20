"""Tickers: price statistics, last prices and best prices of one symbol, several, or all."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from outcry.decimals import money_text, percent_text, price_text, qty_text, weighted_price
from outcry.market.candles import DAY
from outcry.market.instrument import Instrument
from outcry.roles.api.endpoint import Call, Endpoint, Param
from outcry.roles.api.intervals import WINDOWS, shift_of
from outcry.roles.api.selection import (
    ONE_SYMBOL,
    SYMBOL_STATUS,
    SYMBOLS,
    chosen,
    chosen_few,
    one_or_many,
    per_symbol_weight,
)
from outcry.roles.api.tickerstats import Figures

Json = dict[str, Any]
Level = tuple[int, int]  # price ticks, lots


async def day_tickers(call: Call) -> Any:
    """GET /api/v3/ticker/24hr."""

    async def one(instrument: Instrument) -> Json:
        statistics = call.venue.statistics
        figures = await statistics.rolling(instrument.symbol_id, DAY)
        figures = figures._replace(open_ms=figures.close_ms - DAY)
        if call.params["type"] == "MINI":
            return mini_json(instrument, figures)
        last = await statistics.last_trade(instrument.symbol_id)
        return full_json(instrument, figures) | {
            "prevClosePrice": price_text(instrument, figures.before),
            "lastQty": qty_text(instrument, last.qty if last else 0),
            **await _best_json(call, instrument),
        }

    return one_or_many(call, [await one(instrument) for instrument in chosen(call)])


async def rolling_tickers(call: Call) -> Any:
    """GET /api/v3/ticker."""

    async def one(instrument: Instrument) -> Json:
        length_ms = WINDOWS[call.params["windowSize"]]
        return _shaped(call, instrument, await call.venue.statistics.rolling(instrument.symbol_id, length_ms))

    return one_or_many(call, [await one(instrument) for instrument in chosen_few(call)])


async def trading_day_tickers(call: Call) -> Any:
    """GET /api/v3/ticker/tradingDay."""
    shift_ms = shift_of(call.params["timeZone"])

    async def one(instrument: Instrument) -> Json:
        return _shaped(call, instrument, await call.venue.statistics.trading_day(instrument.symbol_id, shift_ms))

    return one_or_many(call, [await one(instrument) for instrument in chosen_few(call)])


async def prices(call: Call) -> Any:
    """GET /api/v3/ticker/price: the last trade's price; before there was one, the last candle's close."""

    async def one(instrument: Instrument) -> Json:
        price = call.venue.last_prices.get(instrument.symbol_id)
        if not price:
            price = (await call.venue.statistics.rolling(instrument.symbol_id, DAY)).bar.close
        return {"symbol": instrument.symbol, "price": price_text(instrument, price)}

    return one_or_many(call, [await one(instrument) for instrument in chosen(call)])


async def book_tickers(call: Call) -> Any:
    """GET /api/v3/ticker/bookTicker."""

    async def one(instrument: Instrument) -> Json:
        return {"symbol": instrument.symbol, **await _best_json(call, instrument)}

    return one_or_many(call, await asyncio.gather(*[one(instrument) for instrument in chosen(call)]))


def mini_json(instrument: Instrument, figures: Figures) -> Json:
    """A ticker of type MINI."""
    bar = figures.bar
    return {
        "symbol": instrument.symbol,
        "openPrice": price_text(instrument, bar.open),
        "highPrice": price_text(instrument, bar.high),
        "lowPrice": price_text(instrument, bar.low),
        "lastPrice": price_text(instrument, bar.close),
        "volume": qty_text(instrument, bar.volume),
        "quoteVolume": money_text(bar.amount),
        "openTime": figures.open_ms,
        "closeTime": figures.close_ms,
        "firstId": bar.first_trade,
        "lastId": bar.last_trade,
        "count": bar.trades,
    }


def full_json(instrument: Instrument, figures: Figures) -> Json:
    """A ticker of type FULL, but for what only the 24 hour ticker has."""
    bar = figures.bar
    change = bar.close - bar.open
    return {
        "symbol": instrument.symbol,
        "priceChange": price_text(instrument, change),
        "priceChangePercent": percent_text(change, bar.open),
        "weightedAvgPrice": money_text(weighted_price(instrument, bar.amount, bar.volume)),
        **mini_json(instrument, figures),
    }


def _shaped(call: Call, instrument: Instrument, figures: Figures) -> Json:
    shape = mini_json if call.params["type"] == "MINI" else full_json
    return shape(instrument, figures)


async def _best_json(call: Call, instrument: Instrument) -> Json:
    """The best prices; zeros on an empty side."""
    book = await call.venue.feed.book(instrument.symbol_id, 1)
    bid = book.bids[0] if book and book.bids else (0, 0)
    ask = book.asks[0] if book and book.asks else (0, 0)
    return {
        "bidPrice": price_text(instrument, bid[0]),
        "bidQty": qty_text(instrument, bid[1]),
        "askPrice": price_text(instrument, ask[0]),
        "askQty": qty_text(instrument, ask[1]),
    }


def _day_weight(params: Mapping[str, Any]) -> int:
    if "symbol" in params:
        return 2
    number = len(params.get("symbols", ()))
    return 2 if 1 <= number <= 20 else 40 if 21 <= number <= 100 else 80


def _light_weight(params: Mapping[str, Any]) -> int:
    return 2 if "symbol" in params else 4


_TYPE: Final = Param(name="type", kind="enum", values=("FULL", "MINI"), default="FULL")
_CHOICE: Final = (ONE_SYMBOL, SYMBOLS, SYMBOL_STATUS)
_MINI: Final[Json] = {
    "symbol": "BTCUSD", "openPrice": "59000.00000000", "highPrice": "60500.00000000", "lowPrice": "58800.00000000",
    "lastPrice": "60000.00000000", "volume": "12.50000000", "quoteVolume": "747500.00000000",
    "openTime": 1699913600000, "closeTime": 1700000000000, "firstId": 1, "lastId": 76, "count": 76,
}  # fmt: skip
_FULL: Final[Json] = _MINI | {
    "priceChange": "1000.00000000", "priceChangePercent": "1.695", "weightedAvgPrice": "59800.00000000",
}  # fmt: skip
_BEST: Final[Json] = {
    "bidPrice": "59999.99000000", "bidQty": "0.43100000", "askPrice": "60000.01000000", "askQty": "0.12000000",
}  # fmt: skip

ENDPOINTS: Final = [
    Endpoint(
        method="GET", path="/api/v3/ticker/24hr", answer=day_tickers, weight=_day_weight, params=(*_CHOICE, _TYPE),
        ws="ticker.24hr", summary="Statistics of the last 24 hours",
        example=_FULL | {"prevClosePrice": "59000.00000000", "lastQty": "0.01000000"} | _BEST,
    ),
    Endpoint(
        method="GET", path="/api/v3/ticker", answer=rolling_tickers, weight=per_symbol_weight, ws="ticker",
        params=(*_CHOICE, Param(name="windowSize", kind="enum", values=tuple(WINDOWS), default="1d"), _TYPE),
        summary="Statistics of a rolling window", example=_FULL,
    ),
    Endpoint(
        method="GET", path="/api/v3/ticker/tradingDay", answer=trading_day_tickers, weight=per_symbol_weight,
        params=(*_CHOICE, Param(name="timeZone", default="0", note="Such as -1:00, 05:45 or 8."), _TYPE),
        ws="ticker.tradingDay", summary="Statistics of the trading day", example=_FULL,
    ),
    Endpoint(
        method="GET", path="/api/v3/ticker/price", answer=prices, weight=_light_weight, params=_CHOICE,
        ws="ticker.price", summary="Last price", example={"symbol": "BTCUSD", "price": "60000.00000000"},
    ),
    Endpoint(
        method="GET", path="/api/v3/ticker/bookTicker", answer=book_tickers, weight=_light_weight, params=_CHOICE,
        ws="ticker.book", summary="Best prices", example={"symbol": "BTCUSD"} | _BEST,
    ),
]  # fmt: skip
