"""The engine role: owns partitions, applies their logs, commits, and publishes what was committed.

All partitions commit together. While a batch is on its way to the disk the next one is matched already; it is
dropped with the first where that fails, because nothing is committed again without reading the truth first.
"""

import asyncio
import contextlib
import itertools
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from outcry.codec import encode_frame
from outcry.market.commands import Tick
from outcry.ports import (
    Clock,
    EngineLedger,
    Feed,
    IntakeMissing,
    Journal,
    Lease,
    OutcomeUnknown,
    OutOfService,
    Publication,
)
from outcry.roles.engine.ownership import Ownership
from outcry.roles.engine.session import Session
from outcry.rows import PartBatch, Record

MAX_BATCH_COMMANDS: Final = 1_000
MAX_BATCH_ROWS: Final = 20_000
MAX_READ: Final = 256  # records taken from the journal at once
BREATH: Final = 64  # commands after which others on the event loop get their turn
READ_SECONDS: Final = 0.5  # how long one look at the journal waits for news
CHORE_SECONDS: Final = 0.1  # between two looks at what else is due
CHORES_PER_LOOK: Final = 5  # chores between two looks at the end of the journal
TICK_MS: Final = 1_000  # without a record for so long the owner journals a TICK
RETRY_SECONDS: Final = 0.5  # before a partition that was lost is asked for again
STALL_MS: Final = 5_000  # lag that does not move for so long means that this engine is dead
STOP_SECONDS: Final = 10.0  # for the batch on its way to the disk
MAX_OFFSET: Final = 1 << 62
TICK: Final = encode_frame([Tick(command_id=0, symbol_id=0)])

Taken = dict[int, tuple[PartBatch, Publication]]  # by partition

log = logging.getLogger(__name__)


