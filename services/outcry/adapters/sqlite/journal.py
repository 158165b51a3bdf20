"""The journal: one ordered log per partition in the file, its newest records also in memory."""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence

from outcry.adapters.sqlite.bulk import insert
from outcry.adapters.sqlite.memory import MAX_OFFSET, OFFSET_BITS, LogEnd
from outcry.adapters.sqlite.reader import Reader
from outcry.adapters.sqlite.tail import Tail
from outcry.adapters.sqlite.writer import Work, Writer
from outcry.ports import Damaged
from outcry.rows import Record

TRIM_RECORDS = 2000  # records deleted per transaction
PUT_RECORDS = insert("journal", ("place", "timestamp_ms", "weight", "frame"))


class SqliteJournal:
    """Appends durable frames and hands them to the engine without reading them again."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader
        self._tails: dict[int, Tail] = {}
        self._waiting: dict[asyncio.Future[None], None] = {}

    async def append(self, frames: Sequence[tuple[int, bytes]]) -> list[int]:
        if not frames:
            return []
        records = await self._writer.do(lambda work: _append(work, frames), self._landed)
        return [record.offset for record in records]

    async def read(self, positions: Mapping[int, int], max_records: int, wait_seconds: float) -> list[Record]:
        """Raises Damaged when a position lies before the oldest record that is kept."""
        share = max(1, max_records // max(1, len(positions)))
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[news] = None  # before looking, so that nothing can arrive unnoticed in between
        try:
            found = await self._collect(positions, share)
            if found or wait_seconds <= 0:
                return found
            await asyncio.wait([news], timeout=wait_seconds)
            return await self._collect(positions, share) if news.done() else []
        finally:
            del self._waiting[news]

    async def end_offsets(self) -> dict[int, int]:
        return await self._reader.ask(lambda db: {part: edge[1] + 1 for part, edge in _edges(db).items()})

    async def first_offsets(self) -> dict[int, int]:
        return await self._reader.ask(lambda db: {part: edge[0] for part, edge in _edges(db).items()})

    async def size(self) -> dict[int, int]:
        """Bytes of frames kept per partition."""
        return await self._reader.ask(lambda db: {part: _weight(db, part, edge) for part, edge in _edges(db).items()})

    async def trim(self, part: int, before_offset: int) -> int:
        """The newest record always stays, and so does what the engine has not applied."""
        deleted = 0
        while count := await self._writer.do(lambda work: _trim(work, part, before_offset)):
            deleted += count
        return deleted

    async def _collect(self, positions: Mapping[int, int], share: int) -> list[Record]:
        found: list[Record] = []
        on_disk: dict[int, int] = {}
        for part in sorted(positions):
            tail = self._tails.get(part)
            if tail is None or positions[part] < tail.first:
                on_disk[part] = positions[part]
            else:
                found += tail.records(positions[part], share)
        if on_disk:
            found += await self._reader.ask(lambda db: _read_parts(db, on_disk, share))
            found.sort(key=lambda record: (record.part, record.offset))
        return found

    def _landed(self, records: list[Record]) -> None:
        for record in records:
            tail = self._tails.get(record.part)
            if tail is None or tail.end != record.offset:
                tail = self._tails[record.part] = Tail(record.offset)
            tail.add(record)
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)


def _append(work: Work, frames: Sequence[tuple[int, bytes]]) -> list[Record]:
    records = []
    rows = []
    for part, frame in frames:
        end = work.memory.end(work.db, part)
        time_ms = max(end.timestamp_ms, work.now_ms)
        after = LogEnd(end.next_offset + 1, time_ms, end.weight + len(frame))
        work.memory.set_end(part, after)
        records.append(Record(part, end.next_offset, time_ms, frame))
        rows.append((part << OFFSET_BITS | end.next_offset, time_ms, after.weight, frame))
    PUT_RECORDS.run(work.db, rows)
    return records


def _read_parts(db: sqlite3.Connection, positions: Mapping[int, int], share: int) -> list[Record]:
    records = []
    for part in sorted(positions):
        start, last = part << OFFSET_BITS | positions[part], part << OFFSET_BITS | MAX_OFFSET
        rows = db.execute(
            "SELECT place, timestamp_ms, frame FROM journal WHERE place BETWEEN ? AND ? ORDER BY place LIMIT ?",
            (start, last, share),
        ).fetchall()
        if rows and rows[0][0] != start:
            first = rows[0][0] & MAX_OFFSET
            raise Damaged(
                f"Partition {part} needs its journal from record {positions[part]} on, but it begins at {first}."
                " The records between were deleted or lost: put back a backup of the data directory."
            )
        records += [Record(part, place & MAX_OFFSET, time_ms, frame) for place, time_ms, frame in rows]
    return records


def _edges(db: sqlite3.Connection) -> dict[int, tuple[int, int]]:
    """First and last offset of every partition that has records."""
    edges: dict[int, tuple[int, int]] = {}
    start = 0
    while row := db.execute("SELECT place FROM journal WHERE place >= ? ORDER BY place LIMIT 1", (start,)).fetchone():
        part = row[0] >> OFFSET_BITS
        start = part + 1 << OFFSET_BITS
        last = db.execute("SELECT place FROM journal WHERE place < ? ORDER BY place DESC LIMIT 1", (start,)).fetchone()
        edges[part] = (row[0] & MAX_OFFSET, last[0] & MAX_OFFSET)
    return edges


def _weight(db: sqlite3.Connection, part: int, edge: tuple[int, int]) -> int:
    places = tuple(part << OFFSET_BITS | offset for offset in edge)
    first, last = (
        db.execute("SELECT weight, length(frame) FROM journal WHERE place = ?", (place,)).fetchone() for place in places
    )
    return int(last[0] - first[0] + first[1])


def _trim(work: Work, part: int, before_offset: int) -> int:
    fence = work.memory.fences(work.db).get(part)
    last = work.memory.end(work.db, part).next_offset - 1
    bound = max(0, min(before_offset, last, fence.next_offset if fence else 0))
    deleted = work.db.execute(
        "DELETE FROM journal WHERE place IN"
        " (SELECT place FROM journal WHERE place >= ? AND place < ? ORDER BY place LIMIT ?)",
        (part << OFFSET_BITS, part << OFFSET_BITS | bound, TRIM_RECORDS),
    ).rowcount
    if deleted < TRIM_RECORDS:
        # A replay cannot start from a checkpoint whose records are gone.
        work.db.execute("DELETE FROM checkpoints WHERE part = ? AND next_offset < ?", (part, bound))
    return deleted
