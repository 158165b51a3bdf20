"""Reads an order's parameters by the rules of its type, up to the hold that pays for it.

Source: Binance ``rest-api.md``, "New order", its table of mandatory parameters by type.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import msgspec

from outcry.market.commands import PlaceOrder
from outcry.market.filters import check
from outcry.market.holds import need_of
from outcry.market.instrument import MAX_AMOUNT, Instrument
from outcry.market.terms import (
    BUY,
    FOK,
    GTC,
    IOC,
    LIMIT,
    LIMIT_MAKER,
    MARKET,
    SELL,
    STOP_LOSS,
    STOP_LOSS_LIMIT,
    STP_DECREMENT,
    STP_EXPIRE_BOTH,
    STP_EXPIRE_MAKER,
    STP_EXPIRE_TAKER,
    STP_NONE,
    TAKE_PROFIT,
    TAKE_PROFIT_LIMIT,
)
from outcry.roles.api.endpoint import Call, Param
from outcry.roles.api.errors import Refusal, filter_failure, market_closed, missing, too_precise, unwanted
from outcry.roles.api.intents import MAX_WINDOW_MS, MIN_WINDOW_MS, Place
from outcry.roles.api.params import TOO_PRECISE
from outcry.roles.api.tickets import insufficient_balance
from outcry.rows import AccountRow

Params = Mapping[str, Any]
Names = Mapping[str, str]

LOWEST_STRATEGY_TYPE: Final = 1_000_000
DEFAULT_RECV_WINDOW_MS: Final = 5_000

SIDES: Final = {"BUY": BUY, "SELL": SELL}
TIFS: Final = {"GTC": GTC, "IOC": IOC, "FOK": FOK}
RARE: Final = frozenset(
    ("quoteOrderQty", "stopPrice", "trailingDelta", "icebergQty", "strategyId", "strategyType")
)  # fmt: skip
STP_MODES: Final = {
    "NONE": STP_NONE,
    "EXPIRE_TAKER": STP_EXPIRE_TAKER,
    "EXPIRE_MAKER": STP_EXPIRE_MAKER,
    "EXPIRE_BOTH": STP_EXPIRE_BOTH,
    "DECREMENT": STP_DECREMENT,
}
PEG_PARAMS: Final = ("pegPriceType", "pegOffsetType", "pegOffsetValue")
PEGS: Final = frozenset(PEG_PARAMS)


_PROCESS: Final = secrets.token_hex(6)
_numbers: Final = count(1)


@dataclass(frozen=True, slots=True)
class Rule:
    """What an order type needs and does not take; a ``trigger`` is a stopPrice, a trailingDelta or both."""

    type: int
    needed: tuple[str, ...]
    unwanted: tuple[str, ...]
    trigger: bool = False


_NO_TRIGGER = ("stopPrice", "trailingDelta")
_MARKET_STYLE = ("price", "timeInForce", "icebergQty")
RULES: Final = {
    "LIMIT": Rule(LIMIT, ("timeInForce", "quantity", "price"), ("quoteOrderQty", *_NO_TRIGGER)),
    "LIMIT_MAKER": Rule(LIMIT_MAKER, ("quantity", "price"), ("timeInForce", "quoteOrderQty", *_NO_TRIGGER)),
    "MARKET": Rule(MARKET, (), (*_MARKET_STYLE, *_NO_TRIGGER)),
    "STOP_LOSS": Rule(STOP_LOSS, ("quantity",), ("quoteOrderQty", *_MARKET_STYLE), trigger=True),
    "TAKE_PROFIT": Rule(TAKE_PROFIT, ("quantity",), ("quoteOrderQty", *_MARKET_STYLE), trigger=True),
    "STOP_LOSS_LIMIT": Rule(
        STOP_LOSS_LIMIT, ("timeInForce", "quantity", "price"), ("quoteOrderQty",), trigger=True
    ),
    "TAKE_PROFIT_LIMIT": Rule(
        TAKE_PROFIT_LIMIT, ("timeInForce", "quantity", "price"), ("quoteOrderQty",), trigger=True
    ),
}  # fmt: skip

SYMBOL = Param(name="symbol", kind="symbol", required=True, example="BTCUSD")
SIDE = Param(name="side", kind="enum", required=True, values=tuple(SIDES), example="BUY")
STP = Param(name="selfTradePreventionMode", kind="enum", values=tuple(STP_MODES), default="NONE")
RESPONSE_TYPE = Param(name="newOrderRespType", kind="enum", values=("ACK", "RESULT", "FULL"))
ORDER_PARAMS: Final = (
    SYMBOL,
    SIDE,
    Param(name="type", kind="enum", required=True, values=tuple(RULES), example="LIMIT"),
    Param(name="timeInForce", kind="enum", values=tuple(TIFS), example="GTC"),
    Param(name="quantity", kind="decimal", example="0.01"),
    Param(name="quoteOrderQty", kind="decimal", note="MARKET: what to spend or to receive"),
    Param(name="price", kind="decimal", example="60000"),
    Param(name="newClientOrderId", kind="client_id", note="unique among the account's open orders of the symbol"),
    Param(name="strategyId", kind="int"),
    Param(name="strategyType", kind="int", note="1000000 or more"),
    Param(name="stopPrice", kind="decimal"),
    Param(name="trailingDelta", kind="int", low=1, high=1 << 31, note="basis points"),
    Param(name="icebergQty", kind="decimal"),
    RESPONSE_TYPE,
    STP,
    *(Param(name=name, note="pegged orders are not supported") for name in PEG_PARAMS),
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, under which bounds, and what the market last paid (ticks by symbol id)."""

    account: AccountRow
    last_prices: Mapping[int, int]
    window_ms: int
    deadline_us: int


