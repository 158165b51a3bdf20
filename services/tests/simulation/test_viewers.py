"""The followers of the fault campaigns: a hole in a stream does not escape them, and they invent none."""

from typing import Any

import aiohttp
import pytest

from tests.support.histories import Sent
from tests.support.viewers import AccountViewer, Market, MarketViewer, Report, Span

ROW = {"status": "FILLED", "executedQty": "2.00000000", "orderId": 1}


@pytest.fixture
async def viewer() -> Any:
    """Follows BTCUSD from a snapshot at update 10 on."""
    async with aiohttp.ClientSession() as session:
        made = MarketViewer(session, [], "ws://nowhere", symbols=["BTCUSD"], began=0.0)
        made.markets["BTCUSD"] = Market(u=10, book={("b", "99.0"): "1.0"})
        yield made


def diff(first: int, last: int, *bids: tuple[str, str]) -> dict[str, Any]:
    return {"e": "depthUpdate", "s": "BTCUSD", "U": first, "u": last, "b": [list(level) for level in bids], "a": []}


def trade(number: int) -> dict[str, Any]:
    return {"e": "trade", "s": "BTCUSD", "t": number}


async def test_updates_that_lead_on_from_the_snapshot_make_the_book(viewer: MarketViewer) -> None:
    viewer.take(diff(5, 9, ("99.0", "7.0")))
    viewer.take(diff(8, 11, ("99.0", "0.0"), ("98.0", "2.0")))
    viewer.take(diff(12, 15, ("97.0", "3.0")))
    assert viewer.gaps == []
    assert viewer.markets["BTCUSD"].book == {("b", "98.0"): "2.0", ("b", "97.0"): "3.0"}


@pytest.mark.parametrize(
    "told",
    [
        [diff(12, 13)],
        [diff(11, 12), diff(14, 15)],
        [diff(11, 12), diff(12, 15)],
        [diff(11, 12), diff(11, 12)],
        [trade(7), trade(9)],
        [trade(7), trade(7)],
    ],
    ids=["after the snapshot", "between two", "overlapping", "twice", "a trade", "a trade twice"],
)
async def test_a_hole_or_a_copy_is_a_gap(viewer: MarketViewer, told: list[dict[str, Any]]) -> None:
    for event in told:
        viewer.take(event)
    assert len(viewer.gaps) == 1


def judged(sent: Sent, row: dict[str, Any], *spans: Span) -> AccountViewer:
    viewer = AccountViewer([], ("key", "secret"), 0.0)
    viewer.spans = list(spans)
    viewer.judge([sent], {sent.name: row})
    return viewer


def order(sent_at: float = 5.0) -> Sent:
    return Sent(0, "BTCUSD", "f1", "", sent_at, {}, told=ROW, told_at=6.0)


def report(status: str, executed: str) -> Report:
    return (status, executed)


def test_an_order_whose_end_was_told_is_seen() -> None:
    viewer = judged(order(), ROW, Span(1.0, reports={"f1": report("FILLED", "2.00000000")}))
    assert (viewer.gaps, viewer.counts["orders seen to their end"]) == ([], 1)


@pytest.mark.parametrize("reports", [{}, {"f1": report("PARTIALLY_FILLED", "1.00000000")}], ids=["no event", "no end"])
@pytest.mark.parametrize("until", [float("inf"), 60.0], ids=["still there", "there long after"])
def test_an_order_whose_end_was_not_told_on_a_socket_that_stayed_is_a_gap(reports: Any, until: float) -> None:
    assert len(judged(order(), ROW, Span(1.0, until, reports)).gaps) == 1


@pytest.mark.parametrize("status", ["EXPIRED", "CANCELED", "FILLED"])
def test_an_order_of_which_nothing_was_told_is_a_gap_even_if_it_never_reached_the_market(status: str) -> None:
    row = {"status": status, "executedQty": "0.00000000", "orderId": 1}
    assert len(judged(order(), row, Span(1.0)).gaps) == 1


@pytest.mark.parametrize("span", [Span(1.0, 7.0), Span(5.5), Span(1.0, 3.0)], ids=["ended", "too late", "too early"])
def test_an_order_that_no_socket_covers_is_to_be_read(span: Span) -> None:
    viewer = judged(order(), ROW, span)
    assert (viewer.gaps, viewer.counts["orders to be read, as their socket ended"]) == ([], 1)


async def test_an_empty_venue_is_followed_from_its_first_update_on(viewer: MarketViewer) -> None:
    viewer.markets["BTCUSD"] = Market(u=0)
    viewer.take(diff(1, 2, ("99.0", "7.0")))
    assert viewer.markets["BTCUSD"].book == {("b", "99.0"): "7.0"}
    viewer.take(diff(4, 4))
    assert len(viewer.gaps) == 1
