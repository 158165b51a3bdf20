"""A partition's log applied again from its oldest usable checkpoint, without writing anything."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple, Protocol

from outcry.codec import BadFrame, decode_frame, decode_state
from outcry.market.commands import PlaceOrder
from outcry.roles.engine.fates import asked_by
from outcry.roles.engine.insistent import Log
from outcry.roles.engine.session import Session, genesis
from outcry.rows import Advance, Checkpoint, PartBatch, PartitionRow, PartState, Record

MAX_READ: Final = 256  # records read at once
CHUNK_COMMANDS: Final = 2_000  # commands whose rows are looked at together

Progress = Callable[[str], None]


class NoStart(Exception):
    """No checkpoint is kept from which the kept journal goes on; the message says what is missing."""


class Chunk(NamedTuple):
    """A stretch of the log: what it came to, and the new orders that it asks for, but those that people skipped."""

    batch: PartBatch
    asked: list[PlaceOrder]


class Replayed(NamedTuple):
    """Where a replay came to, with the hashes that anyone can compare, and whether the ledger says the same."""

    line: str
    equal: bool


class ReplayLedger(Protocol):
    """What a replay reads besides the journal."""

    async def partitions(self) -> list[PartitionRow]: ...
    async def load(self, part: int) -> PartState: ...
    async def checkpoints(self, part: int) -> list[Checkpoint]: ...


class Replay:
    """Goes from ``start`` to exactly where ``end`` stands; ``session`` is where it is now."""

    def __init__(self, start: PartState, end: PartState, journal: Log) -> None:
        self.start = start
        self.end = end
        self.session = Session(start._replace(skips=end.skips))
        self._journal = journal
        self._asked: list[PlaceOrder] = []
        self._skips = {(offset, index) for offset, index, _ in end.skips}

    async def chunks(self, progress: Progress) -> AsyncIterator[Chunk]:
        """Everything between, as the batches that an engine could have committed."""
        session, goal = self.session, self.end.row.next_offset
        while session.next_offset < goal:
            await self._read_on(goal)
            if session.commands >= CHUNK_COMMANDS and session.next_offset < goal:
                done = session.next_offset - self.start.row.next_offset
                progress(
                    f"partition {session.part}: {done:,} of {goal - self.start.row.next_offset:,} records replayed"
                )
                yield self._take()
        # The engine may have stopped between two lots of triggered stops: go as far as it went.
        while session.backlog and session.event_seq < self.end.row.event_seq:
            session.resume()
        yield self._take()

    async def _read_on(self, goal: int) -> None:
        session = self.session
        records = await self._journal.read({session.part: session.next_offset}, MAX_READ, 0)
        if not records:
            raise NoStart(f"the journal of partition {session.part} ends at {session.next_offset}, before {goal}")
        for record in records:
            if session.next_offset == goal:
                break
            session.apply(record)
            self._ask(record)

    def _ask(self, record: Record) -> None:
        with contextlib.suppress(BadFrame):  # a dead letter by now
            for index, command in enumerate(decode_frame(record.frame).commands):
                if (record.offset, index) not in self._skips:
                    self._asked += asked_by(command)

    def _take(self) -> Chunk:
        asked, self._asked = self._asked, []
        return Chunk(self.session.take()[0], asked)


async def open_replay(ledger: ReplayLedger, journal: Log, part: int) -> Replay:
    """A replay to where the ledger stands now. Raises NoStart, BadState."""
    end = await ledger.load(part)
    first = (await journal.first_offsets()).get(part, 0)
    for checkpoint in await ledger.checkpoints(part):
        if first <= checkpoint.next_offset <= end.row.next_offset:
            return Replay(decode_state(checkpoint.state), end, journal)
    if first > 0:
        raise NoStart(f"the journal of partition {part} begins at record {first} and no checkpoint reaches it")
    return Replay(genesis(part), end, journal)


async def replay(ledger: ReplayLedger, journal: Log, part: int | None, progress: Progress) -> list[Replayed]:
    """Replays one partition, or all."""
    done = []
    for row in await ledger.partitions():
        if part in (None, row.part):
            running = await open_replay(ledger, journal, row.part)
            reached = running.start.row
            async for chunk in running.chunks(progress):
                reached = standing(chunk.batch.advance, running.end.row)
            done.append(_compared(running, reached))
    return done


def standing(advance: Advance, like: PartitionRow) -> PartitionRow:
    """Where a replay stands, as the ledger would say it of the same owner."""
    return PartitionRow(
        advance.part, advance.to_offset, like.epoch, advance.log_time, advance.rules_version, advance.event_seq,
        advance.state_hash, advance.log_hash, advance.tail_hash, like.status, like.halt_reason,
    )  # fmt: skip


def _compared(done: Replay, reached: PartitionRow) -> Replayed:
    equal = reached == done.end.row
    verdict = "equal to the ledger" if equal else "DIFFERENT from the ledger"
    line = (
        f"partition {reached.part}: records {done.start.row.next_offset} to {reached.next_offset},"
        f" events {reached.event_seq}, orders {reached.state_hash:016x}, log {reached.log_hash.hex()[:16]}, {verdict}"
    )
    return Replayed(line, equal)
