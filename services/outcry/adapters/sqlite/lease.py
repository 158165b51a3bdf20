"""Who owns which partition; for liveness only, as the ledger's compare-and-set is the fence."""

import asyncio
import sqlite3
from collections.abc import Mapping
from typing import Final

from outcry.adapters.sqlite.reader import Reader
from outcry.adapters.sqlite.rowtext import PARTITION
from outcry.adapters.sqlite.writer import Work, Writer
from outcry.leases import FREED_MS, Leased, Member, Table, pod_of
from outcry.ports import Clock
from outcry.rows import PartitionRow

LEASE_MS: Final = 6_000
RESERVE_MS: Final = 3_000

COLUMNS: Final = ",".join(PARTITION)
LEASES: Final = "SELECT part, owner, epoch, lease_until, status, halt_reason, next_offset FROM engine_partition"
TO_POD: Final = "epoch = epoch + 1, owner = ?, lease_until = ?"


class SqliteLease:
    """Leases as columns of the partitions' rows, on the exchange's own clock.

    One process has the file, so its members are remembered in memory alone.
    """

    def __init__(self, writer: Writer, reader: Reader, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._members: dict[str, tuple[Member, int]] = {}  # by owner, with the end of its membership
        self._waiting: set[asyncio.Future[None]] = set()

    async def takeover(self, part: int, owner: str) -> PartitionRow | None:
        return await self._writer.do(lambda work: _take_over(work, part, owner))

    async def renew(self, epochs: Mapping[int, int]) -> set[int]:
        """The partitions that are still the caller's."""
        return await self._writer.do(lambda work: {part for part in epochs if _renew(work, part, epochs[part])})

    async def reserve(self, part: int, epoch: int, pod: str) -> None:
        """Hands over to ``pod``; the new epoch fences the giver at once, and after 3 s anyone may take it."""
        await self._writer.do(lambda work: _change(work, (part, epoch), TO_POD, (pod, work.now_ms + RESERVE_MS)))
        self._tell()

    async def share(self, part: int, epoch: int, pod: str) -> bool:
        """Reserves for ``pod`` if the owner has two partitions more; the one writer makes one decision at a time."""
        members = self._live()
        given = await self._writer.do(lambda work: _share(work, (part, epoch), pod, members))
        self._tell()
        return given

    async def release(self, part: int, epoch: int) -> None:
        await self._writer.do(lambda work: _change(work, (part, epoch), "owner = NULL, lease_until = 0", ()))
        self._tell()

    async def halt(self, part: int, epoch: int, reason: str) -> None:
        # The first reason stays: what comes after it is what follows from it.
        change = "status = 'HALT', halt_reason = CASE WHEN status = 'HALT' THEN halt_reason ELSE ? END"
        await self._writer.do(lambda work: _change(work, (part, epoch), change, (reason,)))
        self._tell()

    async def join(self, member: Member) -> None:
        before, _ = self._members.get(member.owner, (None, 0))
        self._members[member.owner] = (member, self._clock.now_ms() + LEASE_MS)
        if member != before:
            self._tell()

    async def leave(self, owner: str) -> None:
        self._members.pop(owner, None)
        self._tell()

    async def look(self) -> Table:
        now_ms = self._clock.now_ms()
        leases = await self._reader.ask(lambda db: db.execute(f"{LEASES} ORDER BY part").fetchall())
        return Table(tuple(_leased(row, now_ms) for row in leases), self._live())

    async def news(self, seconds: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await asyncio.wait([waiter], timeout=seconds)
        finally:
            self._waiting.discard(waiter)

    def _live(self) -> tuple[Member, ...]:
        now_ms = self._clock.now_ms()
        return tuple(member for _, (member, until) in sorted(self._members.items()) if until >= now_ms)

    def _tell(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)


def _take_over(work: Work, part: int, owner: str) -> PartitionRow | None:
    work.memory.forget_fences()
    work.db.execute("INSERT INTO engine_partition (part) VALUES (?) ON CONFLICT DO NOTHING", (part,))
    row = work.db.execute(
        "UPDATE engine_partition SET epoch = epoch + 1, owner = ?, lease_until = ?"
        " WHERE part = ? AND status = 'RUN' AND (lease_until < ? OR owner IN (?, ?))"
        f" RETURNING {COLUMNS}",
        (owner, work.now_ms + LEASE_MS, part, work.now_ms, owner, pod_of(owner)),
    ).fetchall()
    return PartitionRow(*row[0]) if row else None


def _renew(work: Work, part: int, epoch: int) -> bool:
    change = "lease_until = CASE status WHEN 'RUN' THEN ? ELSE lease_until END"
    return _change(work, (part, epoch), change, (work.now_ms + LEASE_MS,)) and work.memory.fences(work.db)[part].running


def _share(work: Work, fence: tuple[int, int], pod: str, members: tuple[Member, ...]) -> bool:
    running = work.db.execute("SELECT part, owner FROM engine_partition WHERE status = 'RUN'").fetchall()
    owned = {member.pod: 0 for member in members if member.shares}
    for _, owner in running:
        if owner is not None and pod_of(owner) in owned:
            owned[pod_of(owner)] += 1
    giver = pod_of(dict(running).get(fence[0]) or "")
    if giver not in owned or pod not in owned or owned[giver] < owned[pod] + 2:
        return False
    return _change(work, fence, TO_POD, (pod, work.now_ms + RESERVE_MS))


def _change(work: Work, fence: tuple[int, int], change: str, values: tuple[object, ...]) -> bool:
    """Changes the row of a partition (part, epoch); False when the epoch is not the caller's any more."""
    work.memory.forget_fences()
    text = f"UPDATE engine_partition SET {change} WHERE part = ? AND epoch = ?"
    return work.db.execute(text, (*values, *fence)).rowcount == 1


def _leased(row: sqlite3.Row, now_ms: int) -> Leased:
    part, owner, epoch, until, status, halt_reason, next_offset = row
    left_ms = until - now_ms if until else FREED_MS
    return Leased(part, owner, epoch, left_ms, status, halt_reason, next_offset)
