"""Who owns which partition; for liveness only, as the ledger's compare-and-set is the fence."""

from collections.abc import Mapping
from typing import Any, Final

from outcry.adapters.postgres.book import Book
from outcry.adapters.postgres.faults import TROUBLE, fault_of
from outcry.rows import PartitionRow

LEASE_MS: Final = 6_000
RESERVE_MS: Final = 3_000

COLUMNS: Final = ", ".join(PartitionRow._fields)
MINE: Final = "WHERE topic = $1 AND part = $2 AND epoch = $3"
NO_OWNER: Final = "owner_pid = NULL, owner_start = NULL"

ADD: Final = "INSERT INTO engine_partition (topic, part) VALUES ($1, $2) ON CONFLICT DO NOTHING"
TAKEOVER: Final = f"""
UPDATE engine_partition
   SET epoch = epoch + 1, owner = $3, owner_pid = pg_backend_pid(),
       owner_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()),
       lease_until = outcry_now_ms() + $5
 WHERE topic = $1 AND part = $2 AND status = 'RUN' AND (lease_until < outcry_now_ms() OR owner IN ($3, $4))
RETURNING {COLUMNS}"""
RENEW: Final = """
UPDATE engine_partition SET lease_until = outcry_now_ms() + $4
 WHERE topic = $1 AND (part, epoch) IN (SELECT * FROM unnest($2::int[], $3::bigint[])) AND status = 'RUN'
RETURNING part"""
RESERVE: Final = (
    f"UPDATE engine_partition SET epoch = epoch + 1, owner = $4, {NO_OWNER}, lease_until = outcry_now_ms() + $5 {MINE}"
)
RELEASE: Final = f"UPDATE engine_partition SET owner = NULL, {NO_OWNER}, lease_until = 0 {MINE}"
HALT: Final = f"UPDATE engine_partition SET status = 'HALT', halt_reason = $4 {MINE}"
MEMBERS: Final = """
SELECT owner, count(*) FROM engine_partition
 WHERE topic = $1 AND owner IS NOT NULL AND lease_until >= outcry_now_ms() GROUP BY owner ORDER BY owner"""


class PgLease(Book):
    """Leases as columns of the partitions' rows, on the database's clock."""

    async def takeover(self, part: int, owner: str) -> PartitionRow | None:
        pod = owner.partition("/")[0]
        await self._ask(ADD, part)
        rows = await self._ask(TAKEOVER, part, owner, pod, LEASE_MS)
        return PartitionRow(*rows[0]) if rows else None

    async def renew(self, epochs: Mapping[int, int]) -> set[int]:
        """The partitions that are still the caller's."""
        return {row[0] for row in await self._ask(RENEW, list(epochs), list(epochs.values()), LEASE_MS)}

    async def reserve(self, part: int, epoch: int, pod: str) -> None:
        """Hands over to ``pod``; the new epoch fences the giver at once, and after 3 s anyone may take it."""
        await self._ask(RESERVE, part, epoch, pod, RESERVE_MS)

    async def release(self, part: int, epoch: int) -> None:
        await self._ask(RELEASE, part, epoch)

    async def halt(self, part: int, epoch: int, reason: str) -> None:
        await self._ask(HALT, part, epoch, reason)

    async def members(self) -> dict[str, int]:
        return dict(await self._ask(MEMBERS))

    async def _ask(self, statement: str, *values: Any) -> list[Any]:
        """Runs one statement on the writer's connection: the lease names that connection's backend as the owner."""
        try:
            async with self._database.writer.turn() as connection:
                found: list[Any] = await connection.fetch(statement, self._database.topic, *values)
                return found
        except TROUBLE as error:
            raise fault_of(error, sent=True) from error
