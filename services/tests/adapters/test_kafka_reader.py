"""A reader of the journal on Kafka: it stands where it was told to, and says so where it cannot."""

import time
from collections.abc import Mapping

import pytest

from outcry.adapters.kafka import Brokers, KafkaJournal
from outcry.adapters.kafka import journal as journal_module
from outcry.adapters.kafka.client import CONSUMER
from outcry.ports import JournalBroken, OutOfService
from outcry.rows import Record
from tests.support.kafka import kafka_journal, kafka_library, kafka_servers


def test_no_reader_has_a_position_of_its_own() -> None:
    assert CONSUMER["group_id"] is None
    assert CONSUMER["enable_auto_commit"] is False
    assert CONSUMER["auto_offset_reset"] == "none"


def test_no_reader_of_librdkafka_has_a_position_of_its_own() -> None:
    kafka_library("confluent")
    from outcry.adapters.kafka import confluent

    assert confluent.CONSUMER["enable.auto.commit"] is False
    assert confluent.CONSUMER["enable.auto.offset.store"] is False
    assert confluent.CONSUMER["auto.offset.reset"] == "error"


async def test_a_reader_behind_all_that_kafka_kept_is_told_so(client: str) -> None:
    async with kafka_journal(client=client) as journal:
        await journal.append([(0, b"frame")] * 3)
        await journal.trim(0, 2)
        with pytest.raises(JournalBroken, match="record 0 is not in the log"):
            await journal.read({0: 0}, 10, 5.0)


async def test_a_reader_ahead_of_the_log_is_told_so(client: str) -> None:
    async with kafka_journal(client=client) as journal:
        await journal.append([(0, b"frame")] * 3)
        with pytest.raises(JournalBroken, match="record 9 is not in the log"):
            await journal.read({0: 9}, 10, 5.0)


async def test_a_broken_partition_stops_no_other(client: str) -> None:
    async with kafka_journal(client=client) as journal:
        await journal.append([(0, b"gone"), (0, b"kept"), (1, b"other")])
        await journal.trim(0, 1)
        told, read = [], []
        for _ in range(4):
            try:
                read += await journal.read({0: 0, 1: len(read)}, 10, 1.0)
            except JournalBroken as broken:
                told.append(broken.part)
        assert (told, [record.frame for record in read]) == ([0], [b"other"])


async def test_a_reader_that_was_lost_goes_on_where_it_is_told_to(client: str) -> None:
    async with kafka_journal(client=client) as journal:
        await journal.append([(0, b"gone"), (0, b"kept")])
        await journal.trim(0, 1)
        with pytest.raises(JournalBroken):
            await journal.read({0: 0}, 10, 5.0)
        assert [record.frame for record in await journal.read({0: 1}, 10, 5.0)] == [b"kept"]


async def test_a_reader_that_jumps_gets_nothing_of_where_it_was(client: str) -> None:
    async with kafka_journal(client=client) as journal:
        await journal.append([(part, b"%d" % n) for n in range(50) for part in (0, 1)])
        follower = 5
        for offset in (0, 30, 10, 49):
            jumped: list[int] = []
            while not jumped:
                for record in await journal.read({0: offset, 1: follower}, 3, 5.0):
                    if record.part == 0:
                        jumped.append(record.offset)
                    else:
                        assert record.offset == follower
                        follower += 1
            assert jumped == list(range(offset, offset + len(jumped)))


async def test_a_record_comes_with_the_brokers_time(client: str) -> None:
    async with kafka_journal(client=client) as journal:
        await journal.append([(0, b"frame")])
        (record,) = await journal.read({0: 0}, 1, 5.0)
        assert record.timestamp_ms > 1_600_000_000_000


class Mute:
    """A consumer whose broker sends nothing."""

    def __init__(self, brokers: Brokers, topic: str) -> None: ...
    def assign(self, positions: Mapping[int, int]) -> None: ...
    def seek(self, part: int, offset: int) -> None: ...
    def close(self) -> None: ...

    def poll(self, timeout_ms: int, max_records: int) -> Mapping[int, list[Record]]:
        time.sleep(timeout_ms / 1000)
        return {}


async def test_records_that_kafka_says_it_has_and_does_not_send_are_no_end_of_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal_module, "SPOT_SECONDS", 0.3)
    async with kafka_journal() as writing:
        await writing.append([(0, b"frame")])
        brokers = Brokers(servers=kafka_servers())
        reading = KafkaJournal(brokers, writing.topic.name, kafka_library("kafka")._replace(consumer=Mute))
        with pytest.raises(OutOfService, match="sends none of them"):
            await reading.read({0: 0}, 10, 0)
        assert await reading.read({0: 1}, 10, 0) == []
        await reading.close()
