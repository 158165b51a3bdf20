"""The native reads under ``/v1``: symbols, trades, orders, fills, balances and the portfolio."""

from typing import Any, Final

from outcry.decimals import money_text, price_text, qty_text
from outcry.market.candles import DAY
from outcry.market.instrument import Instrument
from outcry.market.portfolio import Position
from outcry.market.terms import SIDE_NAMES
from outcry.roles.api.account import balances_of
from outcry.roles.api.endpoint import READ, Call, Endpoint, Param
from outcry.roles.api.exchangeinfo import ORDER_TYPES
from outcry.roles.api.fills import fill_json, sides_of
from outcry.roles.api.history import orders_json
from outcry.roles.api.paging import CURSOR, PAGE_LIMIT, page_of
from outcry.roles.api.selection import ONE_SYMBOL, SYMBOL, status_of
from outcry.rows import Balance, TradeRow

Json = dict[str, Any]
TAG: Final = "native"


async def symbols(call: Call) -> Json:
    """GET /v1/symbols: every symbol with its terms, partition and last price."""

    async def read(instrument: Instrument, from_id: int, limit: int) -> tuple[list[Json], int | None]:
        return [symbol_json(instrument, status_of(instrument, call.venue), await _price(call, instrument))], None

    return await page_of(call, "/v1/symbols", _asked(call), read)


async def trades(call: Call) -> Json:
    """GET /v1/trades: a symbol's trades from the oldest kept, or from ``fromId`` or ``startTime`` on."""
    params = call.params

    async def read(instrument: Instrument, from_id: int, limit: int) -> tuple[list[Json], int | None]:
        start_ms = params.get("startTime") if "cursor" not in params else None
        first_id = None if start_ms is not None else max(from_id, params.get("fromId", 0))
        rows = await call.venue.ledger.trades(
            instrument.symbol_id, from_id=first_id, start_ms=start_ms, limit=limit + 1
        )
        return [trade_json(row, instrument) for row in rows[:limit]], _next_id(rows, limit)

    return await page_of(call, "/v1/trades", [params["symbol"]], read)


async def orders(call: Call) -> Json:
    """GET /v1/orders: the caller's orders by symbol and id, oldest first."""

    async def read(instrument: Instrument, from_id: int, limit: int) -> tuple[list[Json], int | None]:
        rows = await call.venue.ledger.orders(
            call.account_id, instrument.symbol_id, from_id=from_id, start_ms=None, end_ms=None, limit=limit + 1
        )
        return await orders_json(call, rows[:limit]), rows[limit].order_id if len(rows) > limit else None

    return await page_of(call, "/v1/orders", _asked(call), read)


async def fills(call: Call) -> Json:
    """GET /v1/fills: the caller's trades by symbol and id, oldest first; a self-trade is two rows."""

    async def read(instrument: Instrument, from_id: int, limit: int) -> tuple[list[Json], int | None]:
        rows = await call.venue.ledger.fills(call.account_id, instrument.symbol_id, from_id=from_id, limit=limit + 1)
        mine = list(sides_of(rows[:limit], call.account_id))
        made = await call.venue.ledger.orders_by_id(sorted({fill.order_id for fill in mine})) if mine else []
        lists = {order.order_id: order.list_id for order in made}
        shown = [fill_json(fill, instrument, lists.get(fill.order_id, -1)) for fill in mine]
        return shown, _next_id(rows, limit)

    return await page_of(call, "/v1/fills", _asked(call), read)


async def balances(call: Call) -> Json:
    """GET /v1/balances: one for every asset."""
    names = call.venue.assets
    rows = [balance_json(names[balance.asset_id], balance) for balance in await balances_of(call)]
    return {"data": rows, "next_cursor": None}


async def portfolio(call: Call) -> Json:
    """GET /v1/portfolio: what the caller's trades came to, by symbol; deposits have no cost and count as no trade."""
    venue = call.venue
    listed = sorted(venue.instruments.values(), key=lambda each: each.symbol_id)
    held = await balances_of(call)
    by_asset = {balance.asset_id: balance for balance in held}
    positions = []
    totals: dict[str, list[int]] = {}
    for instrument, position in await venue.positions.of(call.account_id, listed):
        price = await _price(call, instrument) * instrument.tick_size
        positions.append(position_json(instrument, position, price, by_asset[instrument.base_asset]))
        total = totals.setdefault(instrument.quote, [0, 0])
        total[0] += position.realised
        total[1] += position.unrealised(price)
    return {
        "time": venue.clock.now_ms(),
        "positions": positions,
        "totals": [
            {"asset": asset, "realisedPnl": money_text(realised), "unrealisedPnl": money_text(unrealised)}
            for asset, (realised, unrealised) in totals.items()
        ],
        "balances": [balance_json(venue.assets[balance.asset_id], balance) for balance in held],
    }


def symbol_json(instrument: Instrument, status: str, last_price: int) -> Json:
    """A symbol and its terms in units of its assets."""
    return {
        "symbol": instrument.symbol,
        "status": status,
        "base": instrument.base,
        "quote": instrument.quote,
        "partition": instrument.partition,
        "tickSize": price_text(instrument, 1),
        "lotSize": qty_text(instrument, 1),
        "minPrice": price_text(instrument, instrument.min_price),
        "maxPrice": price_text(instrument, instrument.max_price),
        "minQty": qty_text(instrument, instrument.min_qty),
        "maxQty": qty_text(instrument, instrument.max_qty),
        "minNotional": money_text(instrument.min_notional),
        "orderTypes": ORDER_TYPES,
        "lastPrice": price_text(instrument, last_price),
    }


