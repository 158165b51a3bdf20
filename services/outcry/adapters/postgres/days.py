"""The day tables of trades and postings: made a week ahead, and on demand where log time is elsewhere."""

from collections.abc import Sequence
from typing import Final

from outcry.adapters.postgres.writer import Connection
from outcry.rows import PartBatch

DAY_MS: Final = 86_400_000
LAST_DAY: Final = 2_932_896  # the year 9999: a time beyond it is refused, not given a table

MAKE: Final = "SELECT outcry_make_days($1, $2)"


class Days:
    """Remembers which days have their tables."""

    def __init__(self) -> None:
        self._made: set[int] = set()

    async def make(self, connection: Connection, parts: Sequence[PartBatch]) -> None:
        """Makes the days that a batch writes to. Outside of its transaction, so that nobody waits for its end."""
        for day in sorted(_days_of(parts) - self._made):
            if 0 <= day <= LAST_DAY:
                await connection.execute(MAKE, day * DAY_MS, 1)
            self._made.add(day)


def _days_of(parts: Sequence[PartBatch]) -> set[int]:
    days = {batch.advance.log_time // DAY_MS for batch in parts if batch.postings}
    for batch in parts:
        days |= {row.time_ms // DAY_MS for row in batch.trades}
    return days
