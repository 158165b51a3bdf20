"""Money that an operator moves is told to the account's sockets wherever they are: several processes, a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from outcry.adapters.clock import SystemClock
from outcry.adapters.redis import RedisListener
from outcry.ports import OutOfService
from outcry.roles.api.venue import Venue as Front
from outcry.roles.stream import entries as entries_module
from outcry.roles.stream.entries import transfers
from outcry.roles.stream.frames import payload_of
from outcry.roles.stream.userdata import Subscription, UserStreams
from outcry.rows import TransferRow
from outcry.settings import Settings
from tests.support.feeds import Venue, redis_venue, until
from tests.support.gated import ACCOUNT, Gated, gated
from tests.support.sockets import Socket

OTHER = 1002
A_WHILE_SECONDS = 0.3


class Books:
    """The ledger, which cannot be asked now and then."""

    def __init__(self, front: Gated) -> None:
        self._ledger = front.store.ledger
        self.is_away = False
        self.slow_seconds = 0.0

    async def newest_transfer(self) -> int:
        await asyncio.sleep(self.slow_seconds)
        if self.is_away:
            raise OutOfService("as the test wished")
        return await self._ledger.newest_transfer()

    async def transfers(self, account_ids: Sequence[int], after: int, limit: int) -> list[TransferRow]:
        return await self._ledger.transfers(account_ids, after, limit)


class Purse(Socket):
    """A client who watches the money."""

    def told(self) -> list[tuple[str, str]]:
        """What came in or went out."""
        events = [msgspec.json.decode(payload_of(frame)[1]) for frame in self.frames]
        return [(event["a"], event["d"]) for event in events if event["e"] == "balanceUpdate"]


class Process:
    """One api process, as far as it tells accounts of transfers."""

    def __init__(self, front: Gated, feed: RedisListener) -> None:
        self.feed = feed
        self.front = front
        venue = Front(
            settings=Settings(), ledger=front.store.ledger, feed=feed, shared=front.venue.shared, clock=SystemClock()
        )
        venue.assets = {1: "USD", 2: "BTC"}
        self.users = UserStreams(venue)
        self.books = Books(front)
        self.transfers = transfers(self.books, self.users)
        feed.on_transfer(self.transfers.hint)

    async def follow(self, account_id: int = ACCOUNT) -> Purse:
        """A socket that is promised the account's events."""
        socket = Purse()
        await self.users.expect(account_id)
        self.users.open(Subscription(account_id, socket))
        return socket

    async def move(self, amount: int, account_id: int = ACCOUNT, *, says_so: bool = True) -> None:
        """A deposit or withdrawal."""
        reference = f"{account_id} {amount} {asyncio.get_running_loop().time()}"
        assert await self.front.store.ledger.transfer(account_id, 1, amount, reference, actor="test")
        if says_so:
            self.feed.say_transfer(account_id)


@pytest.fixture(autouse=True)
def _no_look_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever learns of something within a test was given a hint."""
    monkeypatch.setattr(entries_module, "LOOK_SECONDS", 600.0)


@asynccontextmanager
async def processes(venue: Venue, folder: Path, count: int = 2) -> AsyncIterator[list[Process]]:
    async with gated(folder) as front, AsyncExitStack() as stack:
        for name in ("USD", "BTC"):
            await front.store.ledger.add_asset(name, "test")
        made = []
        for number in range(count):
            made.append(Process(front, await stack.enter_async_context(venue.listener(pod=f"api-{number}"))))
            stack.callback(asyncio.create_task(made[-1].transfers.supervise()).cancel)
        yield made


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    async with redis_venue(tmp_path) as opened:
        yield opened


async def test_a_transfer_reaches_the_accounts_sockets_on_every_process_at_once(venue: Venue, tmp_path: Path) -> None:
    async with processes(venue, tmp_path / "front") as (one, two):
        await one.move(100_000_000)
        sockets = [await one.follow(), await two.follow(), await two.follow()]
        stranger = await two.follow(OTHER)
        await one.move(500_000_000)
        await two.move(-200_000_000)
        expected = [("USD", "5.00000000"), ("USD", "-2.00000000")]
        await until(lambda: all(socket.told() == expected for socket in sockets))
        await one.move(100_000_000, OTHER)
        await until(lambda: stranger.told() == [("USD", "1.00000000")])
        await asyncio.sleep(A_WHILE_SECONDS)
        assert all(socket.told() == expected for socket in sockets), "what was there before is no news"


async def test_a_transfer_that_nobody_speaks_of_is_told_at_the_next_look(
    venue: Venue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of a command line, of a process that died behind its commit, or of one that cannot reach Redis."""
    monkeypatch.setattr(entries_module, "LOOK_SECONDS", 0.1)
    async with processes(venue, tmp_path / "front") as (one, two):
        sockets = [await one.follow(), await two.follow()]
        for amount in (500_000_000, 600_000_000):
            await one.move(amount, says_so=False)
        expected = [("USD", "5.00000000"), ("USD", "6.00000000")]
        await until(lambda: all(socket.told() == expected for socket in sockets))
        await asyncio.sleep(A_WHILE_SECONDS)
        assert all(socket.told() == expected for socket in sockets), "it is told once"


