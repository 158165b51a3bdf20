"""How far an engine is with each partition: records and commands that wait, their age, and whether anything moves."""

import time
from collections import deque
from collections.abc import Collection, Mapping
from typing import Final

from outcry.rows import Record

STALL_SECONDS: Final = 5.0  # lag that does not move for so long means that this engine is dead
MEAN_OF: Final = 1_000  # frames over which the commands of one are averaged


class Progress:
    """Told of every record that is read and of every commit; ``ends`` are the journal's, as of the last look."""

    def __init__(self) -> None:
        self.ends: dict[int, int] = {}
        self.committed: dict[int, int] = {}  # next offset in the ledger
        self._read: dict[int, deque[tuple[int, int]]] = {}  # (offset, time) of what is read and not committed
        self._stuck: dict[int, float] = {}  # since when a partition waits at its offset, on a clock that never jumps
        self._frames: deque[int] = deque(maxlen=MEAN_OF)
        self._commands = 0  # in those frames

    def begin(self, part: int, offset: int) -> None:
        """The partition is owned from this offset on."""
        self.committed[part] = offset
        self._read[part] = deque()
        self._stuck.pop(part, None)

    def forget(self, part: int) -> None:
        """The partition is not owned any more, or what was read of it is dropped."""
        self._read.pop(part, None)
        self._stuck.pop(part, None)

    def note_read(self, record: Record) -> None:
        if record.part in self._read:
            self._read[record.part].append((record.offset, record.timestamp_ms))

    def note_applied(self, commands: int) -> None:
        """One frame with so many commands was applied."""
        if len(self._frames) == MEAN_OF:
            self._commands -= self._frames[0]
        self._frames.append(commands)
        self._commands += commands

    def note_commit(self, part: int, offset: int) -> None:
        self.committed[part] = offset
        self._stuck.pop(part, None)
        read = self._read.get(part)
        while read and read[0][0] < offset:
            read.popleft()

    def note_ends(self, ends: Mapping[int, int]) -> None:
        """Takes note of the ends of the journal; partitions that are owned and behind begin to wait."""
        self.ends = dict(ends)
        for part in self._read:
            if self.lag(part):
                self._stuck.setdefault(part, time.monotonic())
            else:
                self._stuck.pop(part, None)

    @property
    def lags(self) -> dict[int, int]:
        """Records of each partition's journal that no commit has reached."""
        return {part: self.lag(part) for part in self.ends}

    def lag(self, part: int) -> int:
        return max(0, self.ends.get(part, 0) - self.committed.get(part, 0))

    def depth(self, part: int) -> int:
        """About how many commands wait."""
        lag = self.lag(part)
        return -(-lag * self._commands // len(self._frames)) if self._commands else lag

    def age_ms(self, part: int, now_ms: int) -> int:
        """How long the oldest record has waited that no commit has reached; 0 where none is known."""
        read = self._read.get(part)
        return max(0, now_ms - read[0][1]) if read and self.lag(part) else 0

    def stalled(self, beside: Collection[int] = ()) -> list[int]:
        """Owned partitions, ``beside`` those, that have had work for STALL_SECONDS and did not move."""
        due = time.monotonic() - STALL_SECONDS
        return [part for part, since in self._stuck.items() if since < due and part not in beside]
