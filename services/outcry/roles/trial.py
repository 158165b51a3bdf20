"""A trade from outside: two orders, the fill as REST tells it, the trade on a market stream."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from outcry.decimals import minor_units, money_text
from outcry.ports import Clock, OutOfService

SYMBOL: Final = "BTCUSD"
QUANTITY: Final = "0.00100000"
REFERENCE: Final = 60_000_00000000  # where there is no price yet, minor units
TICK: Final = 1_000_000
ANSWER_SECONDS: Final = 12.0
TRADE_SECONDS: Final = 15.0  # for a fill, and for the trade to arrive
LOOK_SECONDS: Final = 0.2

Key = tuple[str, str]  # API key, HMAC secret
Progress = Callable[[str], None]


class Customer:
    """Somebody with an API key, over REST."""

    def __init__(self, url: str, key: Key, clock: Clock) -> None:
        self._url, self._key, self._clock = url.rstrip("/"), key, clock

    async def ask(self, method: str, path: str, **params: str) -> Any:
        """The decoded answer. Raises OutOfService where there is none, or an error."""
        api_key, secret = self._key
        query = urlencode({**params, "timestamp": self._clock.now_ms()})
        signature = hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        return await asyncio.to_thread(self._send, method, f"{path}?{query}&signature={signature}", api_key)

    async def look(self, path: str, **params: str) -> Any:
        """The answer to a question that needs no key. Raises OutOfService."""
        return await asyncio.to_thread(self._send, "GET", f"{path}?{urlencode(params)}", "")

    def _send(self, method: str, target: str, api_key: str) -> Any:
        headers = {"X-MBX-APIKEY": api_key} if api_key else {}
        request = urllib.request.Request(self._url + target, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            raise OutOfService(f"{method} {target.partition('?')[0]} is {refusal.code}: {refusal.read()!r}") from None
        except OSError as trouble:
            raise OutOfService(f"{self._url} cannot be reached: {trouble}") from None


class Trial:
    """``run`` lets one customer buy and another sell at one price, so that one of them is filled in any market."""

    def __init__(self, buyer: Customer, seller: Customer, stream_url: str, progress: Progress) -> None:
        self._buyer, self._seller = buyer, seller
        self._stream = f"{stream_url.rstrip('/')}/ws/{SYMBOL.lower()}@trade"
        self._progress = progress

    async def run(self) -> None:
        """Raises OutOfService, also where no fill or no trade is seen."""
        try:
            async with connect(self._stream, compression=None) as stream, asyncio.timeout(4 * TRADE_SECONDS):
                price = money_text(await self._price())
                orders = [(who, await self._place(who, side, price)) for who, side in self._sides()]
                who, order_id = await self._filled(orders)
                ids = {fill["id"] for fill in await who.ask("GET", "/api/v3/myTrades", **_order(order_id))}
                self._progress(f"REST: order {order_id} is filled at {price}, trades {sorted(ids)}")
                seen = await _trade(stream, ids)
                self._progress(f"WebSocket: trade {seen['t']}, {seen['q']} at {seen['p']}")
        except (OSError, InvalidHandshake, WebSocketException) as trouble:
            raise OutOfService(f"{self._stream} gave no trade: {trouble!r}") from None

    def _sides(self) -> tuple[tuple[Customer, str], tuple[Customer, str]]:
        return (self._buyer, "BUY"), (self._seller, "SELL")

    async def _price(self) -> int:
        """Between the best prices, minor units; what a quiet market was founded at where it has none."""
        top = await self._buyer.look("/api/v3/ticker/bookTicker", symbol=SYMBOL)
        best = [units for name in ("bidPrice", "askPrice") if (units := minor_units(top[name]) or 0)]
        return sum(best) // len(best) // TICK * TICK if best else REFERENCE

    async def _place(self, who: Customer, side: str, price: str) -> int:
        placed = await who.ask(
            "POST", "/api/v3/order",
            symbol=SYMBOL, side=side, type="LIMIT", timeInForce="GTC", quantity=QUANTITY, price=price,
        )  # fmt: skip
        self._progress(f"REST: {side} {QUANTITY} {SYMBOL} at {price} is order {placed['orderId']}, {placed['status']}")
        return int(placed["orderId"])

    async def _filled(self, orders: list[tuple[Customer, int]]) -> tuple[Customer, int]:
        """The one that is filled; what is left of the other is canceled. Raises OutOfService."""
        filled: list[tuple[Customer, int]] = []
        for _ in range(round(TRADE_SECONDS / LOOK_SECONDS)):
            states = [(await who.ask("GET", "/api/v3/order", **_order(order_id)))["status"] for who, order_id in orders]
            filled = [order for order, state in zip(orders, states, strict=True) if state == "FILLED"]
            if filled:
                break
            await asyncio.sleep(LOOK_SECONDS)
        for who, order_id in orders:
            if (who, order_id) not in filled:
                with contextlib.suppress(OutOfService):  # it was filled meanwhile
                    await who.ask("DELETE", "/api/v3/order", **_order(order_id))
        if not filled:
            raise OutOfService(f"Neither of two orders at one price was filled within {TRADE_SECONDS:g} s.")
        return filled[-1]


def _order(order_id: int) -> dict[str, str]:
    return {"symbol": SYMBOL, "orderId": str(order_id)}


async def _trade(stream: ClientConnection, ids: set[int]) -> Mapping[str, Any]:
    """The first of these trades on the stream. Raises OutOfService."""
    try:
        async with asyncio.timeout(TRADE_SECONDS):
            while True:
                heard: dict[str, Any] = json.loads(await stream.recv())
                if heard.get("s") == SYMBOL and heard.get("t") in ids:
                    return heard
    except TimeoutError:
        raise OutOfService(f"The stream told of none of the trades {sorted(ids)} within {TRADE_SECONDS:g} s.") from None
