"""A reader of the journal on Kafka: it stands where it was told to, and says so where it cannot."""

import pytest

from outcry.adapters.kafka.client import CONSUMER
from outcry.ports import JournalBroken
from tests.support.kafka import kafka_journal


def test_no_reader_has_a_position_of_its_own() -> None:
    assert CONSUMER["group_id"] is None
    assert CONSUMER["enable_auto_commit"] is False
    assert CONSUMER["auto_offset_reset"] == "none"


async def test_a_reader_behind_all_that_kafka_kept_is_told_so() -> None:
    async with kafka_journal() as journal:
        await journal.append([(0, b"frame")] * 3)
        await journal.trim(0, 2)
        with pytest.raises(JournalBroken):
            await journal.read({0: 0}, 10, 5.0)
