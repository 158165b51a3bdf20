"""Clients of a cluster under fault: they place, cancel and send batches, with and without keys, and remember all."""

import asyncio
import itertools
import random
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import aiohttp

from tests.support.histories import History, Sent
from tests.support.signed import SignedClient

ORDER: Final = "/api/v3/order"
ALL_OPEN: Final = "/api/v3/openOrders"
MIDDLES: Final = {  # symbol -> a price, decimals of prices, a lot
    "BTCUSD": (60_000, 2, 0.001), "ETHUSD": (3_000, 2, 0.01), "ADAUSD": (0.5, 4, 50), "DOTUSD": (8, 3, 5),
    "SOLUSD": (150, 2, 0.2), "LINKUSD": (16, 3, 2), "AVAXUSD": (40, 2, 1), "MATICUSD": (0.8, 4, 40),
}  # fmt: skip
OVERLOADED: Final = -1008
UNKNOWN: Final = -1007
LATE: Final = -1021  # outside of its own recvWindow
REACH_SECONDS: Final = 0.1  # between two attempts to reach an api; each of the same request waits longer
PATIENT_SECONDS: Final = 1.0  # but not longer than this
SETTLE_SECONDS: Final = 180.0  # for a keyed request to find its outcome, faults going on
BATCH: Final = (5, 5)  # the least and the most orders of one request
BATCHES: Final = 0.1  # of all requests
SWEEPS: Final = 0.02  # requests that cancel all that is open of one symbol
RECENT: Final = 50  # of one client's orders, among which it cancels


