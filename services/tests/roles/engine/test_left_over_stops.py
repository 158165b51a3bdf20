"""Stops that are left over for later batches survive restarts, checkpoints and proofs."""

from pathlib import Path

import pytest

from outcry.market import pit
from outcry.market.commands import PlaceOrder
from outcry.market.terms import FILLED, MARKET, SELL, STOP_LOSS
from outcry.ports import OutOfService
from outcry.rows import PartBatch
from tests.support.engine_room import ANN, BEN, EngineRoom, engine_room

STOPS = 12


@pytest.fixture(autouse=True)
def few_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pit.Pit.__init__, "__kwdefaults__", {"max_fills": 10_000, "max_triggers": 2})


class FailingLedger:
    """The ledger, which is out of service from a given commit on."""

    def __init__(self, room: EngineRoom, commits: int) -> None:
        self._ledger = room.store.ledger
        self.commits = commits

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    async def commit(self, parts: list[PartBatch]) -> set[int]:
        if not self.commits:
            raise OutOfService("cut")
        self.commits -= 1
        return await self._ledger.commit(parts)


async def stops_below(room: EngineRoom) -> list[PlaceOrder]:
    """Ben's stops at 990 under a print at 1000, and Ann's bids that will pay for them."""
    await room.place(room.order("buy 1@1000"))
    await room.place(room.order("sell 1@1000", BEN))
    await room.place(room.order("buy 1@990"), room.order("buy 100@980"))
    stops = [room.order("sell 3@1", BEN, type=STOP_LOSS, price=0, stop_price=990) for _ in range(STOPS)]
    held = await room.hold(*stops)
    await room.journal(held)
    await room.caught_up()
    return held


@pytest.mark.parametrize("commits", [1, 2, 4])
async def test_a_checkpoint_between_two_lots_of_stops_is_a_sound_beginning(tmp_path: Path, commits: int) -> None:
    async with engine_room(tmp_path) as room:
        stops = await stops_below(room)
        await room.engine.stop()
        (push,) = await room.hold(room.order("sell 1@1", BEN, type=MARKET, side=SELL, price=0))
        await room.journal([push])
        room.engine = room.new_engine(ledger=FailingLedger(room, commits))
        await room.start()
        await room.until(lambda: room.engine.trouble != "")
        await room.crash()
        await room.keeper.checkpoint_all()
        kept = await room.store.ledger.checkpoints(0)
        await room.store.ledger.drop_checkpoints(0, kept[-1].next_offset)
        await room.start()
        await room.caught_up()
        await room.place(room.order("buy 1@1"))  # comes after all that was left over
        rows = await room.store.ledger.orders_by_id([stop.order_id for stop in stops])
        assert [(row.status, row.executed, row.held) for row in rows] == [(FILLED, 3, 0)] * STOPS
        assert (await room.verify()).problems == []
        assert (await room.money(ANN))["S0"].held == 0
