"""Several engines on one store: who dies is replaced, who hangs changes nothing, and what moves loses nothing."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from outcry.adapters.sqlite import lease, results
from outcry.leases import RESERVED
from outcry.ports import Journal, JournalBroken, Ledger, Restoring
from outcry.roles.engine import sharing
from outcry.rows import PartState, Record
from tests.support import pg_room
from tests.support.engine_room import EngineRoom
from tests.support.feeds import SlowFeed
from tests.support.fleet import fleet
from tests.support.pg_room import PgRoom

LEASE_MS = 5_000  # so long that no engine loses its partitions because this machine is busy
SHORT_LEASE_MS = 1_000
SHARE_SECONDS = 0.5
ROOMS = {"postgres": PgRoom, "sqlite": EngineRoom}
STANDING_SECONDS = 2.5  # a reservation that nobody takes up stands for 3 s
PLANNED_SECONDS = LEASE_MS / 2_000  # without answers, at most, while a partition is handed over


@pytest.fixture
def lease_ms() -> int:
    """How long the store's leases are."""
    return LEASE_MS


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch, lease_ms: int) -> None:
    """Leases of that length, and engines that share in less time than they take in a cluster."""
    for module in (lease, results, pg_room):
        monkeypatch.setattr(module, "LEASE_MS", lease_ms)
    monkeypatch.setattr(sharing, "SHARE_SECONDS", SHARE_SECONDS)


short_leases = pytest.mark.parametrize("lease_ms", [SHORT_LEASE_MS], ids=["short leases"])  # to be waited for


@pytest.fixture(params=sorted(ROOMS))
def kind(request: pytest.FixtureRequest) -> type[EngineRoom]:
    """On what the engines stand: their rules are the same on every ledger."""
    return ROOMS[request.param]


async def test_who_comes_second_gets_its_share(tmp_path: Path) -> None:
    async with fleet(tmp_path, 4) as engines:
        await engines.launch("a")
        await engines.launch("b")
        await engines.until_owned(a=2, b=2)
        epochs = {part: row.epoch for part, row in (await engines.leases()).items()}
        await asyncio.sleep(4 * SHARE_SECONDS)
        assert {part: row.epoch for part, row in (await engines.leases()).items()} == epochs, "nothing flaps"


async def test_three_that_start_at_once_come_to_fair_shares(tmp_path: Path, kind: type[EngineRoom]) -> None:
    async with fleet(tmp_path, 6, kind) as engines:
        await asyncio.gather(*(engines.launch(pod) for pod in "abc"))
        await engines.until_owned(a=2, b=2, c=2)
        await engines.assert_answered(await engines.load(0.3))


@short_leases
async def test_the_partitions_of_a_killed_engine_are_taken_over_and_lose_nothing(
    tmp_path: Path, kind: type[EngineRoom]
) -> None:
    async with fleet(tmp_path, 4, kind) as engines:
        await engines.launch("a")
        await engines.launch("b")
        await engines.until_owned(a=2, b=2)
        async with engines.loaded() as sent:
            await asyncio.sleep(0.5)
            await engines.kill("a")
            await engines.until_owned(b=4)
        await engines.room.caught_up()
        rows = await engines.room.store.ledger.orders_by_id(range(1, len(sent) + 1))
        assert len(rows) == len(sent)
        assert max(engines.told.values()) == 1, "an answer may be lost with its engine, never doubled"


@short_leases
async def test_an_engine_that_hung_and_comes_back_commits_and_publishes_nothing(
    tmp_path: Path, kind: type[EngineRoom]
) -> None:
    async with fleet(tmp_path, 2, kind) as engines:
        zombie = await engines.launch("a")
        engines.ways["a"].runs.clear()
        sent = await engines.load(0.2)
        await engines.launch("b")
        await engines.room.until(lambda: len(engines.engines["b"].sessions) == 2)
        await engines.assert_answered(sent)
        engines.ways["a"].runs.set()
        await engines.room.until(lambda: engines.ways["a"].refused > 0)
        await engines.room.until(lambda: not zombie.sessions or len(engines.engines["b"].sessions) == 1)
        await engines.assert_answered([*sent, *await engines.load(0.2)])


