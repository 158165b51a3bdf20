"""Holds that are put back after a failover lost them."""

from collections.abc import Sequence
from typing import Final

from outcry.adapters.postgres.book import Book
from outcry.adapters.postgres.bulk import arrays, columns_of
from outcry.adapters.postgres.statements import statement
from outcry.ports import Damaged
from outcry.rows import IntakeRow

PUT_BACK: Final = statement("put_back").format(
    columns=", ".join(IntakeRow._fields), arrays=arrays(IntakeRow._fields, {"open": "smallint"})
)
RAISE_IDS: Final = "SELECT setval($1::text::regclass, $2) WHERE $2 > (SELECT last_value FROM {sequence})"


class RestoringBook(Book):
    """Keeps ``roles.admin.restore.RestoringLedger`` beside what the ledger has anyway."""

    async def put_back(self, rows: Sequence[IntakeRow]) -> int:
        try:
            async with self._database.transaction() as connection:
                return int(await connection.fetchval(PUT_BACK, *columns_of(rows)))
        except Damaged as refused:
            raise Damaged(
                f"Holds cannot be put back: {refused.__cause__}. Deposit what the account lacks, or let its later order"
                " with the same name end, and restore again."
            ) from refused

    async def raise_ids(self, order_id: int, list_id: int) -> None:
        for sequence, highest in (("order_ids", order_id), ("list_ids", list_id)):
            if highest > 0:
                await self._database.fetch(RAISE_IDS.format(sequence=sequence), sequence, highest)
