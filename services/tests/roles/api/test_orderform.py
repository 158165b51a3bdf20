"""An order form is taken or refused by the rules of its type, with the text that the reference gives."""

from types import SimpleNamespace
from typing import Any

import pytest

from outcry.market.instrument import Instrument
from outcry.market.terms import BUY, GTC, IOC, LIMIT, MARKET, SELL, STP_DECREMENT
from outcry.roles.api.errors import Refusal
from outcry.roles.api.intents import Place
from outcry.roles.api.orderform import ORDER_PARAMS, Caller, caller_of, place_of
from outcry.roles.api.params import Recipe
from outcry.rows import AccountRow

BTCUSD = Instrument(
    symbol_id=1, symbol="BTCUSD", partition=0, base="BTC", quote="USD", base_asset=1, quote_asset=2,
    tick_size=1_000_000, lot_size=1_000, min_notional=500_000_000, max_price=100_000_000, max_qty=900_000_000,
)  # fmt: skip
ACCOUNT = AccountRow(1001, "demo", 1000, 2000, 0, 0)
CALLER = Caller(ACCOUNT, {1: 6_000_000}, 5_000, 0)
RECIPE = Recipe(ORDER_PARAMS)

LIMIT_ORDER = "symbol=BTCUSD side=BUY type=LIMIT timeInForce=GTC quantity=0.5 price=60000"
MARKET_ORDER = "symbol=BTCUSD side=BUY type=MARKET quantity=0.5"
MAKER = "symbol=BTCUSD side=SELL type=LIMIT_MAKER quantity=0.5 price=60000"
STOP = "symbol=BTCUSD side=SELL type=STOP_LOSS quantity=0.5 stopPrice=50000"
STOP_LIMIT = "symbol=BTCUSD side=SELL type=STOP_LOSS_LIMIT timeInForce=GTC quantity=0.5 price=49000 stopPrice=50000"
PROFIT = "symbol=BTCUSD side=SELL type=TAKE_PROFIT quantity=0.5 stopPrice=70000"
PROFIT_LIMIT = "symbol=BTCUSD side=SELL type=TAKE_PROFIT_LIMIT timeInForce=GTC quantity=0.5 price=7e4 stopPrice=70000"


def form(text: str, caller: Caller = CALLER) -> Place:
    sent = dict(pair.split("=") for pair in text.replace("7e4", "70000").split())
    return place_of(RECIPE.read(sent, {"BTCUSD": BTCUSD}), caller)


def without(text: str, name: str) -> str:
    return " ".join(pair for pair in text.split() if not pair.startswith(name + "="))


def refusal(text: str, caller: Caller = CALLER) -> Refusal:
    with pytest.raises(Refusal) as caught:
        form(text, caller)
    return caught.value


def test_a_limit_order_is_read_in_ticks_and_lots() -> None:
    place = form(LIMIT_ORDER + " newClientOrderId=my-1 strategyId=7 strategyType=1000000")
    order = place.order
    assert (order.side, order.type, order.tif, order.price, order.qty) == (BUY, LIMIT, GTC, 6_000_000, 50_000)
    assert (order.client_order_id, order.strategy_id, order.strategy_type) == ("my-1", 7, 1_000_000)
    assert (order.account, order.maker_ppm, order.taker_ppm) == (1001, 1000, 2000)
    assert (place.asset, place.need) == (2, 30_000 * 10**8)


def test_a_sell_is_paid_in_the_base_asset() -> None:
    place = form(LIMIT_ORDER.replace("BUY", "SELL"))
    assert (place.order.side, place.asset, place.need) == (SELL, 1, 50_000_000)


def test_orders_without_a_client_order_id_get_different_ones() -> None:
    assert form(LIMIT_ORDER).order.client_order_id != form(LIMIT_ORDER).order.client_order_id


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (LIMIT_ORDER, ["timeInForce", "quantity", "price"]),
        (MAKER, ["quantity", "price"]),
        (STOP, ["quantity"]),
        (PROFIT, ["quantity"]),
        (STOP_LIMIT, ["timeInForce", "quantity", "price"]),
        (PROFIT_LIMIT, ["timeInForce", "quantity", "price"]),
    ],
)
def test_each_type_needs_its_parameters(text: str, names: list[str]) -> None:
    form(text)
    for name in names:
        refused = refusal(without(text, name))
        assert refused.code == -1102
        assert refused.text == f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."


@pytest.mark.parametrize(
    ("text", "extras"),
    [
        (LIMIT_ORDER, ["stopPrice=1", "trailingDelta=100", "quoteOrderQty=10"]),
        (MAKER, ["timeInForce=GTC", "stopPrice=1", "trailingDelta=100", "quoteOrderQty=10"]),
        (MARKET_ORDER, ["price=1", "timeInForce=GTC", "icebergQty=1", "stopPrice=1", "trailingDelta=100"]),
        (STOP, ["price=1", "timeInForce=GTC", "icebergQty=1", "quoteOrderQty=10"]),
        (PROFIT, ["price=1", "timeInForce=GTC", "icebergQty=1", "quoteOrderQty=10"]),
        (STOP_LIMIT, ["quoteOrderQty=10"]),
        (PROFIT_LIMIT, ["quoteOrderQty=10"]),
    ],
)
def test_each_type_refuses_what_it_has_no_use_for(text: str, extras: list[str]) -> None:
    for extra in extras:
        refused = refusal(f"{text} {extra}")
        assert refused.code == -1106
        assert refused.text == f"Parameter '{extra.partition('=')[0]}' sent when not required."