class Engine:
    """``start`` recovers; ``run`` then works until ``stop`` or until it is canceled."""

    def __init__(
        self, *, journal: Journal, ledger: EngineLedger, lease: Lease, feed: Feed, clock: Clock, owner: str,
        partitions: Sequence[int],
    ) -> None:  # fmt: skip
        self._journal = journal
        self._ledger = ledger
        self._feed = feed
        self._clock = clock
        self._own = Ownership(
            journal=journal, ledger=ledger, lease=lease, feed=feed, clock=clock, owner=owner, partitions=partitions
        )
        self._sessions = self._own.sessions
        self._unread: deque[Record] = deque()  # read from the journal, not applied yet
        self._expected: dict[int, int] = {}  # the next offset to read
        self._heard_ms: dict[int, int] = {}  # when a partition last had a record
        self._careful: dict[int, int] = {}  # partitions that failed: one record a batch until past this offset
        self._committed: dict[int, int] = {}  # next offset in the ledger
        self._ends: dict[int, int] = {}  # end of the journal at the last look
        self._reading: asyncio.Task[list[Record]] | None = None
        self._committing: asyncio.Task[None] | None = None
        self._chores: asyncio.Task[None] | None = None
        self._running: asyncio.Future[None] | None = None
        self._stopping = False
        self._moved_ms = 0
        self._retry_at = 0.0  # on the loop's clock, which never jumps
        self.trouble = ""  # why the last batch could not be committed; "" when it could
        self.commands = 0  # committed since the start

    @property
    def halted(self) -> dict[int, str]:
        """Partitions that wait for a person, and why."""
        return self._own.halted

    @property
    def lags(self) -> dict[int, int]:
        """Records of each partition's journal that no commit has reached, as of the last look."""
        return {part: max(0, end - self._committed.get(part, 0)) for part, end in self._ends.items()}

    @property
    def lag(self) -> int:
        """All lags together; halted partitions do not count."""
        return sum(lag for part, lag in self.lags.items() if part not in self.halted)

    @property
    def stalled(self) -> bool:
        """Whether there is work and no offset has moved for STALL_MS."""
        return self.lag > 0 and self._clock.now_ms() - self._moved_ms > STALL_MS

    @property
    def ready(self) -> bool:
        """Whether every partition is loaded or halted."""
        return not self._own.wanted

    async def start(self) -> None:
        """Takes over, loads and applies all that the journal holds by now. Raises Damaged, OutOfService."""
        await self._settle()
        self._stopping = False
        self._own.forget_halts()
        self._forget(list(self._sessions))
        await self._acquire()
        self._ends = await self._journal.end_offsets()
        while any(self._committed.get(part, 0) < self._ends.get(part, 0) for part in self._sessions):
            await self._turn()

    async def run(self) -> None:
        """Works until ``stop``. Raises Damaged; trouble with the ledger is waited out."""
        if self._stopping:
            return
        self._running = asyncio.get_running_loop().create_future()
        self._chores = asyncio.create_task(self._do_chores())
        try:
            while not self._stopping:
                await self._turn()
                if self._chores.done():
                    self._chores.result()
        finally:
            self._chores.cancel()
            self._stop_reading()
            self._running.set_result(None)

    async def stop(self) -> None:
        """Finishes the batch on its way to the disk, drops what is matched beyond it, and releases the partitions."""
        self._stopping = True
        self._stop_reading()
        if self._running is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._running), STOP_SECONDS)
        await self._settle()
        await self._own.release()

    async def _turn(self) -> None:
        """One round: wait for news, match it, and send a batch on its way once the last one has arrived."""
        if self._own.wanted and asyncio.get_running_loop().time() >= self._retry_at:
            await self._acquire_later()
        if self._is_full() or not (self._unread or self._is_behind()):
            await self._wait()
        self._collect()
        await self._match()
        if self._committing is None and not self._stopping:
            await self._launch()

    async def _acquire(self) -> None:
        await self._settle()
        for part in await self._own.acquire():
            self._expected[part] = self._committed[part] = self._sessions[part].next_offset
            self._heard_ms[part] = self._moved_ms = self._clock.now_ms()

    async def _acquire_later(self) -> None:
        """Acquires what is wanted, or tries again in a while."""
        self._retry_at = asyncio.get_running_loop().time() + RETRY_SECONDS
        try:
            await self._acquire()
        except (OutOfService, OutcomeUnknown) as trouble:
            self._note(trouble)

    async def _wait(self) -> None:
        waits: list[asyncio.Task[None] | asyncio.Task[list[Record]]] = []
        if self._committing is not None:
            waits.append(self._committing)
        if not self._is_full() and self._sessions:
            if self._reading is None:
                positions = {part: self._expected[part] for part in self._sessions}
                self._reading = asyncio.create_task(self._journal.read(positions, MAX_READ, READ_SECONDS))
            waits.append(self._reading)
        if waits:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(CHORE_SECONDS)

    def _collect(self) -> None:
        """Takes what the tasks have brought. Raises what they raised."""
        if self._committing is not None and self._committing.done():
            done, self._committing = self._committing, None
            done.result()
        if self._reading is None or not self._reading.done():
            return
        reading, self._reading = self._reading, None
        try:
            records = [] if reading.cancelled() else reading.result()
        except OutOfService as trouble:
            self._note(trouble)
            return
        now_ms = self._clock.now_ms()
        for record in records:
            self._unread.append(record)
            self._expected[record.part] = record.offset + 1
            self._heard_ms[record.part] = now_ms

    def _is_full(self) -> bool:
        """Whether what is matched must be committed before anything else is."""
        commands = rows = 0
        for part, session in self._sessions.items():
            if session.changed and (session.backlog or part in self._careful):
                return True
            commands += session.commands
            rows += session.height
        return commands >= MAX_BATCH_COMMANDS or rows >= MAX_BATCH_ROWS

    def _is_behind(self) -> bool:
        """Whether triggered stops of an earlier record still wait."""
        return any(session.backlog for session in self._sessions.values())

    async def _match(self) -> None:
        for part, session in list(self._sessions.items()):
            if session.backlog and not session.changed:
                await self._step(part, session, None)
        applied = 0
        while self._unread and not self._is_full():
            record = self._unread.popleft()
            owned = self._sessions.get(record.part)
            if owned is None:
                continue
            before = owned.commands
            await self._step(record.part, owned, record)
            applied += owned.commands - before
            if applied >= BREATH:
                applied = 0
                await asyncio.sleep(0)

    async def _step(self, part: int, session: Session, record: Record | None) -> None:
        failure = supervise_step(session, record)
        if failure:
            await self._settle()  # what came before the failure is committed first
            await self._fail(part, session.next_offset + 1, failure)
        elif session.next_offset > self._careful.get(part, MAX_OFFSET):
            del self._careful[part]

    async def _fail(self, part: int, until: int, reason: str) -> None:
        """The first failure is tried again record by record up to ``until``, so that all before it counts.

        The second one halts the partition.
        """
        if part not in self._sessions:
            return
        if part in self._careful:
            del self._careful[part]
            await self._own.halt(part, reason)
        else:
            log.error("Partition %d fails before record %d and is loaded again: %s", part, until, reason)
            self._careful[part] = until
        self._forget([part])

    async def _launch(self) -> None:
        taken: Taken = {}
        for part, session in list(self._sessions.items()):
            if session.changed:
                pieces = supervise_taking(session)
                if isinstance(pieces, str):
                    await self._fail(part, session.next_offset, pieces)
                else:
                    taken[part] = pieces
        if taken:
            self._committing = asyncio.create_task(self._commit(taken))

    async def _commit(self, taken: Taken) -> None:
        try:
            landed = await self._land(taken)
        except (OutOfService, OutcomeUnknown) as trouble:
            self._note(trouble)
            self._retry_at = asyncio.get_running_loop().time() + RETRY_SECONDS
            self._forget(taken)
            return
        self.trouble = ""
        self._moved_ms = self._clock.now_ms()
        for part, (batch, publication) in landed.items():
            self._committed[part] = batch.advance.to_offset
            self.commands += len(publication.outcomes)
        await self._feed.publish(_together([publication for _, publication in landed.values()]))

    async def _land(self, taken: Taken) -> Taken:
        """Commits the parts together; those that another engine owns fall out, unchanged the others go again."""
        while taken:
            try:
                named = await self._ledger.commit([batch for batch, _ in taken.values()])
            except IntakeMissing as missing:
                return await self._land_alone(taken, missing)
            lost = [part for part in taken if part not in named]
            if not lost:
                break
            log.warning("Partitions %s belong to another engine now.", lost)
            self._retry_at = asyncio.get_running_loop().time() + RETRY_SECONDS
            self._forget(lost)
            taken = {part: pieces for part, pieces in taken.items() if part in named}
        return taken

    async def _land_alone(self, taken: Taken, missing: IntakeMissing) -> Taken:
        """One of the parts contradicts the intake: each goes alone, so that the others go on."""
        if len(taken) == 1:
            (part,) = taken
            await self._fail(part, taken[part][0].advance.to_offset, f"intake_missing: {missing}")
            return {}
        landed: Taken = {}
        for part, pieces in taken.items():
            landed |= await self._land({part: pieces})
        return landed

    def _forget(self, parts: Iterable[int]) -> None:
        """Drops all that is not committed of some partitions; the main loop acquires them again."""
        dropped = set(parts)
        if not dropped:
            return
        self._own.forget(dropped)
        self._unread = deque(record for record in self._unread if record.part not in dropped)
        self._stop_reading()

    def _note(self, trouble: Exception) -> None:
        self.trouble = str(trouble) or type(trouble).__name__
        log.warning("The engine waits: %s", self.trouble)

    def _stop_reading(self) -> None:
        """Abandons the look at the journal, whatever it has brought: it may be out of place by now."""
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    async def _settle(self) -> None:
        """Waits until the batch on its way has arrived or failed."""
        if self._committing is not None:
            await asyncio.wait([self._committing])

    async def _do_chores(self) -> None:
        for count in itertools.count():
            await asyncio.sleep(CHORE_SECONDS)
            try:
                self._forget(await self._own.renew())
                await self._tick()
                if count % CHORES_PER_LOOK == 0:
                    self._ends = await self._journal.end_offsets()
            except (OutOfService, OutcomeUnknown) as trouble:
                self._note(trouble)

    async def _tick(self) -> None:
        """Moves log time where nobody trades."""
        now_ms = self._clock.now_ms()
        due = [part for part in self._sessions if now_ms - self._heard_ms[part] >= TICK_MS]
        if due:
            self._heard_ms.update(dict.fromkeys(due, now_ms))
            await self._journal.append([(part, TICK) for part in due])


def supervise_step(session: Session, record: Record | None) -> str:
    """Applies a record, or lets waiting stops in; returns what went wrong, which is a bug of ours or a broken log."""
    try:
        if record is None:
            session.resume()
        else:
            session.apply(record)
        return ""
    except Exception as bug:
        log.exception("Partition %d fails at record %d.", session.part, session.next_offset)
        return f"record {session.next_offset}: {type(bug).__name__}: {bug}"


def supervise_taking(session: Session) -> tuple[PartBatch, Publication] | str:
    """The session's batch, or what is wrong with it."""
    try:
        return session.take()
    except Exception as bug:
        log.exception("Partition %d makes no sound batch at record %d.", session.part, session.next_offset)
        return f"before record {session.next_offset}: {type(bug).__name__}: {bug}"


def _together(publications: Sequence[Publication]) -> Publication:
    if len(publications) == 1:
        return publications[0]
    return Publication(
        outcomes=tuple(outcome for each in publications for outcome in each.outcomes),
        updates=tuple(update for each in publications for update in each.updates),
        executions=tuple(execution for each in publications for execution in each.executions),
        moved=tuple(dict.fromkeys(account for each in publications for account in each.moved)),
    )
