"""Clients of a cluster's streams under fault: what they are told must have no gap that they are not told of.

A socket that ends is a gap that its client knows: it comes back and reads what it missed, as docs/wire.md says. While a
socket lasts, depth goes on at the next update id, trades at the next trade id, and every order of the account is
reported up to its end.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import aiohttp
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.support.histories import FINAL, Row, Sent

REACH_SECONDS: Final = 0.3  # between two attempts
OPEN_SECONDS: Final = 5.0
SNAPSHOT_LEVELS: Final = 5_000
RECV_WINDOW_MS: Final = 60_000  # a paused process reads late
MAX_GAPS: Final = 20  # told of one client
EARLY_SECONDS: Final = 1.0  # how much earlier than an order a socket must have been there
LATE_SECONDS: Final = 10.0  # how much later than an answer an event may come, where Redis was away
FOREVER: Final = float("inf")

MAX_SPANS: Final = 50  # of one client; orders of older ones are to be read

Report = tuple[str, str]  # status, executed quantity

NOT_COVERED: Final[Report] = ("", "")

Book = dict[tuple[str, str], str]  # (side, price) -> quantity


class Viewer:
    """``watch`` until it is canceled. ``gaps`` are what nobody told it of; ``counts`` is what it saw."""

    def __init__(self, began: float) -> None:
        self.gaps: list[str] = []
        self.counts: Counter[str] = Counter()
        self._began = began

    async def watch(self) -> None:
        """Comes back whenever its socket ends."""
        while True:
            with contextlib.suppress(OSError, TimeoutError, WebSocketException, aiohttp.ClientError):
                await self._watch_once()
            await asyncio.sleep(REACH_SECONDS)

    async def _watch_once(self) -> None:
        raise NotImplementedError

    def _ended(self, socket: ClientConnection, since: float) -> None:
        self.counts[f"sockets closed with {socket.close_code or 'nothing'}"] += 1
        self.counts["seconds followed"] += round(time.monotonic() - since)

    def _gap(self, text: str) -> None:
        if len(self.gaps) < MAX_GAPS:
            self.gaps.append(f"{time.monotonic() - self._began:.1f} s: {text}")


@dataclass
class Market:
    """One symbol as its viewer knows it; ``u`` -1: no snapshot yet."""

    u: int = -1
    trade: int = 0  # the last one of this socket
    first: bool = True  # no diff since the snapshot
    book: Book = field(default_factory=dict)
    early: list[Row] = field(default_factory=list)  # diffs that came before the snapshot


class MarketViewer(Viewer):
    """Follows depth and trades of all symbols on one socket."""

    def __init__(self, session: aiohttp.ClientSession, apis: Sequence[str], stream: str, **more: Any) -> None:
        self._symbols: list[str] = more.pop("symbols")
        super().__init__(**more)
        self._session = session
        self._apis = apis
        names = [f"{symbol.lower()}@{kind}" for symbol in self._symbols for kind in ("depth@100ms", "trade")]
        self._address = f"{stream}/stream?streams={'/'.join(names)}"
        self.markets: dict[str, Market] = {}

    async def compare(self, patience_seconds: float) -> None:
        """Once nobody trades any more: every book must become the one that the exchange shows at the same update."""
        until = time.monotonic() + patience_seconds
        for symbol in self._symbols:
            while (problem := await self._difference(symbol)) and time.monotonic() < until:  # noqa: ASYNC110
                await asyncio.sleep(REACH_SECONDS)
            if problem:
                self._gap(problem)
            else:
                self.counts["books equal at the end"] += 1

    async def _difference(self, symbol: str) -> str:
        shown = await self._snapshot(symbol)
        market = self.markets.get(symbol, Market())
        if market.u != shown["lastUpdateId"]:
            return f"{symbol}: the book ends at update {market.u}, the exchange at {shown['lastUpdateId']}"
        if market.book != book_of(shown["bids"], shown["asks"]):
            return f"{symbol}: the book at update {market.u} is not the exchange's"
        return ""

    async def _watch_once(self) -> None:
        self.markets = {symbol: Market() for symbol in self._symbols}
        async with connect(self._address, open_timeout=OPEN_SECONDS, max_queue=None) as socket:
            since, reading = time.monotonic(), asyncio.create_task(self._read(socket))
            try:
                for symbol in self._symbols:
                    await self._begin(symbol)
                await reading
            finally:
                self._ended(socket, since)
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, socket: ClientConnection) -> None:
        async for text in socket:
            self.take(msgspec.json.decode(text).get("data", {}))

    async def _begin(self, symbol: str) -> None:
        """A snapshot that the diffs lead on from."""
        market = self.markets[symbol]
        while True:
            shown = await self._snapshot(symbol)
            last = shown["lastUpdateId"]
            later = [diff for diff in market.early if diff["u"] > last]
            if not market.early or market.early[0]["U"] <= last + 1:
                break
            await asyncio.sleep(REACH_SECONDS)  # the snapshot is older than the first diff
        market.book, market.u, market.early = book_of(shown["bids"], shown["asks"]), last, []
        self.counts["snapshots"] += 1
        for diff in later:
            self._step(symbol, diff)

    async def _snapshot(self, symbol: str) -> Row:
        """From whichever api has it."""
        while True:
            for api in self._apis:
                with contextlib.suppress(OSError, TimeoutError, aiohttp.ClientError):
                    asked = {"symbol": symbol, "limit": str(SNAPSHOT_LEVELS)}
                    limit = aiohttp.ClientTimeout(total=OPEN_SECONDS)
                    async with self._session.get(f"{api}/api/v3/depth", params=asked, timeout=limit) as answer:
                        if answer.status == 200:
                            return dict(await answer.json())
            await asyncio.sleep(REACH_SECONDS)

    def take(self, event: Row) -> None:
        """One message of the socket."""
        market = self.markets.get(event.get("s", ""))
        if market is None:
            return
        if event["e"] == "trade":
            if market.trade and event["t"] != market.trade + 1:
                self._gap(f"{event['s']}: trade {event['t']} was told after {market.trade}")
            market.trade = event["t"]
            self.counts["trades"] += 1
        elif event["e"] == "depthUpdate":
            if market.u >= 0:
                self._step(event["s"], event)
            else:
                market.early.append(event)

    def _step(self, symbol: str, diff: Row) -> None:
        market = self.markets[symbol]
        if diff["u"] <= market.u and market.first:
            return
        if diff["U"] > market.u + 1 or (not market.first and diff["U"] != market.u + 1):
            self._gap(f"{symbol}: updates {diff['U']} to {diff['u']} were told after {market.u}")
        for side, price, qty in _levels(diff["b"], diff["a"]):
            if Decimal(qty):
                market.book[side, price] = qty
            else:
                market.book.pop((side, price), None)
        market.u, market.first = diff["u"], False
        self.counts["diffs"] += 1


@dataclass
class Span:
    """A subscription's life, in seconds since the campaign began; ``reports`` by client order id, the last one."""

    since: float
    until: float = FOREVER
    reports: dict[str, Report] = field(default_factory=dict)


