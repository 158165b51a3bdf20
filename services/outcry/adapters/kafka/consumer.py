"""The reading half of the journal: a thread that follows positions and holds what it has read until it is asked for."""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError

from outcry.adapters.kafka.client import CONSUMER
from outcry.ports import JournalBroken, OutOfService
from outcry.rows import Record

MAX_HELD: Final = 2_048  # records read ahead; beyond it the thread waits
MAX_POLL: Final = 512
POLL_MS: Final = 50
RETRY_SECONDS: Final = 0.5
CLOSE_SECONDS: Final = 3.0

Positions = Mapping[int, int]


class Follower:
    """Reads ahead of the positions that were asked for last; ``read`` is for the event loop, one reader at a time."""

    def __init__(self, servers: str, topic: str) -> None:
        self._servers = servers
        self._topic = topic
        self._lock = threading.Condition()
        self._held: dict[int, deque[Record]] = {}  # read and not taken yet, by partition
        self._next: dict[int, int] = {}  # the offset that is taken next
        self._jumps: dict[int, int] = {}  # where the thread has to seek to before it reads on
        self._parts: tuple[int, ...] = ()
        self._assigned: tuple[int, ...] = ()  # what the consumer has
        self._broken: dict[int, str] = {}
        self._trouble = ""
        self._ended = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()

    async def read(self, positions: Positions, max_records: int, wait_seconds: float) -> list[Record]:
        """Records from the positions on, in order of partition; waits until there is one or the time is over.

        Raises JournalBroken for a partition that cannot be read on, OutOfService when Kafka cannot be asked.
        """
        self._loop = asyncio.get_running_loop()
        deadline = self._loop.time() + wait_seconds
        while True:
            self._news.clear()
            taken = self._take(positions, max_records)
            left = deadline - self._loop.time()
            if taken:
                return taken
            if left <= 0:
                if self._trouble:
                    raise OutOfService(f"The journal cannot be read: {self._trouble}.")
                return []
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left)

    def close(self) -> None:
        """Ends the thread; blocks for a moment."""
        with self._lock:
            self._ended = True
            self._lock.notify_all()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    def _take(self, positions: Positions, max_records: int) -> list[Record]:
        with self._lock:
            self._follow(positions)
            for part in positions:
                if part in self._broken:
                    raise JournalBroken(part, self._broken.pop(part))
            return self._taken(positions, max_records)

    def _tell(self) -> None:
        """Wakes the reader, from the thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)

    def _follow(self, positions: Positions) -> None:
        """Makes sure that the thread reads what is asked for; what it holds of other places is dropped."""
        for part, offset in positions.items():
            if self._next.get(part) != offset:
                self._held[part] = deque()
                self._next[part] = self._jumps[part] = offset
                self._broken.pop(part, None)
        for part in [part for part in self._next if part not in positions]:
            del self._next[part], self._held[part]
            self._jumps.pop(part, None)
        self._parts = tuple(sorted(self._next))
        if self._thread is None:
            self._thread = threading.Thread(target=self._read_on, name="kafka-consumer", daemon=True)
            self._thread.start()
        self._lock.notify_all()

    def _taken(self, positions: Positions, max_records: int) -> list[Record]:
        taken: list[Record] = []
        for part in sorted(positions):
            held = self._held[part]
            while held and len(taken) < max_records:
                taken.append(held.popleft())
            if taken and taken[-1].part == part:
                self._next[part] = taken[-1].offset + 1
        self._lock.notify_all()
        return taken

    def _read_on(self) -> None:
        """The thread: a consumer for as long as it works, and then another."""
        while not self._ended:
            consumer = None
            try:
                consumer = KafkaConsumer(bootstrap_servers=self._servers.split(","), **CONSUMER)
                self._restart()
                while not self._ended:
                    self._poll(consumer)
            except (KafkaError, OSError, ValueError) as trouble:
                with self._lock:
                    self._trouble = f"{type(trouble).__name__}: {trouble}"
                time.sleep(RETRY_SECONDS)
            finally:
                if consumer is not None:
                    consumer.close(autocommit=False, timeout_ms=500)

    def _restart(self) -> None:
        """A new consumer begins behind what is held."""
        with self._lock:
            self._assigned = ()
            for part in self._parts:
                held = self._held[part]
                self._jumps[part] = held[-1].offset + 1 if held else self._next[part]

    def _poll(self, consumer: Any) -> None:
        with self._lock:
            self._lock.wait_for(lambda: self._ended or (self._parts and self._room()), 1.0)
            if self._ended or not self._parts or not self._room():
                return
            self._move(consumer)
        try:
            found = consumer.poll(POLL_MS, max_records=MAX_POLL)
        except (OffsetOutOfRangeError, LogTruncationError) as gone:
            self._break(consumer, gone)
            return
        with self._lock:
            self._trouble = ""
            for place, records in found.items():
                self._hold(place.partition, records)
        if found:
            self._tell()

    def _room(self) -> bool:
        return sum(map(len, self._held.values())) < MAX_HELD

    def _move(self, consumer: Any) -> None:
        """Takes over the partitions and places that were asked for since."""
        if self._parts != self._assigned:
            consumer.assign([TopicPartition(self._topic, part) for part in self._parts])
            for part in self._parts:
                held = self._held[part]
                self._jumps.setdefault(part, held[-1].offset + 1 if held else self._next[part])
            self._assigned = self._parts
        for part, offset in self._jumps.items():
            consumer.seek(TopicPartition(self._topic, part), offset)
        self._jumps.clear()

    def _hold(self, part: int, records: list[Any]) -> None:
        """Keeps records that follow on what is held; a hole breaks the partition."""
        if part not in self._held or part in self._jumps or part in self._broken:
            return  # asked for elsewhere in the meantime
        held = self._held[part]
        due = held[-1].offset + 1 if held else self._next[part]
        for record in records:
            if record.offset != due:
                self._broken[part] = f"record {due} is missing: the journal goes on with {record.offset}"
                return
            held.append(Record(part, record.offset, record.timestamp, record.value or b""))
            due += 1

    def _break(self, consumer: Any, gone: Exception) -> None:
        """Some positions are not in the log: these partitions break, the others are read on."""
        lost: dict[Any, Any] = gone.args[0] if gone.args and isinstance(gone.args[0], dict) else {}
        with self._lock:
            for place in lost or [TopicPartition(self._topic, part) for part in self._assigned]:
                reason = f"record {self._next.get(place.partition)} is not in the log ({type(gone).__name__})"
                self._broken[place.partition] = reason
                consumer.pause(place)
        self._tell()
