"""What an engine asks of its ports is counted, while it goes on just as before."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outcry.adapters.watched import EngineWatch, Seen, watch_keeper
from outcry.ports import OutcomeUnknown
from outcry.roles.engine.engine import Engine
from outcry.rows import PartBatch
from outcry.telemetry import Telemetry
from tests.support.engine_room import BEN, EngineRoom, engine_room
from tests.test_metrics import samples


class Watched:
    """A running engine whose ports are watched, and its figures."""

    def __init__(self, room: EngineRoom) -> None:
        self.room = room
        self.telemetry = Telemetry()
        self.watch = EngineWatch(self.telemetry)

    def engine(self, ledger: object = None, **more: object) -> Engine:
        store, watch = self.room.store, self.watch
        return self.room.new_engine(
            journal=watch.journal(store.journal), ledger=watch.ledger(ledger or store.ledger),  # type: ignore[type-var]
            lease=watch.lease(store.lease), feed=watch.publisher(self.room.feed), **more,
        )  # fmt: skip

    def told(self, name: str, *labels: str) -> float:
        """A figure of the engine now; 0 where nothing is told of it."""
        return samples(self.telemetry.exposition().decode()).get((f"outcry_{name}", labels), 0.0)

    async def comes_to(self, count: int, name: str, *labels: str) -> None:
        """Waits until something was counted so often: it is noted a little later than it can be seen in the ledger."""
        await self.room.until(lambda: self.told(name, *labels) == count)


@contextlib.asynccontextmanager
async def watched(folder: Path, *, partitions: int = 1) -> AsyncIterator[Watched]:
    async with engine_room(folder, partitions=partitions, started=False) as room:
        it = Watched(room)
        room.engine = it.engine()
        await room.start()
        yield it


async def test_commits_takeovers_and_dead_letters_are_counted(tmp_path: Path) -> None:
    async with watched(tmp_path) as it:
        await it.room.place(it.room.order("buy 10@1000"))
        await it.room.place(it.room.order("sell 4@990", BEN))
        await it.room.store.journal.append([(0, b"no frame at all")])
        await it.comes_to(3, "order_stage_seconds_count", "publish")
        assert it.told("engine_takeovers_total") == it.told("engine_opening_seconds_count") == 1
        assert it.told("engine_commit_seconds_count") == it.told("order_stage_seconds_count", "match") == 3
        assert it.told("engine_dead_letters_total") == 1
        assert it.told("engine_cas_refusals_total") == 0


async def test_a_frame_ages_from_its_time_in_the_journal_to_its_commit(tmp_path: Path) -> None:
    async with engine_room(tmp_path, started=False) as room:
        it = Watched(room)
        room.engine = it.engine()
        placing = asyncio.create_task(room.place(room.order("buy 10@1000")))
        await asyncio.sleep(1)
        await room.start()
        await placing
        await it.comes_to(1, "engine_frame_seconds_count")
        assert 0.9 < it.told("engine_frame_seconds_sum") < 60


async def test_a_commit_of_what_is_anothers_now_counts_as_refused(tmp_path: Path) -> None:
    async with watched(tmp_path, partitions=2) as it:
        before = it.told("engine_commit_seconds_count")
        await it.room.store.lease.takeover(0, "room")
        await it.room.place(it.room.order("buy 10@1000"))
        assert it.told("engine_cas_refusals_total") == 1
        assert it.told("engine_takeovers_total") == 3
        assert it.told("engine_commit_seconds_count") == before + 1


async def test_a_commit_without_an_end_counts_as_failed(tmp_path: Path) -> None:
    async with watched(tmp_path) as it:
        await it.room.engine.stop()
        lost = ["the answer was lost"]

        async def commit(parts: list[PartBatch]) -> set[int]:
            named = await it.room.store.ledger.commit(parts)
            if lost:
                raise OutcomeUnknown(lost.pop())
            return named

        it.room.engine = it.engine(Seen(it.room.store.ledger, commit=commit))
        await it.room.start()
        placed = await it.room.hold(it.room.order("buy 10@1000"))
        await it.room.journal(placed)
        await it.comes_to(1, "engine_commit_failures_total", "OutcomeUnknown")


async def test_hand_overs_are_counted_and_timed_by_the_giver(tmp_path: Path) -> None:
    async with watched(tmp_path, partitions=2) as it:
        other = it.room.new_engine(owner="other/1")
        await other.start()
        running = asyncio.create_task(other.run())
        await it.room.until(lambda: it.room.engine.sharing.has_heirs)
        assert await it.room.engine.depart(10.0)
        await it.room.until(lambda: len(other.sessions) == 2)
        assert it.told("engine_handovers_total") == it.told("engine_handover_seconds_count") == 2
        assert 0 < it.told("engine_handover_seconds_sum") < 20.0
        await other.stop()
        await asyncio.gather(running)


async def test_the_keepers_folds_and_voids_are_counted(tmp_path: Path) -> None:
    async with watched(tmp_path) as it:
        ledger = watch_keeper(it.room.store.ledger, it.telemetry)
        await it.room.place(it.room.order("buy 10@1000"))
        await it.room.place(it.room.order("sell 10@1000", BEN))
        folded = await ledger.fold([0])
        assert folded == it.told("keeper_folded_postings_total") > 0
        await it.room.hold(it.room.order("buy 1@1000"), window_ms=0)
        await asyncio.sleep(0.01)
        await it.room.journal([it.room.listing(0)])
        await it.room.caught_up()
        assert len(await ledger.void(0)) == it.told("keeper_voided_orders_total") == 1


def test_what_is_not_watched_is_the_adapters_own() -> None:
    seen = Seen([3, 1, 2], index=lambda value: -1)
    assert (seen.index(1), seen.count(1)) == (-1, 1)
    with pytest.raises(AttributeError):
        _ = seen.no_such_thing
