"""Runs the crowd: lets its members act at a steady rate and carries their wishes to the exchange."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from outcry.agents.crowd import ACCOUNTS, Crowd
from outcry.agents.traders import View
from outcry.market.instrument import Instrument
from outcry.ports import Book, Clock, OutcomeUnknown, OutOfService
from outcry.roles.simulate.requests import request_of
from outcry.telemetry import Telemetry

PAUSE_SECONDS: Final = 0.5  # after trouble, before the next attempt
MAX_BEHIND_SECONDS: Final = 1.0  # a stalled exchange is not flooded afterwards
TROUBLE_LOGGED: Final = 60.0  # seconds between two lines about the same trouble

log = logging.getLogger(__name__)

# Asks the exchange as an account would: (WebSocket API method, account id, parameters as text).
Ask = Callable[[str, int, Mapping[str, str]], Awaitable[Any]]


class Books(Protocol):
    """Where the crowd looks at the market."""

    async def book(self, symbol_id: int, depth: int) -> Book | None: ...


class AskRefused(Exception):
    """The exchange refused a request of the crowd with a Binance error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code


class Simulation:
    """The simulated market: ``workers`` tasks share ``orders_per_sec`` requests per second.

    ``prices`` are the last trades in ticks by symbol id, as they stand when the crowd looks.
    """

    def __init__(
        self,
        crowd: Crowd,
        instruments: Sequence[Instrument],
        *,
        ask: Ask,
        feed: Books,
        prices: Mapping[int, int],
        clock: Clock,
        telemetry: Telemetry,
        orders_per_sec: float,
        workers: int,
    ) -> None:
        self._crowd = crowd
        self._instruments = {instrument.symbol_id: instrument for instrument in instruments}
        self._ask, self._feed, self._clock, self._telemetry = ask, feed, clock, telemetry
        self._interval = workers / orders_per_sec
        self._workers = workers
        self._prices = prices
        self._logged_at = -TROUBLE_LOGGED

    async def run(self) -> None:
        """Opens the market and trades until canceled."""
        await self._clear()
        opening = self._crowd.opening()
        await asyncio.gather(*(self._open(opening[n :: self._workers]) for n in range(self._workers)))
        await asyncio.gather(*(self._work(n) for n in range(self._workers)))

    async def _clear(self) -> None:
        """Takes back what an earlier run left in the book: this crowd does not know those orders."""
        for instrument in self._instruments.values():
            for account_id in ACCOUNTS:
                await self._try("openOrders.cancelAll", account_id, {"symbol": instrument.symbol})

    async def _open(self, turns: Sequence[tuple[int, int]]) -> None:
        for symbol_id, account_id in turns:
            await self._act(symbol_id, account_id)

    async def _work(self, n: int) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._interval * n / self._workers
        while True:
            await asyncio.sleep(max(due - loop.time(), 0))
            due = max(due + self._interval, loop.time() - MAX_BEHIND_SECONDS)
            symbol_id, account_id = self._crowd.turn()
            await self._act(symbol_id, account_id)

    async def _act(self, symbol_id: int, account_id: int) -> None:
        wish = self._crowd.act(symbol_id, account_id, await self._view(symbol_id), self._clock.now_ms())
        method, params = request_of(wish, self._instruments[symbol_id])
        if not await self._try(method, account_id, params):
            self._crowd.refused(wish)

    async def _view(self, symbol_id: int) -> View:
        book = await self._feed.book(symbol_id, 1)
        last = self._prices.get(symbol_id, 0)
        if book is None:
            return View(0, 0, last)
        return View(book.bids[0][0] if book.bids else 0, book.asks[0][0] if book.asks else 0, last)

    async def _try(self, method: str, account_id: int, params: Mapping[str, str]) -> bool:
        """Whether the exchange took it. Trouble outside makes the crowd wait, never give up."""
        try:
            await self._ask(method, account_id, params)
        except AskRefused:
            self._telemetry.wishes.labels("refused").inc()
            return False
        except (OutOfService, OutcomeUnknown) as trouble:
            self._telemetry.wishes.labels("failed").inc()
            self._log_trouble(trouble)
            await asyncio.sleep(PAUSE_SECONDS)
            return False
        self._telemetry.wishes.labels("taken").inc()
        return True

    def _log_trouble(self, trouble: Exception) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._logged_at >= TROUBLE_LOGGED:
            self._logged_at = now
            log.warning("The crowd has to wait: %s", trouble)
