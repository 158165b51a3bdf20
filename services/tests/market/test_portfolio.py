"""Positions by the average cost method: what went in is what is there plus what was made."""

from hypothesis import given
from hypothesis import strategies as st

from outcry.market.portfolio import Position, count_trade
from outcry.market.terms import BUY, MINOR_UNITS, SELL
from outcry.rows import TradeRow
from tests.support.prints import BTCUSD

ONE = MINOR_UNITS


def test_buying_more_averages_the_cost() -> None:
    position = Position()
    position.add(ONE, 100 * ONE)
    position.add(3 * ONE, 500 * ONE)
    assert (position.qty, position.cost, position.average_cost()) == (4 * ONE, 600 * ONE, 150 * ONE)


def test_a_sale_realises_against_the_average_and_leaves_it_as_it_was() -> None:
    position = Position()
    position.add(2 * ONE, 200 * ONE)
    position.add(-ONE, -130 * ONE)
    assert (position.realised, position.average_cost(), position.qty) == (30 * ONE, 100 * ONE, ONE)


def test_a_short_position_gains_when_the_price_falls() -> None:
    position = Position()
    position.add(-2 * ONE, -200 * ONE)
    assert position.unrealised(90 * ONE) == 20 * ONE
    position.add(ONE, 80 * ONE)
    assert (position.realised, position.qty, position.average_cost()) == (20 * ONE, -ONE, 100 * ONE)


def test_a_sale_beyond_the_position_opens_the_opposite_one_at_its_own_price() -> None:
    position = Position()
    position.add(ONE, 100 * ONE)
    position.add(-3 * ONE, -330 * ONE)
    assert (position.qty, position.cost, position.realised) == (-2 * ONE, -220 * ONE, 10 * ONE)


FILLS = st.lists(
    st.tuples(st.integers(1, 10**12), st.integers(0, 10**15), st.sampled_from([1, -1])), min_size=1, max_size=40
)


@given(FILLS)
def test_cost_less_profit_is_the_money_that_went_in(fills: list[tuple[int, int, int]]) -> None:
    position = Position()
    for qty, money, sign in fills:
        position.add(sign * qty, sign * money)
        assert position.qty or not position.cost
    assert position.qty == sum(sign * qty for qty, _, sign in fills)
    assert position.cost - position.realised == sum(sign * money for _, money, sign in fills)


@given(FILLS)
def test_selling_and_buying_are_one_idea_with_a_sign(fills: list[tuple[int, int, int]]) -> None:
    long, short = Position(), Position()
    for qty, money, sign in fills:
        long.add(sign * qty, sign * money)
        short.add(-sign * qty, -sign * money)
    assert (short.qty, short.cost, short.realised) == (-long.qty, -long.cost, -long.realised)


def trade(maker: int, taker: int, side: int, *, price: int = 100, qty: int = 1_000) -> TradeRow:
    """A trade of 0.01 BTC by the lot of 0.00001 at whole dollars; each side pays 0.1 %."""
    amount = price * 100 * qty * BTCUSD.quote_unit
    base_fee, quote_fee = qty * BTCUSD.lot_size // 1000, amount // 1000
    taker_fee = base_fee if side == BUY else quote_fee
    maker_fee = quote_fee if side == BUY else base_fee
    return TradeRow(
        symbol_id=1, trade_id=1, agg_id=1, part=0, log_offset=0, idx=0, time_ms=77, price=price * 100, qty=qty,
        amount=amount, taker_side=side, maker_order=1, taker_order=2, maker_account=maker, taker_account=taker,
        maker_fee=maker_fee, taker_fee=taker_fee,
    )  # fmt: skip


def test_a_buyer_receives_the_size_less_the_fee() -> None:
    position = Position()
    count_trade(position, trade(7, 8, BUY), 8, BTCUSD)
    assert (position.qty, position.cost) == (999_000, ONE)
    assert (position.base_fees, position.quote_fees, position.fills, position.since_ms) == (1_000, 0, 1, 77)


def test_a_seller_receives_the_amount_less_the_fee() -> None:
    position = Position()
    count_trade(position, trade(8, 7, BUY), 8, BTCUSD)
    assert (position.qty, position.cost, position.quote_fees) == (-1_000_000, -99_900_000, 100_000)


def test_a_self_trade_costs_its_fees() -> None:
    position = Position()
    count_trade(position, trade(8, 8, SELL), 8, BTCUSD)
    assert position.fills == 2
    assert position.qty == -1_000
    assert position.cost - position.realised == 100_000


def test_a_trade_of_others_counts_for_nothing() -> None:
    position = Position()
    count_trade(position, trade(6, 7, BUY), 8, BTCUSD)
    assert (position.qty, position.cost, position.fills) == (0, 0, 0)
