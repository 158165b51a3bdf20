"""What the journal in the exchange's own file promises beyond the port: its ledger's place bounds what may go."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outcry.ports import Damaged
from outcry.rows import Checkpoint
from tests.support.storage import START_MS, Storage, fund, sqlite_storage


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    async with sqlite_storage(tmp_path) as opened:
        await fund(opened)
        yield opened


async def test_timestamps_never_go_back_within_a_partition(storage: Storage) -> None:
    await storage.journal.append([(0, b"a")])
    storage.clock.ms -= 60_000
    await storage.journal.append([(0, b"b"), (1, b"c")])
    storage.clock.ms += 60_001
    await storage.journal.append([(0, b"d")])
    read = await storage.journal.read({0: 0, 1: 0}, 10, 0)
    assert [record.timestamp_ms - START_MS for record in read] == [0, 0, 1, -60_000]


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


async def test_checkpoints_go_with_the_records_that_a_replay_from_them_would_need(storage: Storage) -> None:
    await storage.journal.append([(0, b"x")] * 10)
    await storage.own(0)
    await storage.commit(storage.batch(records=9))
    for offset in (0, 3, 6):
        await storage.ledger.save_checkpoint(Checkpoint(0, offset, START_MS, 1, 2, b"h", b"state", START_MS))
    await storage.journal.trim(0, 3)
    assert [p.next_offset for p in await storage.ledger.checkpoints(0)] == [3, 6]
