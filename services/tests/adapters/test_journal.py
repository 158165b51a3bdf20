"""The port Journal."""

import asyncio
import time

import pytest

from outcry.ports import Damaged
from outcry.rows import Record
from tests.support.storage import START_MS, Storage


def frames(records: list[Record]) -> list[tuple[int, int, bytes]]:
    return [(record.part, record.offset, record.frame) for record in records]


async def test_offsets_are_contiguous_per_partition_from_zero(storage: Storage) -> None:
    assert await storage.journal.append([(0, b"a"), (3, b"b"), (0, b"c")]) == [0, 0, 1]
    assert await storage.journal.append([(0, b"d"), (3, b"e")]) == [2, 1]
    assert await storage.journal.end_offsets() == {0: 3, 3: 2}
    assert await storage.journal.first_offsets() == {0: 0, 3: 0}


async def test_a_reader_gets_what_follows_its_positions_in_partition_order(storage: Storage) -> None:
    await storage.journal.append([(1, b"x"), (0, b"a"), (0, b"b")])
    read = await storage.journal.read({1: 0, 0: 1}, 10, 0)
    assert frames(read) == [(0, 1, b"b"), (1, 0, b"x")]


async def test_a_read_is_bounded(storage: Storage) -> None:
    await storage.journal.append([(0, b"%d" % n) for n in range(20)])
    assert frames(await storage.journal.read({0: 3}, 4, 0)) == [(0, n, b"%d" % n) for n in range(3, 7)]


async def test_an_append_wakes_a_waiting_reader_at_once(storage: Storage) -> None:
    await storage.journal.append([(0, b"a")])
    reading = asyncio.create_task(storage.journal.read({0: 1}, 10, 30))
    await asyncio.sleep(0.02)
    started = time.monotonic()
    await storage.journal.append([(0, b"b")])
    assert frames(await reading) == [(0, 1, b"b")]
    assert time.monotonic() - started < 5


async def test_a_reader_of_another_partition_keeps_waiting(storage: Storage) -> None:
    reading = asyncio.create_task(storage.journal.read({0: 0}, 10, 0.3))
    await asyncio.sleep(0.02)
    await storage.journal.append([(1, b"x")])
    assert [record for record in await reading if record.part != 0] == []


async def test_without_news_a_read_ends_empty_after_its_time(storage: Storage) -> None:
    assert await storage.journal.read({0: 0}, 10, 0.01) == []


async def test_timestamps_never_go_back_within_a_partition(storage: Storage) -> None:
    await storage.journal.append([(0, b"a")])
    storage.clock.ms -= 60_000
    await storage.journal.append([(0, b"b"), (1, b"c")])
    storage.clock.ms += 60_001
    await storage.journal.append([(0, b"d")])
    read = await storage.journal.read({0: 0, 1: 0}, 10, 0)
    assert [record.timestamp_ms - START_MS for record in read] == [0, 0, 1, -60_000]


async def test_an_append_whose_caller_has_gone_still_reaches_the_readers(storage: Storage) -> None:
    await storage.journal.append([(0, b"a")])
    reading = asyncio.create_task(storage.journal.read({0: 1}, 10, 30))
    appending = asyncio.create_task(storage.journal.append([(0, b"b")]))
    await asyncio.sleep(0)
    appending.cancel()
    assert frames(await reading) == [(0, 1, b"b")]


async def test_many_appends_at_once_keep_each_callers_order(storage: Storage) -> None:
    offsets = await asyncio.gather(*(storage.journal.append([(0, b"%d" % n)]) for n in range(300)))
    assert offsets == [[n] for n in range(300)]
    read = await storage.journal.read({0: 0}, 1000, 0)
    assert [record.frame for record in read] == [b"%d" % n for n in range(300)]


async def test_more_than_memory_keeps_is_read_from_the_beginning(storage: Storage) -> None:
    for _ in range(5):
        await storage.journal.append([(0, b"f" * 10)] * 1000)
    position = 0
    while records := await storage.journal.read({0: position}, 700, 0):
        assert [record.offset for record in records] == list(range(position, position + len(records)))
        position = records[-1].offset + 1
    assert position == 5000


async def test_trimming_deletes_what_is_applied_and_keeps_counting(storage: Storage) -> None:
    await storage.journal.append([(0, b"%d" % n) for n in range(10)])
    await storage.own(0)
    await storage.commit(storage.batch(records=8))
    assert await storage.journal.trim(0, 5) == 5
    assert await storage.journal.first_offsets() == {0: 5}
    assert await storage.journal.append([(0, b"next")]) == [10]
    assert [record.offset for record in await storage.journal.read({0: 5}, 100, 0)] == list(range(5, 11))


async def test_trimming_never_deletes_what_the_engine_still_needs(storage: Storage) -> None:
    await storage.journal.append([(0, b"%d" % n) for n in range(10)])
    await storage.own(0)
    await storage.commit(storage.batch(records=3))
    assert await storage.journal.trim(0, 10) == 3
    assert await storage.journal.trim(1, 10) == 0


async def test_the_size_is_that_of_the_kept_frames(storage: Storage) -> None:
    await storage.journal.append([(0, b"12345"), (0, b"123"), (2, b"1")])
    assert await storage.journal.size() == {0: 8, 2: 1}
    await storage.own(0)
    await storage.commit(storage.batch(records=2))
    await storage.journal.trim(0, 1)
    assert await storage.journal.size() == {0: 3, 2: 1}


async def test_a_position_before_the_oldest_record_is_damage_not_silence(storage: Storage) -> None:
    await storage.journal.append([(0, b"x" * 9000)] * 1100)
    await storage.own(0)
    await storage.commit(storage.batch(records=1000))
    await storage.journal.trim(0, 50)
    with pytest.raises(Damaged, match="begins at 50"):
        await storage.journal.read({0: 49}, 10, 0)
