"""Who owns which partition; for liveness only, as the ledger's compare-and-set is the fence."""

import sqlite3
from collections.abc import Mapping

from outcry.adapters.sqlite.reader import Reader
from outcry.adapters.sqlite.rowtext import PARTITION
from outcry.adapters.sqlite.writer import Work, Writer
from outcry.ports import Clock
from outcry.rows import PartitionRow

LEASE_MS = 6_000
RESERVE_MS = 3_000

COLUMNS = ",".join(PARTITION)


class SqliteLease:
    """Leases as columns of the partitions' rows, on the exchange's own clock."""

    def __init__(self, writer: Writer, reader: Reader, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock

    async def takeover(self, part: int, owner: str) -> PartitionRow | None:
        return await self._writer.do(lambda work: _take_over(work, part, owner))

    async def renew(self, epochs: Mapping[int, int]) -> set[int]:
        """The partitions that are still the caller's."""
        return await self._writer.do(lambda work: {part for part in epochs if _renew(work, part, epochs[part])})

    async def reserve(self, part: int, epoch: int, pod: str) -> None:
        """Hands over to ``pod``; the new epoch fences the giver at once, and after 3 s anyone may take it."""
        change = "epoch = epoch + 1, owner = ?, lease_until = ?"
        await self._writer.do(lambda work: _change(work, (part, epoch), change, (pod, work.now_ms + RESERVE_MS)))

    async def release(self, part: int, epoch: int) -> None:
        await self._writer.do(lambda work: _change(work, (part, epoch), "owner = NULL, lease_until = 0", ()))

    async def halt(self, part: int, epoch: int, reason: str) -> None:
        change = "status = 'HALT', halt_reason = ?"
        await self._writer.do(lambda work: _change(work, (part, epoch), change, (reason,)))

    async def members(self) -> dict[str, int]:
        return await self._reader.ask(lambda db: _members(db, self._clock.now_ms()))


def _take_over(work: Work, part: int, owner: str) -> PartitionRow | None:
    work.memory.forget_fences()
    work.db.execute("INSERT INTO engine_partition (part) VALUES (?) ON CONFLICT DO NOTHING", (part,))
    pod = owner.partition("/")[0]
    row = work.db.execute(
        "UPDATE engine_partition SET epoch = epoch + 1, owner = ?, lease_until = ?"
        " WHERE part = ? AND status = 'RUN' AND (lease_until < ? OR owner IN (?, ?))"
        f" RETURNING {COLUMNS}",
        (owner, work.now_ms + LEASE_MS, part, work.now_ms, owner, pod),
    ).fetchall()
    return PartitionRow(*row[0]) if row else None


def _renew(work: Work, part: int, epoch: int) -> bool:
    change = "lease_until = CASE status WHEN 'RUN' THEN ? ELSE lease_until END"
    return _change(work, (part, epoch), change, (work.now_ms + LEASE_MS,)) and work.memory.fences(work.db)[part].running


def _change(work: Work, fence: tuple[int, int], change: str, values: tuple[object, ...]) -> bool:
    """Changes the row of a partition (part, epoch); False when the epoch is not the caller's any more."""
    work.memory.forget_fences()
    text = f"UPDATE engine_partition SET {change} WHERE part = ? AND epoch = ?"
    return work.db.execute(text, (*values, *fence)).rowcount == 1


def _members(db: sqlite3.Connection, now_ms: int) -> dict[str, int]:
    return dict(
        db.execute(
            "SELECT owner, count(*) FROM engine_partition WHERE owner IS NOT NULL AND lease_until >= ?"
            " GROUP BY owner ORDER BY owner",
            (now_ms,),
        ).fetchall()
    )
