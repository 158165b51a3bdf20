"""Feeds to test with: the embedded one, and halves of the one on a real Redis, each test under a prefix of its own."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from outcry.adapters.clock import SystemClock
from outcry.adapters.memory import MemoryFeed
from outcry.adapters.redis import RedisFeed, RedisListener, RedisPublisher
from outcry.adapters.sqlite import Store
from outcry.market.depth import DepthView
from outcry.ports import WINDOWS_MS, Cut, Feed, Lease, MarketUpdate, Publication
from outcry.rows import PartitionRow, TradeRow
from tests.support.kafka import component

POD = "api-0"
FOLLOW_SECONDS = 2.0
PATIENCE_SECONDS = 30.0


class SlowFeed:
    """A publisher whose publications stand still on demand, or fail."""

    def __init__(self, feed: Any) -> None:
        self._feed = feed
        self.runs = asyncio.Event()
        self.runs.set()
        self.is_broken = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._feed, name)

    async def publish(self, publication: Publication) -> None:
        await self.runs.wait()
        if self.is_broken:
            raise ZeroDivisionError
        await self._feed.publish(publication)


class Archive:
    """Keeps ``ports.Backlog`` in memory: all that was told."""

    def __init__(self) -> None:
        self.kept: list[Publication] = []
        self.asked = 0

    def keep(self, publication: Publication) -> Publication:
        self.kept.append(publication)
        return publication

    async def missing(self, part: int, symbol_id: int, after_seq: int) -> Sequence[Publication]:
        self.asked += 1
        return self.kept


class Books:
    """How far the ledger's events have come on partition 0."""

    def __init__(self) -> None:
        self.event_seq = 0

    async def partitions(self) -> list[PartitionRow]:
        return [PartitionRow(0, 0, 1, 0, 1, self.event_seq, 0, b"", b"", "RUN", None)]


class Venue:
    """One Redis, one lease file and one prefix, with publishers and listeners on them."""

    def __init__(self, url: str, store: Store) -> None:
        self.url = url
        self.prefix = f"test-{secrets.token_hex(6)}:"
        self.lease: Lease = store.lease
        self.archive = Archive()
        self.books = Books()

    @contextlib.asynccontextmanager
    async def publisher(
        self, url: str = "", *, give_up_seconds: float = PATIENCE_SECONDS
    ) -> AsyncIterator[RedisPublisher]:
        """One that gives nothing up because this machine is slow, unless a test is about that."""
        made = RedisPublisher(
            url or self.url, clock=SystemClock(), lease=self.lease, backlog=self.archive, prefix=self.prefix,
            follow_seconds=FOLLOW_SECONDS, give_up_seconds=give_up_seconds,
        )  # fmt: skip
        await made.start()
        try:
            yield made
        finally:
            await made.close()

    @contextlib.asynccontextmanager
    async def listener(
        self,
        url: str = "",
        *,
        follow_seconds: float = FOLLOW_SECONDS,
        pod: str = POD,
        follower: "Follower | None" = None,
    ) -> AsyncIterator[RedisListener]:
        """A listener that runs; who comes while the market moves has a follower that hears all of it."""
        made = RedisListener(
            url or self.url, pod=pod, ledger=self.books, prefix=self.prefix, follow_seconds=follow_seconds
        )
        if follower is not None:
            follower.follow(made)
        await made.start()
        try:
            yield made
        finally:
            await made.close()


@contextlib.asynccontextmanager
async def redis_venue(folder: Path, url: str = "") -> AsyncIterator[Venue]:
    """Partition 0 is owned at epoch 1."""
    store = Store(folder / "lease.db", clock=SystemClock())
    await asyncio.to_thread(store.open)
    try:
        row = await store.lease.takeover(0, "engine/1")
        assert row is not None and row.epoch == 1
        yield Venue(url or component("OUTCRY_REDIS_FANOUT"), store)
    finally:
        await asyncio.to_thread(store.close)


@contextlib.asynccontextmanager
async def redis_feed(folder: Path) -> AsyncIterator[Feed]:
    """Both halves in this process."""
    async with redis_venue(folder) as venue, venue.publisher() as publisher, venue.listener() as listener:
        yield RedisFeed(publisher, listener)


@contextlib.asynccontextmanager
async def memory_feed(_: Path) -> AsyncIterator[Feed]:
    """The embedded exchange's."""
    yield MemoryFeed()


