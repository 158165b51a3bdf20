"""What an account asks about itself, in Binance's shapes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outcry.market.candles import DAY
from outcry.market.terms import BUY, CANCELED, SELL, STP_DECREMENT, STP_EXPIRE_MAKER, STP_EXPIRE_TAKER
from outcry.rows import ListRow, OrderRow, PreventedRow
from tests.support.gated import ACCOUNT
from tests.support.orders import order_row
from tests.support.reads import STRANGER, Reads, reading


@pytest.fixture
async def reads(tmp_path: Path) -> AsyncIterator[Reads]:
    async with reading(tmp_path) as running:
        yield running


def order(order_id: int, **change: object) -> OrderRow:
    return order_row(**{"order_id": order_id, "client_order_id": f"name-{order_id}", "priority_seq": order_id} | change)


async def test_the_account_says_everything_that_clients_need(reads: Reads) -> None:
    assert await reads.signed("/api/v3/account") == {
        "makerCommission": 10,
        "takerCommission": 10,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {
            "maker": "0.00100000", "taker": "0.00100000", "buyer": "0.00000000", "seller": "0.00000000",
        },
        "canTrade": True,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": reads.now_ms,
        "accountType": "SPOT",
        "balances": [
            {"asset": "USD", "free": "50.00000000", "locked": "0.00000000"},
            {"asset": "BTC", "free": "0.00000000", "locked": "0.00000000"},
            {"asset": "ETH", "free": "0.00000000", "locked": "0.00000000"},
        ],
        "permissions": ["SPOT"],
        "uid": ACCOUNT,
    }  # fmt: skip


async def test_zero_balances_may_be_left_out(reads: Reads) -> None:
    answer = await reads.signed("/api/v3/account", omitZeroBalances="true")
    assert [balance["asset"] for balance in answer["balances"]] == ["USD"]


async def test_a_frozen_account_cannot_trade(reads: Reads) -> None:
    await reads.front.store.ledger.freeze_account(ACCOUNT, True, "test")
    reads.front.clock.us += 10_000_000
    answer = await reads.signed("/api/v3/account")
    assert (answer["canTrade"], answer["canWithdraw"], answer["canDeposit"]) == (False, False, True)


async def test_an_order_is_found_by_id_or_by_name(reads: Reads) -> None:
    await reads.commit(orders=[order(1), order(2), order(3, account_id=STRANGER)])
    by_id = await reads.signed("/api/v3/order", symbol="BTCUSD", orderId=2)
    by_name = await reads.signed("/api/v3/order", symbol="BTCUSD", origClientOrderId="name-2")
    assert by_id == by_name
    assert by_id == {
        "symbol": "BTCUSD", "orderId": 2, "orderListId": -1, "clientOrderId": "name-2", "price": "1.00000000",
        "origQty": "0.00010000", "executedQty": "0.00000000", "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "0.00000000", "status": "NEW", "timeInForce": "GTC", "type": "LIMIT", "side": "BUY",
        "stopPrice": "0.00000000", "icebergQty": "0.00000000", "time": 500, "updateTime": 600, "isWorking": True,
        "workingTime": 500, "selfTradePreventionMode": "NONE",
    }  # fmt: skip


@pytest.mark.parametrize(
    "wanted",
    [{"orderId": "3"}, {"orderId": "99"}, {"origClientOrderId": "name-3"}, {"orderId": "1", "origClientOrderId": "x"}],
)
async def test_an_order_of_nobody_or_of_another_does_not_exist(reads: Reads, wanted: dict[str, str]) -> None:
    await reads.commit(orders=[order(1), order(3, account_id=STRANGER)])
    answer = await reads.refused_signed("/api/v3/order", symbol="BTCUSD", **wanted)
    assert answer == (-2013, "Order does not exist.")


async def test_an_order_query_needs_an_id(reads: Reads) -> None:
    assert await reads.refused_signed("/api/v3/order", symbol="BTCUSD") == (
        -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!",
    )  # fmt: skip


async def test_open_orders_are_those_of_one_symbol_or_of_all(reads: Reads) -> None:
    await reads.commit(orders=[order(1), order(2, symbol_id=2), order(3, open=0, status=CANCELED)])
    assert [each["orderId"] for each in await reads.signed("/api/v3/openOrders")] == [1, 2]
    assert [each["symbol"] for each in await reads.signed("/api/v3/openOrders", symbol="ETHUSD")] == ["ETHUSD"]


async def test_open_orders_of_all_symbols_weigh_more(reads: Reads) -> None:
    assert (await reads.ask("/api/v3/openOrders", symbol="BTCUSD")).headers["x-mbx-used-weight-1m"] == "6"
    assert (await reads.ask("/api/v3/openOrders")).headers["x-mbx-used-weight-1m"] == "86"


async def test_all_orders_page_from_an_id_or_give_the_newest(reads: Reads) -> None:
    await reads.commit(orders=[order(n, placed_ms=1_000 * n) for n in range(1, 6)])

    async def ids(**params: int) -> list[int]:
        return [each["orderId"] for each in await reads.signed("/api/v3/allOrders", symbol="BTCUSD", **params)]

    assert await ids() == [1, 2, 3, 4, 5]
    assert await ids(limit=2) == [4, 5]
    assert await ids(orderId=0, limit=2) == [1, 2]
    assert await ids(orderId=3) == [3, 4, 5]
    assert await ids(startTime=2_000, endTime=4_000) == [2, 3, 4]
    assert await ids(startTime=2_000, limit=2) == [2, 3]
    assert await ids(endTime=4_000, limit=2) == [3, 4]


@pytest.mark.parametrize("path", ["/api/v3/allOrders", "/api/v3/myTrades", "/api/v3/allOrderList"])
async def test_a_history_spans_a_day_at_most(reads: Reads, path: str) -> None:
    span = {"startTime": 5, "endTime": 5 + DAY}
    assert await reads.signed(path, symbol="BTCUSD", **span) == []
    refusal = await reads.refused_signed(path, symbol="BTCUSD", startTime=5, endTime=6 + DAY)
    assert refusal == (-1127, "More than 24 hours between startTime and endTime.")


async def test_a_fill_says_what_was_paid_and_in_which_role(reads: Reads) -> None:
    await reads.commit(orders=[order(2)])
    await reads.print(reads.now_ms - 5, 6_000_000, 100, taker_order=2, taker_fee=1_00)
    await reads.print(
        reads.now_ms - 4, 6_000_000, 100, maker_account=ACCOUNT, taker_account=STRANGER, maker_order=2, maker_fee=6_000,
    )  # fmt: skip
    taken, made = await reads.signed("/api/v3/myTrades", symbol="BTCUSD")
    assert taken == {
        "symbol": "BTCUSD", "id": 1, "orderId": 2, "orderListId": -1, "price": "60000.00000000", "qty": "0.00100000",
        "quoteQty": "60.00000000", "commission": "0.00000100", "commissionAsset": "BTC", "time": reads.now_ms - 5,
        "isBuyer": True, "isMaker": False, "isBestMatch": True,
    }  # fmt: skip
    assert (made["isBuyer"], made["isMaker"], made["commission"], made["commissionAsset"]) == (
        False, True, "0.00006000", "USD",
    )  # fmt: skip


async def test_a_fill_names_the_list_of_its_order(reads: Reads) -> None:
    await reads.commit(orders=[order(2, list_id=44)])
    await reads.print(reads.now_ms, 100, taker_order=2)
    assert (await reads.signed("/api/v3/myTrades", symbol="BTCUSD"))[0]["orderListId"] == 44


async def test_a_self_trade_is_two_rows_with_one_id(reads: Reads) -> None:
    await reads.print(reads.now_ms, 100, maker_account=ACCOUNT, taker_side=SELL)
    rows = await reads.signed("/api/v3/myTrades", symbol="BTCUSD")
    assert [(row["id"], row["orderId"], row["isBuyer"], row["isMaker"]) for row in rows] == [
        (1, 1, True, True), (1, 2, False, False),
    ]  # fmt: skip
    await reads.commit(orders=[order(2, placed_ms=reads.now_ms, updated_ms=reads.now_ms)])
    mine = await reads.signed("/api/v3/myTrades", symbol="BTCUSD", orderId=2)
    assert [(row["orderId"], row["isMaker"]) for row in mine] == [(2, False)]


async def test_fills_page_from_an_id_or_a_time_or_give_the_newest(reads: Reads) -> None:
    for n in range(1, 6):
        await reads.print(reads.now_ms - 10 + n, 100, taker_account=STRANGER if n == 3 else ACCOUNT)

    async def ids(**params: int) -> list[int]:
        return [each["id"] for each in await reads.signed("/api/v3/myTrades", symbol="BTCUSD", **params)]

    assert await ids() == [1, 2, 4, 5]
    assert await ids(limit=2) == [4, 5]
    assert await ids(fromId=0, limit=2) == [1, 2]
    assert await ids(fromId=3) == [4, 5]
    assert await ids(startTime=reads.now_ms - 8) == [2, 4, 5]
    assert await ids(endTime=reads.now_ms - 8) == [1, 2]


@pytest.mark.parametrize(
    "params", [{"fromId": 1, "startTime": 1}, {"fromId": 1, "endTime": 1}, {"orderId": 1, "startTime": 1}]
)
async def test_fills_are_asked_for_in_one_way_at_a_time(reads: Reads, params: dict[str, int]) -> None:
    assert (await reads.refused_signed("/api/v3/myTrades", symbol="BTCUSD", **params))[0] == -1128


async def test_order_lists_are_told_with_their_orders(reads: Reads) -> None:
    started = ListRow(44, 0, 1, ACCOUNT, "pair", 1, 2, "EXEC_STARTED", 700)
    done = ListRow(45, 0, 1, ACCOUNT, "old", 3, 4, "ALL_DONE", 800)
    legs = [order(n, list_id=44 if n < 3 else 45) for n in range(1, 5)]
    await reads.commit(orders=legs, lists=[started, done])
    shown = {
        "orderListId": 44, "contingencyType": "OCO", "listStatusType": "EXEC_STARTED", "listOrderStatus": "EXECUTING",
        "listClientOrderId": "pair", "transactionTime": 700, "symbol": "BTCUSD",
        "orders": [
            {"symbol": "BTCUSD", "orderId": 1, "clientOrderId": "name-1"},
            {"symbol": "BTCUSD", "orderId": 2, "clientOrderId": "name-2"},
        ],
    }  # fmt: skip
    assert await reads.signed("/api/v3/orderList", orderListId=44) == shown
    assert await reads.signed("/api/v3/orderList", origClientOrderId="pair") == shown
    assert await reads.signed("/api/v3/openOrderList") == [shown]
    assert [each["orderListId"] for each in await reads.signed("/api/v3/allOrderList")] == [44, 45]
    assert [each["orderListId"] for each in await reads.signed("/api/v3/allOrderList", fromId=45)] == [45]
    assert [each["orderListId"] for each in await reads.signed("/api/v3/allOrderList", startTime=750)] == [45]


async def test_an_unknown_list_does_not_exist(reads: Reads) -> None:
    refusal = -2013, "Order list does not exist."
    assert await reads.refused_signed("/api/v3/orderList", orderListId=1) == refusal
    assert (await reads.refused_signed("/api/v3/orderList"))[0] == -1102


async def test_order_counts_are_told_without_counting(reads: Reads) -> None:
    for _ in range(2):
        assert [each["count"] for each in await reads.signed("/api/v3/rateLimit/order")] == [0, 0]
    limits = await reads.signed("/api/v3/rateLimit/order")
    assert [(each["rateLimitType"], each["interval"], each["intervalNum"]) for each in limits] == [
        ("ORDERS", "SECOND", 10), ("ORDERS", "DAY", 1),
    ]  # fmt: skip


async def test_commission_is_standard_and_nothing_else(reads: Reads) -> None:
    answer = await reads.signed("/api/v3/account/commission", symbol="BTCUSD")
    assert answer["standardCommission"]["maker"] == "0.00100000"
    assert {rate for kind in ("special", "tax") for rate in answer[f"{kind}Commission"].values()} == {"0.00000000"}
    assert answer["discount"]["enabledForAccount"] is False


async def test_prevented_matches_show_what_the_mode_took(reads: Reads) -> None:
    rows = [
        PreventedRow(1, n, 0, 0, ACCOUNT, 10 + n, 20 + n, 100, 3, 4, mode, 900)
        for n, mode in enumerate((STP_EXPIRE_MAKER, STP_EXPIRE_TAKER, STP_DECREMENT), start=1)
    ]
    await reads.commit(prevented=rows)
    found = await reads.signed("/api/v3/myPreventedMatches", symbol="BTCUSD", preventedMatchId=1)
    assert found == [
        {
            "symbol": "BTCUSD", "preventedMatchId": 1, "takerOrderId": 21, "makerSymbol": "BTCUSD", "makerOrderId": 11,
            "tradeGroupId": -1, "selfTradePreventionMode": "EXPIRE_MAKER", "price": "1.00000000",
            "makerPreventedQuantity": "0.00003000", "transactTime": 900,
        }
    ]  # fmt: skip
    taker = (await reads.signed("/api/v3/myPreventedMatches", symbol="BTCUSD", orderId=22))[0]
    assert "makerPreventedQuantity" not in taker
    assert taker["takerPreventedQuantity"] == "0.00004000"
    both = (await reads.signed("/api/v3/myPreventedMatches", symbol="BTCUSD", orderId=13))[0]
    assert {"makerPreventedQuantity", "takerPreventedQuantity"} <= set(both)
    assert await reads.signed("/api/v3/myPreventedMatches", symbol="BTCUSD", preventedMatchId=9) == []
    assert (await reads.refused_signed("/api/v3/myPreventedMatches", symbol="BTCUSD"))[0] == -1102


async def test_filters_and_allocations_of_an_account(reads: Reads) -> None:
    answer = await reads.signed("/api/v3/myFilters", symbol="BTCUSD")
    assert answer["symbolFilters"][0]["filterType"] == "PRICE_FILTER"
    assert answer["assetFilters"] == []
    assert await reads.signed("/api/v3/myAllocations", symbol="BTCUSD") == []


@pytest.mark.parametrize("path", ["account", "order", "openOrders", "allOrders", "myTrades", "openOrderList"])
async def test_private_reads_want_a_signature(reads: Reads, path: str) -> None:
    code, _ = await reads.refused(f"/api/v3/{path}", symbol="BTCUSD")
    assert code == -1102


async def test_side_names_are_of_the_order(reads: Reads) -> None:
    await reads.commit(orders=[order(1, side=SELL), order(2, side=BUY)])
    assert [each["side"] for each in await reads.signed("/api/v3/openOrders")] == ["SELL", "BUY"]
