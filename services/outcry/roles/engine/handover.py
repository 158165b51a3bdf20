"""The giving side of a planned hand-over: a partition stands still, is committed, and then is another's."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping

from outcry.ports import OutcomeUnknown, OutOfService
from outcry.roles.engine.reading import Reading
from outcry.roles.engine.session import Session
from outcry.roles.engine.sharing import Sharing

log = logging.getLogger(__name__)


class HandOver:
    """``turn`` is called in every round of the engine's loop; ``still`` partitions are not matched meanwhile."""

    def __init__(
        self, sharing: Sharing, reading: Reading, sessions: Mapping[int, Session], *,
        said: Callable[[], Awaitable[None]], ring: Callable[[], None],
    ) -> None:  # fmt: skip
        self._sharing = sharing
        self._reading = reading
        self._sessions = sessions
        self._said = said
        self._ring = ring
        self._still: dict[int, asyncio.Task[bool] | None] = {}  # None: its last work is not committed yet

    def __contains__(self, part: int) -> bool:
        return part in self._still

    def forget(self, part: int) -> None:
        """The partition is opened anew: whatever was going on with it is over."""
        self._still.pop(part, None)

    def turn(self, under_way: Collection[int]) -> list[int]:
        """Goes on with all that are to leave; returns the partitions that have gone.

        ``under_way`` are those whose batch is not committed yet.
        """
        for part in self._sharing.leaving:
            if part in self._sessions and part not in self._still:
                self._still[part] = None
                self._reading.end([part])
        gone = []
        for part, giving in list(self._still.items()):
            session = self._sessions.get(part)
            if session is None:
                del self._still[part]
            elif giving is None:
                if not session.changed and part not in under_way:
                    self._still[part] = asyncio.create_task(self._give(part, session.epoch))
            elif giving.done():
                del self._still[part]
                if giving.result():
                    gone.append(part)
                else:
                    self._reading.begin(part, session.next_offset)
        return gone

    async def _give(self, part: int, epoch: int) -> bool:
        """Whether the partition has gone; where nobody knows, it is dropped, and the table tells.

        All that was committed of it is published before another may say more.
        """
        try:
            await self._said()
            return await self._sharing.give(part, epoch)
        except (OutOfService, OutcomeUnknown) as trouble:
            log.warning("Whether partition %d was handed over is unknown: %s", part, trouble)
            return True
        finally:
            self._ring()
