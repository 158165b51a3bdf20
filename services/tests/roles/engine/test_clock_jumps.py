"""The wall clock may jump; the engine goes on, and log time only ever goes forward."""

from pathlib import Path

from outcry.adapters.clock import SystemClock
from outcry.ports import OutOfService
from outcry.rows import PartBatch
from tests.support.engine_room import BEN, EngineRoom, engine_room

HOUR_MS = 3_600_000


class JumpingClock(SystemClock):
    """The system's clock, put right by hand."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


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
