"""The port Journal."""

import asyncio
import time

from outcry.roles.engine.keeper import SizedJournal
from outcry.rows import Record


def frames(records: list[Record]) -> list[tuple[int, int, bytes]]:
    return [(record.part, record.offset, record.frame) for record in records]


async def test_offsets_are_contiguous_per_partition_from_zero(journal: SizedJournal) -> None:
    assert await journal.append([(0, b"a"), (3, b"b"), (0, b"c")]) == [0, 0, 1]
    assert await journal.append([(0, b"d"), (3, b"e")]) == [2, 1]
    ends, firsts = await journal.end_offsets(), await journal.first_offsets()
    assert [ends[part] for part in (0, 3)] == [3, 2]
    assert [firsts[part] for part in (0, 3)] == [0, 0]


async def test_a_reader_gets_what_follows_its_positions_in_partition_order(journal: SizedJournal) -> None:
    await journal.append([(1, b"x"), (0, b"a"), (0, b"b")])
    read = await journal.read({1: 0, 0: 1}, 10, 0)
    assert frames(read) == [(0, 1, b"b"), (1, 0, b"x")]


async def test_a_read_is_bounded(journal: SizedJournal) -> None:
    await journal.append([(0, b"%d" % n) for n in range(20)])
    assert frames(await journal.read({0: 3}, 4, 0)) == [(0, n, b"%d" % n) for n in range(3, 7)]


async def test_an_append_wakes_a_waiting_reader_at_once(journal: SizedJournal) -> None:
    await journal.append([(0, b"a")])
    reading = asyncio.create_task(journal.read({0: 1}, 10, 30))
    await asyncio.sleep(0.02)
    started = time.monotonic()
    await journal.append([(0, b"b")])
    assert frames(await reading) == [(0, 1, b"b")]
    assert time.monotonic() - started < 15


async def test_a_reader_of_another_partition_keeps_waiting(journal: SizedJournal) -> None:
    reading = asyncio.create_task(journal.read({0: 0}, 10, 0.3))
    await asyncio.sleep(0.02)
    await journal.append([(1, b"x")])
    assert [record for record in await reading if record.part != 0] == []


async def test_without_news_a_read_ends_empty_after_its_time(journal: SizedJournal) -> None:
    assert await journal.read({0: 0}, 10, 0.01) == []


async def test_an_append_whose_caller_has_gone_still_reaches_the_readers(journal: SizedJournal) -> None:
    await journal.append([(0, b"a")])
    reading = asyncio.create_task(journal.read({0: 1}, 10, 30))
    appending = asyncio.create_task(journal.append([(0, b"b")]))
    await asyncio.sleep(0)
    appending.cancel()
    assert frames(await reading) == [(0, 1, b"b")]


async def test_many_appends_at_once_keep_each_callers_order(journal: SizedJournal) -> None:
    offsets = await asyncio.gather(*(journal.append([(0, b"%d" % n)]) for n in range(300)))
    assert offsets == [[n] for n in range(300)]
    read = await journal.read({0: 0}, 1000, 0)
    assert [record.frame for record in read] == [b"%d" % n for n in range(300)]


async def test_more_than_memory_keeps_is_read_from_the_beginning(journal: SizedJournal) -> None:
    for _ in range(5):
        await journal.append([(0, b"f" * 10)] * 1000)
    position = 0
    while records := await journal.read({0: position}, 700, 0):
        assert [record.offset for record in records] == list(range(position, position + len(records)))
        position = records[-1].offset + 1
    assert position == 5000
