"""Whether records come from the topic that was applied so far, and not from another one of the same name.

Clients of Kafka ask for records by the topic's name. A topic that is deleted, made anew and filled up to the place
where a reader stands would be read on in silence; only its id tells it from the old one. A record at an offset takes
time to come: a topic that had the right id a moment ago is no other one that is as long by now. So a young log is asked
for its id often, and one of a million records hardly ever.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from outcry.ports import JournalBroken
from outcry.rows import Record

FILL_PER_SECOND: Final = 250_000  # records that the log of one partition can take at most


class Identity:
    """``expect`` the topic's id, then have the records of each read ``confirm``ed. Belongs to one event loop."""

    def __init__(self, ask: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        """``ask`` gives the topic's id as Kafka has it now; it blocks, and raises OutOfService."""
        self._ask = ask
        self._clock = clock
        self._expected = ""
        self._seen_at = 0.0  # when the topic still had the expected id

    def expect(self, topic_id: str, asked_at: float) -> None:
        """The topic had this id, and not before ``asked_at`` on the clock."""
        self._expected, self._seen_at = topic_id, asked_at

    def vouches(self, records: Sequence[Record]) -> bool:
        """Whether records that were just read are too far on in their logs to be of a newer topic."""
        return self._clock() - self._seen_at <= min(record.offset for record in records) / FILL_PER_SECOND

    def confirm(self, records: Sequence[Record]) -> None:
        """Blocks. Raises JournalBroken where the records may be another topic's, OutOfService."""
        asked_at = self._clock()
        found = self._ask()
        if found != self._expected:
            raise JournalBroken(records[0].part, MADE_ANEW)
        self._seen_at = asked_at


MADE_ANEW: Final = "the topic was deleted and created again: its records are not those that were applied"
