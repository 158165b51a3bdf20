"""The partitions that an engine owns: taken over, loaded exactly at the ledger's offset, checked, or halted."""

import logging
from collections.abc import Iterable, Sequence
from typing import Final

from outcry.ports import Clock, EngineLedger, Feed, Journal, Lease, Publication
from outcry.roles.engine.session import Contradiction, Session
from outcry.rows import PartState, Record

RENEW_MS: Final = 2_000  # a third of a lease
MAX_REASON: Final = 500  # characters of a halt's reason

log = logging.getLogger(__name__)


class Ownership:
    """``sessions`` by partition; a partition is in there, halted, or waits to be acquired."""

    def __init__(
        self, *, journal: Journal, ledger: EngineLedger, lease: Lease, feed: Feed, clock: Clock, owner: str,
        partitions: Sequence[int],
    ) -> None:  # fmt: skip
        self.sessions: dict[int, Session] = {}
        self.halted: dict[int, str] = {}
        self._journal = journal
        self._ledger = ledger
        self._lease = lease
        self._feed = feed
        self._clock = clock
        self._owner = owner
        self._partitions = tuple(partitions)
        self._renewed_ms = 0

    @property
    def wanted(self) -> list[int]:
        """Partitions to acquire."""
        return [part for part in self._partitions if part not in self.sessions and part not in self.halted]

    async def acquire(self) -> list[int]:
        """Takes over and loads what is wanted and free, publishes the books; returns what is owned now and was not."""
        taken = []
        for part in self.wanted:
            row = await self._lease.takeover(part, self._owner)
            state = await self._ledger.load(part)
            if state.row.status == "HALT":
                self.halted[part] = state.row.halt_reason or "halted by an operator"
                log.error("Partition %d is halted: %s", part, self.halted[part])
            elif row is not None and state.row.epoch == row.epoch and await self._open(state):
                taken.append(part)
        return taken

    async def renew(self) -> list[int]:
        """Renews the leases when it is time; returns the partitions that are another's now."""
        now_ms = self._clock.now_ms()
        if now_ms - self._renewed_ms < RENEW_MS or not self.sessions:
            return []
        self._renewed_ms = now_ms
        epochs = {part: session.epoch for part, session in self.sessions.items()}
        kept = await self._lease.renew(epochs)
        return [part for part in epochs if part not in kept]

    async def halt(self, part: int, reason: str) -> None:
        """Stops a partition until a person decides; nothing uncommitted of it is kept."""
        reason = reason[:MAX_REASON]
        session = self.sessions.pop(part, None)
        self.halted[part] = reason
        log.critical("Partition %d halts: %s", part, reason)
        if session is not None:
            self._feed.retire([part])
            await self._lease.halt(part, session.epoch, reason)

    async def release(self) -> None:
        """Lets others have the partitions at once."""
        self._feed.retire(self.sessions)
        for part, session in self.sessions.items():
            await self._lease.release(part, session.epoch)
        self.sessions.clear()

    def forget(self, parts: Iterable[int]) -> None:
        """Drops sessions whose uncommitted work is void; ``acquire`` reads the truth again."""
        parts = list(parts)
        self._feed.retire(parts)
        for part in parts:
            self.sessions.pop(part, None)

    def forget_halts(self) -> None:
        """Looks again at every partition, for a person may have opened it."""
        self.halted.clear()

    async def _open(self, state: PartState) -> bool:
        part = state.row.part
        tail = await self._tail(part, state.row.next_offset - 1)
        session = supervise_opening(state, tail, self._feed)
        if isinstance(session, Session):
            self.sessions[part] = session
            updates = session.snapshots()
            if updates:
                await self._feed.publish(Publication(updates=tuple(updates)))
            return True
        self.halted[part] = session[:MAX_REASON]
        log.critical("Partition %d halts: %s", part, session)
        await self._lease.halt(part, state.row.epoch, session[:MAX_REASON])
        return False

    async def _tail(self, part: int, offset: int) -> Record | str | None:
        """The last applied record, None where the journal has deleted it, or what is wrong with the journal."""
        if offset < 0:
            return None
        if (await self._journal.end_offsets()).get(part, 0) <= offset:
            return f"the journal ends before record {offset}, which was applied already"
        if (await self._journal.first_offsets()).get(part, 0) > offset:
            return None
        return (await self._journal.read({part: offset}, 1, 0))[0]


def supervise_opening(state: PartState, tail: Record | str | None, feed: Feed) -> Session | str:
    """A session on sound state, or why there can be none: whatever goes wrong here halts one partition alone."""
    if isinstance(tail, str):
        return tail
    try:
        session = Session(state, follows=feed.follows)
        session.check(state, tail)
        return session
    except Contradiction as found:
        return str(found)
    except Exception as bug:
        log.exception("The state of partition %d cannot be built.", state.row.part)
        return f"the stored state cannot be built: {type(bug).__name__}: {bug}"
