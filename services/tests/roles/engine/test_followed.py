"""Who follows an account hears of each of its events, or that some may be missing: engines on PostgreSQL and Redis."""

import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from outcry.adapters.clock import SystemClock
from outcry.adapters.redis import RedisListener, RedisPublisher
from outcry.adapters.redis import listener as listener_module
from outcry.market.terms import LIMIT_MAKER
from outcry.ports import Execution, OutcomeUnknown, Publication
from outcry.roles.engine import sharing
from outcry.rows import PartBatch
from tests.support.engine_room import ANN, BEN
from tests.support.feeds import until
from tests.support.fleet import Fleet, fleet
from tests.support.lonely import LonelyRedis, lonely_redis
from tests.support.pg_room import PgRoom


class Mortal(RedisPublisher):
    """A publisher that is dead from some moment on: what is committed then, it says no more."""

    is_dead = False

    async def publish(self, publication: Publication) -> None:
        if not self.is_dead:
            await super().publish(publication)


class Forgetful:
    """A ledger whose connection breaks once between a commit and the word of it."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self._breaks = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def commit(self, parts: Sequence[PartBatch]) -> set[int]:
        named: set[int] = await self._ledger.commit(parts)
        if self._breaks:
            self._breaks = False
            raise OutcomeUnknown("the connection ended")
        return named


@dataclass
class Cluster:
    """Engines by pod, each with its way to Redis, and a process that follows Ann."""

    engines: Fleet
    redis: LonelyRedis
    ways: dict[str, Mortal] = field(default_factory=dict)
    heard: list[int] = field(default_factory=list)  # ids of Ann's orders, at each event
    missed: int = 0

    async def launch(self, pod: str) -> Mortal:
        store = await self.engines.room.process()
        way = self.ways[pod] = Mortal(self.redis.url, clock=SystemClock(), lease=store.lease, backlog=store.backlog)
        await way.start()
        await self.engines.launch(pod, feed=way)
        return way

    async def kill(self, pod: str) -> None:
        await self.engines.kill(pod)
        await self.ways.pop(pod).close()

    async def known(self, way: Mortal) -> None:
        """Waits until an engine has heard that somebody follows Ann."""
        await until(lambda: way.follows(ANN))

    async def place(self, text: str, account: int = ANN, **terms: Any) -> int:
        """Returns the order's id once what came of it is committed."""
        (order,) = await self.engines.room.hold(self.engines.room.order(text, account, **terms))
        await self.engines.room.journal([order])
        await self.engines.room.caught_up()
        return order.order_id

    def hear(self, execution: Execution | None) -> None:
        if execution is not None and execution.order is not None:
            self.heard.append(execution.order.order_id)

    def start_again(self, account_ids: Collection[int]) -> None:
        self.missed += ANN in account_ids


@contextlib.asynccontextmanager
async def cluster(folder: Path, partitions: int = 1) -> AsyncIterator[Cluster]:
    async with lonely_redis() as redis, fleet(folder, partitions, PgRoom) as engines:
        made = Cluster(engines, redis)
        pod = RedisListener(redis.url, pod="api-0", ledger=engines.room.store.ledger)
        await pod.start()
        pod.on_account(ANN, made.hear)
        pod.on_missed(made.start_again)
        try:
            yield made
        finally:
            await pod.close()
            for way in made.ways.values():
                await way.close()


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger is looked at often, and partitions are shared quickly."""
    monkeypatch.setattr(listener_module, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(sharing, "SHARE_SECONDS", 0.5)


async def test_private_events_alone_of_an_engine_that_died_between_commit_and_telling_are_missed(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as made:
        way = await made.launch("a")
        await made.known(way)
        await made.place("sell 5@1000", BEN)
        first = await made.place("buy 1@900")
        await until(lambda: first in made.heard)
        way.is_dead = True
        lost = await made.place("buy 1@1000", type=LIMIT_MAKER)  # is refused: nobody else hears of it
        await made.kill("a")
        assert made.missed == 0
        way = await made.launch("b")
        await until(lambda: made.missed == 1)
        assert lost not in made.heard
        last = await made.place("buy 1@901")
        await until(lambda: last in made.heard)
        assert made.missed == 1


async def test_events_of_a_commit_of_which_the_engine_never_learned_are_missed(tmp_path: Path) -> None:
    async with cluster(tmp_path) as made:
        await made.known(await made.launch("a"))
        await made.place("sell 5@1000", BEN)
        to_ledger = made.engines.ways["a"]
        to_ledger._ledger = Forgetful(to_ledger._ledger)
        lost = await made.place("buy 1@1000", type=LIMIT_MAKER)
        await until(lambda: made.missed == 1)
        assert lost not in made.heard
        last = await made.place("buy 1@901")
        await until(lambda: last in made.heard)
        assert made.missed == 1


async def test_nobody_has_to_come_after_an_engine_for_what_it_kept_back_to_be_missed(tmp_path: Path) -> None:
    async with cluster(tmp_path) as made:
        way = await made.launch("a")
        await made.known(way)
        way.is_dead = True
        await made.place("buy 1@900")
        await made.kill("a")
        await until(lambda: made.missed == 1)


async def test_an_engine_that_takes_over_from_an_emptied_redis_keeps_nothing_back_in_silence(tmp_path: Path) -> None:
    async with cluster(tmp_path) as made:
        await made.known(await made.launch("a"))
        await made.kill("a")
        made.redis.command("FLUSHALL")
        way = await made.launch("b")
        await until(lambda: not way.behind)
        assert not way.follows(ANN), "nothing is to be tested where it knows already"
        lost = await made.place("buy 1@900")
        await until(lambda: made.missed == 1)
        assert lost not in made.heard
        await made.known(way)
        last = await made.place("buy 1@901")
        await until(lambda: last in made.heard)
        assert made.missed == 1


async def test_engines_that_start_and_hand_over_under_load_let_no_follower_start_again(tmp_path: Path) -> None:
    async with cluster(tmp_path, 4) as made:
        await made.known(await made.launch("a"))
        async with made.engines.loaded() as sent:
            await made.launch("b")
            await made.engines.until_owned(a=2, b=2)
            await made.launch("c")
            assert await made.engines.depart("a")
            assert await made.engines.depart("b")
            await made.engines.until_owned(c=4)
            await until(lambda: len(sent) > 250)
        await made.engines.room.caught_up()
        rows = await made.engines.room.store.ledger.orders_by_id(range(1, len(sent) + 1))
        placed = {row.order_id for row in rows if row.account_id == ANN}
        assert len(placed) > 100
        await until(lambda: placed <= set(made.heard))
        await made.kill("c")  # all is said by now
        await made.known(await made.launch("d"))
        last = await made.place("buy 1@901")
        await until(lambda: last in made.heard)
        assert made.missed == 0
