"""The port Journal on Kafka."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from outcry.adapters.kafka.client import Brokers
from outcry.adapters.kafka.consumer import Follower
from outcry.adapters.kafka.library import Library
from outcry.adapters.kafka.producer import Sender
from outcry.adapters.kafka.topic import Topic
from outcry.ports import OutOfService
from outcry.rows import Record

OPEN_SECONDS: Final = 30.0  # for the first contact
SPOT_SECONDS: Final = 10.0  # for records that are known to exist


class KafkaJournal:
    """Keeps ``ports.Journal`` on one topic whose partitions are those of the exchange.

    A read that waits follows the log; one that does not (``wait_seconds`` 0) looks at what is there through a
    consumer of its own, so that it disturbs no follower.
    """

    def __init__(self, brokers: Brokers, topic: str, library: Library) -> None:
        """``library`` sends and reads; the topic itself is asked about through kafka-python whatever it is."""
        self.topic = Topic(brokers, topic)
        self.sender = Sender(brokers, topic, library.producer)
        self._follower = Follower(brokers, topic, library.consumer)
        self._spot = Follower(brokers, topic, library.consumer)
        self._one_look = asyncio.Lock()

    async def open(self, partitions: int) -> None:
        """Makes contact and checks the topic. Raises OutOfService, Damaged."""
        await asyncio.to_thread(self.topic.check, partitions)
        self.sender.open()
        await self.sender.ready(OPEN_SECONDS)

    async def close(self) -> None:
        await self.sender.close()
        for follower in (self._follower, self._spot):
            await asyncio.to_thread(follower.close)
        await asyncio.to_thread(self.topic.close)

    async def append(self, frames: Sequence[tuple[int, bytes]]) -> list[int]:
        return await self.sender.send(frames) if frames else []

    async def read(self, positions: Mapping[int, int], max_records: int, wait_seconds: float) -> list[Record]:
        """Raises JournalBroken, OutOfService."""
        if wait_seconds > 0:
            return await self._follower.read(positions, max_records, wait_seconds)
        async with self._one_look:
            ends = await self.end_offsets()
            there = {part: offset for part, offset in positions.items() if offset < ends.get(part, 0)}
            if not there:
                return []
            return await self._look(there, max_records)

    async def _look(self, there: dict[int, int], max_records: int) -> list[Record]:
        """Records of every partition, as many as there may be: what one fetch brings can be of some of them only.

        Raises OutOfService where none comes of those that Kafka says it has.
        """
        found: list[Record] = []
        silent = set(there)
        while silent and len(found) < max_records:
            records = await self._spot.read(there, max_records - len(found), SPOT_SECONDS)
            if not records and not found:
                raise OutOfService(f"Kafka has records of partitions {sorted(there)} and sends none of them.")
            if not records:
                break
            there |= {record.part: record.offset + 1 for record in records}
            silent -= {record.part for record in records}
            found += records
        return sorted(found)

    async def end_offsets(self) -> dict[int, int]:
        return await asyncio.to_thread(self.topic.ends)

    async def first_offsets(self) -> dict[int, int]:
        return await asyncio.to_thread(self.topic.beginnings)

    async def trim(self, part: int, before_offset: int) -> int:
        first = (await self.first_offsets()).get(part, 0)
        if before_offset <= first:
            return 0
        await asyncio.to_thread(self.topic.trim, part, before_offset)
        return before_offset - first

    async def size(self) -> dict[int, int]:
        return await asyncio.to_thread(self.topic.sizes)
