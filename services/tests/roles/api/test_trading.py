"""Orders as a client sends them: through the front door, the desk, the journal and the engine, and back."""

import asyncio
from pathlib import Path
from typing import Any

from outcry.market.instrument import HALTED
from outcry.roles.admin.control import ask_running
from outcry.roles.api.insider import Insider
from outcry.wiring.endpoints import ENDPOINTS
from tests.support.traders import UNKNOWN, error, market

REPLACE = "/api/v3/order/cancelReplace"
AMEND = "/api/v3/order/amend/keepPriority"


async def test_an_order_rests_is_seen_at_once_and_can_be_canceled(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        free, locked = await one.balance("USD")
        body = await one.placed("buy 0.5@60000", newClientOrderId="first")
        assert (body["status"], body["executedQty"], body["fills"]) == ("NEW", "0.00000000", [])
        order_id = body["orderId"]
        assert (await one.order(orderId=order_id))["status"] == "NEW"
        assert (await one.order(origClientOrderId="first"))["orderId"] == order_id
        assert await one.open_orders() == [order_id]
        assert float((await one.balance("USD"))[1]) == float(locked) + 30_000
        status, canceled = await one.cancel(orderId=order_id, newClientOrderId="away")
        assert (status, canceled["status"], canceled["clientOrderId"]) == (200, "CANCELED", "away")
        assert canceled["origClientOrderId"] == "first"
        assert (await one.open_orders(), await one.balance("USD")) == ([], (free, locked))
        assert error(await one.cancel(orderId=order_id)) == UNKNOWN


async def test_a_market_order_needs_a_last_price(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, two, _):
        await one.placed("sell 0.3@60000")
        assert error(await two.place("buy 0.1")) == (400, -2010, "Market is closed.")
        taken = await two.placed("buy 0.1@60000")
        assert taken["status"] == "FILLED"
        assert taken["fills"][0]["commissionAsset"] == "BTC"
        bought = await two.placed("buy 0.1")
        assert (bought["status"], bought["cummulativeQuoteQty"]) == ("FILLED", "6000.00000000")
        spent = await two.placed("buy x", quantity="", quoteOrderQty="600")
        assert (spent["status"], spent["executedQty"], spent["origQty"]) == ("FILLED", "0.01000000", "0.01000000")


async def test_what_cannot_fill_at_once_expires(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, two, _):
        await one.placed("sell 0.3@60000")
        killed = await two.placed("buy 0.5@60000", timeInForce="FOK")
        assert (killed["status"], killed["executedQty"]) == ("EXPIRED", "0.00000000")
        assert killed["expiryReason"] == "UNFILLED_FOK_ORDER_EXPIRED"
        partly = await two.placed("buy 0.5@60000", timeInForce="IOC")
        assert (partly["status"], partly["executedQty"]) == ("EXPIRED", "0.30000000")
        assert await two.open_orders() == []


async def test_refusals_of_the_market_have_their_texts(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, two, _):
        await one.placed("sell 0.3@60000", newClientOrderId="mine")
        assert error(await one.place("sell 0.1@61000", newClientOrderId="mine")) == (
            400,
            -2010,
            "Duplicate order sent.",
        )
        crossing = await two.place("buy 0.1@60000", type="LIMIT_MAKER", timeInForce="")
        assert error(crossing) == (400, -2010, "Order would immediately match and take.")
        poor = await two.place("buy 9000@60000")
        assert error(poor) == (400, -2010, "Account has insufficient balance for requested action.")
        assert (await two.balance("USD"))[1] == "0.00000000"
        await two.placed("buy 0.1@60000")
        late = await two.place("buy 0.1", type="STOP_LOSS", stopPrice="59000")
        assert error(late) == (400, -2010, "Order would trigger immediately.")


async def test_freed_money_can_be_spent_at_once(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        free = float((await one.balance("USD"))[0])
        size = f"{free / 10_000 * 0.9:.5f}"
        for _ in range(3):
            body = await one.placed(f"buy {size}@10000")
            assert (await one.cancel(orderId=body["orderId"]))[0] == 200


async def test_a_client_order_id_is_free_again_after_a_cancel(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        for _ in range(2):
            await one.placed("buy 0.1@50000", newClientOrderId="again")
            assert (await one.cancel(origClientOrderId="again"))[0] == 200


async def test_an_order_is_canceled_only_by_its_owner_and_under_its_own_names(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, two, _):
        body = await one.placed("buy 0.1@50000", newClientOrderId="a")
        assert error(await two.cancel(orderId=body["orderId"])) == UNKNOWN
        assert error(await one.cancel(orderId=body["orderId"], origClientOrderId="b")) == UNKNOWN
        missing = error(await one.cancel())
        assert missing[1:] == (
            -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!",
        )  # fmt: skip
        restricted = await one.cancel(orderId=body["orderId"], cancelRestrictions="ONLY_PARTIALLY_FILLED")
        assert error(restricted) == (400, -2011, "Order was not canceled due to cancel restrictions.")
        assert (await one.cancel(orderId=body["orderId"], cancelRestrictions="ONLY_NEW"))[0] == 200


async def test_cancel_all_takes_every_order_of_the_symbol(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        ids = [(await one.placed(f"buy 0.1@{price}"))["orderId"] for price in (50000, 50001, 50002)]
        await one.placed("buy 1@1000", symbol="ETHUSD")
        status, body = await one.client.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSD")
        assert (status, [each["orderId"] for each in body]) == (200, ids)
        assert len(await one.open_orders()) == 1
        assert error(await one.client.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSD")) == UNKNOWN


async def test_a_test_order_checks_everything_and_places_nothing(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, exchange):
        assert await one.place("buy 0.1@50000", "/api/v3/order/test") == (200, {})
        rates = (await one.place("buy 0.1@50000", "/api/v3/order/test", computeCommissionRates="true"))[1]
        assert rates["standardCommissionForOrder"] == {"maker": "0.00100000", "taker": "0.00100000"}
        assert error(await one.place("buy 0.000001@50000", "/api/v3/order/test"))[1] == -1013
        await ask_running(tmp_path, "symbols.halt", {"symbol": "BTCUSD", "actor": "tester"})
        for _ in range(500):
            if exchange.venue.instruments["BTCUSD"].status == HALTED:
                break
            await asyncio.sleep(0.01)
        assert error(await one.place("buy 0.1@50000", "/api/v3/order/test")) == (400, -2010, "Market is closed.")
        assert await one.open_orders() == []


async def test_a_replace_moves_an_order_within_its_own_money(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        free = float((await one.balance("USD"))[0])
        size = f"{free / 50_000 * 0.99:.5f}"
        old = await one.placed(f"buy {size}@50000")
        status, body = await one.place(
            f"buy {size}@49000", REPLACE, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=old["orderId"]
        )
        assert (status, body["cancelResult"], body["newOrderResult"]) == (200, "SUCCESS", "SUCCESS")
        assert body["cancelResponse"]["orderId"] == old["orderId"]
        assert await one.open_orders() == [body["newOrderResponse"]["orderId"]]
        assert float((await one.balance("USD"))[1]) == float(size) * 49_000


async def test_a_replace_that_costs_too_much_still_cancels(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        old = await one.placed("buy 0.1@50000")
        status, body = await one.place(
            "buy 9000@50000", REPLACE, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=old["orderId"]
        )
        assert (status, body["code"], body["msg"]) == (409, -2021, "Order cancel-replace partially failed.")
        assert body["data"]["cancelResult"] == "SUCCESS"
        assert body["data"]["newOrderResponse"]["code"] == -2010
        assert (await one.open_orders(), (await one.balance("USD"))[1]) == ([], "0.00000000")


async def test_a_replace_by_a_market_order_is_bounded_like_any_other(tmp_path: Path) -> None:
    """Both accounts begin with 10,000,000 USD; the first trade is at 50,000."""
    mode = {"cancelReplaceMode": "STOP_ON_FAILURE"}
    async with market(tmp_path) as (one, two, _):
        await two.placed("sell 1@50000")
        await one.placed("buy 1@50000")
        rich = await one.placed("buy 10@40000")
        stop = {"type": "STOP_LOSS", "stopPrice": "60000", "timeInForce": "", "price": ""}
        body = (await one.place("buy 1@0", REPLACE, cancelOrderId=rich["orderId"], **mode, **stop))[1]
        assert (await one.balance("USD"))[1] == "63000.00000000"
        spend = {"quantity": "", "quoteOrderQty": "20000000"}
        waiting = body["newOrderResponse"]["orderId"]
        status, body = await one.place("buy 1", REPLACE, cancelOrderId=waiting, **mode, **spend)
        assert (status, body["code"], body["data"]["newOrderResponse"]["code"]) == (409, -2021, -2010)
        assert (await one.open_orders(), (await one.balance("USD"))[1]) == ([], "0.00000000")


async def test_a_replace_of_nothing_places_only_if_it_may_fail(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        stop = await one.place("buy 0.1@50000", REPLACE, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=999)
        assert (stop[0], stop[1]["code"], stop[1]["data"]["newOrderResult"]) == (400, -2022, "NOT_ATTEMPTED")
        assert stop[1]["data"]["newOrderResponse"] is None
        allow = await one.place("buy 0.1@50000", REPLACE, cancelReplaceMode="ALLOW_FAILURE", cancelOrderId=999)
        assert (allow[0], allow[1]["code"]) == (409, -2021)
        assert await one.open_orders() == [allow[1]["data"]["newOrderResponse"]["orderId"]]
        both = await one.place("buy 9000@50000", REPLACE, cancelReplaceMode="ALLOW_FAILURE", cancelOrderId=999)
        assert (both[0], both[1]["code"], both[1]["data"]["newOrderResult"]) == (400, -2022, "FAILURE")


async def test_a_replace_under_the_old_name_cancels_and_then_finds_it_taken(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        await one.placed("buy 0.1@50000", newClientOrderId="same")
        status, body = await one.place(
            "buy 0.1@50001", REPLACE, cancelReplaceMode="STOP_ON_FAILURE", cancelOrigClientOrderId="same",
            newClientOrderId="same",
        )  # fmt: skip
        assert (status, body["data"]["cancelResult"], body["data"]["newOrderResult"]) == (409, "SUCCESS", "FAILURE")
        assert body["data"]["newOrderResponse"]["msg"] == "Duplicate order sent."
        assert await one.open_orders() == []


async def test_an_amended_order_keeps_its_place_and_frees_money(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        order_id = (await one.placed("buy 0.5@50000", newClientOrderId="old"))["orderId"]
        status, body = await one.client.signed(
            "PUT", AMEND, symbol="BTCUSD", orderId=order_id, newQty="0.2", newClientOrderId="new"
        )
        assert status == 200, body
        amended = body["amendedOrder"]
        assert (amended["orderId"], amended["qty"], amended["status"]) == (order_id, "0.20000000", "NEW")
        assert (amended["origClientOrderId"], amended["clientOrderId"]) == ("old", "new")
        assert (await one.balance("USD"))[1] == "10000.00000000"
        more = await one.client.signed("PUT", AMEND, symbol="BTCUSD", orderId=order_id, newQty="0.3")
        assert more[0] == 400
        assert (await one.cancel(origClientOrderId="new"))[0] == 200


async def test_an_amended_order_satisfies_every_filter(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        await one.placed("buy 0.5@10", newClientOrderId="cheap")
        legs = {"aboveType": "LIMIT_MAKER", "abovePrice": "90", "belowType": "STOP_LOSS_LIMIT"}
        legs |= {"belowPrice": "10", "belowStopPrice": "10", "belowTimeInForce": "GTC", "belowClientOrderId": "leg"}
        status, body = await one.client.signed(
            "POST", "/api/v3/orderList/oco", symbol="BTCUSD", side="SELL", quantity="0.5", **legs
        )
        assert status == 200, body
        for name in ("cheap", "leg"):  # worth 4.90 of at least 5
            small = await one.client.signed("PUT", AMEND, symbol="BTCUSD", origClientOrderId=name, newQty="0.49")
            assert error(small) == (400, -1013, "Filter failure: NOTIONAL")
        large = await one.client.signed("PUT", AMEND, symbol="BTCUSD", origClientOrderId="cheap", newQty="99999999")
        assert error(large) == (400, -1013, "Filter failure: LOT_SIZE")
        assert (await one.order(origClientOrderId="cheap"))["origQty"] == "0.50000000"


async def test_a_stop_waits_hidden_until_its_price_and_then_takes(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, two, _):
        await one.placed("sell 0.1@60000")
        await two.placed("buy 0.1@60000")
        await one.placed("buy 0.2@59000")
        await one.placed("buy 0.5@58990")
        stop = await two.placed("sell 0.3", type="STOP_LOSS", stopPrice="59000", newOrderRespType="RESULT")
        assert (stop["status"], stop["workingTime"], stop["stopPrice"]) == ("NEW", -1, "59000.00000000")
        assert (await two.order(orderId=stop["orderId"]))["isWorking"] is False
        await two.placed("sell 0.1@59000")
        done = await two.order(orderId=stop["orderId"])
        assert (done["status"], done["executedQty"], done["isWorking"]) == ("FILLED", "0.30000000", True)
        assert (await two.balance("BTC"))[1] == "0.00000000"


async def test_orders_of_one_account_can_be_kept_from_trading_with_each_other(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        await one.placed("sell 0.1@60000")
        body = await one.placed("buy 0.3@60000", selfTradePreventionMode="EXPIRE_TAKER")
        assert (body["status"], body["executedQty"]) == ("EXPIRED_IN_MATCH", "0.00000000")
        assert body["preventedQuantity"] == "0.30000000"
        assert (await one.balance("USD"))[1] == "0.00000000"


async def test_an_order_names_the_match_that_was_prevented(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        makers = [(await one.placed(f"sell 0.1@{price}"))["orderId"] for price in (60000, 60001)]
        taker = await one.placed("buy 0.3@60001", selfTradePreventionMode="EXPIRE_MAKER")
        assert (taker["status"], "preventedMatchId" in taker) == ("NEW", False)
        found = [await one.order(orderId=maker) for maker in makers]
        assert [(row["status"], row["preventedMatchId"]) for row in found] == [
            ("EXPIRED_IN_MATCH", 1), ("EXPIRED_IN_MATCH", 2),
        ]  # fmt: skip
        expired = await one.placed("sell 0.1@60000", selfTradePreventionMode="EXPIRE_TAKER")
        assert (expired["status"], expired["preventedMatchId"]) == ("EXPIRED_IN_MATCH", 3)
        assert (await one.order(orderId=expired["orderId"]))["preventedMatchId"] == 3
        assert "preventedMatchId" not in await one.order(orderId=taker["orderId"])


async def test_every_answer_about_an_order_names_its_last_prevented_match(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):

        async def lessened() -> int:
            """A resting order that lost 0.1 to the taker of the newest prevented match."""
            maker: int = (await one.placed("sell 0.5@60000"))["orderId"]
            taker = await one.placed("buy 0.1@60000", selfTradePreventionMode="DECREMENT")
            assert taker["status"] == "EXPIRED_IN_MATCH"
            return maker

        first = await lessened()
        for path, named in (("openOrders", {}), ("allOrders", {}), ("order", {"orderId": first})):
            _, body = await one.client.signed("GET", f"/api/v3/{path}", symbol="BTCUSD", **named)
            shown = {row["orderId"]: row for row in (body if isinstance(body, list) else [body])}
            assert (shown[first]["preventedMatchId"], shown[first]["preventedQuantity"]) == (1, "0.10000000")
        _, page = await one.client.signed("GET", "/v1/orders", symbol="BTCUSD")
        assert [row["preventedMatchId"] for row in page["data"]] == [1, 1]
        amended = (await one.client.signed("PUT", AMEND, symbol="BTCUSD", orderId=first, newQty="0.4"))[1]
        assert amended["amendedOrder"]["preventedMatchId"] == 1
        _, canceled = await one.cancel(orderId=first)
        assert (canceled["preventedMatchId"], canceled["preventedQuantity"]) == (1, "0.10000000")
        second = await lessened()
        fresh = {"side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1", "price": "60000"}
        _, replaced = await one.client.signed(
            "POST", REPLACE, symbol="BTCUSD", cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=second, **fresh
        )
        assert replaced["cancelResponse"]["preventedMatchId"] == 2
        assert "preventedMatchId" not in replaced["newOrderResponse"]
        await one.cancel(orderId=replaced["newOrderResponse"]["orderId"])
        await lessened()
        _, every = await one.client.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSD")
        assert [row["preventedMatchId"] for row in every] == [3]


async def test_an_iceberg_shows_only_its_peak(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        body = await one.placed("sell 1@60000", icebergQty="0.2")
        assert body["icebergQty"] == "0.20000000"
        book = (await one.client.get("/api/v3/depth", symbol="BTCUSD"))[1]
        assert book["asks"] == [["60000.00000000", "0.20000000"]]


async def test_over_the_order_limit_a_replace_may_still_cancel(tmp_path: Path) -> None:
    async with market(tmp_path, limits="binance") as (one, _, _):
        ids = [(await one.placed(f"buy 0.01@{50000 + n}"))["orderId"] for n in range(50)]
        terms = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": ids[0]}
        refused = await one.place("buy 0.01@40000", REPLACE, **terms)
        assert error(refused) == (429, -1015, "Too many new orders; current limit is 50 orders per 10 SECOND.")
        order = {"symbol": "BTCUSD", "side": "BUY", "type": "LIMIT_MAKER", "quantity": "0.01", "price": "40000"}
        status, _, headers = await one.send(REPLACE, order | terms)
        assert (status, {"x-mbx-used-weight-1m", "x-mbx-order-count-10s", "retry-after"} <= set(headers)) == (429, True)
        assert ids[0] in await one.open_orders()
        status, body = await one.place("buy 0.01@40000", REPLACE, orderRateLimitExceededMode="CANCEL_ONLY", **terms)
        assert (status, body["code"], body["data"]["cancelResult"]) == (409, -2021, "SUCCESS")
        assert body["data"]["newOrderResponse"]["code"] == -1015
        assert await one.open_orders() == ids[1:]


async def test_the_methods_of_the_websocket_api_do_the_same(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, exchange):
        account = await exchange.venue.ledger.account(1001)
        assert account is not None
        insider = Insider(exchange.venue, ENDPOINTS, [account])

        async def ask(method: str, text: str) -> Any:
            sent = dict(pair.split("=") for pair in text.split())
            return await insider.ask(method, 1001, {"symbol": "BTCUSD", **sent})

        terms = "side=BUY type=LIMIT timeInForce=GTC quantity=0.1 price=50000"
        assert await ask("order.test", terms) == {}
        first = await ask("order.place", terms + " newClientOrderId=a")
        assert (await ask("order.amend.keepPriority", "origClientOrderId=a newQty=0.05"))["amendedOrder"]["qty"] == (
            "0.05000000"
        )
        moved = await ask(
            "order.cancelReplace", f"{terms} cancelReplaceMode=STOP_ON_FAILURE cancelOrderId={first['orderId']}"
        )
        new_id = moved["newOrderResponse"]["orderId"]
        assert (await ask("order.cancel", f"orderId={new_id}"))["status"] == "CANCELED"
        legs = "aboveType=STOP_LOSS aboveStopPrice=61000 belowType=LIMIT_MAKER belowPrice=59000"
        pair = await ask("orderList.place.oco", f"side=BUY quantity=0.1 {legs}")
        done = await ask("orderList.cancel", f"orderListId={pair['orderListId']}")
        assert done["listOrderStatus"] == "ALL_DONE"
        await ask("order.place", terms)
        assert len(await ask("openOrders.cancelAll", "")) == 1
        assert await one.open_orders() == []