def caller_of(call: Call) -> Caller:
    """The signed caller of a request; its recvWindow, kept within bounds, also bounds its orders."""
    assert call.account is not None
    sent = call.sent.get("recvWindow")
    window_ms = int(sent.partition(".")[0] or 0) if sent else DEFAULT_RECV_WINDOW_MS
    bounded = min(max(window_ms, MIN_WINDOW_MS), MAX_WINDOW_MS)
    return Caller(call.account, call.venue.last_prices, bounded, call.valid_until_us)


def place_of(params: Params, caller: Caller, shown: Names | None = None) -> Place:
    """The order that ``params`` describe. ``shown`` are the names by which a leg of a list calls them.

    Raises Refusal for what is missing, unwanted, malformed, filtered, or cannot be paid by anyone.
    """
    order, instrument = _order(params, caller, shown or {}), params["symbol"]
    last_price = caller.last_prices.get(instrument.symbol_id, 0)
    failed = check(order, instrument, last_price)
    if failed is not None:
        raise filter_failure(failed)
    need = need_of(order, instrument, last_price)
    if need is None:
        raise market_closed()
    if max(need, order.quote_qty) >= MAX_AMOUNT:  # a sale for more than there is of any money has no buyer either
        raise insufficient_balance()
    return _placed(order, instrument, caller, need)


def draft_of(params: Params, caller: Caller, shown: Names | None = None) -> Place:
    """The order as it was asked for, held against no filter and no price yet. Raises Refusal for bad parameters."""
    return _placed(_order(params, caller, shown or {}), params["symbol"], caller, 0)


def _placed(order: PlaceOrder, instrument: Instrument, caller: Caller, need: int) -> Place:
    return Place(
        instrument=instrument,
        order=order,
        asset=instrument.quote_asset if order.side == BUY else instrument.base_asset,
        need=need,
        window_ms=caller.window_ms,
        deadline_us=caller.deadline_us,
    )


def new_client_id() -> str:
    """A client order id for who sent none: unlike any of another process, and of this one."""
    return f"{_PROCESS}{next(_numbers):010x}"


