"""Whatever an order form holds, it is taken or refused in words, and no money gets lost over it."""

import random
from pathlib import Path

from outcry.roles.api.orderform import RULES
from tests.support.traders import ORDER, market

VALUES = {
    "side": ["BUY", "SELL", "BUY", "buy", ""],
    "type": ["LIMIT", "MARKET", "LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT", "X"],
    "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    "quantity": ["0.1", "1", "0.00001", "0", "1e3", "NaN", "9000", "99999999999999999999", "0.000000001", "-1"],
    "quoteOrderQty": ["10", "5.01", "0", "99999999999999999999"],
    "price": ["60000", "59999.99", "60001", "60000.001", "1000000", "0.01", "99999999999999999999", "\u0661"],
    "stopPrice": ["60000", "60100", "59900", "0"],
    "trailingDelta": ["10", "2000", "2001", "0", "99999999999"],
    "icebergQty": ["0.05", "0.1", "0.00001", "0"],
    "newClientOrderId": ["a", "b", "x" * 37, "\u00e9"],
    "selfTradePreventionMode": ["NONE", "DECREMENT", "EXPIRE_BOTH", "EXPIRE_MAKER", "TRANSFER"],
    "newOrderRespType": ["ACK", "RESULT", "FULL", "NONE"],
    "strategyType": ["1000000", "1"],
    "recvWindow": ["5000", "60000.123", "60001", "x"],
}


def some_form(rng: random.Random) -> dict[str, str]:
    """Mostly what the type needs, now and then something that it does not take or that makes no sense."""
    kind = rng.choice(VALUES["type"])
    needed = {"side", "quantity", *(RULES[kind].needed if kind in RULES else ())}
    needed |= {"stopPrice"} if kind in RULES and RULES[kind].trigger else set()
    names = [name for name in VALUES if rng.random() < (0.98 if name in needed else 0.06)]
    chosen = {name: rng.choice(VALUES[name][: 3 if rng.random() < 0.9 else None]) for name in names}
    return {"symbol": "BTCUSD", **chosen, "type": kind}


async def test_no_order_form_makes_the_exchange_stumble_or_lose_money(tmp_path: Path) -> None:
    rng = random.Random(7)
    async with market(tmp_path) as (one, two, _):
        await one.placed("sell 0.1@60000")
        await two.placed("buy 0.1@60000")
        seen: dict[int, int] = {}
        for _ in range(600):
            sent = some_form(rng)
            status, body = await rng.choice((one, two)).client.signed("POST", ORDER, **sent)
            seen[status] = seen.get(status, 0) + 1
            assert status == 200 or (status == 400 and body["code"] < 0 and body["msg"]), (sent, status, body)
        assert min(seen[200], seen[400]) > 60
        for trader in (one, two):
            await trader.client.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSD")
            assert await trader.open_orders() == []
            assert {(await trader.balance(asset))[1] for asset in ("USD", "BTC")} == {"0.00000000"}
