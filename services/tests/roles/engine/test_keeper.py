"""The keeper folds, voids, checkpoints and throws away, whenever it runs and however often."""

import asyncio
from pathlib import Path

from outcry.codec import decode_state
from outcry.market.terms import EXPIRED
from outcry.roles.api.positions import Positions
from outcry.roles.engine.keeper import DAY_MS, Keeper
from outcry.settings import Settings
from tests.support.engine_room import ANN, BEN, PATIENCE_SECONDS, EngineRoom, engine_room


class LaterClock:
    """The time some days from now."""

    def __init__(self, room: EngineRoom, days: int) -> None:
        self._clock = room.clock
        self._ahead_ms = days * DAY_MS

    def now_ms(self) -> int:
        return self._clock.now_ms() + self._ahead_ms

    def now_us(self) -> int:
        return self.now_ms() * 1000


def keeper_of(room: EngineRoom, days: int = 0, **settings: int) -> Keeper:
    return Keeper(
        ledger=room.store.ledger, journal=room.store.journal, clock=LaterClock(room, days),
        partitions=room.partitions, settings=Settings(**settings),
    )  # fmt: skip


async def trade(room: EngineRoom, count: int = 5) -> None:
    for n in range(count):
        await room.place(room.order(f"buy {n + 1}@{1000 + n}"), room.order(f"sell {n + 1}@{1000 + n}", BEN))


async def test_it_folds_and_voids_while_the_exchange_trades(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        running = asyncio.create_task(room.keeper.run())
        await trade(room)
        (order,) = await room.hold(room.order("buy 1@1"), window_ms=1)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await room.store.ledger.orders_by_id([order.order_id]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert (await room.row(order.order_id)).status == EXPIRED
        await room.keeper.stop()
        await running
        assert await room.store.ledger.fold([0]) == 0
        assert (await room.money(ANN))["USD"].held == 0


async def test_the_first_checkpoint_is_the_empty_beginning_and_each_start_makes_one(tmp_path: Path) -> None:
    async with engine_room(tmp_path, partitions=2) as room:
        await trade(room)
        await room.keeper.checkpoint_all()
        await room.keeper.checkpoint_all()
        kept = await room.store.ledger.checkpoints(0)
        assert kept[0].next_offset == 0 and len(kept) == 2
        assert decode_state(kept[1].state).row.next_offset == kept[1].next_offset
        assert decode_state(kept[1].state).symbols


async def test_a_day_later_there_is_one_more_checkpoint(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        await room.keeper.checkpoint_all()
        await trade(room)
        before = len(await room.store.ledger.checkpoints(0))
        await room.keeper._checkpoint_daily(0)
        assert len(await room.store.ledger.checkpoints(0)) == before
        await keeper_of(room, days=2)._checkpoint_daily(0)
        assert len(await room.store.ledger.checkpoints(0)) == before + 1


async def test_what_is_old_and_behind_a_checkpoint_goes_and_the_rest_still_proves_itself(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        await trade(room)
        await room.keeper.fold_now()
        await room.keeper.checkpoint_all()
        await trade(room)
        await room.keeper.fold_now()
        await room.keeper._retain(0)
        assert (await room.store.journal.first_offsets())[0] == 0
        kept = await room.store.ledger.checkpoints(0)
        await keeper_of(room, days=8)._retain(0)
        assert (await room.store.journal.first_offsets())[0] == kept[-1].next_offset
        assert await room.store.ledger.checkpoints(0) == kept[-1:]
        assert (await room.store.ledger.trades(1, from_id=1))[0].trade_id > 1
        await room.assert_sound()


async def test_profit_outlives_the_trades_that_made_it(tmp_path: Path) -> None:
    async def told(kept: Positions, account: int) -> tuple[int, ...]:
        (found,) = await kept.of(account, [room.instruments[0]])
        return found[1].opening(0, 0, 0)

    async with engine_room(tmp_path) as room:
        ledger = room.store.ledger
        running, lagging = Positions(ledger), Positions(ledger)
        await trade(room)
        await told(lagging, ANN)
        await room.place(room.order("buy 9@1010", BEN), room.order("sell 7@1010"))
        before = [await told(running, account) for account in (ANN, BEN)]
        await room.keeper.fold_now()
        await room.keeper.checkpoint_all()
        await keeper_of(room, days=8)._retain(0)
        assert await ledger.trades(1, from_id=0) == []
        for kept in (running, lagging, Positions(ledger)):
            assert [await told(kept, account) for account in (ANN, BEN)] == before
        await room.place(room.order("sell 8@1020"), room.order("buy 8@1020", BEN))
        after = await told(running, ANN)
        assert after[5] > before[0][5], "the sale made a profit"
        for kept in (running, lagging, Positions(ledger)):
            assert [await told(kept, ANN) for _ in range(2)] == [after] * 2


async def test_a_journal_beyond_its_size_loses_its_oldest_records_early(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        await trade(room)
        await room.keeper.fold_now()
        await keeper_of(room, journal_max_bytes=1 << 20)._retain(0)
        assert (await room.store.journal.first_offsets())[0] == 0
        await keeper_of(room, journal_max_bytes=200)._retain(0)
        assert (await room.store.journal.first_offsets())[0] > 5
        await room.assert_sound()
