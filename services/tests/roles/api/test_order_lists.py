"""Two orders of which one cancels the other, as a client sends them."""

from pathlib import Path

from tests.support.traders import UNKNOWN, error, market

OCO = "/api/v3/orderList/oco"


async def test_one_order_of_a_pair_ends_the_other(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, two, _):
        await one.placed("sell 0.1@60000")
        await two.placed("buy 0.1@60000")
        terms = {
            "symbol": "BTCUSD", "side": "SELL", "quantity": "0.1", "aboveType": "LIMIT_MAKER", "abovePrice": "61000",
            "belowType": "STOP_LOSS", "belowStopPrice": "59000", "listClientOrderId": "pair",
        }  # fmt: skip
        status, body = await one.client.signed("POST", OCO, **terms)
        assert status == 200, body
        assert (body["listStatusType"], body["listClientOrderId"]) == ("EXEC_STARTED", "pair")
        above, below = body["orderReports"]
        assert (above["type"], below["type"], below["stopPrice"]) == ("LIMIT_MAKER", "STOP_LOSS", "59000.00000000")
        assert (await one.balance("BTC"))[1] == "0.10000000"
        assert (await two.placed("buy 0.1@61000"))["status"] == "FILLED"
        assert (await one.order(orderId=below["orderId"]))["status"] == "EXPIRED"
        assert (await one.open_orders(), (await one.balance("BTC"))[1]) == ([], "0.00000000")


async def test_a_pair_is_canceled_together(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, two, _):
        await one.placed("sell 0.1@60000")
        await two.placed("buy 0.1@60000")
        terms = {"symbol": "BTCUSD", "side": "BUY", "quantity": "0.1", "price": "59000", "stopPrice": "61000"}
        for named in ("list", "leg", "all"):
            status, body = await one.client.signed("POST", "/api/v3/order/oco", **terms)
            assert status == 200, body
            ids = [each["orderId"] for each in body["orders"]]
            assert await one.open_orders() == ids
            if named == "list":
                answer = await one.client.signed(
                    "DELETE", "/api/v3/orderList", symbol="BTCUSD", orderListId=body["orderListId"]
                )
            elif named == "leg":
                answer = await one.cancel(orderId=ids[1])
            else:
                answer = await one.client.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSD")
            assert answer[0] == 200, answer
            told = answer[1][0] if named == "all" else answer[1]
            assert (told["listOrderStatus"], [each["orderId"] for each in told["orders"]]) == ("ALL_DONE", ids)
            assert await one.open_orders() == []
        gone = await one.client.signed("DELETE", "/api/v3/orderList", symbol="BTCUSD", orderListId=1)
        assert error(gone) == UNKNOWN
        assert (await one.balance("USD"))[1] == "0.00000000"


async def test_a_canceled_pair_names_the_leg_that_had_ended_before(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, two, _):
        await one.placed("sell 0.1@60000")
        await two.placed("buy 0.1@60000")
        terms = {"symbol": "BTCUSD", "side": "SELL", "quantity": "0.1", "price": "61000", "stopPrice": "59000"}
        legs = (await one.client.signed("POST", "/api/v3/order/oco", **terms))[1]["orders"]
        await two.placed("buy 0.04@61000")
        status, told = await one.cancel(orderId=legs[0]["orderId"])
        assert status == 200, told
        assert told["orders"] == legs
        assert [(each["orderId"], each["executedQty"]) for each in told["orderReports"]] == [
            (legs[0]["orderId"], "0.04000000"),
        ]  # fmt: skip


async def test_an_amended_leg_shows_its_list_and_changes_both(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, two, _):
        await one.placed("sell 0.1@60000")
        await two.placed("buy 0.1@60000")
        terms = {
            "symbol": "BTCUSD", "side": "SELL", "quantity": "0.1", "aboveType": "LIMIT_MAKER", "abovePrice": "61000",
            "belowType": "STOP_LOSS", "belowStopPrice": "59000", "listClientOrderId": "pair",
            "aboveClientOrderId": "above", "belowClientOrderId": "below",
        }  # fmt: skip
        above, below = (await one.client.signed("POST", OCO, **terms))[1]["orders"]
        status, body = await one.client.signed(
            "PUT", "/api/v3/order/amend/keepPriority", symbol="BTCUSD", origClientOrderId="above", newQty="0.04",
            newClientOrderId="thin",
        )  # fmt: skip
        assert status == 200, body
        amended = body["amendedOrder"]
        assert (amended["origClientOrderId"], amended["clientOrderId"]) == ("above", "thin")
        assert body["listStatus"] == {
            "orderListId": 1, "contingencyType": "OCO", "listOrderStatus": "EXECUTING", "listClientOrderId": "pair",
            "symbol": "BTCUSD", "orders": [{**above, "clientOrderId": "thin"}, below],
        }  # fmt: skip
        assert (await one.order(orderId=below["orderId"]))["origQty"] == "0.04000000"


async def test_the_sides_of_a_pair_must_fit(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        plain = {"symbol": "BTCUSD", "quantity": "0.1"}
        cases = [
            ("BUY", "LIMIT_MAKER", "STOP_LOSS", -1165), ("SELL", "STOP_LOSS", "LIMIT_MAKER", -1166),
            ("BUY", "STOP_LOSS", "STOP_LOSS", -1196), ("SELL", "STOP_LOSS", "STOP_LOSS", -1197),
            ("BUY", "TAKE_PROFIT", "TAKE_PROFIT", -1198), ("SELL", "TAKE_PROFIT", "TAKE_PROFIT", -1199),
            ("SELL", "LIMIT_MAKER", "LIMIT_MAKER", -1168), ("SELL", "MARKET", "STOP_LOSS", -1158),
        ]  # fmt: skip
        for side, above, below, code in cases:
            sent = {**plain, "side": side, "aboveType": above, "belowType": below}
            for leg, kind in (("above", above), ("below", below)):
                if kind != "MARKET":
                    sent[leg + ("Price" if kind == "LIMIT_MAKER" else "StopPrice")] = "60000"
            assert (await one.client.signed("POST", OCO, **sent))[1]["code"] == code, (side, above, below)
        crossed = {
            **plain, "side": "SELL", "aboveType": "LIMIT_MAKER", "abovePrice": "59000", "belowType": "STOP_LOSS",
            "belowStopPrice": "60000",
        }  # fmt: skip
        text = "The relationship of the prices for the orders is not correct."
        assert error(await one.client.signed("POST", OCO, **crossed)) == (400, -2010, text)
