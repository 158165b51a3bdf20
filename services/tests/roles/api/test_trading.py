"""Orders as a client sends them: through the front door, the desk, the journal and the engine, and back."""

import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from outcry.wiring import Exchange
from tests.support.inprocess import Client, running

ORDER = "/api/v3/order"
REPLACE = "/api/v3/order/cancelReplace"
AMEND = "/api/v3/order/amend/keepPriority"
OCO = "/api/v3/orderList/oco"
SECOND_KEY, SECOND_SECRET = "outcry-demo-key-2", "outcry-demo-secret-2"


class Trader:
    """One account's orders in a shorthand: ``buy 0.5@60000 newClientOrderId=a``."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def place(self, text: str, path: str = ORDER, **more: Any) -> tuple[int, Any]:
        side, terms, *rest = text.split()
        qty, _, price = terms.partition("@")
        kind = {"type": "LIMIT", "timeInForce": "GTC", "price": price} if price else {"type": "MARKET"}
        sent = {"symbol": "BTCUSD", "side": side.upper(), "quantity": qty, **kind, **dict(p.split("=") for p in rest)}
        sent = {name: value for name, value in {**sent, **more}.items() if value != ""}
        return await self.client.signed("POST", path, **sent)

    async def placed(self, text: str, **more: Any) -> Any:
        status, body = await self.place(text, **more)
        assert status == 200, body
        return body

    async def cancel(self, **named: Any) -> tuple[int, Any]:
        return await self.client.signed("DELETE", ORDER, symbol="BTCUSD", **named)

    async def order(self, **named: Any) -> Any:
        return (await self.client.signed("GET", ORDER, symbol="BTCUSD", **named))[1]

    async def open_orders(self) -> list[int]:
        return [each["orderId"] for each in (await self.client.signed("GET", "/api/v3/openOrders"))[1]]

    async def balance(self, asset: str) -> tuple[str, str]:
        body = (await self.client.signed("GET", "/api/v3/account"))[1]
        return next((each["free"], each["locked"]) for each in body["balances"] if each["asset"] == asset)

    async def send(self, path: str, body: Any, key: str = "") -> tuple[int, Any, dict[str, str]]:
        """A signed request with a JSON or form body, and perhaps an Idempotency-Key."""
        raw = json.dumps(body).encode() if path.startswith("/v1") else urlencode(body).encode()
        query = urlencode({"timestamp": int(time.time() * 1000)})
        payload = query.encode() + raw
        signature = hmac.new(self.client.secret.encode(), payload, hashlib.sha256).hexdigest()
        headers = {"X-MBX-APIKEY": self.client.key, "Content-Type": "application/json" if path[1] == "v" else "text/x"}
        if key:
            headers["Idempotency-Key"] = key
        answer = await self.client.http.post(f"{path}?{query}&signature={signature}", content=raw, headers=headers)
        return answer.status_code, answer.json(), dict(answer.headers)


@contextlib.asynccontextmanager
async def market(folder: Path) -> AsyncIterator[tuple[Trader, Trader, Exchange]]:
    """Two funded accounts on an empty venue."""
    async with running(folder) as (exchange, client):
        other = Client(exchange)
        other.key, other.secret = SECOND_KEY, SECOND_SECRET
        try:
            yield Trader(client), Trader(other), exchange
        finally:
            await other.http.aclose()


def error(answer: tuple[int, Any]) -> tuple[int, int, str]:
    return answer[0], answer[1].get("code"), answer[1].get("msg")


UNKNOWN = (400, -2011, "Unknown order sent.")


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
        assert error(await two.place("buy 0.1"))[2] in ("Market is closed.", None)
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
    async with market(tmp_path) as (one, _, _):
        assert await one.place("buy 0.1@50000", "/api/v3/order/test") == (200, {})
        rates = (await one.place("buy 0.1@50000", "/api/v3/order/test", computeCommissionRates="true"))[1]
        assert rates["standardCommissionForOrder"] == {"maker": "0.00100000", "taker": "0.00100000"}
        assert error(await one.place("buy 0.000001@50000", "/api/v3/order/test"))[1] == -1013
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


def batch_of(*texts: str) -> dict[str, Any]:
    orders = []
    for text in texts:
        side, qty, price, *name = text.split()
        item = {"symbol": "BTCUSD", "side": side.upper(), "type": "LIMIT", "timeInForce": "GTC", "quantity": qty,
                "price": price}  # fmt: skip
        orders.append(item | ({"newClientOrderId": name[0]} if name else {}))
    return {"orders": orders}


BATCH = "/v1/orders:batch"


async def test_a_batch_answers_every_order_on_its_own(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        sent = batch_of("buy 0.1 50000 a", "buy 0.000001 50000", "buy 0.1 50001 a", "buy 9000 50000", "buy 0.1 50002")
        sent["orders"].append("no order")
        status, body, _ = await one.send(BATCH, sent)
        assert status == 200, body
        results = body["results"]
        assert [each.get("code") for each in results] == [None, -1013, -2010, -2010, None, -1130]
        assert results[2]["msg"] == "Duplicate order sent."
        assert await one.open_orders() == [results[0]["orderId"], results[4]["orderId"]]


async def test_a_batch_has_one_to_fifty_orders(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        for texts in ([], ["buy 0.1 50000"] * 51):
            status, body, _ = await one.send(BATCH, batch_of(*texts))
            assert (status, body["code"]) == (400, -1130)
        status, body, _ = await one.send(BATCH, batch_of(*["buy 0.001 50000"] * 50))
        assert (status, {each["status"] for each in body["results"]}) == (200, {"NEW"})


async def test_a_key_gives_one_order_and_one_answer(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        order = {"symbol": "BTCUSD", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1",
                 "price": "50000"}  # fmt: skip
        status, first, headers = await one.send(ORDER, order, "key-1")
        assert (status, "idempotent-replayed" in headers) == (200, False)
        status, again, headers = await one.send(ORDER, {**order, "quantity": "0.10"}, "key-1")
        assert (status, again, headers["idempotent-replayed"]) == (200, first, "true")
        status, other, _ = await one.send(ORDER, {**order, "quantity": "0.2"}, "key-1")
        assert (status, other["code"], other["msg"]) == (422, -1098, "Idempotency-Key was used with another payload.")
        assert await one.open_orders() == [first["orderId"]]


async def test_a_refusal_before_the_journal_takes_no_key_and_one_after_it_does(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, two, _):
        order = {"symbol": "BTCUSD", "side": "BUY", "type": "LIMIT_MAKER", "quantity": "9000", "price": "60000"}
        status, _, _ = await one.send(ORDER, order, "key-1")
        assert status == 400
        assert (await one.send(ORDER, {**order, "quantity": "0.1"}, "key-1"))[0] == 200
        await two.placed("sell 0.2@60001")
        crossing = {**order, "quantity": "0.1", "price": "60001"}
        first = await one.send(ORDER, crossing, "key-2")
        assert (first[0], first[1]["code"]) == (400, -2010)
        await two.client.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSD")
        again = await one.send(ORDER, crossing, "key-2")
        assert (again[:2], again[2]["idempotent-replayed"]) == (first[:2], "true")


async def test_the_key_of_a_batch_keeps_the_whole_answer(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        sent = batch_of("buy 9000 50000", "buy 0.1 50000", "buy 0.000001 50000", "buy 0.1 50001")
        status, first, _ = await one.send(BATCH, sent, "key-1")
        assert status == 200
        assert [each.get("code") for each in first["results"]] == [-2010, None, -1013, None]
        status, again, headers = await one.send(BATCH, sent, "key-1")
        assert (status, again, headers["idempotent-replayed"]) == (200, first, "true")
        assert len(await one.open_orders()) == 2