@pytest.mark.parametrize("text", [STOP, STOP_LIMIT, PROFIT, PROFIT_LIMIT])
def test_a_stop_needs_a_stop_price_or_a_trailing_delta(text: str) -> None:
    bare = without(text, "stopPrice")
    assert refusal(bare).text == "Param 'stopPrice' or 'trailingDelta' must be sent, but both were empty/null!"
    assert form(bare + " trailingDelta=100").order.trail_bps == 100
    assert form(text + " trailingDelta=100").order.stop_price > 0


def test_a_market_order_takes_a_size_or_an_amount_and_not_both() -> None:
    assert form(MARKET_ORDER).order.type == MARKET
    assert form(without(MARKET_ORDER, "quantity") + " quoteOrderQty=10.5").order.quote_qty == 1_050_000_000
    assert refusal(MARKET_ORDER + " quoteOrderQty=10").text == "Parameter 'quoteOrderQty' sent when not required."
    neither = refusal(without(MARKET_ORDER, "quantity"))
    assert neither.code == -1102
    assert neither.text == "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!"


def test_a_market_buy_holds_five_percent_more_than_was_last_paid() -> None:
    assert form(MARKET_ORDER).need == 31_500 * 10**8


def test_a_market_buy_without_any_last_price_finds_the_market_closed() -> None:
    refused = refusal(MARKET_ORDER, Caller(ACCOUNT, {}, 5_000, 0))
    assert (refused.code, refused.text) == (-2010, "Market is closed.")


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ("price=60000.001", -1013, "Filter failure: PRICE_FILTER"),
        ("price=0", -1013, "Filter failure: PRICE_FILTER"),
        ("price=1000000.01", -1013, "Filter failure: PRICE_FILTER"),
        ("price=99999999999999999999", -1013, "Filter failure: PRICE_FILTER"),
        ("price=60000.000000001", -1111, "Parameter 'price' has too much precision."),
        ("quantity=0.000001", -1013, "Filter failure: LOT_SIZE"),
        ("quantity=0", -1013, "Filter failure: LOT_SIZE"),
        ("quantity=9000.00001", -1013, "Filter failure: LOT_SIZE"),
        ("quantity=12345678901.00000000000000000001", -1111, "Parameter 'quantity' has too much precision."),
        ("quantity=0.00008", -1013, "Filter failure: NOTIONAL"),
    ],
)
def test_filters_refuse_by_their_name(change: str, code: int, text: str) -> None:
    name = change.partition("=")[0]
    refused = refusal(f"{without(LIMIT_ORDER, name)} {change}")
    assert (refused.code, refused.text) == (code, text)


def test_an_iceberg_rests_until_canceled_and_shows_no_more_than_it_has() -> None:
    assert form(LIMIT_ORDER + " icebergQty=0.1").order.iceberg_qty == 10_000
    assert refusal(LIMIT_ORDER.replace("GTC", "IOC") + " icebergQty=0.1").code == -1014
    assert refusal(LIMIT_ORDER + " icebergQty=0.6").text == "IcebergQty exceeds QTY."
    assert refusal(LIMIT_ORDER + " icebergQty=0.001").text == "Filter failure: ICEBERG_PARTS"


@pytest.mark.parametrize("delta", [9, 2001])
def test_a_trailing_delta_has_bounds(delta: int) -> None:
    assert refusal(f"{STOP} trailingDelta={delta}").text == "Filter failure: TRAILING_DELTA"


def test_low_strategy_types_are_reserved() -> None:
    assert refusal(LIMIT_ORDER + " strategyType=999999").code == -1134


def test_pegged_orders_are_refused_rather_than_misread() -> None:
    assert refusal(LIMIT_ORDER + " pegPriceType=PRIMARY_PEG").text == "Pegged orders are not supported for this symbol."


def test_the_mode_against_self_trades_is_taken_over() -> None:
    place = form(LIMIT_ORDER.replace("GTC", "IOC") + " selfTradePreventionMode=DECREMENT")
    assert (place.order.stp, place.order.tif) == (STP_DECREMENT, IOC)
    refused = refusal(LIMIT_ORDER + " selfTradePreventionMode=TRANSFER")
    assert refused.text == "This symbol does not allow the specified self-trade prevention mode."


def test_a_hold_beyond_all_money_is_insufficient_balance() -> None:
    huge = without(MARKET_ORDER, "quantity") + f" quoteOrderQty={1 << 36}"
    assert refusal(huge).text == "Account has insufficient balance for requested action."


@pytest.mark.parametrize(
    ("sent", "window_ms"),
    [(None, 5_000), ("1", 5_000), ("7000.123", 7_000), ("60000", 60_000), ("0.5", 5_000)],
)
def test_an_order_is_bound_by_its_receive_window_within_limits(sent: str | None, window_ms: int) -> None:
    call: Any = SimpleNamespace(
        account=ACCOUNT, sent={} if sent is None else {"recvWindow": sent}, valid_until_us=17,
        venue=SimpleNamespace(last_prices={}),
    )  # fmt: skip
    caller = caller_of(call)
    assert (caller.window_ms, caller.deadline_us) == (window_ms, 17)


def test_equal_numbers_are_the_same_order_however_they_are_written() -> None:
    first = form("symbol=BTCUSD side=BUY type=LIMIT timeInForce=GTC quantity=0.5 price=60000")
    second = form("symbol=BTCUSD side=BUY type=LIMIT timeInForce=GTC quantity=0.5000000000000 price=60000.00")
    assert (first.order.qty, first.order.price) == (second.order.qty, second.order.price)
