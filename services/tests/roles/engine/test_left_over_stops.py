"""Stops that are left over for later batches survive restarts, checkpoints and proofs."""

from pathlib import Path

import pytest

from outcry.codec import TICK_FRAME
from outcry.market import pit
from outcry.market.commands import PlaceOrder
from outcry.market.terms import FILLED, MARKET, NEW, SELL, STOP_LOSS, STOP_LOSS_LIMIT, WORKING
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


async def stops_below(room: EngineRoom, price: int = 0) -> list[PlaceOrder]:
    """Ben's stops at 990 under a print at 1000, and Ann's bids that will pay for them."""
    await room.place(room.order("buy 1@1000"))
    await room.place(room.order("sell 1@1000", BEN))
    await room.place(room.order("buy 1@990"), room.order("buy 100@980"))
    kind = STOP_LOSS_LIMIT if price else STOP_LOSS
    stops = [room.order("sell 3@1", BEN, type=kind, price=price, stop_price=990) for _ in range(STOPS)]
    held = await room.hold(*stops)
    await room.journal(held)
    await room.caught_up()
    return held


async def push(room: EngineRoom, commits: int) -> None:
    """A sale triggers all stops; the engine crashes when it has committed so often."""
    await room.engine.stop()
    (sale,) = await room.hold(room.order("sell 1@1", BEN, type=MARKET, side=SELL, price=0))
    await room.journal([sale])
    room.engine = room.new_engine(ledger=FailingLedger(room, commits))
    await room.start()
    await room.until(lambda: room.engine.trouble != "")
    await room.crash()


@pytest.mark.parametrize("commits", [1, 2, 4])
async def test_stops_that_come_to_rest_are_there_after_a_crash_and_proven(tmp_path: Path, commits: int) -> None:
    async with engine_room(tmp_path) as room:
        stops = await stops_below(room, price=1005)
        await push(room, commits)
        assert (await room.verify()).problems == []
        await room.start()
        await room.place(room.order("buy 1@1"))
        rows = await room.store.ledger.orders_by_id([stop.order_id for stop in stops])
        assert [row.status for row in rows] == [NEW] * STOPS
        assert len({row.working_ms for row in rows}) == 1, "all began to work when the sale came"


async def test_stops_that_came_to_rest_are_kept_before_anything_else_happens(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        stops = await stops_below(room, price=1005)
        await room.place(room.order("sell 1@1", BEN, type=MARKET, side=SELL, price=0))
        await room.store.journal.append([(0, TICK_FRAME)])
        await room.caught_up()
        await room.crash()
        assert (await room.verify()).problems == []
        await room.start()
        await room.place(room.order("buy 1@1"))
        rows = await room.store.ledger.orders_by_id([stop.order_id for stop in stops])
        assert {row.stage for row in rows} == {WORKING} and len({row.working_ms for row in rows}) == 1


@pytest.mark.parametrize("commits", [1, 2, 4])
async def test_a_checkpoint_between_two_lots_of_stops_is_a_sound_beginning(tmp_path: Path, commits: int) -> None:
    async with engine_room(tmp_path) as room:
        stops = await stops_below(room)
        await push(room, commits)
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