async def test_a_planned_hand_over_under_load_loses_and_doubles_nothing_and_is_quick(
    tmp_path: Path, kind: type[EngineRoom]
) -> None:
    async with fleet(tmp_path, 4, kind) as engines:
        await engines.launch("a")
        async with engines.loaded() as sent:
            await asyncio.sleep(0.2)
            engines.pauses.clear()
            await engines.launch("b")
            await engines.until_owned(a=2, b=2)
        await engines.assert_answered(sent)
        print("longest pause of each partition:", {part: round(s, 3) for part, s in engines.pauses.items()})
        assert max(engines.pauses.values()) < PLANNED_SECONDS


async def test_a_hand_over_uses_the_copy_that_was_loaded_before(tmp_path: Path) -> None:
    async with fleet(tmp_path, 4) as engines:
        await engines.launch("a")
        await engines.assert_answered(await engines.load(0.2))
        second = await engines.launch("b")
        early: set[int] = set()
        late: set[int] = set()
        stored = engines.ways["b"]._ledger

        class Counting:
            def __getattr__(self, name: str) -> object:
                return getattr(stored, name)

            async def load(self, part: int, to: object = None) -> object:
                owner = (await engines.leases())[part].owner or ""
                (late if owner.startswith("b") else early).add(part)
                await asyncio.sleep(0.5)
                return await stored.load(part, to)

        engines.ways["b"]._ledger = Counting()
        await engines.until_owned(a=2, b=2)
        assert early >= second.sessions.keys()
        assert not late, "each was loaded before it was owned, and not again"


async def test_who_drains_gives_everything_away_and_takes_nothing(tmp_path: Path, kind: type[EngineRoom]) -> None:
    async with fleet(tmp_path, 4, kind) as engines:
        await engines.launch("a")
        await engines.launch("b")
        await engines.launch("c")
        await engines.until_owned(a=2, b=1, c=1)
        async with engines.loaded() as sent:
            engines.engines["a"].sharing.drain(1)
            await engines.until_owned(a=0, b=2, c=2)
        await engines.assert_answered(sent)
        await asyncio.sleep(0.5)
        assert await engines.owned() == {"a": 0, "b": 2, "c": 2}
        engines.engines["a"].sharing.stay()
        assert await engines.depart("b")
        await engines.until_owned(a=2, c=2)


async def test_a_partition_that_is_given_to_one_who_begins_to_drain_does_not_stand_still(tmp_path: Path) -> None:
    async with fleet(tmp_path, 6) as engines:
        for pod in "abc":
            await engines.launch(pod)
        await engines.until_owned(a=2, b=2, c=2)
        async with engines.loaded() as sent:
            engines.engines["b"].sharing.drain(1)
            async with asyncio.timeout(30):
                while "c" not in {offer.pod for offer in engines.engines["b"].sharing.leaving.values()}:  # noqa: ASYNC110
                    await asyncio.sleep(0)
            engines.engines["c"].sharing.drain(1)  # what it accepted is on its way to it
            await engines.until_owned(a=6, b=0, c=0)
        await engines.assert_answered(sent)
        assert max(engines.pauses.values()) < STANDING_SECONDS


async def test_a_partition_is_given_away_after_all_that_was_committed_of_it_is_said(tmp_path: Path) -> None:
    async with fleet(tmp_path, 2) as engines:
        slow = SlowFeed(engines.room.feed)
        first = await engines.launch("a", feed=slow)
        await engines.launch("b")
        await engines.until_owned(a=1, b=1)
        (part,) = first.sessions
        placed = await engines.room.hold(engines.room.order("buy 1@1000", part=part))
        slow.runs.clear()
        await engines.room.journal(placed)
        await engines.room.caught_up()
        first.sharing.drain(1)
        await asyncio.sleep(1)
        assert (await engines.owned())["a"] == 1
        slow.runs.set()
        await engines.until_owned(a=0, b=2)
        await engines.assert_answered([placed[0].command_id])


