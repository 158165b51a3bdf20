"""The checker of the fault campaigns finds what it is there to find."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.histories import GONE_SECONDS, TOLD_SECONDS, Findings, History, Row, Sent, check

PLACE = (0, "BTCUSD")


def told(status: str = "NEW", executed: str = "0", order_id: int = 1) -> dict[str, Any]:
    return {"orderId": order_id, "status": status, "executedQty": executed}


def sent(name: str = "a", **known: Any) -> Sent:
    return Sent(0, "BTCUSD", name, "", 0.0, {}, **known)


def row(name: str = "a", **what: Any) -> dict[str, Any]:
    return {"clientOrderId": name, **told(**what)}


def history_of(*orders: Sent) -> History:
    return History({order.name: order for order in orders})


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
    history = history_of(sent(told=told()), sent("b"))
    asked = history.known(PLACE)
    history.orders["a"].hear(told("CANCELED"), 1.0)
    assert [each.name for each in asked] == ["a"]
    assert check(history, asked, [row()]).is_clean


def test_an_acknowledged_order_that_is_not_there_is_lost() -> None:
    assert found(sent(told=told())).lost


def test_a_fill_that_was_told_and_is_gone_is_lost() -> None:
    assert found(sent(told=told("PARTIALLY_FILLED", "2")), row(status="PARTIALLY_FILLED", executed="1")).lost


def test_an_order_that_was_canceled_and_fills_later_is_lost() -> None:
    assert found(sent(told=told("CANCELED")), row(status="FILLED", executed="1")).lost


def test_what_the_exchange_showed_once_may_not_vanish() -> None:
    order = sent()
    history = history_of(order)
    assert found(order, row(), history=history).is_clean
    assert found(order, history=history).lost


def test_two_orders_under_one_client_order_id_are_doubled() -> None:
    assert found(sent(told=told()), row(), row(order_id=2)).doubled


def test_a_refused_order_that_is_there_is_doubled() -> None:
    assert found(sent(refused=-1008), row()).doubled
    assert found(sent(refused=-2010), row(status="REJECTED")).is_clean


ENDED = [
    row("a", status="FILLED", executed="1.00", order_id=3),
    row("b", status="CANCELED", executed="0.00", order_id=5),
    row("c", status="FILLED", executed="2.00", order_id=9),
]


def looked(history: History, rows: list[Row], first: int = 0, now: float = 0.0) -> Findings:
    """A check as the campaign makes one: rows are compared with what is folded, then with what is not."""
    others, found = history.archive(0, "BTCUSD").compare([each for each in rows if each["orderId"] >= first], first)
    found.add(check(history, history.known(PLACE), others, now))
    return found


def folded() -> tuple[History, list[str]]:
    """Three orders that ended and are folded, one that is open, and who was judged."""
    judged: list[str] = []
    history = history_of(
        *(sent(each["clientOrderId"], told=told(order_id=each["orderId"])) for each in ENDED),
        sent("d", told=told(order_id=11)),
        sent("r", refused=-2010),
    )
    assert looked(history, [*ENDED, row("d", order_id=11)]).is_clean
    history.fold(PLACE, TOLD_SECONDS - 1, lambda order, _: judged.append(order.name))
    assert len(history.orders) == 5, "who follows may not have been told yet"
    history.fold(PLACE, GONE_SECONDS, lambda order, _: judged.append(order.name))
    return history, judged


def test_a_look_at_one_market_takes_no_notice_of_the_others() -> None:
    history, _ = folded()
    history.add(Sent(0, "ETHUSD", "e", "", 0.0, {}, told=told("FILLED", "1"), end=told("FILLED", "1")))
    history.add(Sent(1, "BTCUSD", "f", "", 0.0, {}, told=told("FILLED", "1"), end=told("FILLED", "1")))
    assert [each.name for each in history.known(PLACE)] == ["d"]
    history.fold(PLACE, GONE_SECONDS, lambda *_: None)
    assert {"e", "f"} <= history.orders.keys()


def test_what_has_ended_is_counted_and_judged_once_and_leaves_memory() -> None:
    history, judged = folded()
    assert list(history.orders) == ["d"]
    assert judged == ["a", "b", "c"]
    assert len(history.archive(0, "BTCUSD")) == 3
    assert history.counts() == {"accepted": 4, "refused": 1}
    assert history.firsts() == {(0, "BTCUSD"): 11}
    assert looked(history, [*ENDED, row("d", order_id=11)]).is_clean
    assert looked(history, [row("d", order_id=11)], first=11).is_clean


LIES = {
    "one is gone": ([ENDED[0], ENDED[2]], "lost"),
    "one goes on": ([row("a", status="FILLED", executed="1.50", order_id=3), *ENDED[1:]], "lost"),
    "one is open again": ([ENDED[0], row("b", order_id=5), ENDED[2]], "lost"),
    "one has another name": ([ENDED[0], ENDED[1], {**ENDED[2], "clientOrderId": "x"}], "lost"),
    "one is there twice": ([*ENDED, row("a", status="FILLED", executed="1.00", order_id=12)], "doubled"),
    "what was refused is there": ([*ENDED, row("r", order_id=13)], "doubled"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_about_what_is_folded_is_found(lie: str) -> None:
    history, _ = folded()
    rows, kind = LIES[lie]
    wrong = looked(history, [*rows, row("d", order_id=11)])
    assert bool(wrong.lost) == (kind == "lost")
    assert bool(wrong.doubled) == (kind == "doubled")


def test_an_answer_that_contradicts_the_end_that_was_seen_is_lost() -> None:
    history = history_of(sent(told=told()))
    assert looked(history, [row(status="FILLED", executed="1")]).is_clean
    history.hear(history.orders["a"], told("NEW"), 1.0)  # an old answer, told again
    assert looked(history, [row(status="FILLED", executed="1")]).is_clean
    history.hear(history.orders["a"], told("CANCELED"), 2.0)
    assert looked(history, [row(status="FILLED", executed="1")]).lost


def test_an_order_that_nobody_was_told_of_is_folded_once_it_ended(tmp_path: Path) -> None:
    keyed = sent("k")
    keyed.key = "key"
    history = history_of(sent(), keyed)
    history.path = tmp_path / "history"
    assert looked(history, [row(status="CANCELED"), row("k", status="CANCELED", order_id=2)]).is_clean
    history.fold(PLACE, TOLD_SECONDS, lambda *_: None)
    assert len(history.orders) == 2
    history.fold(PLACE, GONE_SECONDS, lambda *_: None)
    assert (list(history.orders), history.counts()) == (["k"], {"unknown": 2}), "a key has to settle"
    (line,) = history.path.read_text().splitlines()
    assert json.loads(line)["end"]["status"] == "CANCELED"
