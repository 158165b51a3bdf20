"""The engine role: owns partitions, applies their logs, commits, and publishes what was committed.

All partitions commit together. While a batch is on its way to the disk the next one is matched already; it is
dropped with the first where that fails, because nothing is committed again without reading the truth first.
Taking partitions over and handing them on goes on beside this (``sharing``); only this loop changes what is owned.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

from outcry.leases import SHARE
from outcry.ports import Clock, EngineLedger, Journal, JournalBroken, Lease, OutcomeUnknown, OutOfService, Publisher
from outcry.roles.engine.copies import Copies
from outcry.roles.engine.handover import HandOver
from outcry.roles.engine.herald import Herald
from outcry.roles.engine.landing import Landing, Taken
from outcry.roles.engine.ownership import Ownership
from outcry.roles.engine.progress import Progress
from outcry.roles.engine.quiet import Quiet
from outcry.roles.engine.reading import Reading
from outcry.roles.engine.session import Session
from outcry.roles.engine.sharing import Sharing
from outcry.roles.engine.stepping import supervise_step, supervise_taking, with_told
from outcry.roles.engine.witness import Watch, Witness
from outcry.rows import Record

MAX_BATCH_COMMANDS: Final = 1_000
MAX_BATCH_ROWS: Final = 20_000
BREATH: Final = 64  # commands after which others on the event loop get their turn
WAIT_SECONDS: Final = 0.5  # the longest pause of the loop
CHORE_SECONDS: Final = 0.1  # between two looks at what else is due
LOOK_SECONDS: Final = 0.5  # between two looks at the end of the journal
LEASE_MS: Final = 6_000
STOP_SECONDS: Final = 10.0  # for the batch on its way to the disk
ANSWER_SECONDS: Final = 2.0  # since when ledger and journal must have answered for a stall to be the engine's own
MAX_OFFSET: Final = 1 << 62

log = logging.getLogger(__name__)


class Engine:
    """``start`` recovers; ``run`` then works until ``stop`` or until it is canceled."""

    def __init__(
        self, *, journal: Journal, ledger: EngineLedger, lease: Lease, feed: Publisher, clock: Clock, owner: str,
        partitions: Sequence[int], claim: str = SHARE, lease_ms: int = LEASE_MS,
    ) -> None:  # fmt: skip
        self._journal = journal
        self._ledger = ledger
        self._feed = feed
        self._clock = clock
        self._renew_seconds = lease_ms / 3_000
        self._reading = Reading(journal)
        self.copies = Copies(journal, ledger, lambda: self.sharing.nudge())
        self._own = Ownership(
            journal=journal, ledger=ledger, lease=lease, feed=feed, owner=owner, copies=self.copies, ring=self._ring
        )
        self.sharing = Sharing(
            lease=lease, own=self._own, copies=self.copies, owner=owner, partitions=partitions, claim=claim,
            lease_ms=lease_ms,
        )  # fmt: skip
        self.progress = Progress()
        self._sessions = self._own.sessions
        self._watch = Watch(self._sessions)
        self._herald = Herald(feed)
        self._leaving = HandOver(self.sharing, self._reading, self._sessions, said=self._herald.said, ring=self._ring)
        self._quiet = Quiet(journal)
        self._careful: dict[int, int] = {}  # partitions that failed: one record a batch until past this offset
        self._under_way: Taken = {}
        self._bell: asyncio.Future[None] | None = None
        self._committing: asyncio.Task[None] | None = None
        self._chores: list[asyncio.Task[None]] = []
        self._running: asyncio.Future[None] | None = None
        self._stopping = False
        self._renewed_at = 0.0  # on the monotonic clock, as the next
        self._journal_answered_at = 0.0
        self.trouble = ""  # why the last batch could not be committed; "" when it could
        self.commands = 0  # committed since the start

    @property
    def sessions(self) -> dict[int, Session]:
        """The partitions that it owns; to look at."""
        return self._sessions

    @property
    def loading(self) -> dict[int, int]:
        """The epochs of partitions that are taken over and not open yet."""
        return self._own.loading

    @property
    def halted(self) -> dict[int, str]:
        """Partitions that wait for a person, and why."""
        return self._own.halted

    @property
    def lags(self) -> dict[int, int]:
        """Records of each partition's journal that no commit has reached, as of the last look."""
        return self.progress.lags

    @property
    def lag(self) -> int:
        """The lags of the partitions that it owns together."""
        return sum(map(self.progress.lag, self._sessions))

    @property
    def stalled(self) -> bool:
        """Whether a partition has work and its offset does not move; halted and loading ones do not count."""
        return bool(self.progress.stalled(self.halted))

    @property
    def dead(self) -> bool:
        """Whether it stalls although ledger and journal answer: only a new process can help."""
        since = time.monotonic() - ANSWER_SECONDS
        return self.stalled and self._journal_answered_at > since and self.sharing.looked_at > since

    @property
    def ready(self) -> bool:
        """Whether its first partitions were loaded and had caught up once."""
        return self.sharing.me.ready

    def witness(self, part: int) -> Witness | None:
        """What is seen of a partition's events, of an owned one from now on for a while; None of one unknown here."""
        return self._watch.begin(part) or self.copies.witness(part)

    async def start(self) -> None:
        """Takes over, loads and applies all that the journal holds by now. Raises Damaged, OutOfService."""
        await self._settle()
        self._stopping = False
        self._own.forget_halts()
        self._forget(list(self._sessions))
        self.sharing.begin()
        keeping = asyncio.create_task(self._repeat(CHORE_SECONDS, self._renew, self.sharing.join))
        try:
            await self._recover()
        finally:
            keeping.cancel()

    async def _recover(self) -> None:
        await self.sharing.look()
        await self._own.opened()
        await self._collect()
        self._note_ends(await self._journal.end_offsets())
        while any(self.progress.lag(part) for part in self._sessions):
            await self._turn()
        self.sharing.note_ready()

    async def run(self) -> None:
        """Works until ``stop``. Raises Damaged; trouble with the ledger is waited out."""
        if self._stopping:
            return
        self._running = asyncio.get_running_loop().create_future()
        # Each by itself: a journal that does not answer for longer than a lease must not cost the partitions.
        self._chores = [
            asyncio.create_task(self._repeat(CHORE_SECONDS, self._renew)),
            asyncio.create_task(self._repeat(CHORE_SECONDS, self._tick)),
            asyncio.create_task(self._repeat(LOOK_SECONDS, self._look)),
            asyncio.create_task(self.sharing.run()),
        ]
        try:
            while not self._stopping:
                await self._turn()
                for chore in self._chores:
                    if chore.done():
                        chore.result()
        finally:
            for chore in self._chores:
                chore.cancel()
            self._reading.stop()
            self._running.set_result(None)

    async def stop(self) -> None:
        """Finishes the batch on its way to the disk, drops what is matched beyond it, and releases the partitions."""
        self._stopping = True
        self._reading.stop()
        self._ring()
        if self._running is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._running), STOP_SECONDS)
        await self._settle()
        await self._own.close(STOP_SECONDS)
        await self.copies.close()
        await self.sharing.leave()

    async def depart(self, seconds: float) -> bool:
        """Hands everything over to other engines; False when that takes longer, or when nobody is there to take it."""
        self.sharing.drain(self._clock.now_ms(), for_good=True)
        until = time.monotonic() + seconds
        while self._own.held and time.monotonic() < until and self.sharing.has_heirs:  # noqa: ASYNC110
            await asyncio.sleep(CHORE_SECONDS)
        return not self._own.held

    async def _turn(self) -> None:
        """One round: wait for news, match it, and send a batch on its way once the last one has arrived."""
        if self._is_full() or not (self._reading.unread or self._is_behind()):
            await self._wait()
        await self._collect()
        await self._match()
        if self._committing is None and not self._stopping:
            await self._launch()
        self._forget(self._leaving.turn(self._under_way))

    def _ring(self) -> None:
        """Ends the loop's wait: something has arrived."""
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    async def _wait(self) -> None:
        if self._bell is None or self._bell.done():
            self._bell = asyncio.get_running_loop().create_future()
        waits: list[asyncio.Future[Any]] = [self._bell]
        if self._committing is not None:
            waits.append(self._committing)
        look = None if self._is_full() else self._reading.look()
        if look is not None:
            waits.append(look)
        await asyncio.wait(waits, timeout=WAIT_SECONDS, return_when=asyncio.FIRST_COMPLETED)

    async def _collect(self) -> None:
        """Takes what the tasks have brought. Raises what they raised."""
        if self._committing is not None and self._committing.done():
            done, self._committing = self._committing, None
            self._under_way = {}
            done.result()
        for part, session in self._own.collect().items():
            self._begin(part, session)
        await self._collect_records()

    def _begin(self, part: int, session: Session) -> None:
        """A partition is owned from now on."""
        self._leaving.forget(part)
        self._quiet.hear([part])
        self.progress.begin(part, session.next_offset)
        self._reading.begin(part, session.next_offset)

    async def _collect_records(self) -> None:
        try:
            records = self._reading.collect()
        except OutOfService as trouble:
            self._note(trouble)
            await asyncio.sleep(CHORE_SECONDS)
            return
        except JournalBroken as broken:
            await self._halt(broken.part, broken.reason)
            return
        self._quiet.hear({record.part for record in records})
        for record in records:
            self.progress.note_read(record)

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
            if session.backlog and not session.changed and part not in self._leaving:
                await self._step(part, session, None)
        applied = 0
        while self._reading.unread and not self._is_full():
            record = self._reading.unread.popleft()
            owned = self._sessions.get(record.part)
            if owned is None:
                continue
            before = owned.commands
            await self._step(record.part, owned, record)
            self.progress.note_applied(owned.commands - before)
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
            await self._halt(part, reason)
        else:
            log.error("Partition %d fails before record %d and is loaded again: %s", part, until, reason)
            self._careful[part] = until
            self._forget([part])

    async def _halt(self, part: int, reason: str) -> None:
        """Nothing uncommitted of the partition is kept."""
        try:
            await self._own.halt(part, reason)
        except (OutOfService, OutcomeUnknown) as trouble:
            self._note(trouble)
        self._forget([part])

    async def _launch(self) -> None:
        taken: Taken = {}
        for part, session in list(self._sessions.items()):
            if session.changed:
                pieces = supervise_taking(session)
                if isinstance(pieces, str):
                    await self._fail(part, session.next_offset, pieces)
                else:
                    taken[part] = with_told(pieces) if self._feed.forgets else pieces
        if taken:
            self._under_way = taken
            self._committing = asyncio.create_task(self._commit(taken))

    async def _commit(self, taken: Taken) -> None:
        landing = await Landing().bring(self._ledger, taken)
        for part, reason in landing.refused.items():
            await self._fail(part, taken[part][0].advance.to_offset, reason)
        self._forget_for_a_while(landing.lost)
        self.trouble = ""
        if landing.trouble is not None:
            self._note(landing.trouble)
            self._forget_for_a_while(part for part in taken if part not in landing.landed)
        for part, (batch, publication) in landing.landed.items():
            self.progress.note_commit(part, batch.advance.to_offset)
            self.commands += len(publication.outcomes)
        if landing.landed:
            await self._herald.say(landing.landed)

    def _forget_for_a_while(self, parts: Iterable[int]) -> None:
        """Drops partitions after trouble; they are asked for again, but not at once."""
        dropped = list(parts)
        self.sharing.pause(dropped)
        self._forget(dropped)

    def _forget(self, parts: Iterable[int]) -> None:
        """Drops all that is not committed of some partitions; they are opened again if they are still this engine's."""
        dropped = set(parts)
        if not dropped:
            return
        self._own.forget(dropped)
        for part in dropped:
            self.progress.forget(part)
        self._reading.end(dropped)
        self.sharing.nudge()

    def _note(self, trouble: Exception) -> None:
        self.trouble = str(trouble) or type(trouble).__name__
        log.warning("The engine waits: %s", self.trouble)

    async def _settle(self) -> None:
        """Waits until the batch on its way has arrived, and is published, or failed."""
        if self._committing is not None:
            await asyncio.wait([self._committing])
        await self._herald.said()

    async def _repeat(self, seconds: float, *chores: Callable[[], Awaitable[object]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                for chore in chores:
                    await chore()
            except (OutOfService, OutcomeUnknown) as trouble:
                self._note(trouble)

    async def _tick(self) -> None:
        await self._quiet.tick(list(self._sessions))

    async def _look(self) -> None:
        self._watch.end_unasked()
        self._note_ends(await self._journal.end_offsets())
        self._journal_answered_at = time.monotonic()

    def _note_ends(self, ends: dict[int, int]) -> None:
        for row in self.sharing.table.leases:
            if row.part not in self._sessions:
                self.progress.committed[row.part] = row.next_offset
        self.progress.note_ends(ends)

    async def _renew(self) -> None:
        """Renews the leases, every third of one."""
        if time.monotonic() - self._renewed_at >= self._renew_seconds:
            self._renewed_at = time.monotonic()
            self._forget_for_a_while(await self._own.renew())
