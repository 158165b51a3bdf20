"""Kafka loses the journal of engines that run or are away: they halt, say why, and guess nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from outcry.market.commands import PlaceOrder
from outcry.rows import OrderRow, PartitionRow
from tests.support.engine_room import BEN, engine_room
from tests.support.kafka_room import ConfluentRoom, KafkaRoom

MADE_ANEW = "the topic was deleted and created again: its records are not those that were applied"


@pytest.fixture(params=[ConfluentRoom, KafkaRoom], ids=lambda kind: kind.client)
async def room(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[KafkaRoom]:
    """Two partitions at work on Kafka and PostgreSQL, through each client of Kafka."""
    async with engine_room(tmp_path, partitions=2, kind=request.param) as opened:
        yield cast(KafkaRoom, opened)


async def rows_of(room: KafkaRoom, placed: list[PlaceOrder]) -> list[OrderRow]:
    return list(await room.store.ledger.orders_by_id([order.order_id for order in placed]))


async def traded(room: KafkaRoom, part: int = 0) -> tuple[list[OrderRow], PartitionRow]:
    """Some orders that rest and one that took another, with their rows, and where the partition then stands."""
    placed = await room.send_on(20, part)
    await room.place(room.order("sell 3@949", BEN, part))
    await room.caught_up()
    return await rows_of(room, placed), await room.standing(part)


async def test_a_topic_made_anew_under_load_halts_all_partitions_and_what_was_told_stands(room: KafkaRoom) -> None:
    room.is_lost = True
    before, standing = await traded(room)
    load = asyncio.create_task(room.send_on(400))
    await asyncio.sleep(0.3)
    await room.make_topic_anew()
    reasons = await room.halts([0, 1])
    sent = await load
    assert all(reason == MADE_ANEW or "is not in the log" in reason for reason in reasons), reasons
    stopped = await room.standing()
    assert stopped.next_offset >= standing.next_offset
    assert stopped.event_seq >= standing.event_seq
    after = {row.order_id: row for row in await rows_of(room, sent)}
    told = [order for order in sent if order.command_id in room.outcomes]
    assert len(told) > 0
    assert all(order.order_id in after for order in told), "each outcome that was told is a row"
    assert await room.store.ledger.orders_by_id([row.order_id for row in before]) == before
    assert (await room.standing()).next_offset == stopped.next_offset, "nothing more is applied"


async def test_a_topic_made_anew_that_is_soon_as_long_as_the_old_one_halts_within_seconds(room: KafkaRoom) -> None:
    room.is_lost = True
    await room.place(room.order("buy 1@900"))
    waiting = await room.hold(*(room.order("buy 1@901") for _ in range(30)))
    await room.make_topic_anew()
    await room.journal(waiting)
    reasons = await asyncio.wait_for(room.halts([0, 1]), 5)
    assert all(reason == MADE_ANEW or "is not in the log" in reason for reason in reasons), reasons


async def test_a_topic_made_anew_is_noticed_without_a_record_and_without_a_restart(room: KafkaRoom) -> None:
    room.is_lost = True
    await traded(room)
    await room.engine.stop()
    await room.make_topic_anew()
    assert await asyncio.wait_for(room.halts([0, 1]), 5) == [MADE_ANEW] * 2


async def test_a_halted_partition_of_a_topic_made_anew_does_not_go_on_when_it_is_resumed(room: KafkaRoom) -> None:
    room.is_lost = True
    _, standing = await traded(room)
    await room.make_topic_anew()
    async with asyncio.timeout(5):
        while await room.halts([0, 1]) != [MADE_ANEW] * 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert await room.store.ledger.resume_partition(0, "ann")
    (reason,) = await room.halts([0])
    assert "ends before record" in reason or "is not in the log" in reason
    assert (await room.standing()).next_offset >= standing.next_offset


async def test_a_partition_whose_records_kafka_threw_away_halts_alone_and_skips_nothing(room: KafkaRoom) -> None:
    room.is_lost = True
    before, standing = await traded(room)
    await room.engine.stop()
    missed = await room.send_on(5)
    other = await room.send_on(5, part=1)
    await room.kafka.trim(0, standing.next_offset + 2)
    await room.start_elsewhere()
    (reason,) = await room.halts([0])
    assert f"record {standing.next_offset} is not in the log" in reason
    await room.until(lambda: all(order.command_id in room.outcomes for order in other))
    stopped = await room.standing()
    assert (stopped.next_offset, stopped.event_seq) == (standing.next_offset, standing.event_seq)
    assert await rows_of(room, missed) == [], "what came after the hole is not applied either"
    assert await room.store.ledger.orders_by_id([row.order_id for row in before]) == before
    assert await room.store.ledger.resume_partition(0, "ann")
    assert (await room.halts([0])) == [reason]


async def test_records_that_kafka_threw_away_after_they_were_applied_are_not_missed(room: KafkaRoom) -> None:
    _, standing = await traded(room)
    await room.engine.stop()
    await room.kafka.trim(0, standing.next_offset)
    placed = await room.send_on(3)
    await room.start_elsewhere()
    await room.until(lambda: all(order.command_id in room.outcomes for order in placed))
    room.is_lost = True  # nothing is left to prove the beginning with
