"""Every filter that exchangeInfo announces refuses what it says, and nothing that keeps to it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcry.market.commands import PlaceOrder
from outcry.market.filters import check, check_quantity, notional
from outcry.market.instrument import Instrument
from outcry.market.terms import BUY, LIMIT, LIMIT_MAKER, MARKET, STOP_LOSS, STOP_LOSS_LIMIT

BTCUSD = Instrument(
    symbol_id=1, symbol="BTCUSD", partition=0, base="BTC", quote="USD", base_asset=1, quote_asset=2,
    tick_size=1_000_000, lot_size=1_000, min_price=10, max_price=1_000_000, min_qty=5, max_qty=100_000,
    market_min_qty=20, market_max_qty=50_000, min_notional=1_000_000, iceberg_parts=10,
)  # fmt: skip


def order(**fields: Any) -> PlaceOrder:
    given_fields = {
        "command_id": 1, "symbol_id": 1, "order_id": 1, "account": 1001, "client_order_id": "a", "side": BUY,
        "type": LIMIT, "qty": 1_000, "price": 5_000,
    }  # fmt: skip
    return PlaceOrder(**{**given_fields, **fields})


def failed(last_price: int = 0, **fields: Any) -> str | None:
    return check(order(**fields), BTCUSD, last_price)


def test_an_order_within_all_bounds_passes() -> None:
    assert failed() is None


@pytest.mark.parametrize("price", [9, 1_000_001])
def test_a_price_outside_its_range_fails_the_price_filter(price: int) -> None:
    assert failed(price=price, qty=100_000) == "PRICE_FILTER"
    assert failed(type=LIMIT_MAKER, price=price, qty=100_000) == "PRICE_FILTER"


@pytest.mark.parametrize("price", [10, 1_000_000])
def test_the_ends_of_the_price_range_are_allowed(price: int) -> None:
    assert failed(price=price, qty=100_000) is None


def test_a_stop_price_is_a_price_too() -> None:
    assert failed(type=STOP_LOSS_LIMIT, stop_price=1_000_001) == "PRICE_FILTER"
    assert failed(type=STOP_LOSS, price=0, stop_price=9, qty=100_000) == "PRICE_FILTER"


@pytest.mark.parametrize("qty", [1, 4, 100_001])
def test_a_size_outside_its_range_fails_the_lot_size(qty: int) -> None:
    assert failed(qty=qty, price=1_000_000) == "LOT_SIZE"


@pytest.mark.parametrize("qty", [19, 50_001])
def test_market_orders_have_a_range_of_their_own(qty: int) -> None:
    assert failed(type=MARKET, price=0, qty=qty, last_price=5_000) == "MARKET_LOT_SIZE"
    assert failed(qty=qty, price=1_000_000) is None


def test_the_shown_part_of_an_iceberg_is_a_size_too() -> None:
    assert failed(iceberg_qty=4) == "LOT_SIZE"


def test_an_iceberg_has_a_most_number_of_parts() -> None:
    assert failed(qty=1_000, iceberg_qty=100) is None
    assert failed(qty=1_001, iceberg_qty=100) == "ICEBERG_PARTS"


@pytest.mark.parametrize(("bps", "fails"), [(9, True), (10, False), (2_000, False), (2_001, True)])
def test_a_trailing_delta_stays_within_its_range(bps: int, fails: bool) -> None:
    assert failed(type=STOP_LOSS, price=0, trail_bps=bps, last_price=5_000) == ("TRAILING_DELTA" if fails else None)


def test_an_order_must_be_worth_something() -> None:
    assert failed(qty=19, price=5_000) == "NOTIONAL"
    assert failed(qty=20, price=5_000) is None


def test_a_market_order_is_worth_what_was_last_paid() -> None:
    assert failed(type=MARKET, price=0, qty=20, last_price=4_999) == "NOTIONAL"
    assert failed(type=MARKET, price=0, qty=20, last_price=5_000) is None


def test_a_market_order_before_the_first_trade_is_not_judged_by_worth() -> None:
    assert failed(type=MARKET, price=0, qty=20) is None


def test_a_market_order_by_amount_is_worth_that_amount() -> None:
    assert failed(type=MARKET, price=0, qty=0, quote_qty=999_999) == "NOTIONAL"
    assert failed(type=MARKET, price=0, qty=0, quote_qty=1_000_000) is None


def test_a_stop_is_worth_what_its_trigger_says() -> None:
    assert failed(type=STOP_LOSS, price=0, qty=20, stop_price=4_999, last_price=9_000) == "NOTIONAL"


def test_an_amended_size_keeps_to_the_same_bounds() -> None:
    assert check_quantity(4, 5_000, BTCUSD) == "LOT_SIZE"
    assert check_quantity(19, 5_000, BTCUSD) == "NOTIONAL"
    assert check_quantity(20, 5_000, BTCUSD) is None


@given(st.integers(1, 200_000), st.integers(1, 2_000_000))
def test_what_passes_is_within_every_bound(qty: int, price: int) -> None:
    placed = order(qty=qty, price=price)
    inside = 10 <= price <= 1_000_000 and 5 <= qty <= 100_000
    assert (check(placed, BTCUSD, 0) is None) == (inside and notional(placed, BTCUSD, 0) >= 1_000_000)
