"""Moves log time where nobody trades: the owner of a quiet partition journals a TICK."""

from collections.abc import Iterable
from typing import Final

from outcry.codec import encode_frame
from outcry.market.commands import Tick
from outcry.ports import Clock, Journal

TICK_MS: Final = 1_000  # without a record for so long the owner journals a TICK
TICK: Final = encode_frame([Tick(command_id=0, symbol_id=0)])


class Quiet:
    """``hear`` of every partition that has a record; ``tick`` those that were quiet for too long."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._heard_ms: dict[int, int] = {}

    def hear(self, parts: Iterable[int]) -> None:
        """These partitions have a record, or a new owner, just now."""
        self._heard_ms.update(dict.fromkeys(parts, self._clock.now_ms()))

    async def tick(self, owned: Iterable[int]) -> None:
        """Raises OutOfService, OutcomeUnknown."""
        now_ms = self._clock.now_ms()
        due = [part for part in owned if now_ms - self._heard_ms[part] >= TICK_MS]
        if due:
            self.hear(due)
            await self._journal.append([(part, TICK) for part in due])