class Customer:
    """One client with one account; it turns to the next api when one does not take its connection."""

    def __init__(
        self, history: History, owner: int, clients: Sequence[SignedClient], *, seed: int, began: float,
        symbol: str = "", batches: float = BATCHES, batch: tuple[int, int] = BATCH,
    ) -> None:  # fmt: skip
        self._history = history
        self._owner = owner
        self._clients = itertools.cycle(clients)
        self._dice = random.Random(seed)
        self._name = f"{seed:x}-{owner}"
        self._numbers = itertools.count(1)
        self._began = began
        self._symbols = [symbol] if symbol else list(MIDDLES)
        self._recent: deque[Sent] = deque(maxlen=RECENT)
        self._batches = batches
        self._batch = batch
        self._ended = False

    async def trade(self, pause_seconds: float) -> None:
        """Sends one request after the other until ``end``; what has a key finds its outcome."""
        while not self._ended:
            await asyncio.sleep(pause_seconds * self._dice.uniform(0.5, 1.5))
            kind = self._dice.random()
            if kind < self._batches:
                await self.batch()
            elif kind < self._batches + SWEEPS:
                await self.sweep()
            elif kind > 0.75 and (open_ones := [sent for sent in self._recent if sent.is_open]):
                await self.cancel(self._dice.choice(open_ones))
            else:
                await self.place(self.order(is_keyed=self._dice.random() < 0.5))

    def end(self) -> None:
        """Lets the request under way be the last."""
        self._ended = True

    def order(self, *, is_keyed: bool, quote: float = 0.0) -> Sent:
        """A new order around the middle, or at ``quote`` times it; remembered from now on."""
        symbol = self._dice.choice(self._symbols)
        middle, decimals, lot = MIDDLES[symbol]
        name = f"f{self._name}-{next(self._numbers)}"
        params: dict[str, Any] = {
            "symbol": symbol, "side": "BUY" if quote else self._dice.choice(["BUY", "SELL"]), "type": "LIMIT",
            "timeInForce": "GTC" if quote else self._dice.choice(["GTC", "GTC", "IOC"]),
            "quantity": f"{self._dice.randint(1, 9) * lot:.3f}".rstrip("0").rstrip("."),
            "price": f"{middle * (quote or 1 + self._dice.randint(-20, 20) / 1000):.{decimals}f}",
            "newClientOrderId": name, "newOrderRespType": "FULL",
        }  # fmt: skip
        sent = Sent(self._owner, symbol, name, f"key-{name}" if is_keyed else "", self._now(), params)
        self._history.add(sent)
        self._recent.append(sent)
        return sent

    async def place(self, sent: Sent) -> bool:
        """Places an order; with a key again and again until its outcome is known. True once it was accepted."""
        until = time.monotonic() + SETTLE_SECONDS
        while not sent.is_known and (sent.attempts == 0 or (sent.key and time.monotonic() < until)):
            status, answer = await self._ask("POST", sent.params, sent.key)
            sent.attempts += 1
            self._hear(sent, status, answer)
            if not sent.is_known:
                await asyncio.sleep(min(PATIENT_SECONDS, REACH_SECONDS * sent.attempts))
        return sent.told is not None

    async def cancel(self, sent: Sent) -> None:
        """Cancels an order; an answer of 200 is its end."""
        status, answer = await self._ask("DELETE", {"symbol": sent.symbol, "origClientOrderId": sent.name}, "")
        if status == 200:
            self._history.hear(sent, answer, self._now())
            self._history.cancels += 1

    async def sweep(self) -> None:
        """Cancels all that is open of one symbol; what the answer names has ended."""
        symbol = self._dice.choice(self._symbols)
        status, answer = await self._attempt(lambda client: client.ask("DELETE", ALL_OPEN, {"symbol": symbol}))
        for row in answer if status == 200 else []:
            sent = self._history.orders.get(row.get("origClientOrderId", ""))
            if sent is not None:
                self._history.hear(sent, row, self._now())
                self._history.cancels += 1

    async def batch(self) -> None:
        """Some orders in one request, sometimes with a key; then the same request is sent until it has an answer."""
        is_keyed = self._dice.random() < 0.5
        orders = [self.order(is_keyed=False) for _ in range(self._dice.randint(*self._batch))]
        key = f"key-{orders[0].name}-batch" if is_keyed else ""
        until = time.monotonic() + SETTLE_SECONDS
        while True:
            status, answer = await self._reach(key, [sent.params for sent in orders])
            results = answer.get("results") if status == 200 else None
            for number, sent in enumerate(orders):
                sent.attempts += 1
                sent.key = sent.key or key
                result = results[number] if results else answer
                self._hear(sent, _item_status(result) if results else status, result, is_last=bool(results and key))
            if not is_keyed or all(sent.is_known for sent in orders) or time.monotonic() > until:
                return
            for sent in orders:
                sent.refused = 0  # the request is sent again, and what found no room may find it then
            await asyncio.sleep(min(PATIENT_SECONDS, REACH_SECONDS * orders[0].attempts))

    def _hear(self, sent: Sent, status: int, answer: Any, *, is_last: bool = False) -> None:
        """``is_last``: what the answer says of the order stands for every request under its key."""
        code = answer.get("code", 0) if isinstance(answer, dict) else 0
        sent.heard = f"{status} {code}"
        if status == 200:
            self._history.hear(sent, answer, self._now())
        elif code == UNKNOWN or status in (0, 409):
            return
        elif code == LATE and sent.attempts > 1 and not is_last:
            return  # this request came too late to be looked at, which says nothing of the one before
        elif code == OVERLOADED:
            sent.refused = code if sent.attempts == 1 or is_last else 0
        elif status == 400 and (sent.attempts == 1 or sent.key):
            sent.refused = code

    async def _ask(self, method: str, params: dict[str, Any], key: str) -> tuple[int, Any]:
        headers = {"Idempotency_Key": key} if key else {}
        return await self._attempt(lambda client: client.ask(method, ORDER, params, **headers))

    async def _reach(self, key: str, orders: list[dict[str, Any]]) -> tuple[int, Any]:
        headers = {"Idempotency_Key": key} if key else {}
        return await self._attempt(lambda client: client.batch(orders, **headers))

    async def _attempt(self, request: Any) -> tuple[int, Any]:
        """One request to whichever api takes the connection; status 0: it was sent, and no answer came."""
        while True:
            try:
                status, answer = await request(next(self._clients))
            except aiohttp.ClientConnectorError:  # nothing was sent
                await asyncio.sleep(REACH_SECONDS)
                continue
            except (aiohttp.ClientError, TimeoutError, OSError) as broken:
                self._history.answers[type(broken).__name__] += 1
                return 0, {}
            code = answer.get("code", "") if isinstance(answer, dict) else ""
            self._history.answers[f"{status} {code}".strip()] += 1
            return status, answer

    def _now(self) -> float:
        return round(time.monotonic() - self._began, 3)


def _item_status(result: Any) -> int:
    """The status that one order of a batch would have had alone."""
    code = result.get("code", 0)
    return 503 if code == OVERLOADED else 400 if code else 200
