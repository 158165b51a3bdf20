"""The partitions that an engine owns: taken over, loaded exactly at the ledger's offset, checked, or halted.

Opening one takes its time; it happens beside the commits of the others, which wait for nothing here.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from outcry.leases import Lease
from outcry.ports import EngineLedger, Journal, JournalBroken, OutcomeUnknown, OutOfService, Publication, Publisher
from outcry.roles.engine.copies import Copies
from outcry.roles.engine.opening import Opening, uncollected
from outcry.roles.engine.session import Session
from outcry.rows import PartitionRow, PartState, Record

MAX_OPENING: Final = 4  # partitions that are loaded at once
MAX_REASON: Final = 500  # characters of a halt's reason

log = logging.getLogger(__name__)


class Ownership:
    """``sessions`` by partition. What is opened waits in ``arrived`` until ``collect``; ``ring`` announces it."""

    def __init__(
        self, *, journal: Journal, ledger: EngineLedger, lease: Lease, feed: Publisher, owner: str,
        copies: Copies, ring: Callable[[], None],
    ) -> None:  # fmt: skip
        self.sessions: dict[int, Session] = {}
        self.arrived: dict[int, Session] = {}
        self.halted: dict[int, str] = {}
        self.looks = 0  # at the table of leases, begun so far
        self._journal = journal
        self._ledger = ledger
        self._lease = lease
        self._feed = feed
        self._owner = owner
        self._copies = copies
        self._ring = ring
        self._opening: dict[int, asyncio.Task[None]] = {}
        self._epochs: dict[int, int] = {}  # of what is being opened
        self._halted_at: dict[int, int] = {}  # looks begun when a halt had been written
        self._few_at_once = asyncio.Semaphore(MAX_OPENING)

    @property
    def held(self) -> set[int]:
        """Partitions that are owned, or may soon be."""
        return {*self.sessions, *self.arrived, *self._opening}

    @property
    def loading(self) -> dict[int, int]:
        """The epochs of partitions that are taken over and not open yet."""
        return dict(self._epochs)

    def open(self, part: int) -> None:
        """Takes a partition over and loads it, if it is free."""
        if part not in self.held:
            self._opening[part] = asyncio.create_task(self._open(part))

    async def opened(self) -> None:
        """Waits for all that is being opened. Raises what stands in its way."""
        for task in list(self._opening.values()):
            await task

    def collect(self) -> dict[int, Session]:
        """Moves what has arrived to the sessions, and returns it. Raises what opening raised, trouble excepted."""
        for part, task in list(self._opening.items()):
            if task.done():
                del self._opening[part]
                self._epochs.pop(part, None)
                if not isinstance(task.exception(), OutOfService | OutcomeUnknown):
                    task.result()
        arrived, self.arrived = self.arrived, {}
        self.sessions |= arrived
        return arrived

    def note_halts(self, halts: Mapping[int, str], look: int) -> None:
        """Takes the halts that the table showed in a look; one that was begun before a halt was written knows less."""
        for part in [part for part in self.halted if part not in halts]:
            if look > self._halted_at.get(part, 0):
                del self.halted[part]
        for part in halts.keys() - self.halted.keys():
            log.error("Partition %d is halted: %s", part, halts[part])
            self.halted[part] = halts[part]

    async def renew(self) -> list[int]:
        """Renews the leases; returns the partitions that are another's now."""
        epochs = self._epochs | {part: session.epoch for part, session in self.sessions.items()}
        kept = await self._lease.renew(epochs) if epochs else set()
        return [part for part in self.sessions if part in epochs and part not in kept]

    async def halt(self, part: int, reason: str) -> None:
        """Stops a partition until a person decides; nothing uncommitted of it is kept."""
        session = self.sessions.pop(part, None)
        if session is not None:
            self._feed.retire([part])
            await self._halt(part, session.epoch, reason)

    async def close(self, seconds: float) -> None:
        """Lets what is being opened end, but not for longer than that, and others have the partitions at once."""
        if self._opening:
            await asyncio.wait(self._opening.values(), timeout=seconds)
        epochs = self._epochs | {part: session.epoch for part, session in {**self.arrived, **self.sessions}.items()}
        self._feed.retire(epochs)
        self.arrived.clear()
        self.sessions.clear()
        for part, epoch in epochs.items():
            await self._lease.release(part, epoch)

    def forget(self, parts: Iterable[int]) -> None:
        """Drops sessions whose uncommitted work is void; whoever opens them again reads the truth."""
        parts = list(parts)
        self._feed.retire(parts)
        for part in parts:
            self.sessions.pop(part, None)

    def forget_halts(self) -> None:
        """Looks again at every partition, for a person may have opened it."""
        self.halted.clear()
        self._halted_at.clear()

    async def _halt(self, part: int, epoch: int, reason: str) -> None:
        """If it cannot be written, the partition is opened again and fails again."""
        reason = reason[:MAX_REASON]
        self.halted[part] = reason
        log.critical("Partition %d halts: %s", part, reason)
        try:
            await self._lease.halt(part, epoch, reason)
        finally:
            self._halted_at[part] = self.looks

    async def _open(self, part: int) -> None:
        async with self._few_at_once:
            row = await self._lease.takeover(part, self._owner)
            if row is None:
                return
            self._epochs[part] = row.epoch
            session = await self._adopt(row) or await self._load(row)
        if session is not None:
            session.open_to(self._feed.follows)
            updates = session.snapshots()
            if updates:
                await self._feed.publish(Publication(updates=tuple(updates)))
            self.arrived[part] = session
        self._ring()

    async def _adopt(self, row: PartitionRow) -> Session | None:
        try:
            return await self._copies.adopt(row)
        except (OutOfService, JournalBroken) as trouble:
            log.warning("The copy of partition %d cannot be completed: %s", row.part, trouble)
            return None

    async def _load(self, row: PartitionRow) -> Session | None:
        opening = Opening()
        with uncollected(row.part):
            state = await self._ledger.load(row.part, opening)
        if state.row.epoch != row.epoch:
            return None  # another takeover came between
        opened = await self._checked(opening, state)
        if isinstance(opened, str):
            await self._halt(row.part, row.epoch, opened)
            return None
        return opened

    async def _checked(self, opening: Opening, state: PartState) -> Session | str:
        """A session, or why the partition must halt."""
        tail = await self._tail(state.row.part, state.row.next_offset - 1)
        return tail if isinstance(tail, str) else opening.check(state, tail)

    async def _tail(self, part: int, offset: int) -> Record | str | None:
        """The last applied record, None where the journal has deleted it, or what is wrong with the journal."""
        if offset < 0:
            return None
        if (await self._journal.end_offsets()).get(part, 0) <= offset:
            return f"the journal ends before record {offset}, which was applied already"
        if (await self._journal.first_offsets()).get(part, 0) > offset:
            return None
        try:
            return (await self._journal.read({part: offset}, 1, 0))[0]
        except JournalBroken as broken:
            return broken.reason
