"""The checker of the fault campaigns finds what it is there to find."""

from typing import Any

from tests.support.histories import Findings, History, Sent, check


def told(status: str = "NEW", executed: str = "0", order_id: int = 1) -> dict[str, Any]:
    return {"orderId": order_id, "status": status, "executedQty": executed}


def sent(name: str = "a", **known: Any) -> Sent:
    return Sent(0, "BTCUSD", name, "", 0.0, {}, **known)


def row(name: str = "a", **what: Any) -> dict[str, Any]:
    return {"clientOrderId": name, **told(**what)}


def found(order: Sent, *rows: dict[str, Any], history: History | None = None) -> Findings:
    return check(history or History(), [order], rows)


def test_what_stands_or_went_on_is_clean() -> None:
    assert found(sent(told=told()), row()).is_clean
    assert found(sent(told=told()), row(status="FILLED", executed="1")).is_clean
    assert found(sent(told=told("FILLED", "1.0")), row(status="FILLED", executed="1")).is_clean
    assert found(sent()).is_clean
    assert found(sent(), row()).is_clean
    assert found(sent(refused=-2010)).is_clean


def test_what_is_heard_while_rows_are_read_is_not_expected_of_them() -> None:
    history = History(orders=[sent(told=told()), sent("b")])
    asked = history.known()
    history.orders[0].hear(told("CANCELED"), 1.0)
    assert [each.name for each in asked] == ["a"]
    assert check(history, asked, [row()]).is_clean


def test_an_acknowledged_order_that_is_not_there_is_lost() -> None:
    assert found(sent(told=told())).lost


def test_a_fill_that_was_told_and_is_gone_is_lost() -> None:
    assert found(sent(told=told("PARTIALLY_FILLED", "2")), row(status="PARTIALLY_FILLED", executed="1")).lost


def test_an_order_that_was_canceled_and_fills_later_is_lost() -> None:
    assert found(sent(told=told("CANCELED")), row(status="FILLED", executed="1")).lost


def test_what_the_exchange_showed_once_may_not_vanish() -> None:
    history, order = History(), sent()
    assert found(order, row(), history=history).is_clean
    assert found(order, history=history).lost


def test_two_orders_under_one_client_order_id_are_doubled() -> None:
    assert found(sent(told=told()), row(), row(order_id=2)).doubled


def test_a_refused_order_that_is_there_is_doubled() -> None:
    assert found(sent(refused=-1008), row()).doubled
    assert found(sent(refused=-2010), row(status="REJECTED")).is_clean
