"""The keeper: folds postings into balances, voids what never came, checkpoints, and throws away what is old.

Nothing here decides anything: each task is a statement of the ledger that is right whenever it runs.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Protocol

from outcry.codec import encode_state
from outcry.ports import Clock, EngineLedger, Housekeeping, Journal, OutcomeUnknown, OutOfService
from outcry.roles.engine.session import genesis
from outcry.rows import Checkpoint, PartState
from outcry.settings import Settings

FOLD_SECONDS: Final = 0.25  # between two folds while there is work; who is short of money folds at once
IDLE_FOLD_SECONDS: Final = 1.0  # the longest pause while there is none
VOID_SECONDS: Final = 1.0
SWEEP_SECONDS: Final = 5.0
RETAIN_SECONDS: Final = 600.0
CHECK_SECONDS: Final = 300.0  # between two looks at the age of the checkpoints
RETRY_SECONDS: Final = 1.0  # after trouble with the ledger
MAX_FOLD: Final = 20_000  # postings of a partition at once
DAY_MS: Final = 86_400_000

log = logging.getLogger(__name__)


class KeeperLedger(EngineLedger, Housekeeping, Protocol):
    """What the keeper asks of the ledger."""

    async def drop_checkpoints(self, part: int, before_offset: int) -> int:
        """Deletes the checkpoints before an offset; returns how many."""


class SizedJournal(Journal, Protocol):
    """What the keeper asks of the journal."""

    async def size(self) -> dict[int, int]:
        """Bytes of frames kept per partition."""


class Keeper:
    """``run`` works until ``stop`` or until it is canceled; trouble with the ledger is waited out."""

    def __init__(
        self,
        *,
        ledger: KeeperLedger,
        journal: SizedJournal,
        clock: Clock,
        partitions: Sequence[int],
        settings: Settings,
    ) -> None:
        self._ledger = ledger
        self._journal = journal
        self._clock = clock
        self._partitions = tuple(partitions)
        self._retention_ms = settings.journal_retention_days * DAY_MS
        self._max_bytes = settings.journal_max_bytes // len(self._partitions)
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Makes the checkpoints of a clean start, then keeps house."""
        self._stopping.clear()
        chores = [self._fold_for_ever()]
        chores += [
            self._every(seconds, chore)
            for seconds, chore in (
                (VOID_SECONDS, self._ledger.void),
                (SWEEP_SECONDS, self._ledger.sweep_intake),
                (CHECK_SECONDS, self._checkpoint_daily),
                (RETAIN_SECONDS, self._retain),
            )
        ]
        await self._despite_trouble(self.checkpoint_all)
        self._tasks = [asyncio.create_task(chore) for chore in chores]
        try:
            await asyncio.gather(*self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()

    async def stop(self) -> None:
        """Ends ``run`` after the statement that is on its way, and folds what is left."""
        self._stopping.set()
        if self._tasks:
            await asyncio.wait(self._tasks)
            await self._despite_trouble(self.fold_now)

    async def fold_now(self) -> None:
        """Sums every committed posting into the balances."""
        while await self._ledger.fold(self._partitions, MAX_FOLD):
            pass

    async def checkpoint_all(self) -> None:
        """A checkpoint of every partition that has moved since its last one; the very first is its empty beginning."""
        for part in self._partitions:
            await self._checkpoint(part, min_age_ms=0)

    async def _checkpoint_daily(self, part: int) -> None:
        await self._checkpoint(part, min_age_ms=DAY_MS)

    async def _checkpoint(self, part: int, min_age_ms: int) -> None:
        kept = await self._ledger.checkpoints(part)
        if not kept and (await self._journal.first_offsets()).get(part, 0) == 0:
            await self._save(genesis(part))
        state = await self._ledger.load(part)
        is_new = not kept or state.row.next_offset > kept[-1].next_offset
        is_due = not kept or self._clock.now_ms() - kept[-1].created_ms >= min_age_ms
        if is_new and is_due and state.row.next_offset > 0:
            await self._save(state)

    async def _save(self, state: PartState) -> None:
        row = state.row
        encoded = await asyncio.to_thread(encode_state, state)
        await self._ledger.save_checkpoint(
            Checkpoint(
                row.part, row.next_offset, row.log_time, row.event_seq, row.state_hash, row.log_hash, encoded,
                self._clock.now_ms(),
            )
        )  # fmt: skip

    async def _retain(self, part: int) -> None:
        """Deletes what lies before the newest checkpoint of sufficient age; a journal too large needs less age."""
        before_ms = self._clock.now_ms() - self._retention_ms
        if (await self._journal.size()).get(part, 0) > self._max_bytes:
            log.warning("The journal of partition %d exceeds %d bytes: its oldest records go.", part, self._max_bytes)
            await self._checkpoint(part, min_age_ms=0)
            before_ms = self._clock.now_ms()
        old = [kept.next_offset for kept in await self._ledger.checkpoints(part) if kept.created_ms <= before_ms]
        if old:
            await self._ledger.retain(part, before_ms, old[-1])
            await self._ledger.drop_checkpoints(part, old[-1])
            await self._journal.trim(part, old[-1])

    async def _fold_for_ever(self) -> None:
        pause = FOLD_SECONDS
        while not self._stopping.is_set():
            folded = await self._despite_trouble(partial(self._ledger.fold, self._partitions, MAX_FOLD))
            pause = FOLD_SECONDS if folded else min(2 * pause, IDLE_FOLD_SECONDS)
            await self._pause(pause)

    async def _every(self, seconds: float, chore: Callable[[int], Awaitable[object]]) -> None:
        while not self._stopping.is_set():
            await self._pause(seconds)
            for part in self._partitions:
                if not self._stopping.is_set():
                    await self._despite_trouble(partial(chore, part))

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _despite_trouble(self, chore: Callable[[], Awaitable[object]]) -> object:
        """The chore's result, None where the ledger cannot be asked now: every chore may be repeated."""
        try:
            return await chore()
        except (OutOfService, OutcomeUnknown) as trouble:
            log.warning("The keeper waits: %s", trouble)
            await self._pause(RETRY_SECONDS)
            return None
