"""The desk refuses before it writes, keeps an account's order, and tells unknown from done."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outcry.adapters.clock import SystemClock
from outcry.adapters.memory import MemoryFeed
from outcry.adapters.sqlite import Store
from outcry.claims import HoldRequest, HoldResult, KeyClaim
from outcry.codec import decode_frame
from outcry.market.commands import PlaceOrder
from outcry.market.instrument import Instrument
from outcry.market.terms import BUY, CANCELED, EXPIRED, FILLED, LIMIT, NEW, PENDING_NEW, SELL
from outcry.ports import Journal, Outcome, OutcomeUnknown, OutOfService, Publication
from outcry.roles.admin.founding import Founding, terms_of
from outcry.roles.api.desk import MAX_LAG_RECORDS, Desk
from outcry.roles.api.errors import Refusal
from outcry.roles.api.intents import Cancel, CancelOpen, Place, Replace
from outcry.roles.engine.engine import Engine
from outcry.settings import Settings
from tests.support.inprocess import PATIENCE_SECONDS, until

ONE, TWO = 1001, 1002


class DeafFeed(MemoryFeed):
    """Loses every outcome, as a reply channel that is down does."""

    async def publish(self, publication: Publication) -> None:
        await super().publish(msgspec.structs.replace(publication, outcomes=()))


class Wire:
    """The journal behind a wire that can fail, before or after the frames got through, or hold frames back."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.trouble = ""
        self.held_back: asyncio.Event | None = None
        self.waiting = 0  # commands that were held back
        self.cut = 0  # attempts that did not get through

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def append(self, frames: Sequence[tuple[int, bytes]]) -> list[int]:
        if self.trouble == "before":
            self.cut += 1
            raise OutOfService("cut")
        if self.held_back is not None:
            self.waiting += sum(len(decode_frame(frame).commands) for _, frame in frames)
            await self.held_back.wait()
        offsets = await self._journal.append(frames)
        if self.trouble == "after":
            raise OutcomeUnknown("cut")
        return offsets


class Shop:
    """A founded venue, an engine that can be started later, and a desk."""

    def __init__(self, folder: Path, feed: MemoryFeed, **settings: Any) -> None:
        self.clock = SystemClock()
        self.settings = Settings(simulation_enabled=False, **settings)
        self.store = Store(folder / "outcry.db", clock=self.clock)
        self.feed = feed
        self.tasks: list[asyncio.Task[None]] = []
        self.lags: dict[int, int] = {}
        self.misdated: set[int] = set()

    async def open(self, *, engine: bool, rest_seconds: float = 0.0) -> None:
        await asyncio.to_thread(self.store.open)
        ledger, journal = self.store.ledger, self.store.journal
        await Founding(ledger, journal, self.clock, lambda secret, key: secret, self.settings, print).run()
        self.wire = Wire(journal)
        self.engine = Engine(
            journal=journal, ledger=ledger, lease=self.store.lease, feed=self.feed, clock=self.clock, owner="test",
            partitions=range(self.settings.partitions),
        )  # fmt: skip
        await self.start_engine()
        self.instrument = await self._btcusd()
        if not engine:
            await self.stop_engine()
        self.desk = Desk(
            ledger=ledger, journal=self.wire, feed=self.feed, clock=self.clock, settings=self.settings, pod="test",
            halted=self.engine.halted, lags=lambda: self.lags, misdated=lambda: self.misdated,
            rest_seconds=rest_seconds,
        )  # fmt: skip
        self.tasks.append(asyncio.create_task(self.desk.run()))

    async def start_engine(self) -> None:
        await self.engine.start()
        self.running = asyncio.create_task(self.engine.run())

    async def stop_engine(self) -> None:
        if not self.running.done():
            await self.engine.stop()
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)

    async def close(self) -> None:
        await self.stop_engine()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await asyncio.to_thread(self.store.close)

    async def _btcusd(self) -> Instrument:
        while True:
            for row in await self.store.ledger.symbols():
                if terms_of(row).symbol == "BTCUSD":
                    return terms_of(row)
            await asyncio.sleep(0.01)

    def place(self, text: str, name: str, account: int = ONE, **fields: Any) -> Place:
        """``buy 10@5000``: lots at ticks."""
        side, terms = text.split()
        qty, _, price = terms.partition("@")
        market, buying = self.instrument, side == "buy"
        order = PlaceOrder(
            command_id=0, symbol_id=market.symbol_id, order_id=0, account=account, client_order_id=name,
            side=BUY if buying else SELL, type=LIMIT, qty=int(qty), price=int(price), maker_ppm=1000, taker_ppm=1000,
        )  # fmt: skip
        need = order.price * order.qty * market.quote_unit if buying else order.qty * market.lot_size
        asset = market.quote_asset if buying else market.base_asset
        return Place(instrument=market, order=order, asset=asset, need=need, **fields)

    def cancel(self, **named: Any) -> Cancel:
        return Cancel(**{"instrument": self.instrument, "account": ONE, **named})

    async def held(self, account: int = ONE) -> int:
        return sum(each.held for each in await self.store.ledger.balances(account))


