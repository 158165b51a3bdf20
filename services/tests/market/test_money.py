"""Holds and fees: what an order reserves, what it spends, and what it gives back, to the minor unit."""

import pytest

from outcry.market.commands import ReplaceOrder
from outcry.market.events import HoldReleased, OrderRejected, Traded
from outcry.market.holds import need_of
from outcry.market.instrument import Instrument
from outcry.market.terms import ALLOW_FAILURE
from tests.support.ring import LOT, UNITS, Ring

BTCUSD = Instrument(
    symbol_id=1, symbol="BTCUSD", partition=0, base="BTC", quote="USD", base_asset=1, quote_asset=2,
    tick_size=1_000_000, lot_size=1_000,
)  # fmt: skip


@pytest.mark.parametrize(
    ("order", "last", "need"),
    [
        ("buy 7@100", 0, 700),
        ("buy 7@100 maker", 0, 700),
        ("sell 7@100", 0, 7 * LOT),
        ("sell 7@market", 0, 7 * LOT),
        ("buy 7@market", 100, 735),
        ("buy 7@market", 0, None),
        ("buy 1@market", 101, 107),
        ("buy $500@market", 0, 500),
        ("sell $500@market", 100, 6 * LOT),
        ("sell $500@market", 0, None),
        ("buy 7@120 stop 110", 100, 840),
        ("buy 10@market stop 110", 0, 1155),
        ("buy 10@market profit 90", 100, 945),
        ("buy 10@market loss trail 1000", 100, 1155),
        ("buy 10@market loss trail 1000", 0, None),
        ("buy 10@market stop 200 trail 1000", 100, 2310),
        ("sell 7@market stop 90", 0, 7 * LOT),
    ],
)
def test_an_order_reserves_its_bound(order: str, last: int, need: int | None) -> None:
    assert need_of(Ring().order(order), UNITS, last) == need


def test_a_need_is_in_minor_units() -> None:
    """0.01 USD a tick and 0.00001 BTC a lot: 2 BTC at 50,000 USD."""
    order = Ring().order("buy 200000@5000000")
    assert need_of(order, BTCUSD, 0) == 100_000 * 100_000_000


def released(ring: Ring) -> list[tuple[int, int, int]]:
    return [(e.order_id, e.asset, e.amount) for e in ring.events if isinstance(e, HoldReleased)]


def test_a_better_price_frees_the_difference_at_the_fill() -> None:
    ring = Ring()
    ring.shout("sell 3@100")
    ring.shout("buy 5@110")
    assert released(ring) == [(2, 2, 30)]
    assert ring.held(2) == 220


def test_a_cancel_frees_the_rest() -> None:
    ring = Ring()
    ring.shout("buy 5@110")
    ring.shout("sell 3@110")
    ring.shout("cancel #1")
    assert released(ring) == [(1, 2, 220)]


def test_what_an_order_brought_beyond_its_need_is_free_at_once() -> None:
    ring = Ring()
    ring.send(ring.order("buy 5@110", held=600))
    assert released(ring) == [(1, 2, 50)]


def test_an_order_that_its_hold_does_not_cover_is_refused_and_gets_it_back() -> None:
    ring = Ring()
    told = ring.send(ring.order("buy 5@110", held=549))
    assert told == ["#1 refused: Account has insufficient balance for requested action."]
    assert [(e.released, e.asset) for e in ring.events if isinstance(e, OrderRejected)] == [(549, 2)]
    assert ring.touched(1).held == 0


def test_a_market_order_frees_what_it_did_not_spend() -> None:
    ring = Ring()
    ring.shout("sell 3@100")
    ring.send(ring.order("buy 5@market", held=1000))
    assert released(ring) == [(2, 2, 700)]


def replacing(ring: Ring, order_id: int, new: str, *, need: int, held: int = 0) -> list[str]:
    return ring.send(
        ReplaceOrder(
            command_id=0, symbol_id=1, account=ring.owner(order_id), order_id=order_id, target_valid_until_ms=0,
            new=ring.order(new, held=held, account=ring.owner(order_id)), mode=ALLOW_FAILURE, need=need,
        )
    )  # fmt: skip


def test_a_replacement_keeps_no_more_of_a_rich_orders_hold_than_its_bound() -> None:
    ring = Ring()
    ring.shout("sell 9@100")
    ring.shout("buy 50@90")
    replacing(ring, 2, "buy 10@market stop 110", need=1155)
    assert (ring.held(3), released(ring)) == (1155, [(2, 2, 4500 - 1155)])
    told = replacing(ring, 3, "buy 9@market", need=735)
    assert told == ["#3 makes way for #4", "#4 takes 7@100 from #1", "#4 expires with 2 (hold)"]
    assert sum(amount for _, _, amount in released(ring)) == 1155 - 700


def test_a_replacement_that_hold_and_release_together_do_not_bound_is_refused() -> None:
    ring = Ring()
    ring.shout("sell 9@100")
    ring.shout("buy 4@90")
    told = replacing(ring, 2, "buy $500@market", need=500, held=100)
    assert told == ["#2 canceled with 4", "#3 refused: Account has insufficient balance for requested action."]
    assert sum(amount for _, _, amount in released(ring)) == 360
    told = replacing(ring, 2, "buy $500@market", need=500, held=100)
    assert told[-1] == "#4 refused: Account has insufficient balance for requested action."


def test_fees_are_in_what_each_side_receives_rounded_down() -> None:
    ring = Ring()
    ring.send(ring.order("sell 3@100", maker_ppm=2_000))
    ring.send(ring.order("buy 3@100", taker_ppm=1_000))
    (trade,) = [event for event in ring.events if isinstance(event, Traded)]
    assert (trade.amount, trade.taker_fee, trade.maker_fee) == (300, 3 * LOT // 1000, 0)
    ring.send(ring.order("buy 30@100", maker_ppm=2_000))
    ring.send(ring.order("sell 30@100", taker_ppm=1_000))
    (trade,) = [event for event in ring.events if isinstance(event, Traded)]
    assert (trade.amount, trade.taker_fee, trade.maker_fee) == (3000, 3, 30 * LOT * 2 // 1000)


def test_totals_travel_with_each_trade() -> None:
    ring = Ring()
    ring.shout("sell 3@100")
    ring.shout("sell 3@102")
    ring.shout("buy 5@102")
    trades = [event for event in ring.events if isinstance(event, Traded)]
    assert [(t.trade_id, t.agg_id, t.taker_left, t.taker_executed, t.taker_quote) for t in trades] == [
        (1, 1, 2, 3, 300), (2, 2, 0, 5, 504),
    ]  # fmt: skip
    assert [(t.maker_left, t.maker_executed, t.maker_quote) for t in trades] == [(0, 3, 300), (1, 2, 204)]
