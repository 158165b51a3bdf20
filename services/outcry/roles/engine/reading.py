"""The engine's way through the journal: what it has read of each partition and not applied yet."""

import asyncio
from collections import deque
from collections.abc import Collection
from typing import Final

from outcry.ports import Journal
from outcry.rows import Record

MAX_READ: Final = 256  # records taken from the journal at once
READ_SECONDS: Final = 0.5  # how long one look at the journal waits for news


class Reading:
    """``look`` is a task that brings records; ``collect`` takes them, in order, to ``unread``."""

    def __init__(self, journal: Journal) -> None:
        self.unread: deque[Record] = deque()
        self._journal = journal
        self._positions: dict[int, int] = {}  # the next offset to read
        self._task: asyncio.Task[list[Record]] | None = None

    def begin(self, part: int, offset: int) -> None:
        """Reads the partition from here on."""
        self.end([part])
        self._positions[part] = offset

    def end(self, parts: Collection[int]) -> None:
        """Reads these partitions no further, and drops what was read of them."""
        for part in parts:
            self._positions.pop(part, None)
        self.unread = deque(record for record in self.unread if record.part not in parts)
        self.stop()

    def look(self) -> "asyncio.Task[list[Record]] | None":
        """The look that is under way, or a new one; None when nothing is to be read."""
        if self._task is None and self._positions:
            self._task = asyncio.create_task(self._journal.read(dict(self._positions), MAX_READ, READ_SECONDS))
        return self._task

    def collect(self) -> list[Record]:
        """What a finished look brought. Raises what it raised: OutOfService, JournalBroken, Damaged."""
        if self._task is None or not self._task.done():
            return []
        task, self._task = self._task, None
        records = [] if task.cancelled() else task.result()
        for record in records:
            self.unread.append(record)
            self._positions[record.part] = record.offset + 1
        return records

    def stop(self) -> None:
        """Abandons the look under way, whatever it has brought: it may be out of place by now."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
