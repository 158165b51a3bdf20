"""An order that never reached the market: who follows its account is told its end, once, wherever the socket is."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outcry.adapters.clock import SystemClock
from outcry.adapters.memory import MemoryFeed, MemoryShared
from outcry.facts import GivenUp
from outcry.market.terms import EXPIRED
from outcry.roles.api.venue import Venue as Front
from outcry.roles.stream import entries as entries_module
from outcry.roles.stream.entries import orders_given_up
from outcry.roles.stream.frames import payload_of
from outcry.roles.stream.link import RESTART
from outcry.roles.stream.userdata import Subscription, UserStreams
from outcry.rows import CancelMark
from outcry.settings import Settings
from tests.support.feeds import until
from tests.support.gated import listed
from tests.support.postgres import postgres_storage
from tests.support.sockets import Socket
from tests.support.storage import ALICE, BOB, MONEY, START_MS, USD, WINDOW_MS, Storage, fund, sqlite_storage

LATE_MS = START_MS + WINDOW_MS + 1
A_WHILE_SECONDS = 0.3


class Witness(Socket):
    """A client who follows an account."""

    def told(self, kind: str) -> list[dict[str, Any]]:
        events = [msgspec.json.decode(payload_of(frame)[1]) for frame in self.frames]
        return [event for event in events if event["e"] == kind]


class Books:
    """The ledger, which may be replaced by one that has noted nothing yet."""

    def __init__(self, storage: Storage) -> None:
        self._ledger = storage.ledger
        self.is_older = False
        self.is_early = False  # its newest is asked for before there is something, and the rest afterwards

    async def newest_given_up(self) -> int:
        return 0 if self.is_older or self.is_early else await self._ledger.newest_given_up()

    async def given_up(self, account_ids: Sequence[int], after: int, limit: int) -> list[GivenUp]:
        return [] if self.is_older else await self._ledger.given_up(account_ids, after, limit)


class Process:
    """One process that tells accounts what becomes of their orders; no engine speaks to it."""

    def __init__(self, storage: Storage) -> None:
        self.feed = MemoryFeed()
        venue = Front(
            settings=Settings(), ledger=storage.ledger, feed=self.feed, shared=MemoryShared(), clock=SystemClock()
        )
        venue.assets = {1: "USD", 2: "BTC"}
        venue.instruments_by_id = {1: listed(1, "BTCUSD")}
        self.users = UserStreams(venue)
        self.books = Books(storage)
        self.entries = orders_given_up(self.books, self.users)

    async def follow(self, account_id: int = ALICE) -> Witness:
        socket = Witness()
        await self.users.expect(account_id)
        self.users.open(Subscription(account_id, socket))
        return socket


@asynccontextmanager
async def processes(storage: Storage, count: int) -> AsyncIterator[list[Process]]:
    made = [Process(storage) for _ in range(count)]
    running = [asyncio.create_task(each.entries.supervise()) for each in made]
    yield made
    for task in running:
        task.cancel()


@pytest.fixture(params=[postgres_storage, sqlite_storage])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    async with request.param(tmp_path) as opened:
        await fund(opened)
        await opened.own(0)
        yield opened


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries_module, "LOOK_SECONDS", 0.1)


async def test_an_order_that_is_given_up_is_told_once_to_all_who_follow_its_account(storage: Storage) -> None:
    await storage.hold("before", 10)
    await storage.commit(storage.batch(log_time=LATE_MS))
    await storage.ledger.void(0)
    async with processes(storage, 2) as (one, two):
        sockets, stranger = [await one.follow(), await one.follow(), await two.follow()], await two.follow(BOB)
        orders = [await storage.hold(name, 300) for name in ("late", "canceled")]
        marks = [CancelMark(orders[1].order_id, 1)]
        await storage.commit(storage.batch(cancel_marks=marks, log_time=LATE_MS + WINDOW_MS + 1))
        assert len(await storage.ledger.void(0)) == 2
        await until(lambda: all(len(socket.told("executionReport")) == 2 for socket in sockets))
        await asyncio.sleep(A_WHILE_SECONDS)
        for socket in sockets:
            reports = socket.told("executionReport")
            assert [(each["i"], each["x"], each["X"], each["c"], each["C"]) for each in reports] == [
                (orders[0].order_id, "EXPIRED", "EXPIRED", "late", ""),
                (orders[1].order_id, "CANCELED", "CANCELED", "canceled", "canceled"),
            ]
            assert all((each["z"], each["w"], "W" in each) == ("0.00000000", False, False) for each in reports)
            assert reports[0]["eR"] == "EXCHANGE_CANCELED"
            assert socket.told("outboundAccountPosition"), "the hold went back"
        assert stranger.told("executionReport") == []
        assert await storage.money(ALICE, USD) == (MONEY, 0)


@pytest.mark.parametrize("is_early", [False, True])
async def test_a_ledger_that_has_gone_back_makes_followers_start_again(storage: Storage, is_early: bool) -> None:
    """It is another one after a fail-over, and its next numbers were told of other orders."""
    async with processes(storage, 1) as (one,):
        one.books.is_early = is_early
        socket = await one.follow()
        await storage.hold("a", 300)
        await storage.commit(storage.batch(log_time=LATE_MS))
        await storage.ledger.void(0)
        await until(lambda: len(socket.told("executionReport")) == 1)
        assert is_early or socket.closed == 0
        one.books.is_older = True
        await until(lambda: socket.closed == RESTART)


async def test_notes_of_orders_given_up_go_after_a_day_but_for_the_newest(storage: Storage) -> None:
    for name in ("a", "b"):
        await storage.hold(name, 300)
        await storage.commit(storage.batch(log_time=storage.clock.ms + WINDOW_MS + 1))
        assert len(await storage.ledger.void(0)) == 1
        storage.clock.ms += 86_400_001
    assert [entry.order.status for entry in await storage.ledger.given_up([ALICE], 0, 10)] == [EXPIRED, EXPIRED]
    newest = await storage.ledger.newest_given_up()
    await storage.ledger.sweep_intake(0)
    assert [entry.number for entry in await storage.ledger.given_up([ALICE], 0, 10)] == [newest]
    assert await storage.ledger.given_up([BOB], 0, 10) == await storage.ledger.given_up([ALICE], newest, 10) == []
