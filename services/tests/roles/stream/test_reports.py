"""Private events in the shapes of user-data-stream.md."""

from typing import Any

import pytest

from outcry.market import terms
from outcry.market.events import (
    AnyEvent,
    HoldReleased,
    MatchPrevented,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderReplaced,
    OrderTriggered,
)
from outcry.ports import Execution
from outcry.roles.stream import reports
from outcry.rows import Balance, ListRow, OrderRow
from tests.support.orders import order_row as order
from tests.support.prints import BTCUSD, traded

ALWAYS = set("eEscSofqpPFgCxXrilzLnNTtIwmMOZYQV")


def report(event: AnyEvent, row: OrderRow | None) -> dict[str, Any] | None:
    execution = Execution(account_id=1001, symbol_id=1, time_ms=600, event=event, order=row)
    return reports.execution_report(execution, BTCUSD, event_ms=601, execution_id=77)


def told(event: AnyEvent, row: OrderRow) -> dict[str, Any]:
    found = report(event, row)
    assert found is not None
    assert set(found) >= ALWAYS
    return found


def test_a_new_order_is_reported_with_every_field() -> None:
    assert told(OrderAccepted(symbol_id=1, order_id=9, account=1001), order()) == {
        "e": "executionReport", "E": 601, "s": "BTCUSD", "c": "mine", "S": "BUY", "o": "LIMIT", "f": "GTC",
        "q": "0.00010000", "p": "1.00000000", "P": "0.00000000", "F": "0.00000000", "g": -1, "C": "", "x": "NEW",
        "X": "NEW", "r": "NONE", "i": 9, "l": "0.00000000", "z": "0.00000000", "L": "0.00000000", "n": "0", "N": None,
        "T": 600, "t": -1, "I": 77, "w": True, "m": False, "M": False, "O": 500, "Z": "0.00000000", "Y": "0.00000000",
        "Q": "0.00000000", "V": "NONE", "W": 500,
    }  # fmt: skip


def test_an_order_that_filled_in_its_own_command_was_new_first() -> None:
    row = order(status=terms.FILLED, executed=10, cum_quote=100_000, open=0)
    found = told(OrderAccepted(symbol_id=1, order_id=9, account=1001), row)
    assert (found["X"], found["z"], found["Z"]) == ("NEW", "0.00000000", "0.00000000")


def test_each_fill_shows_the_order_as_it_was_after_it() -> None:
    row = order(status=terms.FILLED, executed=10, cum_quote=10_000, open=0)
    first = traded(4, 100, 3, taker_id=9, taker_left=7, taker_executed=3, taker_quote=3_000, taker_fee=12)
    found = told(first, row)
    assert (found["x"], found["X"], found["l"], found["z"]) == ("TRADE", "PARTIALLY_FILLED", "0.00003000", "0.00003000")
    assert (found["L"], found["Y"], found["Z"]) == ("1.00000000", "0.00003000", "0.00003000")
    assert (found["n"], found["N"], found["t"], found["m"], found["w"]) == ("0.00000012", "BTC", 4, False, True)
    last = told(traded(5, 100, 7, taker_id=9, taker_left=0, taker_executed=10, taker_quote=10_000), row)
    assert (last["X"], last["z"], last["w"]) == ("FILLED", "0.00010000", False)


def test_a_stop_that_trades_at_the_market_is_never_in_the_book() -> None:
    fill = traded(4, 100, 3, taker_id=9, taker_left=7, taker_executed=3, taker_quote=3_000)
    for kind in (terms.STOP_LOSS, terms.TAKE_PROFIT):
        assert told(fill, order(type=kind, price=0, status=terms.EXPIRED, executed=3, open=0))["w"] is False


def test_the_makers_side_of_a_fill_is_the_makers() -> None:
    row = order(side=terms.SELL, status=terms.PARTIALLY_FILLED, executed=3)
    found = told(traded(4, 100, 3, maker_id=9, maker_left=7, maker_executed=3, maker_fee=5), row)
    assert (found["m"], found["X"], found["N"], found["n"]) == (True, "PARTIALLY_FILLED", "USD", "0.00000005")


def test_a_cancel_has_its_own_id_and_names_the_orders() -> None:
    event = OrderCanceled(symbol_id=1, order_id=9, account=1001, left=10, reason="", cancel_client_id="away")
    found = told(event, order(status=terms.CANCELED, open=0))
    assert (found["x"], found["X"], found["c"], found["C"], found["w"]) == (
        "CANCELED",
        "CANCELED",
        "away",
        "mine",
        False,
    )


def test_an_order_that_made_way_for_another_is_canceled() -> None:
    event = OrderReplaced(symbol_id=1, order_id=9, new_id=10, account=1001, left=10, cancel_client_id="away")
    found = told(event, order(status=terms.CANCELED, open=0))
    assert (found["x"], found["X"], found["i"]) == ("CANCELED", "CANCELED", 9)
    assert (found["c"], found["C"]) == ("away", "mine")


