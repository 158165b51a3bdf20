"""No order that a client can write stops the desk for others, or loses what a batch was told."""

from pathlib import Path

from tests.support.traders import ORDER, market

BATCH = "/v1/orders:batch"
BUY = {"symbol": "BTCUSD", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1", "price": "50000"}


async def test_an_amount_beyond_all_money_is_refused_and_the_desk_works_on(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, two, _):
        status, body, _ = await two.send(ORDER, {**BUY, "side": "SELL", "price": "60000"})
        assert status == 200, body
        status, body, _ = await one.send(ORDER, {**BUY, "price": "60000"})
        assert (status, body["status"]) == (200, "FILLED")
        for side in ("SELL", "BUY"):
            for amount in ("5000000000000", "99999999999999999999", "92233720368.54775808"):
                huge = {"symbol": "BTCUSD", "side": side, "type": "MARKET", "quoteOrderQty": amount}
                status, body, _ = await one.send(ORDER, huge)
                assert (status, body["code"]) == (400, -2010), body
        status, body, _ = await one.send(ORDER, BUY)
        assert (status, body["status"]) == (200, "NEW")


async def test_a_keyed_batch_places_what_follows_an_order_that_the_market_refused(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, two, _):
        status, body, _ = await two.send(ORDER, {**BUY, "side": "SELL", "price": "60000"})
        assert status == 200, body
        maker = {"symbol": "BTCUSD", "side": "BUY", "type": "LIMIT_MAKER", "quantity": "0.1", "price": "60000"}
        status, first, headers = await one.send(BATCH, {"orders": [maker, BUY]}, "key-1")
        assert (status, "idempotent-replayed" in headers) == (200, False)
        assert [each.get("code") for each in first["results"]] == [-2010, None], first
        status, again, headers = await one.send(BATCH, {"orders": [maker, BUY]}, "key-1")
        assert (status, again, headers["idempotent-replayed"]) == (200, first, "true")
        assert await one.open_orders() == [first["results"][1]["orderId"]]
