"""The whole way of an order: hold, journal, match, commit, publish, and each of these interrupted."""

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outcry.codec import encode_frame
from outcry.market.commands import CancelOrder, PlaceOrder
from outcry.market.terms import CANCELED, EXPIRED, FILLED, NEW, PENDING_NEW, STOP_LOSS_LIMIT, WORKING
from outcry.ports import Outcome, OutcomeUnknown, OutOfService
from outcry.rows import PartBatch
from tests.support.engine_room import ANN, BEN, PATIENCE_SECONDS, EngineRoom, engine_room, list_of
from tests.support.feeds import SlowFeed


def cancel_of(room: EngineRoom, order: PlaceOrder) -> CancelOrder:
    return CancelOrder(
        command_id=room.number(), symbol_id=order.symbol_id, account=order.account, order_id=order.order_id,
        target_valid_until_ms=order.valid_until_ms,
    )  # fmt: skip


async def test_two_orders_meet_and_their_money_changes_hands(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        (bid,) = await room.place(room.order("buy 10@1000"))
        assert bid.orders[0].status == NEW
        (ask,) = await room.place(room.order("sell 4@990", BEN))
        assert (ask.orders[0].status, ask.orders[0].executed, ask.fills[0].price) == (FILLED, 4, 1000)
        assert (await room.row(bid.orders[0].order_id)).executed == 4
        ann, ben = await room.money(ANN), await room.money(BEN)
        lot, cost = 100_000, 1000 * 1000
        assert ann["S0"].free == 1_000 * 10**8 + 4 * lot - 4 * lot // 1000
        assert ann["USD"].held == 6 * cost
        assert ben["USD"].free == 10**14 + 4 * cost - 4 * cost // 1000
        assert (await room.money(1))["USD"].free == 4 * cost // 1000
        await room.keeper.fold_now()
        assert (await room.money(ANN), await room.money(BEN)) == (ann, ben)


async def test_partitions_commit_together_and_each_keeps_its_own_counters(tmp_path: Path) -> None:
    async with engine_room(tmp_path, partitions=4) as room:
        orders = [room.order(f"buy 1@{100 + n}", part=n % 4) for n in range(40)]
        outcomes = await room.place(*orders)
        assert [outcome.part for outcome in outcomes] == [n % 4 for n in range(40)]
        symbols = await room.store.ledger.symbols()
        assert [row.update_id for row in symbols] == [10, 10, 10, 10]


async def test_a_restart_goes_on_with_the_same_book_ids_and_balances(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        outcomes = await room.place(*(room.order(f"buy 5@{900 + n}") for n in range(10)))
        before = [await room.row(outcome.orders[0].order_id) for outcome in outcomes]
        await room.crash()
        await room.start()
        assert [await room.row(row.order_id) for row in before] == before
        (ask,) = await room.place(room.order("sell 12@905", BEN))
        assert [fill.price for fill in ask.fills] == [909, 908, 907]
        assert [fill.trade_id for fill in ask.fills] == [1, 2, 3]


async def test_what_was_journaled_before_a_crash_happens_after_it(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        await room.engine.stop()
        placed = await room.hold(room.order("buy 5@900"), room.order("buy 6@901"))
        await room.journal(placed)
        pending = await room.store.ledger.order(ANN, 1, placed[0].order_id, None)
        assert pending is not None and pending.status == PENDING_NEW
        await room.crash()
        await room.start()
        assert [(await room.row(order.order_id)).status for order in placed] == [NEW, NEW]


async def test_a_crash_at_every_record_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        for n in range(12):
            side, account = ("buy", ANN) if n % 2 else ("sell", BEN)
            placed = await room.hold(room.order(f"{side} {n + 1}@{1000 + n % 3}", account))
            await room.journal(placed)
            if n % 3 == 0:
                await room.outcome(placed[0].command_id)
            await room.crash()
            await room.start()
            assert (await room.row(placed[0].order_id)).applied_offset >= 0
        await room.assert_sound()


async def test_a_copy_of_an_order_has_no_second_effect(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        (order,) = await room.hold(room.order("buy 5@900"))
        await room.send(order)
        await room.journal([order, order])
        await room.crash()
        await room.start()
        await room.journal([order])
        await room.caught_up()
        assert len(await room.store.ledger.open_orders(ANN, 1)) == 1


async def test_a_cancel_that_overtakes_its_order_cancels_it_on_arrival(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        (order,) = await room.hold(room.order("buy 5@900"))
        cancel = cancel_of(room, order)
        await room.journal([cancel])
        await room.caught_up()
        assert cancel.command_id not in room.outcomes
        await room.journal([order])
        outcome = await room.outcome(cancel.command_id)
        assert [row.status for row in outcome.canceled] == [CANCELED]
        assert (await room.money(ANN))["USD"].held == 0


async def test_an_overtaking_cancel_survives_a_restart(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        (order,) = await room.hold(room.order("buy 5@900"))
        await room.journal([cancel_of(room, order)])
        await room.caught_up()
        await room.crash()
        await room.start()
        await room.journal([order])
        await room.caught_up()
        assert (await room.row(order.order_id)).status == CANCELED


async def test_an_order_past_its_bound_is_ignored_and_voided(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        (order,) = await room.hold(room.order("buy 5@900"), window_ms=1)
        await asyncio.sleep(0.02)
        await room.journal([order])
        await room.caught_up()
        assert (await room.money(ANN))["USD"].held == order.held
        assert await room.store.ledger.void(0) == [order.order_id]
        row = await room.row(order.order_id)
        assert (row.status, row.applied_offset) == (EXPIRED, -1)
        assert (await room.money(ANN))["USD"].held == 0


async def test_a_voided_order_that_was_canceled_meanwhile_is_canceled(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        (order,) = await room.hold(room.order("buy 5@900"), window_ms=300)
        await room.journal([cancel_of(room, order)])
        await room.caught_up()
        await asyncio.sleep(0.35)
        await room.journal([order])
        await room.caught_up()
        await room.store.ledger.void(0)
        assert (await room.row(order.order_id)).status == CANCELED


async def test_log_time_moves_where_nobody_trades(tmp_path: Path) -> None:
    async with engine_room(tmp_path, partitions=2) as room:
        before = await room.store.ledger.partitions()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not all(  # noqa: ASYNC110
                new.log_time > old.log_time and new.next_offset > old.next_offset
                for old, new in zip(before, await room.store.ledger.partitions(), strict=True)
            ):
                await asyncio.sleep(0.05)


async def test_a_record_that_is_no_frame_becomes_a_dead_letter_and_trading_goes_on(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        (order,) = await room.hold(room.order("buy 5@900"), window_ms=50)
        frame = bytearray(encode_frame([order]))
        frame[-1] ^= 1
        await room.store.journal.append([(0, bytes(frame))])
        (next_one,) = await room.place(room.order("buy 6@900"))
        assert next_one.code == 0
        await asyncio.sleep(0.06)
        await room.place(room.order("buy 7@900"))
        assert await room.store.ledger.void(0) == [order.order_id]


async def test_an_order_without_intake_halts_its_partition_alone(tmp_path: Path) -> None:
    async with engine_room(tmp_path, partitions=2) as room:
        good, late = await room.hold(room.order("buy 5@900"), room.order("buy 1@1"))
        stranger = room.order("buy 5@901", order_id=99_999, valid_until_ms=1 << 50)
        await room.journal([good, stranger, msgspec.structs.replace(late, valid_until_ms=1)])
        await room.until(lambda: 0 in room.engine.halted)
        assert "99999" in room.engine.halted[0]
        assert (await room.outcome(good.command_id)).code == 0, "what came before the halt is committed and answered"
        (other,) = await room.place(room.order("buy 5@900", part=1))
        assert other.code == 0
        rows = {row.part: row for row in await room.store.ledger.partitions()}
        assert (rows[0].status, rows[1].status) == ("HALT", "RUN")
        await room.crash()
        await room.start()
        assert list(room.engine.halted) == [0]
        report = await room.verify()
        assert len(report.problems) == 1 and "halted" in report.problems[0]
        await room.engine.stop()
        await open_again(room)


async def open_again(room: EngineRoom) -> None:
    """Two people approved to skip the stranger, and opened the partition."""

    def opened(work: Any) -> int:
        offset = work.db.execute("SELECT next_offset FROM engine_partition WHERE part = 0").fetchone()[0]
        work.db.execute("INSERT INTO engine_skip VALUES (0, ?, 0, 'no intake', 'ann, ben')", (offset,))
        return int(work.db.execute("UPDATE engine_partition SET status = 'RUN' WHERE part = 0").rowcount)

    await room.store.ledger._writer.do(opened)
    room.engine = room.new_engine()
    room.running.cancel()
    await room.start()
    assert room.engine.halted == {}
    (after,) = await room.place(room.order("buy 5@902"))
    assert after.code == 0


async def test_a_list_moves_its_hold_to_the_leg_that_stays(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        await room.place(room.order("buy 1@1000"), room.order("sell 1@1000", BEN))
        legs = await room.hold(
            room.order("sell 10@1100"),
            room.order("sell 10@890", type=STOP_LOSS_LIMIT, stop_price=900, held=0),
            in_list=True,
        )
        placed = await room.send(list_of(room, *legs))
        assert [row.status for row in placed.orders] == [NEW, NEW]
        assert placed.lists[0].status == "EXEC_STARTED"
        await room.place(room.order("buy 1@900", BEN), room.order("sell 1@900"))
        above, below = [await room.row(leg.order_id) for leg in legs]
        assert (above.open, above.held, below.stage, below.held) == (0, 0, WORKING, 10 * 100_000)
        await room.crash()
        await room.start()
        await room.place(room.order("buy 4@890", BEN))
        await room.send(cancel_of(room, legs[1]))
        assert (await room.money(ANN))["S0"].held == 0


class Trouble:
    """A ledger whose commits fail on demand: before they happen, or after they have."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.plan: list[str] = []
        self.commits = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def commit(self, parts: Sequence[PartBatch]) -> set[int]:
        self.commits += 1
        fault = self.plan.pop(0) if self.plan else ""
        if fault == "before":
            raise OutOfService("the disk is full")
        named: set[int] = await self._ledger.commit(parts)
        if fault == "after":
            raise OutcomeUnknown("the line was cut")
        return named


async def test_a_commit_with_an_unknown_end_is_read_again_and_never_repeated(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        await room.engine.stop()
        trouble = Trouble(room.store.ledger)
        room.engine = room.new_engine(ledger=trouble)
        await room.start()
        trouble.plan = ["after", "before", "after"]
        orders = await room.hold(*(room.order(f"buy 1@{900 + n}") for n in range(8)))
        for order in orders:
            await room.journal([order])
        await room.caught_up()
        rows = [await room.row(order.order_id) for order in orders]
        assert [row.status for row in rows] == [NEW] * 8
        trouble.plan.clear()
        (ask,) = await room.place(room.order("sell 8@900", BEN))
        assert len(ask.fills) == 8


async def test_an_engine_that_lost_its_lease_commits_and_publishes_nothing(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        old = room.engine
        room.engine = room.new_engine(owner="room")
        before = dict(room.outcomes)
        await room.engine.start()
        (order,) = await room.hold(room.order("buy 1@900"))
        await room.journal([order])
        await room.until(lambda: order.command_id in room.outcomes)
        await old.stop()
        rows = await room.store.ledger.open_orders(ANN, 1)
        assert [row.order_id for row in rows] == [order.order_id]
        assert set(room.outcomes) - set(before) == {order.command_id}


async def test_listeners_get_each_change_once_and_in_sequence(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        for n in range(5):
            await room.place(room.order(f"buy 1@{900 + n}"), room.order(f"sell 1@{950 - n}", BEN))
        changes = [update for update in room.updates if not update.snapshot]
        for before, after in itertools.pairwise(changes):
            assert after.first_seq == before.last_seq + 1
            assert after.first_u == before.last_u + 1
        await room.crash()
        room.updates.clear()
        await room.start()
        assert room.updates[0].snapshot
        assert len(room.updates[0].levels) == 10
        book = await room.feed.book(1, 5)
        assert book is not None and (book.bids[0], book.asks[0]) == ((904, 1), (946, 1))


async def test_private_events_go_to_followed_accounts_alone(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        heard: list[Any] = []
        room.feed.on_account(ANN, heard.append)
        await room.place(room.order("buy 2@900"))
        await room.place(room.order("sell 2@900", BEN))
        kinds = [type(each.event).__name__ for each in heard if each is not None]
        assert kinds == ["OrderAccepted", "Traded"]
        assert [each.order.status for each in heard if each is not None] == [NEW, FILLED]
        assert heard[-1] is None, "the balances moved last"


async def test_outcomes_are_published_only_after_the_commit(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        seen: list[tuple[int, int]] = []

        class Watching(Trouble):
            async def commit(self, parts: Sequence[PartBatch]) -> set[int]:
                assert not any(order.command_id in room.outcomes for order in orders)
                await asyncio.sleep(0.02)
                named = await super().commit(parts)
                seen.append((len(parts), len(room.outcomes)))
                return named

        await room.engine.stop()
        orders: list[PlaceOrder] = []
        room.engine = room.new_engine(ledger=Watching(room.store.ledger))
        await room.start()
        orders += await room.hold(room.order("buy 2@900"))
        outcome: Outcome = await room.send(orders[0])
        assert outcome.code == 0 and seen
        orders.clear()


async def slowed(room: EngineRoom) -> SlowFeed:
    """The feed of another engine in the room's place."""
    await room.engine.stop()
    slow = SlowFeed(room.feed)
    room.engine = room.new_engine(feed=slow)
    await room.start()
    return slow


async def test_the_next_commit_does_not_wait_for_the_feed_and_the_one_after_it_does(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        slow = await slowed(room)
        first, second, third = orders = await room.hold(*(room.order(f"buy 1@{900 + n}") for n in range(3)))
        slow.runs.clear()
        for order in (first, second):
            await room.journal([order])
            await room.caught_up()
        await room.journal([third])
        await asyncio.sleep(0.2)
        rows = await room.store.ledger.orders_by_id([order.order_id for order in orders])
        assert [row.order_id for row in rows] == [first.order_id, second.order_id], "no more than one waits to be said"
        assert not {order.command_id for order in orders} & room.outcomes.keys()
        slow.runs.set()
        await room.outcome(third.command_id)
        assert list(room.outcomes)[-3:] == [order.command_id for order in orders]


async def test_an_engine_that_stops_says_first_what_it_committed(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        slow = await slowed(room)
        (order,) = await room.hold(room.order("buy 1@900"))
        slow.runs.clear()
        await room.journal([order])
        await room.caught_up()
        stopping = asyncio.create_task(room.engine.stop())
        await asyncio.sleep(0.2)
        assert room.engine.sessions, "it keeps its partitions until all is said"
        slow.runs.set()
        await stopping
        assert order.command_id in room.outcomes


async def test_an_engine_whose_feed_has_a_bug_ends_with_its_next_commit_and_can_start_again(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        await room.engine.stop()
        broken = SlowFeed(room.feed)
        room.engine = room.new_engine(feed=broken)
        await room.start()
        broken.is_broken = True
        for order in await room.hold(room.order("buy 1@900"), room.order("buy 1@901")):
            await room.journal([order])
            await room.caught_up()
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(room.running, PATIENCE_SECONDS)
        broken.is_broken = False
        await room.start()
        assert len(await room.place(room.order("sell 1@902", BEN))) == 1