def test_a_refused_cancel_says_nothing_about_the_order() -> None:
    event = OrderRejected(symbol_id=1, order_id=9, account=1001, op="cancel", code=-2011, text="Unknown order sent.")
    assert report(event, order(status=terms.FILLED, open=0)) is None


def test_an_expiry_says_why() -> None:
    event = OrderExpired(symbol_id=1, order_id=9, account=1001, left=10, reason="")
    found = told(event, order(status=terms.EXPIRED, tif=terms.IOC, open=0))
    assert (found["x"], found["eR"]) == ("EXPIRED", "UNFILLED_IOC_QUANTITY_EXPIRED")


def test_a_resting_stop_is_not_on_the_book_until_it_triggers() -> None:
    row = order(type=terms.STOP_LOSS_LIMIT, stop_price=120, stage=terms.WAITING, working_ms=0)
    resting = told(OrderAccepted(symbol_id=1, order_id=9, account=1001), row)
    assert (resting["w"], resting["P"], "W" in resting) == (False, "1.20000000", False)
    working = told(OrderTriggered(symbol_id=1, order_id=9, account=1001), row._replace(stage=3, working_ms=600))
    assert (working["x"], working["w"], working["W"]) == ("NEW", True, 600)


def test_an_amended_stop_still_waits() -> None:
    event = OrderAmended(symbol_id=1, order_id=9, account=1001, old_qty=9, qty=6, left=6, old_client_id="mine")
    row = order(type=terms.STOP_LOSS, stop_price=120, stage=terms.WAITING, working_ms=0)
    found = told(event, row)
    assert (found["x"], found["w"], "W" in found) == ("REPLACED", False, False)


def test_an_amended_order_is_replaced() -> None:
    event = OrderAmended(symbol_id=1, order_id=9, account=1001, old_qty=9, qty=6, left=6, old_client_id="before")
    found = told(event, order(qty=6))
    assert (found["x"], found["X"], found["c"], found["C"], found["q"]) == (
        "REPLACED", "NEW", "mine", "before", "0.00006000",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Account has insufficient balance for requested action.", "INSUFFICIENT_BALANCES"),
        ("Order would immediately match and take.", "WOULD_MATCH_IMMEDIATELY"),
        ("Market is closed.", "NONE"),
    ],
)
def test_a_rejection_has_its_reason(text: str, reason: str) -> None:
    event = OrderRejected(symbol_id=1, order_id=9, account=1001, op="place", code=-2010, text=text)
    found = told(event, order(status=terms.REJECTED, open=0))
    assert (found["x"], found["X"], found["r"]) == ("REJECTED", "REJECTED", reason)


def test_self_trade_prevention_tells_only_who_lost_by_it() -> None:
    event = MatchPrevented(
        symbol_id=1, prevented_id=3, maker_id=9, taker_id=10, account=1001, price=100, qty=4, mode=2,
        maker_prevented=10, taker_prevented=0,
    )  # fmt: skip
    found = told(event, order(status=terms.EXPIRED_IN_MATCH, prevented=10, open=0))
    assert (found["x"], found["X"], found["v"], found["A"], found["B"], found["U"]) == (
        "TRADE_PREVENTION", "EXPIRED_IN_MATCH", 3, "0.00010000", "0.00010000", 10,
    )  # fmt: skip
    assert (found["pl"], found["pL"], found["pY"], found["u"]) == ("0.00004000", "1.00000000", "0.00004000", -1)
    assert report(event, order(order_id=10)) is None


def test_trailing_and_strategy_fields_come_only_with_such_orders() -> None:
    row = order(type=terms.STOP_LOSS, trail_bps=50, trail_ref=90, strategy_id=4, strategy_type=1_000_000, stage=1)
    found = told(OrderAccepted(symbol_id=1, order_id=9, account=1001), row)
    assert (found["d"], found["D"], found["j"], found["J"]) == (50, 500, 4, 1_000_000)


def test_money_that_moves_between_holds_is_no_report() -> None:
    assert report(HoldReleased(symbol_id=1, order_id=9, account=1001, asset=2, amount=5), order()) is None


def test_a_list_names_both_orders() -> None:
    row = ListRow(2, 0, 1, 1001, "list", 17, 18, "EXEC_STARTED", 500)
    assert reports.list_status(row, [(17, "a"), (18, "b")], BTCUSD, event_ms=601, time_ms=600) == {
        "e": "listStatus", "E": 601, "s": "BTCUSD", "g": 2, "c": "OCO", "l": "EXEC_STARTED", "L": "EXECUTING",
        "r": "NONE", "C": "list", "T": 600,
        "O": [{"s": "BTCUSD", "i": 17, "c": "a"}, {"s": "BTCUSD", "i": 18, "c": "b"}],
    }  # fmt: skip


def test_balances_are_told_by_asset() -> None:
    told = reports.account_position([("BTC", Balance(1, 150_000_000, 5))], event_ms=2, updated_ms=1)
    assert told == {
        "e": "outboundAccountPosition", "E": 2, "u": 1, "B": [{"a": "BTC", "f": "1.50000000", "l": "0.00000005"}],
    }  # fmt: skip
