"""Moves log time where nobody trades: the owner of a quiet partition journals a TICK."""

import time
from collections.abc import Iterable
from typing import Final

from outcry.codec import TICK_FRAME
from outcry.ports import Journal

TICK_SECONDS: Final = 1.0  # without a record for so long the owner journals a TICK


class Quiet:
    """``hear`` of every partition that has a record; ``tick`` those that were quiet for too long.

    On a clock that never jumps: were the wall's set back, log time would stand still as long.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._heard: dict[int, float] = {}

    def hear(self, parts: Iterable[int]) -> None:
        """These partitions have a record, or a new owner, just now."""
        self._heard.update(dict.fromkeys(parts, time.monotonic()))

    async def tick(self, owned: Iterable[int]) -> None:
        """Raises OutOfService, OutcomeUnknown."""
        before = time.monotonic() - TICK_SECONDS
        due = [part for part in owned if self._heard[part] <= before]
        if due:
            self.hear(due)
            await self._journal.append([(part, TICK_FRAME) for part in due])
