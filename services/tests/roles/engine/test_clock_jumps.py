"""Clocks may jump; the engine goes on, log time only ever goes forward, and no order counts twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from outcry.adapters.clock import SystemClock
from outcry.adapters.memory import MemoryFeed
from outcry.facts import WINDOWS_MS
from outcry.market.terms import EXPIRED
from outcry.ports import OutOfService
from outcry.roles.api.watch import PartitionWatch
from outcry.rows import PartBatch
from tests.support.engine_room import ANN, BEN, EngineRoom, engine_room
from tests.support.pg_room import PgRoom

HOUR_MS = 3_600_000
MINUTES_MS = 300_000


class JumpingClock(SystemClock):
    """The system's clock, put right by hand."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


class SkewedRoom(PgRoom):
    """The journal's clock is set by the test; the ledger has its own, which is right."""

    def __init__(self, folder: Path, partitions: int) -> None:
        super().__init__(folder, partitions)
        self.clock = JumpingClock()

    async def open(self) -> None:
        await super().open()
        self.watch = PartitionWatch(cast(Any, self.store.ledger), self.store.journal, {})

    async def looks(self) -> tuple[bool, str]:
        """Whether the partition takes new orders, and what is said of the clocks, behind one more record."""
        await self.watch.look()
        await self.place(self.order("buy 1@800"))
        await self.caught_up()
        await self.watch.look()
        return 0 not in self.watch.misdated(), self.watch.skew.alarm


class BrieflyGone:
    """The ledger, which fails one commit."""

    def __init__(self, room: EngineRoom) -> None:
        self._ledger = room.store.ledger
        self.failed = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    async def commit(self, parts: list[PartBatch]) -> set[int]:
        if not self.failed:
            self.failed = True
            raise OutOfService("cut")
        return await self._ledger.commit(parts)


async def test_an_engine_in_trouble_tries_again_although_the_clock_went_back(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        await room.place(room.order("buy 1@1000"))
        await room.engine.stop()
        clock = JumpingClock()
        gone = BrieflyGone(room)
        room.engine = room.new_engine(clock=clock, ledger=gone)
        gone.failed = True
        await room.start()
        gone.failed = False
        placed = await room.hold(room.order("sell 1@1000", BEN))
        await room.journal(placed)
        await room.until(lambda: room.engine.trouble != "")
        clock.ahead_ms = -HOUR_MS
        assert (await room.outcome(placed[0].command_id)).orders[0].executed == 1


@pytest.fixture
async def skewed(tmp_path: Path) -> AsyncIterator[SkewedRoom]:
    async with engine_room(tmp_path, kind=SkewedRoom) as room:
        yield cast(SkewedRoom, room)


async def test_a_journal_that_jumps_ahead_and_back_expires_what_is_on_its_way_and_doubles_nothing(
    skewed: SkewedRoom,
) -> None:
    assert await skewed.looks() == (True, "")
    on_its_way = await skewed.hold(skewed.order("buy 5@900"), window_ms=5_000)
    cast(JumpingClock, skewed.clock).ahead_ms = MINUTES_MS
    await skewed.journal(on_its_way)
    await skewed.caught_up()  # until then others that are held are past their bounds, too
    may_trade, alarm = await skewed.looks()
    assert not may_trade and "s ahead of the ledger's clock" in alarm
    assert await skewed.store.ledger.void(0) == [on_its_way[0].order_id]
    assert (await skewed.row(on_its_way[0].order_id)).status == EXPIRED
    cast(JumpingClock, skewed.clock).ahead_ms = 0
    await skewed.journal(on_its_way)  # a late copy
    may_trade, alarm = await skewed.looks()
    assert may_trade and "s ahead of the ledger's clock" in alarm, "log time stands still until clocks come there"
    (sold,) = await skewed.place(skewed.order("sell 1@800", BEN))
    assert sold.orders[0].executed == 1
    assert on_its_way[0].command_id not in skewed.outcomes
    await skewed.keeper.fold_now()
    resting = 2 * 800 * skewed.instruments[0].quote_unit
    assert (await skewed.money(ANN))["USD"].held == resting


async def test_a_journal_that_is_behind_keeps_holds_longer_and_gives_them_back(skewed: SkewedRoom) -> None:
    clock = cast(JumpingClock, skewed.clock)
    lost = await skewed.hold(skewed.order("buy 5@900"), window_ms=5_000)
    clock.ahead_ms = -MINUTES_MS
    assert (await skewed.looks())[0], "it takes orders"
    assert await skewed.store.ledger.void(0) == []
    clock.ahead_ms = 6_000
    await skewed.looks()
    assert await skewed.store.ledger.void(0) == [lost[0].order_id]


@pytest.mark.parametrize("ahead_ms", [MINUTES_MS, -MINUTES_MS])
async def test_log_time_moves_on_whatever_an_engines_clock_does(tmp_path: Path, ahead_ms: int) -> None:
    async with engine_room(tmp_path) as room:
        await room.engine.stop()
        clock = JumpingClock()
        room.engine = room.new_engine(clock=clock)
        await room.start()
        await room.place(room.order("buy 1@1000"))
        clock.ahead_ms = ahead_ms
        (before,) = (await room.store.journal.end_offsets()).values()
        async with asyncio.timeout(2.5):
            while (await room.store.journal.end_offsets())[0] == before:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_windows_of_depth_end_in_time_although_the_clock_was_set_back() -> None:
    clock, feed, ends = JumpingClock(), MemoryFeed(), list[int]()
    feed.tick = ends.append  # type: ignore[method-assign]
    beating = asyncio.create_task(feed.supervise_cuts(clock))
    await asyncio.sleep(2 * WINDOWS_MS[0] / 1000)
    set_back_at = clock.now_ms()
    clock.now_ms = lambda: set_back_at  # type: ignore[method-assign]
    async with asyncio.timeout(10):
        while len(ends) < 20:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    beating.cancel()
    assert {end % WINDOWS_MS[1] for end in ends} == set(range(0, WINDOWS_MS[1], WINDOWS_MS[0])), "the long window too"
    assert max(ends) <= set_back_at + WINDOWS_MS[1] + WINDOWS_MS[0]
