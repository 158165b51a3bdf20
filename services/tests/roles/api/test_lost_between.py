"""What fails between two steps of the desk never turns into an answer that is not true."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from outcry.adapters.memory import MemoryFeed
from outcry.market.terms import CANCELED
from outcry.ports import OutcomeUnknown, OutOfService
from outcry.roles.api.cashier import Cashier
from outcry.roles.api.intents import CancelOpen
from outcry.roles.api.tickets import Answer, Request, Ticket
from tests.roles.api.test_desk import ONE, DeafFeed, shop
from tests.support.inprocess import until
from tests.support.storage import ALICE, MONEY, USD, fund, posting, sqlite_storage
from tests.support.traders import ORDER, market

LIMIT_ORDER = {
    "symbol": "BTCUSD", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1", "price": "50000",
}  # fmt: skip


async def test_a_cancel_of_an_order_that_never_came_is_answered_with_what_becomes_of_it(tmp_path: Path) -> None:
    async with shop(tmp_path, reply_timeout_seconds=5.0) as s:
        s.wire.trouble = "before"
        lost = asyncio.create_task(s.desk.submit(s.place("buy 10@5000", "a", window_ms=800)))
        await until(lambda: s.wire.cut > 0)
        s.wire.trouble = ""
        cancel = asyncio.create_task(s.desk.submit(s.cancel(client_order_id="a")))
        await asyncio.sleep(0.9)
        assert not cancel.done(), "neither canceled nor unknown yet"
        await s.desk.submit(s.place("buy 10@5000", "b"))
        await s.store.ledger.void(s.instrument.partition)
        assert [row.status for row in (await cancel).canceled] == [CANCELED]
        assert [row.status for row in (await lost).orders] == [CANCELED]


@pytest.mark.parametrize("feed", [MemoryFeed, DeafFeed])
async def test_a_cancel_of_all_tells_every_order_that_it_ended_before_it_came(
    tmp_path: Path, feed: type[MemoryFeed]
) -> None:
    async with shop(tmp_path, feed=feed()) as s:
        here = await s.desk.submit(s.place("buy 10@5000", "here"))
        s.wire.held_back = asyncio.Event()
        coming = [asyncio.create_task(s.desk.submit(s.place("buy 10@5000", name))) for name in ("a", "b")]
        await until(lambda: s.wire.waiting == 2)
        sent, s.wire.held_back = s.wire.held_back, None
        every = asyncio.create_task(s.desk.submit(CancelOpen(instrument=s.instrument, account=ONE)))
        await asyncio.sleep(0.4)
        assert not every.done(), "two of its orders are still on their way"
        sent.set()
        outcome = await every
        placed = [here.orders[0].order_id, *[(await task).orders[0].order_id for task in coming]]
        assert [row.order_id for row in outcome.canceled] == placed
        assert {row.status for row in outcome.canceled} == {CANCELED}
        assert await s.held() == 0


@pytest.mark.parametrize("trouble", [OutOfService, OutcomeUnknown])
async def test_an_order_whose_answer_cannot_be_kept_was_placed_all_the_same(
    tmp_path: Path, trouble: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise trouble("cut")

    async with market(tmp_path) as (one, _, exchange):
        with monkeypatch.context() as cut:
            cut.setattr(exchange.venue.ledger, "store_response", refuse)
            status, first, _ = await one.send(ORDER, LIMIT_ORDER, "key-1")
        assert (status, first.get("status")) == (200, "NEW"), first
        status, again, headers = await one.send(ORDER, LIMIT_ORDER, "key-1")
        assert (status, again["orderId"], headers["idempotent-replayed"]) == (200, first["orderId"], "true")
        assert await one.open_orders() == [first["orderId"]]


async def test_money_is_found_however_much_waits_to_be_folded(tmp_path: Path) -> None:
    async with sqlite_storage(tmp_path) as storage, shop(tmp_path / "shop", engine=False) as s:
        await fund(storage)
        await storage.own(0)
        for offset in range(3):
            rows = [posting(ALICE, 1, 0, offset=offset, idx=n) for n in range(2_500)]
            await storage.commit(storage.batch(postings=rows))
        answers: list[Answer | Exception] = []
        place = s.place("buy 10@5000", "a", ALICE)
        place = msgspec.structs.replace(place, need=MONEY + 7_500, asset=USD, instrument=s.instrument)
        ticket = Ticket(place, 1, Request(1, asyncio.get_running_loop().create_future()), 0)
        cashier = Cashier(storage.ledger, 1, lambda _, answer: answers.append(answer))
        await cashier.hold([ticket])
        assert answers == [] and ticket.command is not None
