"""Money that moves without the engine, and rows of orders that are over. Any api pod may do it at any time."""

from collections.abc import Sequence
from typing import Final

from outcry.adapters.pending import VOIDED_MS, voided_order
from outcry.adapters.postgres.book import Book
from outcry.adapters.postgres.careful import PUT_ORDERS
from outcry.adapters.postgres.retention import Retention
from outcry.adapters.postgres.statements import statement
from outcry.ports import OutOfService
from outcry.rows import IntakeRow

VOID_ORDERS: Final = 1000  # orders voided per call
SWEEP_ROWS: Final = 5000  # intake rows deleted per call
FOLD_TRIES: Final = 5  # others may have folded meanwhile

FOLD: Final = statement("fold")
VOID: Final = statement("void").format(columns=", ".join(f"i.{name}" for name in IntakeRow._fields))
SWEEP_INTAKE: Final = statement("sweep_intake")
SWEEP_KEYS: Final = statement("sweep_keys")
SWEEP_VOIDED: Final = statement("sweep_voided")
SWEEP_TOLD: Final = statement("sweep_told")
TOLD_MS: Final = 60_000  # how long a feed that lost something may ask for it
TOLD_BYTES: Final = 16 << 20  # of one partition
ONE_AT_A_TIME: Final = "SELECT pg_try_advisory_xact_lock(hashtext($1), $2)"


class HousekeepingBook(Book):
    """Keeps ``ports.Housekeeping``."""

    async def fold(self, parts: Sequence[int], max_postings: int = 5000) -> int:
        """Waits for one who folds a partition already, for who is short of money wants all that is committed."""
        folded = 0
        for _ in range(FOLD_TRIES):
            ((has_work, moved, legs),) = await self._database.fetch(FOLD, self._database.topic, [*parts], max_postings)
            folded += int(legs)
            if moved == has_work:
                return folded
        raise OutOfService(f"Others fold partitions {[*parts]} all the time.")

    async def void(self, part: int) -> list[int]:
        async with self._database.transaction() as connection:
            if not await connection.fetchval(ONE_AT_A_TIME, "outcry void", part):
                return []
            rows = await connection.fetch(VOID, self._database.topic, part, VOID_ORDERS)
            orders = [
                (*voided_order(IntakeRow._make(row), log_time), next_offset) for *row, log_time, next_offset in rows
            ]
            if orders:
                await PUT_ORDERS.run(connection, orders)
        return [order[0] for order in orders]

    async def sweep_intake(self, part: int) -> int:
        """Also drops idempotency keys that have expired, what was told long enough ago, and notes of voided orders."""
        async with self._database.transaction() as connection:
            if not await connection.fetchval(ONE_AT_A_TIME, "outcry sweep", part):
                return 0
            await connection.execute(SWEEP_KEYS, SWEEP_ROWS)
            await connection.execute(SWEEP_TOLD, part, TOLD_MS, TOLD_BYTES)
            await connection.execute(SWEEP_VOIDED, VOIDED_MS)
            return len(await connection.fetch(SWEEP_INTAKE, self._database.topic, part, SWEEP_ROWS))

    async def retain(self, part: int, trades_before_ms: int, keep_offset: int) -> int:
        """Closed orders, amendments and self-trade preventions of that age go too; of every order that stays, its last
        prevention stays. Deleted trades stay in their accounts' positions.

        A replay starts at ``keep_offset`` from now on: checkpoints before it go first.
        """
        return await Retention(self._database, part, trades_before_ms, keep_offset).run()