def trade_json(trade: TradeRow, instrument: Instrument) -> Json:
    """A public trade; ``side`` is the taker's."""
    return {
        "symbol": instrument.symbol,
        "id": trade.trade_id,
        "price": price_text(instrument, trade.price),
        "qty": qty_text(instrument, trade.qty),
        "quoteQty": money_text(trade.amount),
        "side": SIDE_NAMES[trade.taker_side],
        "time": trade.time_ms,
    }


def balance_json(asset: str, balance: Balance) -> Json:
    """Money in one asset."""
    return {
        "asset": asset,
        "free": money_text(balance.free),
        "locked": money_text(balance.held),
        "total": money_text(balance.free + balance.held),
    }


def position_json(instrument: Instrument, position: Position, price: int, balance: Balance) -> Json:
    """A position at ``price`` quote minor units per base unit; ``position`` is negative after net sales."""
    return {
        "symbol": instrument.symbol,
        "asset": instrument.base,
        "quote": instrument.quote,
        "free": money_text(balance.free),
        "locked": money_text(balance.held),
        "position": money_text(position.qty),
        "averageCost": money_text(position.average_cost()),
        "cost": money_text(position.cost),
        "lastPrice": money_text(price),
        "realisedPnl": money_text(position.realised),
        "unrealisedPnl": money_text(position.unrealised(price)),
        "baseFees": money_text(position.base_fees),
        "quoteFees": money_text(position.quote_fees),
        "fills": position.fills,
        "since": position.since_ms,
    }


def _asked(call: Call) -> list[Instrument]:
    return [call.params["symbol"]] if "symbol" in call.params else list(call.venue.instruments.values())


def _next_id(rows: list[TradeRow], limit: int) -> int | None:
    return rows[limit].trade_id if len(rows) > limit else None


async def _price(call: Call, instrument: Instrument) -> int:
    """The last price in ticks: of a trade, else of a candle, else 0."""
    price = call.venue.last_prices.get(instrument.symbol_id)
    return price or (await call.venue.statistics.rolling(instrument.symbol_id, DAY)).bar.close


_SYMBOL_EXAMPLE: Final[Json] = {
    "symbol": "BTCUSD", "status": "TRADING", "base": "BTC", "quote": "USD", "partition": 0, "tickSize": "0.01000000",
    "lotSize": "0.00001000", "minPrice": "0.01000000", "maxPrice": "1000000.00000000", "minQty": "0.00001000",
    "maxQty": "9000.00000000", "minNotional": "5.00000000", "orderTypes": ["LIMIT", "MARKET"],
    "lastPrice": "60000.00000000",
}  # fmt: skip
_TRADE: Final[Json] = {
    "symbol": "BTCUSD", "id": 28457, "price": "60000.00000000", "qty": "0.01000000", "quoteQty": "600.00000000",
    "side": "BUY", "time": 1700000000000,
}  # fmt: skip
_BALANCE: Final[Json] = {
    "asset": "BTC", "free": "99.00000000", "locked": "1.00000000", "total": "100.00000000",
}  # fmt: skip
_POSITION: Final[Json] = {
    "symbol": "BTCUSD", "asset": "BTC", "quote": "USD", "free": "99.00000000", "locked": "1.00000000",
    "position": "0.50000000", "averageCost": "59000.00000000", "cost": "29500.00000000",
    "lastPrice": "60000.00000000", "realisedPnl": "12.50000000", "unrealisedPnl": "500.00000000",
    "baseFees": "0.00050000", "quoteFees": "1.20000000", "fills": 4, "since": 1699990000000,
}  # fmt: skip
_PORTFOLIO: Final[Json] = {
    "time": 1700000000000,
    "positions": [_POSITION],
    "totals": [{"asset": "USD", "realisedPnl": "12.50000000", "unrealisedPnl": "500.00000000"}],
    "balances": [_BALANCE],
}
_NEXT: Final = "MTozMDAwMQ"
_PAGES: Final = (ONE_SYMBOL, PAGE_LIMIT, CURSOR)

ENDPOINTS: Final = [
    Endpoint(
        method="GET", path="/v1/symbols", answer=symbols, params=_PAGES, tag=TAG,
        summary="Symbols and their terms", example={"data": [_SYMBOL_EXAMPLE], "next_cursor": None},
    ),
    Endpoint(
        method="GET", path="/v1/trades", answer=trades, weight=25, tag=TAG,
        params=(SYMBOL, Param(name="fromId", kind="int"), Param(name="startTime", kind="int"), PAGE_LIMIT, CURSOR),
        summary="Trades of a symbol, oldest first", example={"data": [_TRADE], "next_cursor": _NEXT},
    ),
    Endpoint(
        method="GET", path="/v1/orders", answer=orders, security=READ, weight=20, params=_PAGES, tag=TAG,
        summary="The account's orders, oldest first",
        example={"data": [{"symbol": "BTCUSD", "orderId": 1, "status": "NEW"}], "next_cursor": None},
    ),
    Endpoint(
        method="GET", path="/v1/fills", answer=fills, security=READ, weight=20, params=_PAGES, tag=TAG,
        summary="The account's trades, oldest first",
        example={"data": [{"symbol": "BTCUSD", "id": 28457, "orderId": 1, "isMaker": False}], "next_cursor": None},
    ),
    Endpoint(
        method="GET", path="/v1/balances", answer=balances, security=READ, weight=20, tag=TAG,
        summary="The account's balances", example={"data": [_BALANCE], "next_cursor": None},
    ),
    Endpoint(
        method="GET", path="/v1/portfolio", answer=portfolio, security=READ, weight=20, tag=TAG,
        summary="Positions, average cost and profit", example=_PORTFOLIO,
    ),
]  # fmt: skip
