"""Every event moves money between accounts in legs that cancel out."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcry.market.events import HoldReleased, OrderAccepted, OrderRejected, Traded
from outcry.market.instrument import Instrument, fee_of
from outcry.market.settlement import postings_of
from outcry.market.terms import BUY, FEE_ACCOUNT, SELL

BTC, USD = 7, 9
ANN, BEN = 1001, 1002
BTCUSD = Instrument(
    symbol_id=1, symbol="BTCUSD", partition=0, base="BTC", quote="USD", base_asset=BTC, quote_asset=USD,
    tick_size=1_000_000, lot_size=1_000,
)  # fmt: skip


def traded(price: int, qty: int, taker_side: int, maker_ppm: int, taker_ppm: int) -> Traded:
    """Ben makes, Ann takes; what an order has left does not matter here."""
    amount, size = price * qty * BTCUSD.quote_unit, qty * BTCUSD.lot_size
    buyer_pays_maker = taker_side == SELL
    return Traded(
        symbol_id=1, trade_id=5, agg_id=5, price=price, qty=qty, amount=amount, taker_side=taker_side,
        maker_id=1, maker_account=BEN, maker_fee=fee_of(size if buyer_pays_maker else amount, maker_ppm), maker_left=0,
        maker_executed=qty, maker_quote=amount,
        taker_id=2, taker_account=ANN, taker_fee=fee_of(amount if buyer_pays_maker else size, taker_ppm), taker_left=0,
        taker_executed=qty, taker_quote=amount,
    )  # fmt: skip


def test_the_buyer_pays_from_its_hold_and_both_pay_their_fee_from_what_they_receive() -> None:
    legs = postings_of(traded(5_000_000, 100, BUY, maker_ppm=1_000, taker_ppm=2_000), BTCUSD)
    assert legs == [
        (ANN, USD, 0, -5_000_000_000),
        (ANN, BTC, 99_800, 0),
        (BEN, BTC, 0, -100_000),
        (BEN, USD, 4_995_000_000, 0),
        (FEE_ACCOUNT, BTC, 200, 0),
        (FEE_ACCOUNT, USD, 5_000_000, 0),
    ]


def test_a_taker_that_sells_is_the_seller() -> None:
    legs = postings_of(traded(5_000_000, 100, SELL, maker_ppm=0, taker_ppm=0), BTCUSD)
    assert legs == [
        (BEN, USD, 0, -5_000_000_000),
        (BEN, BTC, 100_000, 0),
        (ANN, BTC, 0, -100_000),
        (ANN, USD, 5_000_000_000, 0),
    ]


@given(
    price=st.integers(1, 1 << 30), qty=st.integers(1, 1 << 24), side=st.sampled_from((BUY, SELL)),
    maker=st.integers(0, 999_999), taker=st.integers(0, 999_999),
)  # fmt: skip
def test_the_legs_of_a_trade_sum_to_zero_per_asset_and_nobody_but_the_holder_loses(
    price: int, qty: int, side: int, maker: int, taker: int
) -> None:
    sums: Counter[int] = Counter()
    for _, asset, free, held in postings_of(traded(price, qty, side, maker, taker), BTCUSD):
        sums[asset] += free + held
        assert free >= 0 >= held
    assert not any(sums.values())


@pytest.mark.parametrize(
    "event",
    [
        HoldReleased(symbol_id=1, order_id=3, account=ANN, asset=USD, amount=70),
        OrderRejected(symbol_id=1, order_id=3, account=ANN, op="new", code=-2010, text="", released=70, asset=USD),
    ],
)
def test_a_released_hold_is_free_again(event: HoldReleased | OrderRejected) -> None:
    assert postings_of(event, BTCUSD) == [(ANN, USD, 70, -70)]


def test_other_events_move_no_money() -> None:
    assert postings_of(OrderAccepted(symbol_id=1, order_id=3, account=ANN), BTCUSD) == []
    assert postings_of(HoldReleased(symbol_id=1, order_id=3, account=ANN, asset=USD, amount=0), BTCUSD) == []
