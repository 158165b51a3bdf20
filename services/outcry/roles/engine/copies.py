"""Read-only copies of partitions that others own: loaded in the background, followed as far as the owner committed.

A copy commits and publishes nothing. It makes a planned hand-over short, for its engine has loaded before it owns, and
a shadow run possible, whose events are compared with the owner's.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from outcry.leases import HALT, Leased
from outcry.ports import EngineLedger, Journal, JournalBroken, OutcomeUnknown, OutOfService
from outcry.roles.engine.opening import Opening, uncollected
from outcry.roles.engine.session import Session
from outcry.roles.engine.witness import Witness
from outcry.rows import PartitionRow, Record

MAX_READ: Final = 256  # records taken from the journal at once
BREATH: Final = 64  # commands after which others on the event loop get their turn
RETRY_SECONDS: Final = 0.5

log = logging.getLogger(__name__)


class Copy:
    """One partition's copy. ``failure`` says why there is none, until it is not wanted any more."""

    def __init__(self, part: int) -> None:
        self.part = part
        self.session: Session | None = None
        self.failure = ""
        self.is_ready = False  # it has caught up once
        self.target = 0  # how far the owner has committed
        self.moved = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class Copies:
    """Keeps a copy of each partition that is wanted; calls ``ring`` when one is ready."""

    def __init__(self, journal: Journal, ledger: EngineLedger, ring: Callable[[], None]) -> None:
        self._journal = journal
        self._ledger = ledger
        self._ring = ring
        self._copies: dict[int, Copy] = {}

    def keep(self, parts: Collection[int]) -> None:
        """Begins copies of these partitions, and drops all others."""
        for part in set(self._copies) - set(parts):
            self._drop(part)
        for part in set(parts) - set(self._copies):
            copy = self._copies[part] = Copy(part)
            copy.task = asyncio.create_task(self._follow(copy))

    def note(self, leases: Iterable[Leased]) -> None:
        """Says how far the owners are; a copy of what is halted, or went back, is begun anew when it is wanted."""
        for row in leases:
            copy = self._copies.get(row.part)
            if copy is None:
                continue
            if row.status == HALT or row.next_offset < copy.target:
                self._drop(row.part)
            else:
                copy.target = row.next_offset
                copy.moved.set()

    @property
    def wanted(self) -> tuple[int, ...]:
        return tuple(sorted(self._copies))

    @property
    def ready(self) -> tuple[int, ...]:
        return tuple(sorted(part for part, copy in self._copies.items() if copy.is_ready and not copy.failure))

    @property
    def failures(self) -> dict[int, str]:
        return {part: copy.failure for part, copy in self._copies.items() if copy.failure}

    def witness(self, part: int) -> Witness | None:
        """What the copy saw of the partition's events."""
        copy = self._copies.get(part)
        return copy.session.witness if copy is not None and copy.session is not None else None

    async def adopt(self, row: PartitionRow) -> Session | None:
        """The copy of a partition just taken over, brought to the row's offset; None where it is not what the row says.

        Raises OutOfService when the journal cannot be read.
        """
        copy = self._copies.pop(row.part, None)
        if copy is None or copy.task is None:
            return None
        copy.task.cancel()
        await asyncio.wait([copy.task])
        session = copy.session
        if session is None or copy.failure:
            return None
        await self._advance(session, row.next_offset)
        while session.backlog and session.event_seq < row.event_seq:
            session.resume()
        session.take()
        if session.stands_at(row):
            session.epoch = row.epoch
            return session
        log.warning("The copy of partition %d is not what was committed: it is loaded instead.", row.part)
        return None

    async def close(self) -> None:
        tasks = [copy.task for copy in self._copies.values() if copy.task is not None]
        self.keep(())
        if tasks:
            await asyncio.wait(tasks)

    def _drop(self, part: int) -> None:
        copy = self._copies.pop(part)
        if copy.task is not None:
            copy.task.cancel()

    async def _follow(self, copy: Copy) -> None:
        """Loads, then applies what the owner has committed, until it is canceled."""
        while not copy.failure:
            try:
                if copy.session is None:
                    await self._load(copy)
                else:
                    await self._catch_up(copy, copy.session)
            except (OutOfService, OutcomeUnknown):
                await asyncio.sleep(RETRY_SECONDS)
            except JournalBroken as broken:
                copy.failure = broken.reason

    async def _load(self, copy: Copy) -> None:
        opening = Opening()
        with uncollected(copy.part):
            state = await self._ledger.load(copy.part, opening)
        opened = opening.check(state, None)
        if isinstance(opened, str):
            copy.failure = opened
            return
        opened.witness = Witness(opened.next_offset)
        copy.session = opened
        copy.target = max(copy.target, opened.next_offset)

    async def _catch_up(self, copy: Copy, session: Session) -> None:
        copy.moved.clear()
        copy.failure = await self._advance(session, copy.target)
        if not copy.failure:
            if not copy.is_ready:
                copy.is_ready = True
                self._ring()
            await copy.moved.wait()

    async def _advance(self, session: Session, target: int) -> str:
        """Applies records up to an offset; returns what went wrong. Stays between two records when it is canceled."""
        while session.next_offset < target:
            count = min(MAX_READ, target - session.next_offset)
            records = await self._journal.read({session.part: session.next_offset}, count, 0)
            if not records:
                raise OutOfService(f"The journal of partition {session.part} ends before record {target}.")
            failure = await supervise_following(session, [record for record in records if record.offset < target])
            if failure:
                return failure
        return ""


async def supervise_following(session: Session, records: Sequence[Record]) -> str:
    """Applies records and throws away what they come to; returns what went wrong."""
    try:
        breath = 0
        for record in records:
            session.apply(record)
            if session.commands - breath >= BREATH:
                breath = session.commands
                await asyncio.sleep(0)
        session.take()
        return ""
    except Exception as bug:
        log.exception("The copy of partition %d fails at record %d.", session.part, session.next_offset)
        return f"record {session.next_offset}: {type(bug).__name__}: {bug}"