def size_of(params: Params, name: str, instrument: Instrument) -> int:
    """A quantity parameter in lots. Raises Refusal for one that is 0 or no whole number of lots."""
    return _units(params.get(name), instrument.lot_size, name, "LOT_SIZE")


def _order(params: Params, caller: Caller, shown: Names) -> PlaceOrder:
    rule = RULES[params["type"]]
    _require(params, rule, shown)
    instrument: Instrument = params["symbol"]
    get = params.get
    account = caller.account
    order = PlaceOrder(
        command_id=0,
        symbol_id=instrument.symbol_id,
        order_id=0,
        account=account.account_id,
        client_order_id=get("newClientOrderId") or new_client_id(),
        side=SIDES[params["side"]],
        type=rule.type,
        qty=_units(get("quantity"), instrument.lot_size, "quantity", "LOT_SIZE"),
        price=_units(get("price"), instrument.tick_size, shown.get("price", "price"), "PRICE_FILTER"),
        tif=TIFS[get("timeInForce", "GTC")],
        stp=STP_MODES[get("selfTradePreventionMode", "NONE")],
        maker_ppm=account.maker_ppm,
        taker_ppm=account.taker_ppm,
    )
    return order if RARE.isdisjoint(params) else _with_rare_terms(order, params, shown)


def _with_rare_terms(order: PlaceOrder, params: Params, shown: Names) -> PlaceOrder:
    instrument: Instrument = params["symbol"]
    tick, lot = instrument.tick_size, instrument.lot_size
    get = params.get
    whole = msgspec.structs.replace(
        order,
        quote_qty=_units(get("quoteOrderQty"), 1, "quoteOrderQty", "NOTIONAL"),
        stop_price=_units(get("stopPrice"), tick, shown.get("stopPrice", "stopPrice"), "PRICE_FILTER"),
        trail_bps=get("trailingDelta", 0),
        iceberg_qty=_units(get("icebergQty"), lot, shown.get("icebergQty", "icebergQty"), "LOT_SIZE"),
        strategy_id=get("strategyId", 0),
        strategy_type=get("strategyType", 0),
    )
    _check_together(whole)
    return whole


def _require(params: Params, rule: Rule, shown: Names) -> None:
    for name in rule.needed:
        if name not in params:
            raise missing(shown.get(name, name))
    for name in rule.unwanted:
        if name in params:
            raise unwanted(shown.get(name, name))
    if rule.trigger and "stopPrice" not in params and "trailingDelta" not in params:
        raise one_of(shown.get("stopPrice", "stopPrice"), shown.get("trailingDelta", "trailingDelta"))
    if rule.type == MARKET and ("quantity" in params) is ("quoteOrderQty" in params):
        raise unwanted("quoteOrderQty") if "quantity" in params else one_of("quantity", "quoteOrderQty")
    if not PEGS.isdisjoint(params):
        raise Refusal(-2010, "Pegged orders are not supported for this symbol.")
    if params.get("strategyType", LOWEST_STRATEGY_TYPE) < LOWEST_STRATEGY_TYPE:
        raise Refusal(-1134, f"`{shown.get('strategyType', 'strategyType')}` was less than 1000000.")


def _check_together(order: PlaceOrder) -> None:
    if order.iceberg_qty and order.tif != GTC:
        raise Refusal(-1014, "Unsupported order combination.")
    if order.iceberg_qty > order.qty:
        raise Refusal(-2010, "IcebergQty exceeds QTY.")


def one_of(first: str, second: str) -> Refusal:
    """Neither of two parameters came, and one must."""
    return Refusal(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")


def _units(minor: int | None, unit: int, name: str, failure: str) -> int:
    """An amount in units of so many minor units; 0 for one that was not sent."""
    if minor is None:
        return 0
    if minor == TOO_PRECISE:
        raise too_precise(name)
    units, rest = divmod(minor, unit)
    if rest or not units:
        raise filter_failure(failure)
    return units
