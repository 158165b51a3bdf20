"""A cancel that is in the log before its orders ends them when they come, and is answered then."""

import pytest

from outcry.codec import encode_frame
from outcry.market.commands import CancelAll, PlaceList, PlaceOrder
from outcry.market.terms import CANCELED, STOP_LOSS
from tests.roles.engine.test_session import ANN, BEN, Desk, replacing


def test_cancels_that_overtook_are_answered_when_the_order_comes() -> None:
    desk = Desk()
    order = desk.order("buy 1@1")
    first, second = desk.cancel(order), desk.cancel(order)
    desk.apply(first, second)
    batch, news = desk.take()
    assert [(mark.order_id, mark.cancel_offset) for mark in batch.cancel_marks] == [(order.order_id, 1)]
    assert news.outcomes == ()
    outcomes = desk.outcomes(order)
    assert [outcome.command_id for outcome in outcomes] == [order.command_id, first.command_id, second.command_id]
    assert [row.status for row in outcomes[1].canceled] == [CANCELED]


def test_a_cancel_that_overtook_an_order_that_trades_at_once_found_nothing() -> None:
    desk = Desk()
    desk.apply(desk.order("sell 1@1", BEN))
    order = desk.order("buy 1@1")
    desk.apply(desk.cancel(order))
    desk.take()
    outcomes = desk.outcomes(order)
    assert [(outcome.code, len(outcome.fills)) for outcome in outcomes] == [(0, 1), (-2011, 0)]


def cancel_all(*orders: PlaceOrder) -> CancelAll:
    targets = tuple((order.order_id, order.valid_until_ms) for order in orders)
    return CancelAll(command_id=99, symbol_id=1, account=ANN, targets=targets)


def test_a_cancel_of_all_is_answered_when_the_last_order_it_overtook_has_come() -> None:
    desk = Desk()
    here, first, last = desk.order("buy 1@1"), desk.order("buy 1@2"), desk.order("buy 1@3")
    desk.apply(here)
    desk.take()
    assert desk.outcomes(cancel_all(here, first, last)) == ()
    assert [outcome.command_id for outcome in desk.outcomes(first)] == [first.command_id]
    placed, outcome = desk.outcomes(last)
    assert (placed.command_id, outcome.command_id, outcome.code) == (last.command_id, 99, 0)
    assert [row.order_id for row in outcome.canceled] == [here.order_id, first.order_id, last.order_id]
    assert {row.status for row in outcome.canceled} == {CANCELED}
    assert (outcome.offset, outcome.time_ms) == (4, desk.now_ms)
    assert not [order for order in (here, first, last) if desk.session._pit.find(order.order_id)]


def test_a_cancel_of_all_that_overtook_only_orders_that_trade_at_once_found_nothing() -> None:
    desk = Desk()
    desk.apply(desk.order("sell 1@1", BEN))
    order = desk.order("buy 1@1")
    desk.apply(cancel_all(order))
    desk.take()
    assert [(outcome.command_id, outcome.code) for outcome in desk.outcomes(order)] == [
        (order.command_id, 0), (99, -2011),
    ]  # fmt: skip


def test_a_cancel_of_all_names_the_lists_that_ended_on_arrival() -> None:
    desk = Desk()
    above, below = desk.order("sell 1@200"), desk.order("sell 1@0", type=STOP_LOSS, stop_price=50, price=0, held=0)
    pair = PlaceList(
        command_id=98, symbol_id=1, list_id=7, account=ANN, client_list_id="pair", above=above, below=below
    )
    desk.apply(cancel_all(above, below))
    desk.take()
    _, outcome = desk.outcomes(pair)
    assert [row.order_id for row in outcome.canceled] == [above.order_id, below.order_id]
    assert [(row.list_id, row.status) for row in outcome.lists] == [(7, "ALL_DONE")]


def test_a_replace_that_ends_its_old_order_answers_only_the_cancel_of_the_new_one() -> None:
    desk = Desk()
    old, new = desk.order("buy 5@100"), desk.order("buy 5@100", held=0)
    desk.apply(old, cancel_all(new))
    desk.take()
    _, outcome = desk.outcomes(replacing(desk, old, new))
    assert [row.order_id for row in outcome.canceled] == [new.order_id]


@pytest.mark.parametrize("trades", [True, False])
def test_every_answer_goes_to_the_process_that_asked(trades: bool) -> None:
    desk = Desk()
    sold, order = desk.order("sell 1@1" if trades else "sell 1@9", BEN), desk.order("buy 1@1")
    cancel, every = desk.cancel(order), cancel_all(order)
    desk.raw(encode_frame([sold, cancel], reply_to="api-1"))
    desk.raw(encode_frame([every], reply_to="api-2"))
    desk.raw(encode_frame([order], reply_to="api-3"))
    answers = {outcome.command_id: outcome.reply_to for outcome in desk.take()[1].outcomes}
    assert answers == {
        sold.command_id: "api-1", cancel.command_id: "api-1", every.command_id: "api-2", order.command_id: "api-3",
    }  # fmt: skip
