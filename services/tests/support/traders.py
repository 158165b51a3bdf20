"""Two funded traders on an exchange that runs in the test's own event loop."""

import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from outcry.wiring.embedded import Exchange
from tests.support.inprocess import Client, running

ORDER = "/api/v3/order"
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
async def market(folder: Path, **settings: Any) -> AsyncIterator[tuple[Trader, Trader, Exchange]]:
    """Two funded accounts on an empty venue."""
    async with running(folder, **settings) as (exchange, client):
        other = Client(exchange)
        other.key, other.secret = SECOND_KEY, SECOND_SECRET
        try:
            yield Trader(client), Trader(other), exchange
        finally:
            await other.http.aclose()


def error(answer: tuple[int, Any]) -> tuple[int, int, str]:
    return answer[0], answer[1].get("code"), answer[1].get("msg")


UNKNOWN = (400, -2011, "Unknown order sent.")