async def test_a_ledger_that_is_away_delays_the_news_and_loses_none(
    venue: Venue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries_module, "ASK_SECONDS", 0.1)
    async with processes(venue, tmp_path / "front", 1) as (one,):
        socket = await one.follow()
        one.books.is_away = True
        await one.move(500_000_000)
        await asyncio.sleep(A_WHILE_SECONDS)
        assert socket.told() == []
        one.books.is_away = False
        await until(lambda: socket.told() == [("USD", "5.00000000")])


async def test_whoever_was_promised_an_accounts_events_hears_of_the_next_transfer_however_slow_the_ledger_is(
    venue: Venue, tmp_path: Path
) -> None:
    async with processes(venue, tmp_path / "front", 1) as (one,):
        one.books.slow_seconds = 0.5
        for purse in (await one.follow(), await one.follow()):
            await one.move(500_000_000)
            await until(lambda purse=purse: ("USD", "5.00000000") in purse.told())  # type: ignore[misc]


async def test_nobody_waits_for_long_for_a_ledger_that_is_away(
    venue: Venue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries_module, "BEGIN_SECONDS", 0.2)
    async with processes(venue, tmp_path / "front", 1) as (one,):
        one.books.is_away = True
        assert await one.follow()


async def test_more_than_a_page_of_transfers_is_told_in_order(
    venue: Venue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries_module, "PAGE", 2)
    async with processes(venue, tmp_path / "front", 1) as (one,):
        socket = await one.follow()
        for number in range(1, 6):
            await one.move(number * 100_000_000, says_so=number == 5)
        await until(lambda: len(socket.told()) == 5)
        assert socket.told() == [("USD", f"{number}.00000000") for number in range(1, 6)]


async def test_transfers_that_are_long_told_are_read_no_more_and_late_ones_are_told(
    venue: Venue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries_module, "LATE_SECONDS", 0.0)
    monkeypatch.setattr(entries_module, "LATE_NUMBERS", 1)
    async with processes(venue, tmp_path / "front", 1) as (one,):
        for number in range(1, 4):
            await one.move(number * 100_000_000, says_so=False)
        socket = await one.follow()
        for number in range(4, 7):
            await one.move(number * 100_000_000)
            await until(lambda number=number: len(socket.told()) == number - 3)  # type: ignore[misc]
        assert socket.told() == [("USD", f"{number}.00000000") for number in range(4, 7)]


async def test_what_was_moved_before_anybody_listened_is_no_news(venue: Venue, tmp_path: Path) -> None:
    async with processes(venue, tmp_path / "front", 1) as (one,):
        await one.follow()
        await one.move(100_000_000, OTHER, says_so=False)
        socket = Purse()
        one.users.open(Subscription(OTHER, socket))
        await asyncio.sleep(A_WHILE_SECONDS)
        assert socket.told() == []
        await one.move(200_000_000, OTHER)
        await until(lambda: socket.told() == [("USD", "2.00000000")])
