"""Kafka loses the journal of engines that run or are away: they halt, say why, and guess nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from outcry.adapters.kafka.identity import MADE_ANEW
from outcry.market.commands import PlaceOrder
from outcry.market.terms import EXPIRED
from outcry.roles.admin.losses import READ_AHEAD, Losses
from outcry.roles.admin.rules import Refused
from outcry.rows import OrderRow, PartitionRow
from tests.support.engine_room import ANN, BEN, engine_room
from tests.support.kafka_room import PATIENCE_SECONDS, ConfluentRoom, KafkaRoom


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
    known = len(room.outcomes)
    load = asyncio.create_task(room.send_on(400))
    await room.until(lambda: len(room.outcomes) > known + 10)
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
    reasons = await asyncio.wait_for(room.halts([0, 1]), PATIENCE_SECONDS)
    assert all(reason == MADE_ANEW or "is not in the log" in reason for reason in reasons), reasons


async def test_nothing_of_a_topic_made_anew_is_applied_even_before_anybody_has_looked(room: KafkaRoom) -> None:
    """The engine stood still while the topic was made anew and filled: it is given records where it would go on."""
    room.is_lost = True
    await room.place(room.order("buy 1@900"))
    await room.caught_up()
    waiting = await room.hold(*(room.order("buy 1@901") for _ in range(30)))
    room.watching.cancel()
    with room.kafka._follower._lock:
        standing = await room.standing()
        await room.make_topic_anew()
        await room.journal(waiting)
        assert (await room.kafka.end_offsets())[0] > standing.next_offset
    (reason,) = await asyncio.wait_for(room.halts([0]), 5)
    assert reason == MADE_ANEW or "is not in the log" in reason
    assert (await room.standing()).next_offset == standing.next_offset
    assert await rows_of(room, waiting) == []


async def test_a_topic_made_anew_is_noticed_without_a_record_and_without_a_restart(room: KafkaRoom) -> None:
    room.is_lost = True
    await traded(room)
    await room.engine.stop()
    await room.make_topic_anew()
    assert await asyncio.wait_for(room.halts([0, 1]), PATIENCE_SECONDS) == [MADE_ANEW] * 2


async def test_a_halted_partition_of_a_topic_made_anew_does_not_go_on_when_it_is_resumed(room: KafkaRoom) -> None:
    room.is_lost = True
    _, standing = await traded(room)
    await room.make_topic_anew()
    async with asyncio.timeout(PATIENCE_SECONDS):
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


async def give_up(room: KafkaRoom, actor: str = "", part: int = 0) -> dict[str, Any]:
    """What ``outcry skip PART --lost`` says, with ``--approve`` where somebody approves."""
    topic_id = await asyncio.to_thread(room.kafka.topic.id)
    losses = Losses(
        room.store.ledger, room.kafka, topic_id=topic_id, clock=room.clock, progress=lambda line: None
    )  # fmt: skip
    return await losses.act({"partition": part, "approve": bool(actor), "reason": "no mirror", "actor": actor})


async def goes_on(room: KafkaRoom, parts: Sequence[int], lost: Sequence[PlaceOrder]) -> None:
    """Resumed partitions trade; orders whose commands are lost end as expired, with their money back."""
    for part in parts:
        assert await room.store.ledger.resume_partition(part, "ann")
    after = [outcome for part in parts for outcome in await room.place(room.order("buy 1@800", ANN, part))]
    assert [outcome.code for outcome in after] == [0] * len(parts)
    assert all(order.command_id not in room.outcomes for order in lost)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while {row.status for row in await rows_of(room, list(lost))} != {EXPIRED}:
            await asyncio.sleep(0.5)
            await room.place(*(room.order("buy 1@801", ANN, part) for part in parts))
            for part in parts:
                await room.store.ledger.void(part)


async def test_partitions_of_a_topic_made_anew_go_on_once_two_people_gave_up_what_is_missing(room: KafkaRoom) -> None:
    room.is_lost = True
    before, _ = await traded(room)
    await room.engine.stop()
    lost = await room.hold(room.order("buy 1@900"), room.order("buy 2@900"), window_ms=2_000)
    await room.journal(lost)
    await room.make_topic_anew()
    assert await asyncio.wait_for(room.halts([0, 1]), PATIENCE_SECONDS) == [MADE_ANEW] * 2
    standing = await room.standing()
    last = standing.next_offset + READ_AHEAD - 1
    shown = await give_up(room)
    assert (shown["given_up"], shown["orders_without_outcome"]) == (f"records {standing.next_offset} to {last}", 2)
    assert [(await give_up(room, "ann"))["state"] for _ in range(2)] == ["needs 1 more approval"] * 2
    assert await room.standing() == standing
    done = await give_up(room, "ben")
    assert (done["approved_by"], done["state"]) == (
        "ann, ben",
        f"goes on at record {last + 1} when partition 0 resumes",
    )
    with pytest.raises(Refused, match="nothing is missing"):
        await give_up(room)
    for actor in ("ann", "ben"):
        await give_up(room, actor, part=1)
    await room.start_elsewhere()
    await goes_on(room, [0, 1], lost)
    assert await room.store.ledger.orders_by_id([row.order_id for row in before]) == before
    acts = [row for row in await room.store.ledger.audit_log(20) if row.action == "give up records"]
    assert {(row.subject, row.actor) for row in acts} == {("0", "ben"), ("1", "ben")}
    assert all("made anew" in row.detail for row in acts)
    room.is_lost = False  # a proof from the new beginning on, at the end


async def test_an_engine_that_read_the_lost_log_ahead_applies_none_of_it_later(room: KafkaRoom) -> None:
    """It runs all the time, and the log is lost while records wait in its memory."""
    room.is_lost = True
    load = asyncio.create_task(room.send_on(300))
    await asyncio.sleep(0.3)
    await room.make_topic_anew()
    sent = await load
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await room.halts([0, 1]) != [MADE_ANEW] * 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    for part in (0, 1):
        for actor in ("ann", "ben"):
            await give_up(room, actor, part)
    known = {row.order_id for row in await rows_of(room, sent)}
    for part in (0, 1):
        assert await room.store.ledger.resume_partition(part, "ann")
    await room.place(room.order("buy 1@800"), room.order("buy 1@800", part=1))
    assert {row.order_id for row in await rows_of(room, sent)} == known, "what was lost is not applied"
    room.is_lost = False


async def test_a_partition_goes_on_behind_records_that_kafka_threw_away(room: KafkaRoom) -> None:
    room.is_lost = True
    before, standing = await traded(room)
    await room.engine.stop()
    lost = await room.hold(room.order("buy 1@900"), room.order("buy 2@900"), window_ms=2_000)
    await room.journal(lost)
    first = standing.next_offset + 2
    kept = await room.send_on(3)
    await room.kafka.trim(0, first)
    await room.start_elsewhere()
    await room.halts([0])
    await room.keeper.checkpoint_all()
    await give_up(room, "ann")
    halted = await room.standing()
    assert (await give_up(room, "ben"))["given_up"] == f"records {standing.next_offset} to {first - 1}"
    placed = await room.standing()
    assert (placed.next_offset, placed.epoch, placed.status) == (first, halted.epoch + 1, "HALT")
    assert [each.next_offset for each in await room.store.ledger.checkpoints(0)] == [first]
    await goes_on(room, [0], lost)
    assert all(order.command_id in room.outcomes for order in kept), "what is still there is applied"
    assert await room.store.ledger.orders_by_id([row.order_id for row in before]) == before
    room.is_lost = False
