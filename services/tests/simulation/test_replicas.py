"""Fewer replicas in sync than Kafka may write with: new orders are refused, those under way unknown, reads work."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from outcry.adapters.kafka.topic import NEEDED
from outcry.market.commands import PlaceOrder
from outcry.market.terms import EXPIRED, NEW, PENDING_NEW
from outcry.roles.api.desk import Desk
from outcry.roles.api.errors import Refusal
from outcry.roles.api.intents import Cancel, Place
from outcry.settings import Settings
from tests.support.engine_room import ANN, engine_room
from tests.support.kafka import kafka_servers
from tests.support.kafka_room import KafkaRoom
from tests.support.replicas import ThinConfluentRoom, ThinRoom
from tests.support.twins import Twins

LONG = os.environ.get("OUTCRY_TEST_LONG", "") == "1"
REPLY_SECONDS = 1.0
SOON_SECONDS = 20.0
SAFE = "min.insync.replicas"


class Counter:
    """A desk at the room's market."""

    def __init__(self, room: KafkaRoom) -> None:
        self.room = room
        settings = Settings(simulation_enabled=False, reply_timeout_seconds=REPLY_SECONDS)
        self.desk = Desk(
            ledger=cast(Any, room.store.ledger), journal=room.kafka, feed=room.feed, clock=room.clock,
            settings=settings, pod="room", blocked=room.kafka.blocked,
        )  # fmt: skip

    async def place(self, order: PlaceOrder | None = None) -> Any:
        """The states of what was placed, or a refusal's HTTP status and code."""
        order, market = order or self.room.order("buy 1@900"), self.room.instruments[0]
        return await self._submit(Place(instrument=market, order=order, asset=market.quote_asset, need=order.held))

    async def cancel(self, name: str) -> Any:
        return await self._submit(Cancel(instrument=self.room.instruments[0], account=ANN, client_order_id=name))

    async def _submit(self, intent: Any) -> Any:
        try:
            outcome = await self.desk.submit(intent)
        except Refusal as refusal:
            return refusal.status, refusal.code
        return [row.status for row in outcome.orders]

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(each()) for each in (self.desk.run, self.room.kafka.supervise_doubts)]
        yield
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)

    async def status(self, order: PlaceOrder) -> int:
        row = await self.room.store.ledger.order(ANN, order.symbol_id, None, order.client_order_id)
        assert row is not None
        return row.status

    async def held(self) -> int:
        return sum(each.held for each in await self.room.store.ledger.balances(ANN))


class TwinRoom(KafkaRoom):
    """Two brokers, of which the second can fall out of sync; a write needs both."""

    async def make_topic(self) -> None:
        layout = {part: [1, 2] for part in self.partitions}
        wanted = NewTopic(self.topic, -1, -1, replica_assignments=layout, topic_configs=NEEDED | {SAFE: "2"})
        admin = KafkaAdminClient(bootstrap_servers=kafka_servers())
        await asyncio.to_thread(admin.create_topics, [wanted])
        admin.close()


@pytest.fixture(params=[ThinRoom, ThinConfluentRoom] if LONG else [ThinRoom], ids=lambda kind: kind.client)
async def counter(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Counter]:
    async with engine_room(tmp_path, partitions=2, kind=request.param) as room:
        opened = Counter(cast(ThinRoom, room))
        async with opened.at_work():
            yield opened


@pytest.fixture
async def twins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Counter, Twins]]:
    brokers = Twins(tmp_path)
    try:
        await asyncio.to_thread(brokers.start)
        monkeypatch.setenv("OUTCRY_KAFKA", brokers.servers)
        async with engine_room(tmp_path, kind=TwinRoom) as room:
            opened = Counter(cast(TwinRoom, room))
            async with opened.at_work():
                yield opened, brokers
    finally:
        brokers.stop()


async def takes_orders(counter: Counter) -> None:
    async with asyncio.timeout(SOON_SECONDS):
        while await counter.place() != [NEW]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_too_few_replicas_in_sync_refuse_what_is_new_and_lose_nothing(counter: Counter) -> None:
    room = cast(ThinRoom, counter.room)
    first, second = room.order("buy 1@900"), room.order("buy 1@901")
    assert await counter.place(first) == [NEW]
    await room.require(2)
    while (answer := await counter.place(second)) == [NEW]:  # Kafka does not follow at once
        second = room.order("buy 1@901")
    assert answer == (504, -1007)
    await room.until(lambda: 0 in room.kafka.blocked())
    held = await counter.held()
    assert await counter.place() == (503, -1008)
    assert await counter.cancel(first.client_order_id) == (503, -1008)
    assert await counter.held() == held, "a refusal has written nothing"
    assert [await counter.status(order) for order in (first, second)] == [NEW, PENDING_NEW], "reads go on"
    if LONG:
        await asyncio.sleep(12.0)  # the frame is given up, and so are trials
    leases = (await room.store.lease.look()).leases
    assert all(lease.expires_in_ms > 0 for lease in leases), "engines keep their partitions"
    await room.require(1)
    await takes_orders(counter)
    await room.caught_up()
    await room.store.ledger.void(0)
    assert await counter.status(second) == (EXPIRED if LONG else NEW)


@pytest.mark.long
async def test_a_replica_that_stands_still_and_comes_back_costs_a_pause_and_no_order(
    twins: tuple[Counter, Twins],
) -> None:
    """The leader has a record that nobody else has: its acknowledgement never comes, and later ones are refused."""
    counter, brokers = twins
    first, second = counter.room.order("buy 1@900"), counter.room.order("buy 1@901")
    assert await counter.place(first) == [NEW]
    brokers.freeze()
    assert await counter.place(second) == (504, -1007)
    await counter.room.until(lambda: 0 in counter.room.kafka.blocked())
    assert await counter.place() == (503, -1008)
    assert await counter.status(first) == NEW, "reads go on"
    await asyncio.sleep(5.0)
    brokers.thaw()
    await takes_orders(counter)
    await counter.room.caught_up()
    assert await counter.status(second) == NEW
