"""Amend keeps the place (faqs/order_amend_keep_priority.md), replace loses it; both settle their holds at once."""

import pytest

from outcry.market.commands import ReplaceOrder
from outcry.market.events import HoldMoved, HoldReleased, OrderRejected
from outcry.market.terms import ALLOW_FAILURE, CANCEL_ONLY_NEW, CANCEL_ONLY_PARTIALLY_FILLED
from tests.support.ring import LOT, Ring, play


def test_an_amended_order_keeps_its_place() -> None:
    ring = play("""
        buy 100@87          -> #1 rests
        buy 55@87           -> #2 rests
        buy 40@87           -> #3 rests
        amend #2 to 50      -> #2 has 50 left
        sell 151@87         -> #4 takes 100@87 from #1, #4 takes 50@87 from #2, #4 takes 1@87 from #3
    """)
    assert ring.held(3) == 39 * 87


def test_an_order_can_only_shrink_and_not_below_what_is_executed() -> None:
    play("""
        buy 10@87         -> #1 rests
        sell 4@87         -> #2 takes 4@87 from #1
        amend #1 to 11    -> #1 refused: Order amend (quantity increase) is not supported.
        amend #1 to 10    -> #1 refused: The requested action would change no state; rejecting
        amend #1 to 4     -> #1 refused: Order amend (quantity at or below what is executed) is not supported.
        amend #1 to 5     -> #1 has 1 left
        amend #9 to 5     -> #9 refused: Unknown order sent.
    """)


def test_what_an_iceberg_shows_changes_only_if_it_must() -> None:
    ring = play("sell 20@100 peak 8 -> #1 rests")
    ring.play("amend #1 to 10 -> #1 has 10 left")
    assert ring.market.levels() == [(-1, 100, 8)]
    ring.play("amend #1 to 6 -> #1 has 6 left")
    assert ring.market.levels() == [(-1, 100, 6)]


def test_amending_a_waiting_stop_frees_its_part_of_the_bound() -> None:
    ring = play("buy 10@market stop 100 -> #1 waits")
    assert ring.held(1) == 1050
    ring.play("amend #1 to 4 -> #1 has 4 left")
    assert ring.held(1) == 420
    assert ring.market.levels() == []


def test_a_replaced_order_goes_to_the_back() -> None:
    play("""
        buy 5@99                        -> #1 rests
        buy 5@99                        -> #2 rests
        replace #1 with buy 5@99        -> #1 makes way for #3, #3 rests
        sell 6@99                       -> #4 takes 5@99 from #2, #4 takes 1@99 from #3
    """)


def test_a_replacement_may_trade_at_once() -> None:
    play("""
        sell 5@100                    -> #1 rests
        buy 5@99                      -> #2 rests
        replace #2 with buy 7@100     -> #2 makes way for #3, #3 takes 5@100 from #1, #3 rests
    """)


def replace(ring: Ring, old: int, new: str, *, held: int, mode: int = 1, restriction: int = 0) -> list[str]:
    account = ring.owner(old)
    placed = ring.order(new, account=account, held=held)
    return ring.send(
        ReplaceOrder(
            command_id=0, symbol_id=1, account=account, order_id=old, target_valid_until_ms=0, new=placed, mode=mode,
            restriction=restriction,
        )
    )  # fmt: skip


def test_what_the_cancel_frees_pays_for_the_replacement() -> None:
    ring = play("buy 5@100 -> #1 rests")
    assert replace(ring, 1, "buy 6@100", held=150) == ["#1 makes way for #2", "#2 rests"]
    moved = [(event.amount, event.to_id) for event in ring.events if isinstance(event, HoldMoved)]
    freed = [(event.amount, event.order_id) for event in ring.events if isinstance(event, HoldReleased)]
    assert (moved, freed, ring.held(2)) == ([(450, 2)], [(50, 1)], 600)


def test_a_replacement_that_cannot_be_paid_leaves_the_cancel_standing() -> None:
    ring = play("buy 5@100 -> #1 rests")
    assert replace(ring, 1, "buy 9@100", held=0) == [
        "#1 canceled with 5", "#2 refused: Account has insufficient balance for requested action.",
    ]  # fmt: skip
    assert [event.amount for event in ring.events if isinstance(event, HoldReleased)] == [500]


def test_a_replacement_on_the_other_side_pays_for_itself() -> None:
    ring = play("buy 5@100 -> #1 rests")
    assert replace(ring, 1, "sell 2@120", held=2 * LOT) == ["#1 makes way for #2", "#2 rests"]
    assert [(e.asset, e.amount) for e in ring.events if isinstance(e, HoldReleased)] == [(2, 500)]


@pytest.mark.parametrize(
    ("mode", "fate"), [(1, "#1 refused: Order cancel-replace failed."), (ALLOW_FAILURE, "#1 rests")]
)
def test_a_failed_cancel_stops_the_replacement_unless_it_is_allowed(mode: int, fate: str) -> None:
    assert replace(Ring(), 77, "buy 1@100", held=100, mode=mode) == ["#77 refused: Unknown order sent.", fate]


def test_a_restriction_spares_an_order_in_another_state() -> None:
    ring = play("""
        buy 5@100   -> #1 rests
        sell 1@100  -> #2 takes 1@100 from #1
    """)
    told = replace(ring, 1, "buy 1@90", held=90, restriction=CANCEL_ONLY_NEW)
    assert told[0] == "#1 refused: Order was not canceled due to cancel restrictions."
    assert sum(event.released for event in ring.events if isinstance(event, OrderRejected)) == 90
    told = replace(ring, 1, "buy 1@90", held=90, restriction=CANCEL_ONLY_PARTIALLY_FILLED)
    assert told == ["#1 makes way for #4", "#4 rests"]
