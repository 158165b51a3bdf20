"""The reading half of the journal: a thread that follows positions and holds what it has read until it is asked for."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from outcry.adapters.kafka.client import Brokers
from outcry.adapters.kafka.library import Consumer, Lost
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

    def __init__(self, brokers: Brokers, topic: str, make: Callable[[Brokers, str], Consumer]) -> None:
        self._make = partial(make, brokers, topic)
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
        self._news: asyncio.Future[None] | None = None  # what ``read`` waits for

    async def read(self, positions: Positions, max_records: int, wait_seconds: float) -> list[Record]:
        """Records from the positions on, in order of partition; waits until there is one or the time is over.

        Raises JournalBroken for a partition that cannot be read on, OutOfService when Kafka cannot be asked.
        """
        self._loop = asyncio.get_running_loop()
        deadline = self._loop.time() + wait_seconds
        while True:
            self._news = self._loop.create_future()
            taken = self._take(positions, max_records)
            left = deadline - self._loop.time()
            if taken:
                return taken
            if left <= 0:
                if self._trouble:
                    raise OutOfService(f"The journal cannot be read: {self._trouble}.")
                return []
            timer = self._loop.call_later(left, self._ring)
            try:
                await self._news
            finally:
                timer.cancel()

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
            self._loop.call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

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
                consumer = self._make()
                self._restart()
                while not self._ended:
                    self._poll(consumer)
            except OutOfService as trouble:
                with self._lock:
                    self._trouble = str(trouble)
                time.sleep(RETRY_SECONDS)
            finally:
                if consumer is not None:
                    consumer.close()

    def _restart(self) -> None:
        """A new consumer begins behind what is held."""
        with self._lock:
            self._assigned = ()

    def _poll(self, consumer: Consumer) -> None:
        with self._lock:
            self._lock.wait_for(lambda: self._ended or (self._parts and self._room()), 1.0)
            if self._ended or not self._parts or not self._room():
                return
            self._move(consumer)
        try:
            found = consumer.poll(POLL_MS, MAX_POLL)
        except Lost as lost:
            self._break(lost)
            return
        with self._lock:
            self._trouble = ""
            for part, records in found.items():
                self._hold(part, records)
        if found:
            self._tell()

    def _room(self) -> bool:
        return sum(map(len, self._held.values())) < MAX_HELD

    def _move(self, consumer: Consumer) -> None:
        """Takes over the partitions and places that were asked for since."""
        if self._parts != self._assigned:
            consumer.assign({part: self._due(part) for part in self._parts})
            self._assigned = self._parts
        else:
            for part, offset in self._jumps.items():
                consumer.seek(part, offset)
        self._jumps.clear()

    def _due(self, part: int) -> int:
        """The offset that is read next."""
        held = self._held[part]
        return held[-1].offset + 1 if held else self._next[part]

    def _hold(self, part: int, records: list[Record]) -> None:
        """Keeps records that follow on what is held; a hole breaks the partition."""
        if part not in self._held or part in self._jumps or part in self._broken:
            return  # asked for elsewhere in the meantime
        held, due = self._held[part], self._due(part)
        for record in records:
            if record.offset != due:
                self._broken[part] = f"record {due} is missing: the journal goes on with {record.offset}"
                return
            held.append(record)
            due += 1

    def _break(self, lost: Lost) -> None:
        """Some positions are not in the log: these partitions break, the others are read on."""
        with self._lock:
            for part, reason in lost.reasons.items():
                self._broken[part] = f"record {self._next.get(part)} is not in the log ({reason})"
        self._tell()
