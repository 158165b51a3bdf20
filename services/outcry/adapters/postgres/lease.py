"""Who owns which partition; for liveness only, as the ledger's compare-and-set is the fence.

Takeovers and renewals run on the writer's connection, whose backend the row names as its owner's; the rest does not.
"""

from collections.abc import Mapping
from typing import Any, Final

import asyncpg
import msgspec

from outcry.adapters.postgres.book import Book
from outcry.adapters.postgres.database import Database
from outcry.adapters.postgres.faults import TROUBLE, fault_of
from outcry.adapters.postgres.listener import Listener
from outcry.leases import FREED_MS, Leased, Member, Table, pod_of
from outcry.rows import PartitionRow

RESERVE_MS: Final = 3_000
TAKEOVERS: Final = 3  # attempts on a row that somebody holds locked
CHANNEL: Final = "lease"

COLUMNS: Final = ", ".join(PartitionRow._fields)
MINE: Final = "WHERE topic = $1 AND part = $2 AND epoch = $3"
NO_OWNER: Final = "owner_pid = NULL, owner_start = NULL"
THIS_BACKEND: Final = """owner_pid = pg_backend_pid(),
       owner_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())"""

ADD: Final = "INSERT INTO engine_partition (topic, part) VALUES ($1, $2) ON CONFLICT DO NOTHING"
# Waits behind a commit of the old owner, but not for ever: the writer has a lock_timeout.
TAKEOVER: Final = f"""
UPDATE engine_partition
   SET epoch = epoch + 1, owner = $3, lease_until = outcry_now_ms() + $5, {THIS_BACKEND}
 WHERE topic = $1 AND part = $2 AND status = 'RUN' AND (lease_until < outcry_now_ms() OR owner IN ($3, $4))
RETURNING {COLUMNS}"""
# Ends the backend of an owner that holds the row locked though its lease is gone, and a former one of one's own.
EVICT: Final = """
SELECT pg_terminate_backend(a.pid)
  FROM engine_partition e JOIN pg_stat_activity a ON a.pid = e.owner_pid AND a.backend_start = e.owner_start
 WHERE e.topic = $1 AND e.part = $2 AND (e.lease_until < outcry_now_ms() OR e.owner = $3)"""
# The backend is named anew, for the connection may have been replaced since the takeover.
RENEW: Final = f"""
UPDATE engine_partition SET lease_until = outcry_now_ms() + $4, {THIS_BACKEND}
 WHERE topic = $1 AND (part, epoch) IN (SELECT * FROM unnest($2::int[], $3::bigint[])) AND status = 'RUN'
RETURNING part"""
RESERVED: Final = f"epoch = epoch + 1, owner = $4, {NO_OWNER}, lease_until = outcry_now_ms() + $5"
RESERVE: Final = f"UPDATE engine_partition SET {RESERVED} {MINE}"
RELEASE: Final = f"UPDATE engine_partition SET owner = NULL, {NO_OWNER}, lease_until = 0 {MINE}"
# The first reason stays: what comes after it is what follows from it.
HALT: Final = f"""
UPDATE engine_partition
   SET status = 'HALT', halt_reason = CASE WHEN status = 'HALT' THEN halt_reason ELSE $4 END {MINE}"""

ONE_DECISION: Final = "SELECT pg_try_advisory_xact_lock(hashtext('outcry share ' || $1))"
# A bare pod owns what is reserved for it. Two processes with one pod name count as the one that has more.
SHARE: Final = f"""
WITH owned AS (
  SELECT m.pod, count(e.part) AS parts
    FROM engine_member m LEFT JOIN engine_partition e
      ON e.topic = $1 AND e.status = 'RUN' AND split_part(e.owner, '/', 1) = m.pod
   WHERE m.seen_until >= outcry_now_ms() AND m.claim = 'share' AND NOT m.draining
   GROUP BY m.owner, m.pod)
UPDATE engine_partition SET {RESERVED}
 {MINE} AND status = 'RUN'
   AND (SELECT max(parts) FROM owned WHERE pod = split_part(owner, '/', 1))
       >= (SELECT max(parts) FROM owned WHERE pod = $4) + 2"""

JOIN: Final = """
INSERT INTO engine_member (owner, pod, claim, draining, ready, offers, copies, seen_until)
VALUES ($1, $2, $3, $4, $5, $6, $7, outcry_now_ms() + $8)
    ON CONFLICT (owner) DO UPDATE SET pod = $2, claim = $3, draining = $4, ready = $5, offers = $6, copies = $7,
       seen_until = outcry_now_ms() + $8"""
LEAVE: Final = "DELETE FROM engine_member WHERE owner = $1"
FORGET: Final = "DELETE FROM engine_member WHERE seen_until < outcry_now_ms() - 86400000"
MEMBERS: Final = """
SELECT owner, claim, draining, ready, offers, copies FROM engine_member
 WHERE seen_until >= outcry_now_ms() ORDER BY owner"""
