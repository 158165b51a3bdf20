"""Which partitions Kafka takes nothing for just now, as far as this process can tell.

An order that is held and then cannot be journaled keeps its client waiting for nothing. So who takes orders in asks
here first, and while a partition is in doubt it is tried with a record that means nothing.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterator
from typing import Final

from outcry.ports import OutcomeUnknown, OutOfService

STALL_SECONDS: Final = 2.0  # an append that takes longer speaks against its partitions; a leader's election takes less

log = logging.getLogger(__name__)


class Doubts:
    """Told of every append by ``attempt``; belongs to the event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._under_way: dict[object, tuple[float, Collection[int]]] = {}  # since when and for which partitions
        self._failed: set[int] = set()  # an append failed, and none has succeeded that ended later
        self._taken: dict[int, float] = {}  # when an append of each succeeded last

    @contextlib.contextmanager
    def attempt(self, parts: Collection[int]) -> Iterator[None]:
        """One append. OutOfService and OutcomeUnknown from within speak against its partitions."""
        token, since = object(), self._clock()
        self._under_way[token] = since, parts
        try:
            yield
            self._clear(parts)
        except (OutOfService, OutcomeUnknown) as trouble:
            self._suspect(self._silent(parts, since) - self._failed, trouble)
            raise
        finally:
            del self._under_way[token]

    @property
    def blocked(self) -> Collection[int]:
        """Partitions for which nothing should be begun."""
        late = self._clock() - STALL_SECONDS
        stalled = set(self._failed)
        for since, parts in self._under_way.values():  # oldest first
            if since > late:
                break
            stalled |= self._silent(parts, late)
        return stalled

    @property
    def untried(self) -> Collection[int]:
        """Those that failed and for which nothing is on its way that could show otherwise."""
        return self._failed.difference(*(parts for _, parts in self._under_way.values()))

    def _silent(self, parts: Collection[int], since: float) -> set[int]:
        """Those of which no record was taken since: others of the same append may have been at fault."""
        return {part for part in parts if self._taken.get(part, since) <= since}

    def _suspect(self, parts: Collection[int], trouble: Exception) -> None:
        if parts:
            log.warning("Kafka takes nothing for partitions %s: %s", sorted(parts), trouble)
        self._failed.update(parts)

    def _clear(self, parts: Collection[int]) -> None:
        self._taken.update(dict.fromkeys(parts, self._clock()))
        if not self._failed.isdisjoint(parts):
            log.warning("Kafka takes records of partitions %s again.", sorted(self._failed.intersection(parts)))
            self._failed.difference_update(parts)