async def test_the_last_engine_keeps_what_nobody_can_take_until_it_stops(tmp_path: Path) -> None:
    async with fleet(tmp_path, 2) as engines:
        only = await engines.launch("a")
        only.sharing.drain(1)
        await engines.assert_answered(await engines.load(0.5))
        assert len(only.sessions) == 2
        assert not await engines.depart("a", 0.2)
        assert {row.owner for row in (await engines.leases()).values()} == {None}


async def test_an_engine_with_claims_on_what_is_reserved_takes_nothing_else(tmp_path: Path) -> None:
    async with fleet(tmp_path, 3) as engines:
        canary = await engines.launch("canary", claim=RESERVED)
        await asyncio.sleep(0.3)
        assert canary.sessions == {} and canary.ready
        await engines.launch("a")
        await engines.until_owned(canary=0, a=3)
        engines.engines["a"].sharing.hand_over(1, "canary")
        await engines.until_owned(canary=1, a=2)
        await engines.assert_answered(await engines.load(0.3))
        assert list(canary.sessions) == [1]


@short_leases
async def test_a_halted_partition_stays_halted_and_the_others_move_on(tmp_path: Path) -> None:
    async with fleet(tmp_path, 3) as engines:
        await engines.launch("a")
        room = engines.room
        stranger = room.order("buy 5@901", part=0, order_id=99_999, valid_until_ms=1 << 50)
        await room.journal([stranger])
        await room.until(lambda: 0 in engines.engines["a"].halted)
        await engines.launch("b")
        await engines.until_owned(a=1, b=1)
        await room.until(lambda: 0 in engines.engines["b"].halted)
        await engines.kill("a")
        await engines.until_owned(b=2)
        await engines.mend(0)
        await engines.until_owned(b=3)
        assert engines.engines["b"].halted == {}


async def test_a_broken_log_halts_its_partition_alone(tmp_path: Path) -> None:
    async with fleet(tmp_path, 2) as engines:
        journal = engines.room.store.journal
        broken = BrokenJournal(journal)
        engine = await engines.launch("a", journal=broken)
        broken.parts.add(0)
        await engines.room.until(lambda: "record 7 is missing" in engine.halted.get(0, ""))
        (other,) = await engines.room.place(engines.room.order("buy 5@900", part=1))
        assert other.code == 0
        broken.parts.clear()
        assert await engines.room.store.ledger.resume_partition(0, "ann")
        await engines.until_owned(a=2)


class BrokenJournal:
    """A journal in which a record is missing of some partitions."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.parts: set[int] = set()

    def __getattr__(self, name: str) -> object:
        return getattr(self._journal, name)

    async def read(self, positions: Mapping[int, int], max_records: int, wait_seconds: float) -> list[Record]:
        for part in self.parts & positions.keys():
            raise JournalBroken(part, "record 7 is missing")
        return await self._journal.read(positions, max_records, wait_seconds)


@short_leases
async def test_leases_are_kept_while_the_first_partitions_take_longer_to_load_than_a_lease(tmp_path: Path) -> None:
    async with fleet(tmp_path, 2) as engines:
        slow = SlowLoads(engines.room.store.ledger)
        first = asyncio.create_task(engines.launch("a", ledger=slow))
        await asyncio.sleep(0.1)
        second = await engines.launch("b")
        await asyncio.sleep(1.5 * SHORT_LEASE_MS / 1000)
        assert second.sessions == {} and {row.owner for row in (await engines.leases()).values()} == {"a/1"}
        slow.ends.set()
        assert len((await first).sessions) == 2
        await engines.until_owned(a=1, b=1)


class SlowLoads:
    """A ledger that loads a partition only when it may."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.ends = asyncio.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    async def load(self, part: int, to: Restoring | None = None) -> PartState:
        await self.ends.wait()
        return await self._ledger.load(part, to)
