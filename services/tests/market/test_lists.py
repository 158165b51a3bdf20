"""OCO lists: two orders with one hold, of which at most one trades."""

from typing import Any

import msgspec

from outcry.market.commands import PlaceList
from outcry.market.events import HoldMoved, HoldReleased, ListUpdated, OrderRejected
from outcry.market.terms import CANCELED, EXPIRED, REJECTED
from tests.support.ring import LOT, UNITS, Ring


def traded_at(price: int) -> Ring:
    ring = Ring()
    ring.shout(f"sell 1@{price}")
    ring.shout(f"buy 1@{price}")
    return ring


def oco(ring: Ring, above: str, below: str, held: int) -> list[str]:
    one = ring.order(above, account=7, held=held)
    two = ring.order(below, account=7, held=0)
    return ring.send(
        PlaceList(
            command_id=0, symbol_id=1, list_id=one.order_id, account=7, client_list_id="l", above=one, below=two
        )
    )  # fmt: skip


def of(ring: Ring, kind: Any) -> list[Any]:
    return [event for event in ring.events if isinstance(event, kind)]


def test_both_legs_stand_with_one_hold() -> None:
    ring = traded_at(100)
    oco(ring, "sell 4@110 maker", "sell 4@market stop 90", held=4 * LOT)
    assert [event.status for event in of(ring, ListUpdated)] == ["EXEC_STARTED"]
    assert (ring.held(3), ring.held(4)) == (4 * LOT, 0)
    assert ring.pit.touched_lists[3].row(5)[:7] == (3, 5, 1, 7, "l", 3, 4)


def test_both_legs_count_against_the_limits_of_open_orders() -> None:
    for limits in ({"max_orders": 1}, {"max_algo_orders": 1}):
        ring = Ring(msgspec.structs.replace(UNITS, **limits))
        ring.shout("sell 1@100")
        ring.shout("buy 1@100")
        oco(ring, "sell 4@market stop 110", "sell 4@market stop 90", held=4 * LOT)
        assert len(of(ring, OrderRejected)) == 2, limits


def test_a_buy_holds_what_the_dearer_leg_needs() -> None:
    ring = traded_at(100)
    oco(ring, "buy 4@121 stop 120", "buy 4@90 maker", held=500)
    assert [event.amount for event in of(ring, HoldReleased)] == [16]
    assert ring.held(3) == 484


def test_the_leg_that_trades_ends_the_other_and_keeps_what_it_needs_of_the_hold() -> None:
    ring = traded_at(100)
    oco(ring, "buy 4@121 stop 120", "buy 4@90 maker", held=484)
    assert ring.shout("sell 1@90") == ["#3 expires with 4 (list)", "#5 takes 1@90 from #4"]
    assert [(event.from_id, event.to_id, event.amount) for event in of(ring, HoldMoved)] == [(3, 4, 484)]
    assert [(e.order_id, e.amount) for e in of(ring, HoldReleased)] == [(4, 484 - 360)]
    assert (ring.held(4), ring.touched(3).status) == (270, EXPIRED)
    assert not of(ring, ListUpdated)
    ring.shout("sell 3@90")
    assert [event.status for event in of(ring, ListUpdated)] == ["ALL_DONE"]


def test_the_leg_that_triggers_ends_the_other() -> None:
    ring = traded_at(100)
    oco(ring, "sell 4@110 maker", "sell 4@market stop 90", held=4 * LOT)
    ring.shout("buy 6@90")
    assert ring.shout("sell 1@90") == [
        "#6 takes 1@90 from #5", "#4 triggers", "#3 expires with 4 (list)", "#4 takes 4@90 from #5",
    ]  # fmt: skip


def test_canceling_a_leg_cancels_the_list() -> None:
    ring = traded_at(100)
    oco(ring, "sell 4@110 maker", "sell 4@market stop 90", held=4 * LOT)
    assert ring.shout("cancel #4") == ["#4 canceled with 4", "#3 canceled with 4"]
    assert sum(event.amount for event in of(ring, HoldReleased)) == 4 * LOT
    assert (ring.touched(3).status, ring.touched(4).status) == (CANCELED, CANCELED)
    assert ring.pit.touched_lists[3].row(0).status == "ALL_DONE"


def test_amending_a_leg_amends_the_list() -> None:
    ring = traded_at(100)
    oco(ring, "buy 4@121 stop 120", "buy 4@90 maker", held=484)
    assert ring.shout("amend #4 to 2") == ["#4 has 2 left", "#3 has 2 left"]
    assert (ring.held(3), ring.held(4)) == (242, 0)


def test_a_list_is_taken_whole_or_not_at_all() -> None:
    ring = traded_at(100)
    assert oco(ring, "sell 4@110 maker", "sell 4@market stop 100", held=4 * LOT) == [
        "#3 refused: Order would trigger immediately.", "#4 refused: Order would trigger immediately.",
    ]  # fmt: skip
    assert [event.released for event in of(ring, OrderRejected)] == [4 * LOT, 0]
    assert [ring.touched(leg).status for leg in (3, 4)] == [REJECTED, REJECTED]
    assert ring.pit.find(3) is None and not ring.pit.touched_lists


def test_a_list_that_its_hold_does_not_cover_is_refused() -> None:
    ring = traded_at(100)
    told = oco(ring, "buy 4@121 stop 120", "buy 4@90 maker", held=483)
    assert told[0] == "#3 refused: Account has insufficient balance for requested action."


def test_a_limit_leg_that_takes_at_once_ends_the_stop() -> None:
    ring = traded_at(100)
    ring.shout("buy 1@105")
    assert oco(ring, "sell 4@104", "sell 4@market stop 90", held=4 * LOT) == [
        "#5 expires with 4 (list)", "#4 takes 1@105 from #3",
    ]  # fmt: skip
    assert ring.market.levels() == [(-1, 104, 3)]