class AccountViewer(Viewer):
    """Follows the events of one account on the WebSocket API of whichever api takes its connection."""

    def __init__(self, apis: Sequence[str], key: tuple[str, str], began: float) -> None:
        super().__init__(began)
        self._apis = list(apis)
        self._key, self._secret = key
        self.spans: list[Span] = []

    def judge(self, orders: Iterable[Sent], rows: Mapping[str, Row]) -> None:
        """Each order that lived while one socket did: its last report must be what the exchange has of it."""
        for sent in orders:
            row = rows.get(sent.name)
            if row is not None:
                self.judge_order(sent, row)

    def judge_order(self, sent: Sent, row: Row) -> None:
        """One of them, for the last time: what was reported of it is forgotten."""
        if sent.told is not None:
            self._judge(sent.name, self._last_report(sent), row)
        for span in self.spans:
            span.reports.pop(sent.name, None)
        while len(self.spans) > MAX_SPANS:
            del self.spans[0]

    def _judge(self, name: str, report: Report | None, row: Row) -> None:
        if report is NOT_COVERED:
            self.counts["orders to be read, as their socket ended"] += 1
        elif report is None:
            self._gap(f"{name}: no event told of it, and it is {row['status']}")
        elif (report[0], Decimal(report[1])) != (row["status"], Decimal(row["executedQty"])):
            told = f"{report[0]} with {report[1]}"
            self._gap(f"{name}: the last event says {told}, it is {row['status']} with {row['executedQty']}")
        else:
            self.counts["orders seen to their end" if row["status"] in FINAL else "orders seen that are open"] += 1

    def _last_report(self, sent: Sent) -> Report | None:
        """Of the socket that was there before the order and stayed as long as something could happen to it."""
        span = next((each for each in self.spans if each.since + EARLY_SECONDS < sent.sent_at < each.until), None)
        if span is None:
            return NOT_COVERED
        covered = span.until == FOREVER or _ended_at(sent) + LATE_SECONDS < span.until
        return span.reports.get(sent.name) if covered else NOT_COVERED

    async def _watch_once(self) -> None:
        self._apis.append(self._apis.pop(0))
        address = f"{self._apis[0].replace('http', 'ws', 1)}/ws-api/v3?returnRateLimits=false"
        async with connect(address, open_timeout=OPEN_SECONDS, max_queue=None) as socket:
            await socket.send(json.dumps(self._subscription()))
            answer = json.loads(await asyncio.wait_for(socket.recv(), OPEN_SECONDS))
            if answer.get("status") != 200:
                return
            span = Span(time.monotonic() - self._began)
            self.spans.append(span)
            try:
                async for text in socket:
                    self._take(span, msgspec.json.decode(text).get("event", {}))
            finally:
                self._ended(socket, self._began + span.since)
                span.until = time.monotonic() - self._began

    def _subscription(self) -> Row:
        params: Row = {"apiKey": self._key, "recvWindow": RECV_WINDOW_MS, "timestamp": int(time.time() * 1000)}
        text = "&".join(f"{name}={value}" for name, value in sorted(params.items()))
        signature = hmac.new(self._secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        return {"id": 1, "method": "userDataStream.subscribe.signature", "params": {**params, "signature": signature}}

    def _take(self, span: Span, event: Row) -> None:
        if event.get("e") != "executionReport":
            return
        self.counts["executions"] += 1
        name = event["C"] if event["x"] in ("CANCELED", "REPLACED") and event["C"] else event["c"]
        before = span.reports.get(name)
        if before is not None and Decimal(event["z"]) < Decimal(before[1]):
            self._gap(f"{name}: {event['z']} executed was told after {before[1]}")
        span.reports[name] = (event["X"], event["z"])


def _ended_at(sent: Sent) -> float:
    """The earliest moment at which its end is known to have been; FOREVER: it may not have ended."""
    told = sent.told_at if sent.told is not None and sent.told["status"] in FINAL else FOREVER
    return min(told, sent.end_at if sent.end is not None else FOREVER)


def book_of(bids: Iterable[Sequence[str]], asks: Iterable[Sequence[str]]) -> Book:
    """A snapshot's levels by side and price."""
    return {(side, price): qty for side, price, qty in _levels(bids, asks)}


def _levels(bids: Iterable[Sequence[str]], asks: Iterable[Sequence[str]]) -> Iterable[tuple[str, str, str]]:
    for side, levels in (("b", bids), ("a", asks)):
        for price, qty in levels:
            yield side, price, qty
