"""The port Journal on Kafka."""

import asyncio
import contextlib
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from outcry.adapters.kafka.client import Brokers
from outcry.adapters.kafka.consumer import Follower
from outcry.adapters.kafka.doubts import Doubts
from outcry.adapters.kafka.identity import Identity
from outcry.adapters.kafka.library import Library
from outcry.adapters.kafka.producer import Sender
from outcry.adapters.kafka.topic import Topic
from outcry.codec import TICK_FRAME
from outcry.ports import OutcomeUnknown, OutOfService
from outcry.rows import Record

OPEN_SECONDS: Final = 30.0  # for the first contact
SPOT_SECONDS: Final = 10.0  # for records that are known to exist
TRY_SECONDS: Final = 0.5  # between two looks whether a partition in doubt has to be tried


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
        self._doubts = Doubts()
        self._identity = Identity(self.topic.id)

    async def open(self, partitions: int) -> None:
        """Makes contact and checks the topic. Raises OutOfService, Damaged."""
        await asyncio.to_thread(self.topic.check, partitions)
        self.expect(*await self.topic_id())
        self.sender.open()
        await self.sender.ready(OPEN_SECONDS)

    async def topic_id(self) -> tuple[str, float]:
        """The topic's id as it is now, and when that was asked. Raises OutOfService."""
        asked_at = time.monotonic()
        return await asyncio.to_thread(self.topic.id), asked_at

    def expect(self, topic_id: str, asked_at: float) -> None:
        """From now on who follows the log is given records of this topic alone, which it had at that time."""
        self._identity.expect(topic_id, asked_at)

    async def close(self) -> None:
        await self.sender.close()
        for follower in (self._follower, self._spot):
            await asyncio.to_thread(follower.close)
        await asyncio.to_thread(self.topic.close)

    async def append(self, frames: Sequence[tuple[int, bytes]]) -> list[int]:
        if not frames:
            return []
        with self._doubts.attempt({part for part, _ in frames}):
            return await self.sender.send(frames)

    def blocked(self) -> Collection[int]:
        """Partitions that take no records now: an append failed, or takes too long, and none has succeeded since."""
        return self._doubts.blocked

    async def supervise_doubts(self) -> None:
        """Tries partitions that are in doubt until they take records again; each has one trial at a time."""
        async with asyncio.TaskGroup() as trials:
            while True:
                for part in self._doubts.untried:
                    trials.create_task(self._try(part))
                await asyncio.sleep(TRY_SECONDS)

    async def _try(self, part: int) -> None:
        with contextlib.suppress(OutOfService, OutcomeUnknown):
            await self.append([(part, TICK_FRAME)])

    async def read(self, positions: Mapping[int, int], max_records: int, wait_seconds: float) -> list[Record]:
        """Raises JournalBroken, OutOfService."""
        if wait_seconds > 0:
            records = await self._follower.read(positions, max_records, wait_seconds)
            if records and not self._identity.vouches(records):
                await asyncio.to_thread(self._identity.confirm, records)
            return records
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
