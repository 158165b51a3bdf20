"""PostgreSQL is lost, and a standby takes its place that was behind: what the journal has happens again, the same."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from outcry.market.commands import PlaceOrder
from outcry.ports import Outcome, OutcomeUnknown, OutOfService
from outcry.roles.admin.restore import Restored, restore
from tests.support.engine_room import BEN, engine_room
from tests.support.pg_room import PgRoom
from tests.support.standby import Pair

BACK_SECONDS = 20.0


class StandbyRoom(PgRoom):
    """Its PostgreSQL is one of a pair; the journal outlives it."""

    pair: Pair

    async def standing(self) -> dict[int, int]:
        return {row.part: row.next_offset for row in await self.store.ledger.partitions()}

    async def told(self, orders: Sequence[PlaceOrder]) -> list[Outcome]:
        return [await self.outcome(order.command_id) for order in orders]

    async def rows(self, orders: Sequence[PlaceOrder]) -> list[Any]:
        ledger = self.store.ledger
        trades = [await ledger.trades(part + 1, limit=1_000) for part in self.partitions]
        return [await ledger.orders_by_id([order.order_id for order in orders]), trades]

    async def back(self, part: int, at: int) -> None:
        """Waits until a partition stands where it stood, over connections that first have to be made again."""
        async with asyncio.timeout(BACK_SECONDS):
            while True:
                try:
                    if (await self.standing())[part] >= at:
                        return
                except (OutOfService, OutcomeUnknown):
                    pass
                await asyncio.sleep(0.05)

    async def halted(self, part: int) -> str:
        async with asyncio.timeout(BACK_SECONDS):
            while True:
                row = next(row for row in await self.store.ledger.partitions() if row.part == part)
                if row.status == "HALT":
                    return row.halt_reason or ""
                await asyncio.sleep(0.05)


@pytest.fixture
async def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StandbyRoom]:
    (tmp_path / "postgres").mkdir()
    StandbyRoom.pair = pair = Pair(tmp_path / "postgres")
    pair.start()
    monkeypatch.setenv("OUTCRY_POSTGRES", pair.url)
    try:
        async with engine_room(tmp_path, partitions=2, kind=StandbyRoom) as opened:
            yield cast(StandbyRoom, opened)
    finally:
        pair.stop()


async def test_what_a_standby_had_not_heard_of_happens_again_with_the_same_numbers(room: StandbyRoom) -> None:
    await room.place(*(room.order(f"buy 2@{900 + n}", part=part) for n in range(20) for part in (0, 1)))
    held = await room.hold(*(room.order(f"sell 3@{910 + n}", BEN) for n in range(5)))
    await asyncio.to_thread(room.pair.part)
    await room.journal(held)
    lost = await room.hold(*(room.order(f"sell 3@{910 + n}", BEN, part=1) for n in range(50)))
    await room.journal(lost)
    await room.told([*held, *lost])
    await room.caught_up()
    stood, before = await room.standing(), await room.rows([*held, *lost])
    await asyncio.to_thread(room.pair.fail_over)
    await room.back(0, stood[0])
    assert (await room.rows(held))[0] == before[0][: len(held)], "results alone come back by themselves"
    assert "intake_missing" in await room.halted(1)
    (newer,) = await room.hold(room.order("buy 1@800"))
    assert newer.order_id > max(order.order_id for order in lost), "no id in the journal is given out again"
    await room.journal([newer])
    await room.told([newer])
    done = await restore(cast(Any, room.store.ledger), room.store.journal, lambda line: None)
    assert done == Restored(looked_at=len(lost), put_back=len(lost))
    assert await room.store.ledger.resume_partition(1, "ann")
    await room.back(1, stood[1])
    assert await room.rows([*held, *lost]) == before
    await room.place(room.order("sell 1@800", BEN))
