"""Strikes a cluster on this machine with faults while clients trade, and checks that it loses and doubles nothing.

    faults.py [--faults N] [--orders N] [--seconds N] [--seed S] [--rate R] [--clients N] [--batches SHARE]
              [--batch MIN-MAX] [--at-once MIN-MAX] [--folder DIR] [--card FILE] [--history FILE] [--brief]

RATE is requests a second, of which a share are batches of so many orders. It starts its own Kafka, PostgreSQL and
Redis. One log line per round of faults; a reliability card at the end. Exit status 1: an answer does not stand,
something happened twice, a follower of the streams missed something that nobody told it of, an invariant is broken,
or the cluster did not recover.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "services"))
from reliability import Card  # noqa: E402

from outcry.wiring.process import in_loop, spare_the_collector  # noqa: E402
from tests.support.customers import MIDDLES, Customer  # noqa: E402
from tests.support.histories import History, Place, Row, check  # noqa: E402
from tests.support.signed import SignedClient  # noqa: E402
from tests.support.stricken import STORES, Fault, Stricken, components  # noqa: E402
from tests.support.viewers import AccountViewer, MarketViewer, Viewer  # noqa: E402

ROUNDS_PER_CHECK = 8
RECOVERY_SECONDS = 60.0
CALM_SECONDS = (0.1, 0.5)  # between two rounds
VERIFY_SHARE = 0.025  # of the time, at most, but for the last one
VERIFY_SECONDS = 15.0  # thought of the first one
QUIET_SECONDS = 3.0  # at the end, for what was on its way
FOLLOW_SECONDS = 20.0  # at the end, for followers of the streams to be where the exchange is
PAGE = 1000
ROW = ("clientOrderId", "orderId", "status", "executedQty")
OVERLAP = 2  # checks: what is read goes so far back, as an order may be seen late
LEASE_SECONDS = 2.0
SOME = 5  # orders that a sentence names


@dataclass
class Campaign:
    """``run`` strikes until there were enough faults and enough orders."""

    given: argparse.Namespace
    stricken: Stricken
    session: aiohttp.ClientSession
    history: History = field(default_factory=History)
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.given.seed)
        self.card = Card(self.given.seed, LEASE_SECONDS)
        self._marks: dict[Place, deque[int]] = {}
        self._verified_at, self._verify_seconds = self.began, VERIFY_SECONDS
        urls, keys = self.stricken.apis(), self.stricken.keys()
        self.clients = [[SignedClient(self.session, url, *key) for url in urls] for key in keys]
        pick = self.given.seed * 1000
        self.customers = [self._customer(n % 2, pick + n) for n in range(self.given.clients)]
        self.probes = [self._customer(n % 2, pick + 500 + n, symbol) for n, symbol in enumerate(MIDDLES)]
        stream = self.stricken.cluster.stream_url
        self.market = MarketViewer(self.session, urls, stream, symbols=list(MIDDLES), began=self.began)
        self.accounts = [AccountViewer(urls, key, self.began) for key in keys]

    def _customer(self, owner: int, seed: int, symbol: str = "") -> Customer:
        clients = self.clients[owner][seed % 2 :] + self.clients[owner][: seed % 2]
        more = {"batches": self.given.batches, "batch": self.given.batch}
        return Customer(self.history, owner, clients, seed=seed, began=self.began, symbol=symbol, **more)

    async def run(self) -> Card:
        """Raises components.Trouble where the cluster does not come back."""
        watching = [asyncio.create_task(each.watch()) for each in self._viewers().values()]
        try:
            await self._trade()
            self.stricken.cluster.processes["simulate-0"].tell(signal.SIGSTOP)  # books have to stand to be compared
            await asyncio.sleep(QUIET_SECONDS)
            rows = await self._check(is_last=True)
            await self._verify(is_due=True)
            await self._judge_streams({row["clientOrderId"]: row for row in rows})
        finally:
            self.card.broken += [f"a follower failed: {task.exception()!r}" for task in watching if task.done()]
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            for name, viewer in self._viewers().items():
                self.card.seen[name] = viewer.counts
                self.card.gaps += [f"{name}: {gap}" for gap in viewer.gaps]
        self.card.restarts, self.card.seconds = self.stricken.restarts, time.monotonic() - self.began
        return self.card

    async def _trade(self) -> None:
        trading = [asyncio.create_task(each.trade(self.given.clients / self.given.rate)) for each in self.customers]
        try:
            await self._strike_all()
        finally:
            for each in self.customers:
                each.end()
            ends = await asyncio.gather(*trading, return_exceptions=True)
        self.card.broken += [f"a client failed: {each!r}" for each in ends if each is not None]
        unsettled = [sent for sent in self.history.orders.values() if sent.key and not sent.is_known]
        if unsettled:
            told = ", ".join(f"{sent.name} ({sent.attempts} times, {sent.heard})" for sent in unsettled[:SOME])
            self.card.broken.append(f"{len(unsettled)} orders have a key and never settled: {told} ...")

    def _viewers(self) -> dict[str, Viewer]:
        return {"market": self.market, **{f"account {n}": each for n, each in enumerate(self.accounts)}}

    async def _judge_streams(self, rows: dict[str, Row]) -> None:
        """What the followers have must be what the exchange has, but for what they know that they missed."""
        await self.market.compare(FOLLOW_SECONDS)
        for owner, viewer in enumerate(self.accounts):
            viewer.judge([sent for sent in self.history.orders.values() if sent.owner == owner], rows)

    async def _strike_all(self) -> None:
        rounds, checking = 0, asyncio.ensure_future(asyncio.sleep(0))
        until = self.began + self.given.seconds
        while time.monotonic() < until and (
            self.card.faults.total() < self.given.faults or self.history.count < self.given.orders
        ):
            await asyncio.sleep(self.dice.uniform(*CALM_SECONDS))
            await self._strike(self._drawn())
            rounds += 1
            if rounds % ROUNDS_PER_CHECK == 0 and not self.given.brief:
                await checking  # the one before; it reads while faults go on
                checking = asyncio.ensure_future(self._check())
                await self._verify(is_due=False)
            if not self.card.is_clean:
                break
        await checking

    def _drawn(self) -> list[Fault]:
        """Faults that strike together, none of them the same to the same."""
        drawn = [draw(self.dice) for draw in self.dice.sample(self.stricken.faults(), self._many())]
        return list({tuple(fault.name.split()[:2]): fault for fault in drawn}.values())

    def _many(self) -> int:
        least, most = self.given.at_once
        return self.dice.randint(least, most) if self.card.faults.total() + most <= self.given.faults else 1

    async def _strike(self, faults: Sequence[Fault]) -> None:
        striking = [asyncio.ensure_future(fault.strike()) for fault in faults]
        outages = [task for task, fault in zip(striking, faults, strict=True) if fault.is_outage]
        await asyncio.gather(*outages)
        since = time.monotonic()
        await asyncio.gather(*(self._probe(each, since) for each in self.probes))
        took = time.monotonic() - since
        await asyncio.gather(*striking)
        await self.stricken.ready()
        names = " + ".join(fault.name for fault in faults)
        self.card.faults.update(fault.kind for fault in faults)
        self.card.recoveries.append((names, took))
        self._say(f"{self.card.faults.total():4} {names}: orders again after {took:.2f} s")

    async def _probe(self, customer: Customer, since: float) -> None:
        """Sends orders on one symbol until one is accepted, and cancels it. Raises components.Trouble after a while."""
        while True:
            sent = customer.order(is_keyed=False, quote=0.8)
            if await customer.place(sent):
                break
            if time.monotonic() - since > RECOVERY_SECONDS:
                raise components.Trouble(f"no order on {sent.symbol} for {RECOVERY_SECONDS:g} s: {sent}")
            await asyncio.sleep(0.05)
        await customer.cancel(sent)

    async def _check(self, *, is_last: bool = False) -> list[Row]:
        """Everything that was told must stand, and the invariants must hold; returns the orders that are not folded.

        Read is what has been new or open lately; the last time it is all that there ever was. One account's orders of
        one symbol after the other, as the links stand still as long as their loop is busy.
        """
        rows: list[Row] = []
        firsts = self.history.firsts()
        for place in itertools.product(range(2), MIDDLES):
            asked = self.history.known(place)
            first = 0 if is_last else self._first(place, firsts)
            page = await self._orders_from(*place, first)
            others, found = self.history.archive(*place).compare(page, first)
            self.card.findings.add(found)
            self.card.findings.add(check(self.history, asked, others, self._now()))
            if not is_last:
                self.history.fold(place, self._now(), self.accounts[place[0]].judge_order)
            rows += others
            await asyncio.sleep(0)
        self._say(f"     {self.history.count:,} orders, {len(self.history.orders):,} of them not folded")
        return rows

    async def _verify(self, *, is_due: bool) -> None:
        began = time.monotonic()
        if not is_due and began - self._verified_at < self._verify_seconds / VERIFY_SHARE:
            return
        clean, said = await self.stricken.verify()
        self._verified_at, self._verify_seconds = time.monotonic(), time.monotonic() - began
        self.card.verified += 1
        if not clean:
            self.card.broken.append(said)
        self._say(f"     verify {'clean' if clean else 'BROKEN'} after {self._verify_seconds:.1f} s")

    def _first(self, place: Place, firsts: Mapping[Place, int]) -> int:
        """The order id from which on the orders are read."""
        marks = self._marks.setdefault(place, deque([0], maxlen=OVERLAP))
        marks.append(firsts.get(place, marks[-1]))
        return min(marks)

    async def _orders_from(self, owner: int, symbol: str, first: int) -> list[Row]:
        rows: list[Row] = []
        while True:
            asked = {"symbol": symbol, "orderId": rows[-1]["orderId"] + 1 if rows else first, "limit": PAGE}
            page = await self._get(owner, "/api/v3/allOrders", asked)
            rows += [{name: row[name] for name in ROW} for row in page]
            if len(page) < PAGE:
                return rows

    def _now(self) -> float:
        return time.monotonic() - self.began

    async def _get(self, owner: int, path: str, params: dict[str, Any]) -> Any:
        """Raises components.Trouble where no api answers within the time for recovery."""
        until = time.monotonic() + RECOVERY_SECONDS
        answer: Any = None
        while time.monotonic() < until:
            for client in self.clients[owner]:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                    status, answer = await client.ask("GET", path, params)
                    if status == 200:
                        return answer
            await asyncio.sleep(0.2)
        raise components.Trouble(f"{path} {params} cannot be read: {answer}")

    def _say(self, line: str) -> None:
        print(f"{self._now():7.1f}  {line}", flush=True)


async def campaign(given: argparse.Namespace, command: str) -> int:
    """Runs one; returns the exit status. Raises CancelledError once SIGTERM came and all that was started has ended."""
    environ = {
        "OUTCRY_LIMITS": "off", "OUTCRY_LEASE_SECONDS": str(LEASE_SECONDS), "SIMULATION_HISTORY_HOURS": "0",
        "SIMULATION_ORDERS_PER_SEC": "5", "PYTHONPATH": str(ROOT / "services"),
    }  # fmt: skip
    stricken = Stricken(given.folder, environ, port=given.port, brief=given.brief)
    status, this = 1, asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)  # so that what was started ends too
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        try:
            await stricken.start()
            striking = Campaign(given, stricken, session, History(path=given.history))
            try:
                await striking.run()
            except components.Trouble as trouble:
                striking.card.broken.append(str(trouble))
            status = _conclude(given, striking, command)
        finally:
            await stricken.stop()
    return status


def _conclude(given: argparse.Namespace, done: Campaign, command: str) -> int:
    done.history.write()
    card = done.card.figures(done.history, command)
    for line in [*done.card.findings.lost, *done.card.findings.doubled, *done.card.gaps, *done.card.broken]:
        print(f"BROKEN: {line}", flush=True)
    print(json.dumps(card, indent=1), flush=True)
    if given.card:
        given.card.write_text(json.dumps(card, indent=1) + "\n")
    return 0 if done.card.is_clean else 1


def _span(text: str) -> tuple[int, int]:
    least, _, most = text.partition("-")
    return int(least), int(most or least)


def main(words: Sequence[str]) -> int:
    """Reads the command line and runs a campaign."""
    parser = argparse.ArgumentParser(description="Strike a cluster with faults while clients trade.")
    for name, kind, default in (
        ("faults", int, 100), ("orders", int, 5_000), ("seconds", float, 86_400.0),
        ("seed", int, 1), ("rate", float, 60.0), ("port", int, 18_080), ("clients", int, 12),
        ("batches", float, 0.1), ("batch", _span, (5, 5)), ("at-once", _span, (1, 3)),
        ("folder", Path, None), ("card", Path, None), ("history", Path, None),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=kind, default=default)
    parser.add_argument("--brief", action="store_true", help="half the durations, checks at the end only")
    given = parser.parse_args(words)
    for variable in STORES.values():
        os.environ.pop(variable, None)  # it kills what it uses, so it uses its own
    command = f"load-tests/faults.py {' '.join(words)}".strip()
    spare_the_collector()  # while it looks for garbage the links stand still
    with contextlib.ExitStack() as stack:
        if given.folder is None:
            given.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="outcry-faults-")))
        with contextlib.suppress(asyncio.CancelledError):
            return in_loop(campaign(given, command))
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