LEASES: Final = """
SELECT part, owner, epoch, CASE lease_until WHEN 0 THEN $2 ELSE lease_until - outcry_now_ms() END, status, halt_reason,
       next_offset
  FROM engine_partition WHERE topic = $1 ORDER BY part"""
TELL: Final = "SELECT pg_notify($1, $2)"

_encode: Final = msgspec.json.Encoder().encode
_offers: Final = msgspec.json.Decoder(tuple[tuple[int, str], ...]).decode


class PgLease(Book):
    """Leases as columns of the partitions' rows, members as rows, on the database's clock."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._topic = database.topic
        self._lease_ms = database.lease_ms
        self._listener = Listener(database, CHANNEL)
        self._known: set[int] = set()  # partitions that have a row
        self._told: Member | None = None

    async def takeover(self, part: int, owner: str) -> PartitionRow | None:
        """Waits for a commit of the old owner; one that hangs with its lease gone is ended."""
        for _ in range(TAKEOVERS):
            try:
                rows = await self._take(part, owner)
            except asyncpg.LockNotAvailableError:
                await self._evict(part, owner)
            else:
                return PartitionRow(*rows[0]) if rows else None
        return None

    async def renew(self, epochs: Mapping[int, int]) -> set[int]:
        """The partitions that are still the caller's."""
        rows = await self._write(RENEW, list(epochs), list(epochs.values()), self._lease_ms)
        return {row[0] for row in rows}

    async def reserve(self, part: int, epoch: int, pod: str) -> None:
        """Hands over to ``pod``; the new epoch fences the giver at once, and after 3 s anyone may take it."""
        await self._write(RESERVE, part, epoch, pod, RESERVE_MS)
        await self._tell(f"{part}:{pod}")

    async def share(self, part: int, epoch: int, pod: str) -> bool:
        """Reserves for ``pod`` if the owner has two partitions more than it: one such decision is made at a time."""
        async with self._database.transaction() as connection:
            if not await connection.fetchval(ONE_DECISION, self._topic):
                return False
            done = await connection.execute(SHARE, self._topic, part, epoch, pod, RESERVE_MS)
            await connection.execute(TELL, CHANNEL, f"{part}:{pod}")
            return bool(done == "UPDATE 1")

    async def release(self, part: int, epoch: int) -> None:
        await self._write(RELEASE, part, epoch)
        await self._tell(f"{part}:")

    async def halt(self, part: int, epoch: int, reason: str) -> None:
        await self._write(HALT, part, epoch, reason)
        await self._tell(f"{part}:")

    async def join(self, member: Member) -> None:
        """Also forgets members that have been gone for a day."""
        owner, claim, draining, ready, offers, copies = member
        terms = (owner, member.pod, claim, draining, ready, _encode(offers).decode(), list(copies), self._lease_ms)
        await self._database.fetch(JOIN, *terms, is_small=True)
        if member != self._told:
            await self._database.fetch(FORGET, is_small=True)
            await self._tell(owner)
            self._told = member

    async def leave(self, owner: str) -> None:
        self._told = None
        await self._database.fetch(LEAVE, owner, is_small=True)
        await self._tell(owner)

    async def look(self) -> Table:
        leases = await self._database.fetch(LEASES, self._topic, FREED_MS, is_small=True)
        members = await self._database.fetch(MEMBERS, is_small=True)
        return Table(tuple(Leased(*row) for row in leases), tuple(_member(*row) for row in members))

    async def news(self, seconds: float) -> None:
        await self._listener.wait(seconds)

    async def close(self) -> None:
        """Ends the connection that listens."""
        await self._listener.close()

    async def _take(self, part: int, owner: str) -> list[Any]:
        try:
            async with self._database.writer.turn() as connection:
                if part not in self._known:
                    await connection.execute(ADD, self._topic, part)
                    self._known.add(part)
                rows: list[Any] = await connection.fetch(
                    TAKEOVER, self._topic, part, owner, pod_of(owner), self._lease_ms
                )
                return rows
        except asyncpg.LockNotAvailableError:
            raise
        except TROUBLE as error:
            raise fault_of(error, sent=True) from error

    async def _evict(self, part: int, owner: str) -> None:
        await self._database.fetch(EVICT, self._topic, part, owner, is_small=True)

    async def _write(self, statement: str, *values: Any) -> list[Any]:
        """Runs one statement on the writer's connection."""
        try:
            async with self._database.writer.turn() as connection:
                found: list[Any] = await connection.fetch(statement, self._topic, *values)
                return found
        except TROUBLE as error:
            raise fault_of(error, sent=True) from error

    async def _tell(self, what: str) -> None:
        await self._database.fetch(TELL, CHANNEL, what, is_small=True)


def _member(*row: Any) -> Member:
    owner, claim, draining, ready, offers, copies = row
    return Member(owner, claim, draining, ready, _offers(offers), tuple(copies))
