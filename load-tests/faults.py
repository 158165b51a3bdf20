"""Strikes a cluster on this machine with faults while clients trade, and checks that it loses and doubles nothing.

    faults.py [--faults N] [--orders N] [--seconds N] [--seed S] [--rate R] [--folder DIR] [--card FILE]
              [--history FILE] [--brief]

It starts its own Kafka, PostgreSQL and Redis. One log line per fault; a reliability card at the end. Exit status 1:
an answer does not stand, something happened twice, a follower of the streams missed something that nobody told it of,
an invariant is broken, or the cluster did not recover.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "services"))
from tests.support.customers import MIDDLES, Customer  # noqa: E402
from tests.support.histories import Findings, History, Row, check  # noqa: E402
from tests.support.signed import SignedClient  # noqa: E402
from tests.support.stricken import STORES, Fault, Stricken, components  # noqa: E402
from tests.support.viewers import AccountViewer, MarketViewer, Viewer  # noqa: E402

CUSTOMERS = 12
ROUND = (1, 3)  # faults that strike together
ROUNDS_PER_CHECK = 10
RECOVERY_SECONDS = 60.0
CALM_SECONDS = (0.2, 1.0)  # between two rounds
QUIET_SECONDS = 3.0  # at the end, for what was on its way
FOLLOW_SECONDS = 20.0  # at the end, for followers of the streams to be where the exchange is
PAGE = 1000
LEASE_SECONDS = 2.0


@dataclass
class Card:
    """What a campaign did and found."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    recoveries: list[tuple[str, float]] = field(default_factory=list)  # faults of a round, seconds
    findings: Findings = field(default_factory=Findings)
    gaps: list[str] = field(default_factory=list)  # that a follower of the streams was not told of
    seen: dict[str, Counter[str]] = field(default_factory=dict)  # by followers, what they saw
    verified: int = 0
    broken: list[str] = field(default_factory=list)
    restarts: int = 0
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        return self.findings.is_clean and not self.broken and not self.gaps

    def figures(self, history: History, command: str) -> dict[str, Any]:
        """The card as it is printed and kept."""
        rto = sorted(seconds for _, seconds in self.recoveries)
        known = [sent for sent in history.orders if sent.is_known]
        return {
            "faults": self.faults.total(), "kinds": dict(sorted(self.faults.items())), "orders": len(history.orders),
            "accepted": sum(sent.told is not None for sent in known),
            "refused": sum(sent.refused != 0 for sent in known), "unknown": len(history.orders) - len(known),
            "cancels": history.cancels, "lost": len(self.findings.lost), "doubled": len(self.findings.doubled),
            "gaps": self.gaps, "streams": {name: dict(sorted(seen.items())) for name, seen in self.seen.items()},
            "verified": self.verified, "broken": self.broken, "rto_seconds": {
                name: _at(rto, share) for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))
            },
            "restarts": self.restarts, "seconds": round(self.seconds), "seed": self.seed,
            "lease_seconds": LEASE_SECONDS,
            "answers": dict(history.answers.most_common()), "commit": _commit(), "command": command,
            "machine": f"{os.cpu_count()} x {_cpu()}, Python {platform.python_version()}",
        }  # fmt: skip


