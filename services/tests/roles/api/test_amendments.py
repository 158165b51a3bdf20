"""What was amended can be read again, and is what the answers of the amends said."""

import asyncio
from pathlib import Path
from typing import Any

from outcry.roles.api.insider import Insider
from outcry.wiring.endpoints import ENDPOINTS
from tests.support.traders import Trader, market

AMEND = "/api/v3/order/amend/keepPriority"


async def amend(trader: Trader, order_id: int, qty: str, **more: Any) -> Any:
    status, body = await trader.client.signed("PUT", AMEND, symbol="BTCUSD", orderId=order_id, newQty=qty, **more)
    assert status == 200, body
    return body


async def amendments(trader: Trader, order_id: int, **more: Any) -> Any:
    status, body = await trader.client.signed(
        "GET", "/api/v3/order/amendments", symbol="BTCUSD", orderId=order_id, **more
    )
    assert status == 200, body
    return body


async def test_every_amend_of_an_order_can_be_read_by_its_owner(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, two, exchange):
        order_id = (await one.placed("buy 0.5@50000", newClientOrderId="first"))["orderId"]
        await amend(one, (await one.placed("buy 0.5@50000"))["orderId"], "0.3")
        told = [
            await amend(one, order_id, "0.4", newClientOrderId="second"),
            await amend(one, order_id, "0.2", newClientOrderId="second"),
            await amend(one, order_id, "0.1", newClientOrderId="third"),
        ]
        ids = [body["executionId"] for body in told]
        assert ids == sorted(set(ids))
        rows = await amendments(one, order_id)
        assert rows == [
            {
                "symbol": "BTCUSD", "orderId": order_id, "executionId": body["executionId"],
                "origClientOrderId": old, "newClientOrderId": new, "origQty": before, "newQty": after,
                "time": body["transactTime"],
            }
            for body, old, new, before, after in zip(
                told, ("first", "second", "second"), ("second", "second", "third"),
                ("0.50000000", "0.40000000", "0.20000000"), ("0.40000000", "0.20000000", "0.10000000"), strict=True,
            )
        ]  # fmt: skip
        assert await amendments(one, order_id, fromExecutionId=ids[1]) == rows[1:]
        assert await amendments(one, order_id, limit=1) == rows[2:]
        assert await amendments(two, order_id) == []
        account = await exchange.venue.ledger.account(1001)
        assert account is not None
        insider = Insider(exchange.venue, ENDPOINTS, [account])
        assert await insider.ask("order.amendments", 1001, {"symbol": "BTCUSD", "orderId": str(order_id)}) == rows


async def test_amends_that_share_a_record_are_told_apart(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        orders = [(await one.placed(f"buy 0.5@{50000 + n}"))["orderId"] for n in range(5)]
        bodies = await asyncio.gather(*(amend(one, order_id, "0.4") for order_id in orders))
        ids = [body["executionId"] for body in bodies]
        assert len(set(ids)) == 5
        assert [(await amendments(one, order_id))[0]["executionId"] for order_id in orders] == ids


async def test_both_legs_of_a_list_are_amended(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        legs = {"aboveType": "LIMIT_MAKER", "abovePrice": "90000", "belowType": "STOP_LOSS_LIMIT"}
        legs |= {"belowPrice": "10000", "belowStopPrice": "10000", "belowTimeInForce": "GTC"}
        _, body = await one.client.signed(
            "POST", "/api/v3/orderList/oco", symbol="BTCUSD", side="SELL", quantity="0.5", **legs
        )
        above, below = (each["orderId"] for each in body["orders"])
        amended = await amend(one, below, "0.3", newClientOrderId="lesser")
        (mine,), (other,) = await amendments(one, below), await amendments(one, above)
        assert mine["executionId"] == amended["executionId"] != other["executionId"]
        assert (mine["newClientOrderId"], other["newClientOrderId"]) == ("lesser", other["origClientOrderId"])
        assert mine["newQty"] == other["newQty"] == "0.30000000"