@contextlib.asynccontextmanager
async def shop(
    folder: Path, *, engine: bool = True, feed: MemoryFeed | None = None, rest_seconds: float = 0.0, **settings: Any
) -> AsyncIterator[Shop]:
    made = Shop(folder, feed or MemoryFeed(), **settings)
    await made.open(engine=engine, rest_seconds=rest_seconds)
    try:
        yield made
    finally:
        await made.close()


async def refusal(work: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await work
    return caught.value


async def test_many_requests_share_one_batch_and_keep_their_order(tmp_path: Path) -> None:
    async with shop(tmp_path) as s:
        answers = await asyncio.gather(*(s.desk.submit(s.place(f"buy 10@{5000 + n}", f"n{n}")) for n in range(200)))
        ids = [answer.orders[0].order_id for answer in answers]
        assert ids == sorted(ids)
        assert len({answer.offset for answer in answers}) < 20
        assert s.desk.unacknowledged == 0


async def test_in_a_crowd_the_next_batch_waits_as_long_as_the_last_one_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(tmp_path, rest_seconds=0.01) as s:
        batches: list[int] = []
        hold = s.store.ledger.hold

        async def slow(requests: Sequence[HoldRequest], keys: Sequence[KeyClaim] = ()) -> list[HoldResult]:
            batches.append(len(requests))
            await asyncio.sleep(0.008)
            return await hold(requests, keys)

        monkeypatch.setattr(s.store.ledger, "hold", slow)
        work = []
        for n in range(100):
            work.append(asyncio.create_task(s.desk.submit(s.place("buy 10@5000", f"n{n}"))))
            await asyncio.sleep(0.002)
        await asyncio.gather(*work)
        assert sum(batches) == 100
        assert len(batches) < 19, "and not one each 8 ms"


async def test_one_account_trades_with_another(tmp_path: Path) -> None:
    async with shop(tmp_path) as s:
        sold, bought = await asyncio.gather(
            s.desk.submit(s.place("sell 10@5000", "s", ONE)), s.desk.submit(s.place("buy 10@5000", "b", TWO))
        )
        assert (sold.orders[0].status, bought.orders[0].status) == (NEW, FILLED)
        assert [fill.qty for fill in bought.fills] == [10]


async def test_a_cancel_by_name_waits_for_the_hold_of_its_order(tmp_path: Path) -> None:
    async with shop(tmp_path) as s:
        placed, canceled = await asyncio.gather(
            s.desk.submit(s.place("buy 10@5000", "a")), s.desk.submit(s.cancel(client_order_id="a"))
        )
        assert (placed.orders[0].status, canceled.canceled[0].status) == (NEW, CANCELED)
        again = await s.desk.submit(s.place("buy 10@5000", "a"))
        assert again.orders[0].order_id > placed.orders[0].order_id


async def test_a_cancel_of_all_names_orders_that_have_only_just_come(tmp_path: Path) -> None:
    async with shop(tmp_path) as s:
        every = CancelOpen(instrument=s.instrument, account=ONE)
        *placed, canceled = await asyncio.gather(
            *(s.desk.submit(s.place("buy 10@5000", f"n{n}")) for n in range(5)), s.desk.submit(every)
        )
        assert [row.order_id for row in canceled.canceled] == [answer.orders[0].order_id for answer in placed]
        assert await s.held() == 0


async def test_a_full_window_is_a_definite_refusal(tmp_path: Path) -> None:
    async with shop(tmp_path, engine=False, admit_window=2, reply_timeout_seconds=1.0) as s:
        waiting = [asyncio.create_task(s.desk.submit(s.place("buy 10@5000", f"n{n}"))) for n in range(2)]
        await asyncio.sleep(0)
        refused = await refusal(s.desk.submit(s.place("buy 10@5000", "late")))
        assert (refused.status, refused.code, refused.headers["Retry-After"]) == (503, -1008, "1")
        assert [(await refusal(task)).code for task in waiting] == [-1007, -1007]
        assert s.desk.unacknowledged == 0


async def test_an_order_without_an_outcome_is_unknown_and_happens_once(tmp_path: Path) -> None:
    async with shop(tmp_path, engine=False, reply_timeout_seconds=0.4) as s:
        refused = await refusal(s.desk.submit(s.place("buy 10@5000", "a")))
        assert (refused.status, refused.code) == (504, -1007)
        row = await s.store.ledger.order(ONE, s.instrument.symbol_id, None, "a")
        assert row is not None
        assert row.status == PENDING_NEW
        await s.start_engine()
        await _until(s, "a", NEW)
        assert len(await s.store.ledger.open_orders(ONE, None)) == 1


async def test_an_order_that_never_reached_the_journal_is_given_up_and_paid_back(tmp_path: Path) -> None:
    async with shop(tmp_path, reply_timeout_seconds=0.4) as s:
        s.wire.trouble = "before"
        refused = await refusal(s.desk.submit(s.place("buy 10@5000", "a", window_ms=1)))
        assert refused.code == -1007
        assert await s.held() > 0
        s.wire.trouble = ""
        await asyncio.sleep(0.01)
        await s.desk.submit(s.place("buy 10@5000", "b"))
        await s.store.ledger.void(s.instrument.partition)
        await _until(s, "a", EXPIRED)
        canceled = await s.desk.submit(s.cancel(client_order_id="b"))
        assert canceled.code == 0
        assert await s.held() == 0


async def test_a_cancel_that_cannot_be_journaled_is_refused(tmp_path: Path) -> None:
    async with shop(tmp_path) as s:
        await s.desk.submit(s.place("buy 10@5000", "a"))
        s.wire.trouble = "before"
        assert (await refusal(s.desk.submit(s.cancel(client_order_id="a")))).code == -1008
        s.wire.trouble = ""
        assert (await s.desk.submit(s.cancel(client_order_id="a"))).code == 0


async def test_a_request_past_its_window_is_not_begun(tmp_path: Path) -> None:
    async with shop(tmp_path) as s:
        refused = await refusal(s.desk.submit(s.place("buy 10@5000", "a", deadline_us=s.clock.now_us() - 1)))
        assert (refused.code, refused.text) == (-1021, "Timestamp for this request is outside of the recvWindow.")
        assert await s.held() == 0


async def test_a_partition_whose_journal_is_far_ahead_takes_cancels_and_no_new_orders(tmp_path: Path) -> None:
    async with shop(tmp_path) as s:
        await s.desk.submit(s.place("buy 10@5000", "a"))
        held, s.misdated = await s.held(), {s.instrument.partition}
        assert (await refusal(s.desk.submit(s.place("buy 10@5000", "b")))).code == -1008
        assert await s.held() == held
        assert (await s.desk.submit(s.cancel(client_order_id="a"))).code == 0


async def test_a_halted_partition_takes_nothing(tmp_path: Path) -> None:
    async with shop(tmp_path) as s:
        await s.desk.submit(s.place("buy 10@5000", "a"))
        held = await s.held()
        part = s.instrument.partition
        await s.store.ledger.halt_partition(part, "a person must decide", "tester")
        await until(lambda: part in s.engine.halted)
        refused = await refusal(s.desk.submit(s.place("buy 10@5000", "b")))
        assert (refused.status, refused.code, refused.text) == (400, -2010, "Market is closed.")
        assert (await refusal(s.desk.submit(s.cancel(client_order_id="a")))).code == -1008
        assert await s.held() == held
        await s.store.ledger.resume_partition(part, "tester")
        await until(lambda: part in s.engine.sessions)


async def test_a_partition_far_behind_takes_no_new_orders(tmp_path: Path) -> None:
    async with shop(tmp_path) as s:
        await s.desk.submit(s.place("buy 10@5000", "a"))
        held = await s.held()
        s.lags = {s.instrument.partition: MAX_LAG_RECORDS + 1}
        replace = Replace(old=s.cancel(client_order_id="a"), new=s.place("buy 1@5000", "c"))
        for intent in (s.place("buy 10@5000", "b"), replace):
            assert (await refusal(s.desk.submit(intent))).code == -1008
        assert await s.held() == held
        assert [row.status for row in (await s.desk.submit(s.cancel(client_order_id="a"))).canceled] == [CANCELED]
        s.lags = {s.instrument.partition: MAX_LAG_RECORDS, s.instrument.partition + 1: MAX_LAG_RECORDS + 1}
        assert (await s.desk.submit(s.place("buy 10@5000", "b"))).orders[0].status == NEW


async def test_money_that_a_cancel_freed_is_there_before_the_keeper_folds_it(tmp_path: Path) -> None:
    async with shop(tmp_path) as s:
        free = next(b.free for b in await s.store.ledger.balances(ONE) if b.asset_id == s.instrument.quote_asset)
        lots = free // (5000 * s.instrument.quote_unit)
        for name in "abc":
            assert (await s.desk.submit(s.place(f"buy {lots}@5000", name))).code == 0
            assert (await s.desk.submit(s.cancel(client_order_id=name))).code == 0
        assert (await refusal(s.desk.submit(s.place(f"buy {lots + 1}@5000", "d")))).code == -2010


async def test_one_account_without_money_spoils_nobodys_batch(tmp_path: Path) -> None:
    async with shop(tmp_path) as s:
        answers = await s.desk.submit_all(
            [s.place("buy 10@5000", "a"), s.place(f"buy {10**9}@{10**7}", "b"), s.place("buy 10@5000", "c", TWO)]
        )
        assert [isinstance(answer, Outcome) for answer in answers] == [True, False, True]


async def test_draining_ends_when_every_order_has_its_answer(tmp_path: Path) -> None:
    async with shop(tmp_path) as s:
        work = asyncio.create_task(s.desk.submit(s.place("buy 10@5000", "a")))
        await asyncio.sleep(0)
        await s.desk.drain(5.0)
        assert s.desk.unacknowledged == 0
        assert isinstance(await work, Outcome)
        assert (await refusal(s.desk.submit(s.place("buy 10@5000", "b")))).code == -1008


async def test_a_caller_that_leaves_does_not_leave_its_place_taken(tmp_path: Path) -> None:
    async with shop(tmp_path) as s:
        work = asyncio.create_task(s.desk.submit(s.place("buy 10@5000", "a")))
        await asyncio.sleep(0)
        work.cancel()
        await _until(s, "a", NEW)
        await s.desk.drain(2.0)
        assert s.desk.unacknowledged == 0


async def test_a_bug_leaves_nobody_waiting_and_the_desk_can_be_run_again(tmp_path: Path) -> None:
    async with shop(tmp_path) as s:
        broken = msgspec.structs.replace(s.place("buy 10@5000", "a"), need=-1)
        assert (await refusal(s.desk.submit(broken))).code == -1007
        assert (await refusal(s.desk.submit(s.place("buy 10@5000", "b")))).code == -1008
        with pytest.raises(ExceptionGroup):
            await s.tasks.pop()
        s.tasks.append(asyncio.create_task(s.desk.run()))
        await asyncio.sleep(0)
        assert (await s.desk.submit(s.place("buy 10@5000", "c"))).orders[0].status == NEW


async def _until(s: Shop, name: str, status: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            row = await s.store.ledger.order(ONE, s.instrument.symbol_id, None, name)
            if row is not None and row.status == status:
                return
            await asyncio.sleep(0.01)