async def until(holds: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Waits for something that is on its way."""
    async with asyncio.timeout(seconds):
        while True:
            if holds():
                return
            await asyncio.sleep(0.005)


class Life:
    """A symbol whose batches come one after the other, and its book at every update id."""

    def __init__(self, symbol_id: int = 1, epoch: int = 1) -> None:
        self.symbol_id = symbol_id
        self.epoch = epoch
        self.seq = self.u = self.trade_id = 0
        self.view = DepthView()
        self.levels: dict[tuple[int, int], int] = {}
        self.books = {0: self.view.top(100)}

    def batch(self, *levels: tuple[int, int, int], events: int = 1) -> MarketUpdate:
        """Changes that came of ``events`` commands, each with a trade."""
        moved = events if levels else 0
        for side, price, lots in levels:
            self.levels[(side, price)] = lots
        made = MarketUpdate(
            symbol_id=self.symbol_id, part=0, epoch=self.epoch, first_seq=self.seq + 1, last_seq=self.seq + events,
            first_u=self.u + 1, last_u=self.u + moved, time_ms=1_000 + self.seq, levels=levels,
            trades=tuple(trade(self.symbol_id, self.trade_id + n + 1) for n in range(events)),
        )  # fmt: skip
        self.seq, self.u, self.trade_id = self.seq + events, self.u + moved, self.trade_id + events
        self.view.apply(levels, self.u)
        self.books[self.u] = self.view.top(100)
        return made

    def snapshot(self) -> MarketUpdate:
        """The whole book, as an engine says it when it takes over."""
        return MarketUpdate(
            symbol_id=self.symbol_id, part=0, epoch=self.epoch, first_seq=self.seq + 1, last_seq=self.seq,
            first_u=self.u + 1, last_u=self.u, time_ms=1, snapshot=True,
            levels=tuple((side, price, lots) for (side, price), lots in self.levels.items() if lots),
        )  # fmt: skip


class Follower:
    """Listens to a symbol as a stream process would; what is wrong with what it is told is noted in ``wrong``."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.seq = self.u = 0
        self.trades: list[int] = []
        self.snapshots = 0
        self.wrong: list[str] = []
        self.tape: list[tuple[int, int, int]] = []  # (first, last) seq of updates; (window, first, last) u of cuts
        self.shown = dict.fromkeys(WINDOWS_MS, 0)  # by window: as far as a client of its stream has come
        self._view = DepthView()

    def follow(self, listener: RedisListener) -> None:
        """Hears what the listener tells from now on."""
        listener.on_update(self.take)
        listener.on_cut(self.cut)

    def take(self, update: MarketUpdate) -> None:
        if update.symbol_id != self.life.symbol_id:
            return
        if update.snapshot:
            self.snapshots += 1
            if update.last_seq < self.seq or update.last_u < self.u:
                self.wrong.append(f"a snapshot at {update.last_seq} was told after {self.seq}")
            if update.last_seq != self.seq:
                self.shown = dict.fromkeys(WINDOWS_MS, update.last_u)  # its clients are closed and begin here
            self._view.replace(update.levels, update.last_u)
        elif self.tape:
            self._follow(update)
        else:
            self.shown = dict.fromkeys(WINDOWS_MS, update.first_u - 1)
        self.tape.append((0, update.first_seq, update.last_seq))
        self.seq, self.u = update.last_seq, max(self.u, update.last_u)
        self.trades += [trade.trade_id for trade in update.trades]
        if self.snapshots and self._view.top(100) != self.life.books[self.u]:
            self.wrong.append(f"the book at {self.u} is {self._view.top(100)}")

    def cut(self, cut: Cut) -> None:
        if cut.last_u != self.u:
            self.wrong.append(f"a cut at {cut.last_u} was told at {self.u}")
        self.shown[cut.window_ms] = cut.last_u
        self.tape.append((cut.window_ms, cut.first_u, cut.last_u))

    def is_shown(self, windows_ms: Sequence[int] = WINDOWS_MS) -> bool:
        """Whether windows of these lengths have ended where the market is."""
        return all(self.shown[window_ms] == self.life.u for window_ms in windows_ms)

    def _follow(self, update: MarketUpdate) -> None:
        if update.first_seq != self.seq + 1:
            self.wrong.append(f"seq {update.first_seq} was told after {self.seq}")
        if update.first_u <= update.last_u:
            if update.first_u != self.u + 1:
                self.wrong.append(f"u {update.first_u} was told after {self.u}")
            self._view.apply(update.levels, update.last_u)


def trade(symbol_id: int, trade_id: int) -> TradeRow:
    """A trade of which only its number matters."""
    return TradeRow(symbol_id, trade_id, trade_id, 0, 0, 0, 1, 100, 1, 100, 1, 1, 2, 1, 2, 0, 0)


def told(*updates: MarketUpdate) -> Publication:
    """A publication of market data alone."""
    return Publication(updates=updates)
