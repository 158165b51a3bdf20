"""Public market data: time, order book, trades, klines; and with them the tickers and the trading rules."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from outcry.decimals import money_text, price_text, qty_text, weighted_price
from outcry.market.candles import INTERVALS, MINUTE
from outcry.market.instrument import Instrument
from outcry.market.terms import SELL
from outcry.roles.api import exchangeinfo, tickers
from outcry.roles.api.endpoint import Call, Endpoint, Param
from outcry.roles.api.errors import overloaded
from outcry.roles.api.features import KLINES
from outcry.roles.api.intervals import Span, refuse_together, shift_of
from outcry.roles.api.klines import kline_json, klines_of
from outcry.roles.api.selection import END_TIME, FROM_ID, LIMIT, START_TIME, SYMBOL, SYMBOL_STATUS, the_symbol
from outcry.rows import TradeRow

DEFAULT_DEPTH: Final = 100
MAX_DEPTH: Final = 5_000
AVERAGE_MINUTES: Final = 5

Json = dict[str, Any]


async def ping(call: Call) -> Json:
    """GET /api/v3/ping."""
    return {}


async def server_time(call: Call) -> Json:
    """GET /api/v3/time."""
    return {"serverTime": call.venue.clock.now_ms()}


async def depth(call: Call) -> Json:
    """GET /api/v3/depth: never older than what the streams delivered."""
    instrument = the_symbol(call)
    book = await call.venue.feed.book(instrument.symbol_id, call.params["limit"])
    if book is None:
        raise overloaded()
    return {
        "lastUpdateId": book.update_id,
        "bids": levels_json(book.bids, instrument),
        "asks": levels_json(book.asks, instrument),
    }


async def recent_trades(call: Call) -> list[Json]:
    """GET /api/v3/trades: the newest, oldest first."""
    instrument = call.params["symbol"]
    trades = await call.venue.ledger.trades(instrument.symbol_id, limit=call.params["limit"])
    return [trade_json(trade, instrument) for trade in trades]


async def historical_trades(call: Call) -> list[Json]:
    """GET /api/v3/historicalTrades: from a trade id on, or the newest."""
    instrument, params = call.params["symbol"], call.params
    trades = await call.venue.ledger.trades(instrument.symbol_id, from_id=params.get("fromId"), limit=params["limit"])
    return [trade_json(trade, instrument) for trade in trades]


async def no_block_trades(call: Call) -> list[Json]:
    """GET /api/v3/historicalBlockTrades: there are none."""
    return []


async def aggregate_trades(call: Call) -> list[Json]:
    """GET /api/v3/aggTrades."""
    instrument, params = call.params["symbol"], call.params
    refuse_together(params, "fromId", "startTime", "endTime")
    aggregates = await call.venue.ledger.agg_trades(
        instrument.symbol_id,
        from_id=params.get("fromId"),
        start_ms=params.get("startTime"),
        end_ms=params.get("endTime"),
        limit=params["limit"],
    )
    return [aggregate_json(trades, instrument) for trades in aggregates]


async def klines(call: Call) -> list[list[Any]]:
    """GET /api/v3/klines and /uiKlines."""
    params, now_ms = call.params, call.venue.clock.now_ms()
    span = Span(
        interval_ms=INTERVALS[params["interval"]],
        start_ms=params.get("startTime"),
        end_ms=min(params.get("endTime", now_ms), now_ms),
        limit=params["limit"],
        shift_ms=shift_of(params["timeZone"]),
    )
    instrument: Instrument = params["symbol"]
    rows = await klines_of(call.venue.ledger, instrument.symbol_id, span)
    return [kline_json(row, instrument, span) for row in rows]


async def average_price(call: Call) -> Json:
    """GET /api/v3/avgPrice: by volume over five minutes, the last price when nothing traded in them."""
    instrument: Instrument = call.params["symbol"]
    statistics = call.venue.statistics
    bar = (await statistics.rolling(instrument.symbol_id, AVERAGE_MINUTES * MINUTE)).bar
    last = await statistics.last_trade(instrument.symbol_id)
    price = weighted_price(instrument, bar.amount, bar.volume) or bar.close * instrument.tick_size
    return {"mins": AVERAGE_MINUTES, "price": money_text(price), "closeTime": last.time_ms if last else 0}


def levels_json(levels: Sequence[tuple[int, int]], instrument: Instrument) -> list[list[str]]:
    """One side of the book, best first."""
    return [[price_text(instrument, price), qty_text(instrument, lots)] for price, lots in levels]


def trade_json(trade: TradeRow, instrument: Instrument) -> Json:
    """A public trade."""
    return {
        "id": trade.trade_id,
        "price": price_text(instrument, trade.price),
        "qty": qty_text(instrument, trade.qty),
        "quoteQty": money_text(trade.amount),
        "time": trade.time_ms,
        "isBuyerMaker": trade.taker_side == SELL,
        "isBestMatch": True,
    }


def aggregate_json(trades: Sequence[TradeRow], instrument: Instrument) -> Json:
    """Trades of one taker order at one price."""
    first, last = trades[0], trades[-1]
    return {
        "a": first.agg_id,
        "p": price_text(instrument, first.price),
        "q": qty_text(instrument, sum(trade.qty for trade in trades)),
        "f": first.trade_id,
        "l": last.trade_id,
        "T": first.time_ms,
        "m": first.taker_side == SELL,
        "M": True,
    }


def depth_weight(params: Mapping[str, Any]) -> int:
    """5, 25, 50 or 250 by the limit."""
    limit = params["limit"]
    return 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1000 else 250


_KLINE_PARAMS: Final = (
    SYMBOL,
    Param(name="interval", kind="enum", required=True, values=tuple(INTERVALS)),
    START_TIME,
    END_TIME,
    Param(name="timeZone", default="0", note="Such as -1:00, 05:45 or 8; it moves where candles begin."),
    LIMIT,
)
_TRADE: Final[Json] = {
    "id": 28457, "price": "60000.00000000", "qty": "0.01000000", "quoteQty": "600.00000000", "time": 1700000000000,
    "isBuyerMaker": True, "isBestMatch": True,
}  # fmt: skip
_KLINE: Final = [
    1700000000000, "60000.00000000", "60010.00000000", "59990.00000000", "60005.00000000", "1.50000000", 1700000059999,
    "90003.00000000", 12, "0.75000000", "45002.00000000", "0",
]  # fmt: skip

ENDPOINTS: Final = [
    Endpoint(method="GET", path="/api/v3/ping", answer=ping, ws="ping", summary="Test the connection", example={}),
    Endpoint(
        method="GET", path="/api/v3/time", answer=server_time, ws="time", summary="The server's time",
        example={"serverTime": 1700000000000},
    ),
    Endpoint(
        method="GET", path="/api/v3/depth", answer=depth, weight=depth_weight, ws="depth", summary="Order book",
        params=(SYMBOL, Param(name="limit", kind="int", default=DEFAULT_DEPTH, low=1, high=MAX_DEPTH), SYMBOL_STATUS),
        example={
            "lastUpdateId": 1027024,
            "bids": [["59999.99000000", "0.43100000"]],
            "asks": [["60000.01000000", "0.12000000"]],
        },
    ),
    Endpoint(
        method="GET", path="/api/v3/trades", answer=recent_trades, weight=25, params=(SYMBOL, LIMIT),
        ws="trades.recent", summary="Newest trades", example=[_TRADE],
    ),
    Endpoint(
        method="GET", path="/api/v3/historicalTrades", answer=historical_trades, weight=25,
        params=(SYMBOL, LIMIT, FROM_ID), ws="trades.historical", summary="Trades from an id on", example=[_TRADE],
    ),
    Endpoint(
        method="GET", path="/api/v3/aggTrades", answer=aggregate_trades, weight=4, ws="trades.aggregate",
        params=(SYMBOL, FROM_ID, START_TIME, END_TIME, LIMIT),
        summary="Trades summed by taker order and price",
        example=[{
            "a": 26129, "p": "60000.00000000", "q": "0.02000000", "f": 27781, "l": 27782, "T": 1700000000000,
            "m": True, "M": True,
        }],
    ),
    Endpoint(
        method="GET", path="/api/v3/klines", answer=klines, weight=2, params=_KLINE_PARAMS, ws="klines",
        feature=KLINES,
        summary="Candles", example=[_KLINE],
    ),
    Endpoint(
        method="GET", path="/api/v3/uiKlines", answer=klines, weight=2, params=_KLINE_PARAMS, ws="uiKlines",
        feature=KLINES,
        summary="Candles for charts", example=[_KLINE],
    ),
    Endpoint(
        method="GET", path="/api/v3/avgPrice", answer=average_price, weight=2, params=(SYMBOL,), ws="avgPrice",
        summary="Average price of five minutes",
        example={"mins": 5, "price": "60001.23000000", "closeTime": 1700000000000},
    ),
    Endpoint(
        method="GET", path="/api/v3/historicalBlockTrades", answer=no_block_trades, weight=25,
        params=(SYMBOL, Param(name="fromId", kind="int", required=True), LIMIT), ws="blockTrades.historical",
        summary="Block trades (none)", example=[],
    ),
    *exchangeinfo.ENDPOINTS,
    *tickers.ENDPOINTS,
]  # fmt: skip
