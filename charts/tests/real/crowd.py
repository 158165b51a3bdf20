"""Customers of a release who trade while something happens to it, and what they found afterwards."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from real.release import Release
from tests.support.customers import MIDDLES, Customer
from tests.support.histories import FINAL, History, Row
from tests.support.signed import SignedClient

PAGE = 1000
ALLOWED = {"200", "503", "504", "429", "409", "400"}  # what a customer may hear while pods come and go


@dataclass
class Crowd:
    """Who trades: ``history`` has every order and answer; ``pauses`` the longest time without an accepted order."""

    release: Release
    session: aiohttp.ClientSession
    history: History = field(default_factory=History)
    began: float = field(default_factory=time.monotonic)
    longest: float = 0.0
    customers: int = 8
    batches: float = 0.2  # of all requests
    batch: tuple[int, int] = (5, 5)  # the least and the most orders of one

    def __post_init__(self) -> None:
        self._first_seed = time.time_ns() // 1_000_000  # names and keys of orders are made of seeds: never the same
        self._numbers = itertools.count(1_000)
        self.clients = [SignedClient(self.session, self.release.url, *key) for key in self.release.api_keys()]

    def customer(self, number: int, symbol: str = "") -> Customer:
        owner = number % 2
        return Customer(
            self.history,
            owner,
            [self.clients[owner]],
            seed=self._first_seed + number,
            began=self.began,
            symbol=symbol,
            batches=self.batches,
            batch=self.batch,
        )

    async def probe(self, symbol: str) -> None:
        """Places one order after the other on a symbol and notes the longest time without an accepted one."""
        customer, last = self.customer(next(self._numbers), symbol), time.monotonic()
        while True:
            sent = customer.order(is_keyed=False, quote=0.8)
            if await customer.place(sent):
                now = time.monotonic()
                self.longest, last = max(self.longest, now - last), now
                await customer.cancel(sent)
            await asyncio.sleep(0.05)

    def begin(self, rate: float) -> None:
        """Everybody trades from now on, together ``rate`` requests a second."""
        self._customers = [self.customer(next(self._numbers)) for _ in range(self.customers)]
        self._tasks = [asyncio.create_task(each.trade(self.customers / rate)) for each in self._customers]
        self._probe = asyncio.create_task(self.probe("BTCUSD"))

    async def end(self) -> None:
        """Lets the requests under way be the last. Raises what went wrong with a customer."""
        self._probe.cancel()
        for each in self._customers:
            each.end()
        await asyncio.wait([self._probe])
        await asyncio.gather(*self._tasks)

    async def judge(self, *more: str) -> list[str]:
        """What the exchange says now against what customers were told: [] where all of it stands, once each.

        ``more`` are statuses that a customer may hear as well.
        """
        rows: dict[str, Row] = {}
        problems = []
        for client in self.clients:
            for symbol in MIDDLES:
                for row in await self._orders(client, symbol):
                    name = row["clientOrderId"]
                    if name in rows:
                        problems.append(f"{name} is there twice")
                    rows[name] = row
        for sent in self.history.orders.values():
            row = rows.get(sent.name)
            if sent.told is not None and row is None:
                problems.append(f"{sent.name} was accepted and is not there")
            elif sent.told is not None and row is not None and sent.told["status"] in FINAL:
                if row["status"] != sent.told["status"]:
                    problems.append(f"{sent.name} was {sent.told['status']} and is {row['status']}")
            elif sent.refused and row is not None and row["status"] != "REJECTED":
                problems.append(f"{sent.name} was refused ({sent.refused}) and is there")
        strange = {
            answer
            for answer in self.history.answers
            if answer.split()[0] not in {*ALLOWED, *more} and answer[0].isdigit()
        }
        return problems + [f"an answer was {answer}" for answer in sorted(strange)]

    async def _orders(self, client: SignedClient, symbol: str) -> list[Row]:
        rows: list[Row] = []
        while True:
            asked = {"symbol": symbol, "orderId": rows[-1]["orderId"] + 1 if rows else 0, "limit": PAGE}
            status, page = await client.ask("GET", "/api/v3/allOrders", asked)
            assert status == 200, page
            rows += page
            if len(page) < PAGE:
                return rows


@contextlib.asynccontextmanager
async def trading(release: Release, rate: float = 30.0, **more: Any) -> AsyncIterator[Crowd]:
    """Customers who trade ``rate`` requests a second until ``Crowd.end``; ``more`` are fields of ``Crowd``."""
    # Pods divide connections, not requests: clients that keep theirs would never meet a new pod.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as session:
        crowd = Crowd(release, session, **more)
        crowd.begin(rate)
        try:
            yield crowd
        finally:
            await crowd.end()