def _at(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2) if ordered else 0.0


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
        self.card = Card(self.given.seed)
        urls, keys = self.stricken.apis(), self.stricken.keys()
        self.clients = [[SignedClient(self.session, url, *key) for url in urls] for key in keys]
        pick = self.given.seed * 1000
        self.customers = [self._customer(n % 2, pick + n) for n in range(CUSTOMERS)]
        self.probes = [self._customer(n % 2, pick + 100 + n, symbol) for n, symbol in enumerate(MIDDLES)]
        stream = self.stricken.cluster.stream_url
        self.market = MarketViewer(self.session, urls, stream, symbols=list(MIDDLES), began=self.began)
        self.accounts = [AccountViewer(urls, key, self.began) for key in keys]

    def _customer(self, owner: int, seed: int, symbol: str = "") -> Customer:
        clients = self.clients[owner][seed % 2 :] + self.clients[owner][: seed % 2]
        return Customer(self.history, owner, clients, seed=seed, began=self.began, symbol=symbol)

    async def run(self) -> Card:
        """Raises components.Trouble where the cluster does not come back."""
        watching = [asyncio.create_task(each.watch()) for each in self._viewers().values()]
        try:
            await self._trade()
            self.stricken.cluster.processes["simulate-0"].tell(signal.SIGSTOP)  # books have to stand to be compared
            await asyncio.sleep(QUIET_SECONDS)
            await self._judge_streams({row["clientOrderId"]: row for row in await self._check()})
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
        trading = [asyncio.create_task(each.trade(CUSTOMERS / self.given.rate)) for each in self.customers]
        try:
            await self._strike_all()
        finally:
            for each in self.customers:
                each.end()
            ends = await asyncio.gather(*trading, return_exceptions=True)
        self.card.broken += [f"a client failed: {each!r}" for each in ends if each is not None]
        unsettled = [sent.name for sent in self.history.orders if sent.key and not sent.is_known]
        self.card.broken += [f"{name} has a key and never settled" for name in unsettled]

    def _viewers(self) -> dict[str, Viewer]:
        return {"market": self.market, **{f"account {n}": each for n, each in enumerate(self.accounts)}}

    async def _judge_streams(self, rows: dict[str, Row]) -> None:
        """What the followers have must be what the exchange has, but for what they know that they missed."""
        await self.market.compare(FOLLOW_SECONDS)
        for owner, viewer in enumerate(self.accounts):
            viewer.judge([sent for sent in self.history.orders if sent.owner == owner], rows)

    async def _strike_all(self) -> None:
        rounds = 0
        until = self.began + self.given.seconds
        while time.monotonic() < until and (
            self.card.faults.total() < self.given.faults or len(self.history.orders) < self.given.orders
        ):
            await asyncio.sleep(self.dice.uniform(*CALM_SECONDS))
            await self._strike(self._drawn())
            rounds += 1
            if rounds % ROUNDS_PER_CHECK == 0 and not self.given.brief:
                await self._check()
            if not self.card.is_clean:
                return

    def _drawn(self) -> list[Fault]:
        """Faults of different kinds that strike together."""
        many = self.dice.randint(*ROUND) if self.card.faults.total() + ROUND[1] <= self.given.faults else 1
        drawn = [draw(self.dice) for draw in self.dice.sample(self.stricken.faults(), many)]
        return list({fault.kind: fault for fault in drawn}.values())

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

    async def _check(self) -> list[Row]:
        """Everything that was told must stand, and the invariants must hold; returns all orders."""
        asked = self.history.known()
        rows: list[Row] = []
        for owner in range(2):
            for symbol in MIDDLES:
                rows += await self._all_orders(owner, symbol)
        found = check(self.history, asked, rows)
        self.card.findings.add(found)
        clean, said = await self.stricken.verify()
        self.card.verified += 1
        if not clean:
            self.card.broken.append(said)
        problems = len(found.lost) + len(found.doubled)
        self._say(
            f"     {len(self.history.orders):,} orders, {problems} problems, verify {'clean' if clean else 'BROKEN'}"
        )
        return rows

    async def _all_orders(self, owner: int, symbol: str) -> list[Row]:
        rows: list[Row] = []
        while True:
            asked = {"symbol": symbol, "orderId": rows[-1]["orderId"] + 1 if rows else 0, "limit": PAGE}
            page = await self._get(owner, "/api/v3/allOrders", asked)
            rows += page
            if len(page) < PAGE:
                return rows

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
        print(f"{time.monotonic() - self.began:7.1f}  {line}", flush=True)


async def campaign(given: argparse.Namespace, command: str) -> int:
    """Runs one; returns the exit status."""
    environ = {
        "OUTCRY_LIMITS": "off", "OUTCRY_LEASE_SECONDS": str(LEASE_SECONDS), "SIMULATION_HISTORY_HOURS": "0",
        "SIMULATION_ORDERS_PER_SEC": "5", "PYTHONPATH": str(ROOT / "services"),
    }  # fmt: skip
    stricken = Stricken(given.folder, environ, port=given.port, brief=given.brief)
    status = 1
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        try:
            await stricken.start()
            striking = Campaign(given, stricken, session)
            try:
                await striking.run()
            except components.Trouble as trouble:
                striking.card.broken.append(str(trouble))
            status = _conclude(given, striking, command)
        finally:
            await stricken.stop()
    return status


def _conclude(given: argparse.Namespace, done: Campaign, command: str) -> int:
    card = done.card.figures(done.history, command)
    for line in [*done.card.findings.lost, *done.card.findings.doubled, *done.card.gaps, *done.card.broken]:
        print(f"BROKEN: {line}", flush=True)
    print(json.dumps(card, indent=1), flush=True)
    if given.card:
        given.card.write_text(json.dumps(card, indent=1) + "\n")
    if given.history:
        done.history.write(given.history)
    return 0 if done.card.is_clean else 1


def _commit() -> str:
    told = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "unknown"


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main(words: Sequence[str]) -> int:
    """Reads the command line and runs a campaign."""
    parser = argparse.ArgumentParser(description="Strike a cluster with faults while clients trade.")
    for name, kind, default in (
        ("faults", int, 100), ("orders", int, 5_000), ("seconds", float, 86_400.0),
        ("seed", int, 1), ("rate", float, 60.0), ("port", int, 18_080),
        ("folder", Path, None), ("card", Path, None), ("history", Path, None),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=kind, default=default)
    parser.add_argument("--brief", action="store_true", help="half the durations, checks at the end only")
    given = parser.parse_args(words)
    for variable in STORES.values():
        os.environ.pop(variable, None)  # it kills what it uses, so it uses its own
    command = f"load-tests/faults.py {' '.join(words)}".strip()
    with contextlib.ExitStack() as stack:
        if given.folder is None:
            given.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="outcry-faults-")))
        return asyncio.run(campaign(given, command))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
