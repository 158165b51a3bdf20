"""The native reads: pages with cursors and links, portfolio, strict parameters, problems in RFC 9457."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from outcry.market.terms import BUY, SELL
from outcry.roles.api import positions
from tests.support.gated import ACCOUNT
from tests.support.orders import order_row
from tests.support.reads import STRANGER, Reads, reading


@pytest.fixture
async def reads(tmp_path: Path) -> AsyncIterator[Reads]:
    async with reading(tmp_path) as running:
        yield running


async def pages(reads: Reads, path: str, **params: Any) -> list[list[Any]]:
    """All pages, each fetched by the link of the one before."""
    found = []
    while True:
        answer = await reads.ask(path, **params)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found.append(body["data"])
        if body["next_cursor"] is None:
            assert "link" not in answer.headers
            return found
        target, relation = answer.headers["link"].split("; ")
        assert relation == 'rel="next"'
        link = urlsplit(target.strip("<>"))
        assert link.path == path
        params = {name: values[0] for name, values in parse_qs(link.query).items()}
        assert params["cursor"] == body["next_cursor"]
        assert "signature" not in params


async def test_symbols_are_told_with_their_terms(reads: Reads) -> None:
    await reads.print(reads.now_ms, 6_000_000)
    body = await reads.get("/v1/symbols")
    assert [(each["symbol"], each["lastPrice"]) for each in body["data"]] == [
        ("BTCUSD", "60000.00000000"), ("ETHUSD", "0.00000000"),
    ]  # fmt: skip
    assert body["next_cursor"] is None
    assert [len(page) for page in await pages(reads, "/v1/symbols", limit=1)] == [1, 1]


async def test_trades_come_in_pages_oldest_first(reads: Reads) -> None:
    for n in range(5):
        await reads.print(reads.now_ms - 10 + n, 100)
    found = await pages(reads, "/v1/trades", symbol="BTCUSD", limit=2)
    assert [[row["id"] for row in page] for page in found] == [[1, 2], [3, 4], [5]]
    assert found[0][0] == {
        "symbol": "BTCUSD", "id": 1, "price": "1.00000000", "qty": "0.00001000", "quoteQty": "0.00001000",
        "side": "BUY", "time": reads.now_ms - 10,
    }  # fmt: skip


async def test_trades_may_begin_at_an_id_or_a_time(reads: Reads) -> None:
    for n in range(5):
        await reads.print(reads.now_ms - 10 + n, 100)
    for start in ({"fromId": 3}, {"startTime": reads.now_ms - 8}):
        found = await pages(reads, "/v1/trades", symbol="BTCUSD", limit=2, **start)
        assert [[row["id"] for row in page] for page in found] == [[3, 4], [5]]


async def test_orders_of_all_symbols_are_one_sequence_of_pages(reads: Reads) -> None:
    rows = [order_row(order_id=n, symbol_id=2 - n % 2, client_order_id=str(n), priority_seq=n) for n in range(1, 8)]
    await reads.commit(orders=rows)
    found = await pages(reads, "/v1/orders", limit=3)
    assert [[row["orderId"] for row in page] for page in found] == [[1, 3, 5], [7, 2, 4], [6]]
    one = await pages(reads, "/v1/orders", limit=3, symbol="ETHUSD")
    assert [[row["orderId"] for row in page] for page in one] == [[2, 4, 6]]


async def test_a_page_that_ends_with_a_symbol_is_followed_by_the_next_symbol(reads: Reads) -> None:
    rows = [order_row(order_id=n, symbol_id=1 if n < 3 else 2, client_order_id=str(n)) for n in range(1, 5)]
    await reads.commit(orders=rows)
    assert [[row["orderId"] for row in page] for page in await pages(reads, "/v1/orders", limit=2)] == [[1, 2], [3, 4]]


async def test_fills_show_both_sides_of_a_self_trade_on_one_page(reads: Reads) -> None:
    await reads.print(reads.now_ms, 100)
    await reads.print(reads.now_ms, 100, maker_account=ACCOUNT)
    await reads.print(reads.now_ms, 100, symbol_id=2)
    await reads.print(reads.now_ms, 100, symbol_id=2, taker_account=STRANGER)
    found = await pages(reads, "/v1/fills", limit=2)
    assert [[(row["symbol"], row["id"]) for row in page] for page in found] == [
        [("BTCUSD", 1), ("BTCUSD", 2), ("BTCUSD", 2)], [("ETHUSD", 1)],
    ]  # fmt: skip


async def test_balances_name_every_asset(reads: Reads) -> None:
    assert (await reads.signed("/v1/balances"))["data"][:2] == [
        {"asset": "USD", "free": "50.00000000", "locked": "0.00000000", "total": "50.00000000"},
        {"asset": "BTC", "free": "0.00000000", "locked": "0.00000000", "total": "0.00000000"},
    ]


@pytest.mark.parametrize("cursor", ["x", "!!!!", "MTox.", "é", "MToxOjE", "A" * 500, "MTo5OTk5OTk5OTk5OTk5OTk5"])
async def test_a_cursor_that_was_never_given_is_refused(reads: Reads, cursor: str) -> None:
    answer = await reads.http.get("/v1/trades", params={"symbol": "BTCUSD", "cursor": cursor})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["parameter"] == "cursor"


@pytest.mark.parametrize("path", ["/v1/symbols", "/v1/orders", "/v1/fills", "/v1/balances", "/v1/portfolio"])
async def test_an_unknown_parameter_is_refused_by_name(reads: Reads, path: str) -> None:
    answer = await reads.ask(path, colour="red")
    assert answer.status_code == 400
    assert [error["parameter"] for error in answer.json()["errors"]] == ["colour"]


@pytest.mark.parametrize("limit", ["0", "1001", "x"])
async def test_a_page_has_bounds(reads: Reads, limit: str) -> None:
    assert (await reads.refused("/v1/symbols", limit=limit))[0] in (-1130, -1100)


async def test_the_portfolio_of_who_never_traded_is_empty(reads: Reads) -> None:
    body = await reads.signed("/v1/portfolio")
    assert (body["positions"], body["totals"]) == ([], [])
    assert body["balances"][0]["total"] == "50.00000000"


async def test_the_portfolio_tells_position_cost_and_profit(reads: Reads) -> None:
    await reads.print(reads.now_ms - 9, 6_000_000, 100_000, taker_fee=100_000)
    await reads.print(reads.now_ms - 8, 6_600_000, 50_000, taker_side=SELL, taker_fee=33 * 10**8)
    await reads.print(reads.now_ms - 7, 6_100_000, 1, taker_account=STRANGER)
    body = await reads.signed("/v1/portfolio")
    assert body["positions"] == [
        {
            "symbol": "BTCUSD", "asset": "BTC", "quote": "USD", "free": "0.00000000", "locked": "0.00000000",
            "position": "0.49900000", "averageCost": "60060.06006006", "cost": "29969.96996997",
            "lastPrice": "61000.00000000", "realisedPnl": "2936.96996997", "unrealisedPnl": "469.03003003",
            "baseFees": "0.00100000", "quoteFees": "33.00000000", "fills": 2, "since": reads.now_ms - 9,
        }
    ]  # fmt: skip
    assert body["totals"] == [{"asset": "USD", "realisedPnl": "2936.96996997", "unrealisedPnl": "469.03003003"}]


async def test_the_portfolio_goes_on_from_where_it_was(reads: Reads) -> None:
    await reads.print(reads.now_ms, 100, 5)
    assert (await reads.signed("/v1/portfolio"))["positions"][0]["fills"] == 1
    await reads.print(reads.now_ms, 100, 5, maker_account=ACCOUNT)
    await reads.print(reads.now_ms, 100, 5, symbol_id=2, taker_side=BUY)
    assert [each["fills"] for each in (await reads.signed("/v1/portfolio"))["positions"]] == [3, 1]


async def test_a_long_history_is_folded_over_several_requests(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions, "PAGE_FILLS", 2)
    monkeypatch.setattr(positions, "MAX_PAGES", 2)
    for _ in range(7):
        await reads.print(reads.now_ms, 100, 5)
    first = await reads.ask("/v1/portfolio")
    assert (first.status_code, first.json()["code"], "retry-after" in first.headers) == (503, -1008, True)
    assert (await reads.signed("/v1/portfolio"))["positions"][0]["fills"] == 7


async def test_kept_positions_are_bounded_and_come_back(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions, "MAX_KEPT", 1)
    for symbol_id in (1, 2):
        await reads.print(reads.now_ms, 100, 5, symbol_id=symbol_id)
    for _ in range(2):
        assert [each["fills"] for each in (await reads.signed("/v1/portfolio"))["positions"]] == [1, 1]
    assert len(reads.front.venue.positions._kept) == 1
