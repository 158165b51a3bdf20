"""The engine's side of the ledger: results and offset in one transaction, and the way back from them."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from outcry.adapters.postgres.book import Book
from outcry.adapters.postgres.bulk import Copy, Upsert, columns_of
from outcry.adapters.postgres.changes import RowRefused, change_orders
from outcry.adapters.postgres.database import LOADER_SETTINGS, Database
from outcry.adapters.postgres.days import Days
from outcry.adapters.postgres.faults import TROUBLE, fault_of, refuses_row
from outcry.adapters.postgres.load import load_partition
from outcry.adapters.postgres.marks import mark_intake
from outcry.adapters.postgres.statements import statement
from outcry.adapters.postgres.writer import Connection
from outcry.ports import IntakeMissing
from outcry.rows import (
    AmendmentRow,
    CandleRow,
    Checkpoint,
    DeadLetter,
    ListRow,
    OrderRow,
    PartBatch,
    PartState,
    PostingRow,
    PreventedRow,
    SymbolRow,
    TradeRow,
)

ADVANCE: Final = statement("advance")
PUT_ORDERS: Final = Copy("orders", (*OrderRow._fields, "changed_before"))
PUT_TRADES: Final = Copy("trades", TradeRow._fields)
PUT_POSTINGS: Final = Copy("postings", (*PostingRow._fields, "time_ms"))
PUT_PREVENTED: Final = Copy("prevented", PreventedRow._fields)
PUT_AMENDMENTS: Final = Copy("amendments", AmendmentRow._fields)
PUT_TOLD: Final = statement("put_told")
PUT_DEAD: Final = Copy("dead_letter", DeadLetter._fields)
PUT_LISTS: Final = Upsert("lists", ListRow._fields, ("list_id",), status="text")
PUT_SYMBOLS: Final = Upsert("symbol_state", SymbolRow._fields, ("symbol_id",))
PUT_CANDLES: Final = Upsert("candles", CandleRow._fields, ("symbol_id", "interval_ms", "open_ms"), open="bigint")
PUT_CHECKPOINT: Final = Upsert("checkpoints", Checkpoint._fields, ("part", "next_offset"))

LOAD_SECONDS: Final = 120

CHECKPOINTS: Final = f"SELECT {', '.join(Checkpoint._fields)} FROM checkpoints WHERE part = $1 ORDER BY next_offset"
DROP_CHECKPOINTS: Final = "DELETE FROM checkpoints WHERE part = $1 AND next_offset < $2 RETURNING next_offset"


class ResultBook(Book):
    """Keeps ``ports.EngineLedger``."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._days = Days()

    async def commit(self, parts: Sequence[PartBatch]) -> set[int]:
        """On the writer's connection, which does not outlive any trouble but a refusal."""
        batch = Commit(parts)
        try:
            async with self._database.writer.turn() as connection:
                await self._days.make(connection, parts)
                verdict = await batch.attempt(connection, self._database)
        except TROUBLE as error:
            raise fault_of(error, sent=batch.committing) from error
        if isinstance(verdict, IntakeMissing):
            raise verdict
        return verdict

    async def load(self, part: int) -> PartState:
        """On a connection of its own, so that commits of other partitions go on."""
        try:
            connection = await self._database.connect(LOADER_SETTINGS)
            try:
                async with asyncio.timeout(LOAD_SECONDS):
                    return await load_partition(connection, self._database.topic, part)
            finally:
                connection.terminate()
        except TROUBLE as error:
            raise fault_of(error) from error

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        async with self._database.transaction() as connection:
            await PUT_CHECKPOINT.run(connection, [checkpoint])

    async def checkpoints(self, part: int) -> list[Checkpoint]:
        """Oldest first."""
        return [Checkpoint(*row) for row in await self._database.fetch(CHECKPOINTS, part)]

    async def drop_checkpoints(self, part: int, before_offset: int) -> int:
        """Deletes the checkpoints before an offset; returns how many."""
        return len(await self._database.fetch(DROP_CHECKPOINTS, part, before_offset))


class Commit:
    """One batch as one transaction: the compare-and-set, the rows, and COMMIT only if all partitions were named."""

    def __init__(self, parts: Sequence[PartBatch]) -> None:
        self._parts = parts
        self.committing = False  # COMMIT is on its way: only the ledger knows what comes of it

    async def attempt(self, connection: Connection, database: Database) -> set[int] | IntakeMissing:
        """The partitions that the compare-and-set named, or why a row was refused; rolled back in either case of less
        than all. Raises what asyncpg raises."""
        await connection.execute("BEGIN")
        fences = columns_of(batch.advance for batch in self._parts)
        rows = await connection.fetch(ADVANCE, database.topic, database.lease_ms, *fences)
        verdict: set[int] | IntakeMissing = {part for (part,) in rows}
        if len(rows) == len(self._parts):
            refusal = await self._put(connection)
            if refusal is None:
                self.committing = True
                await connection.execute("COMMIT")
                return verdict
            verdict = refusal
        await connection.execute("ROLLBACK")
        return verdict

    async def _put(self, connection: Connection) -> IntakeMissing | None:
        """Writes all rows; returns why the ledger refuses one."""
        try:
            await mark_intake(connection, self._parts)
            await self._put_rows(connection)
        except IntakeMissing as missing:
            return missing
        except TROUBLE as error:
            if not refuses_row(error):
                raise
            named = sorted(batch.advance.part for batch in self._parts)
            return RowRefused(f"partitions {named}: the ledger refuses a row: {error}")
        return None

    async def _put_rows(self, connection: Connection) -> None:
        parts = self._parts
        told = [(b.advance.part, b.advance.from_offset, b.advance.to_offset, b.told) for b in parts if b.told]
        if told:
            await connection.execute(PUT_TOLD, *columns_of(told))
        await change_orders(connection, [(row, b.advance.to_offset) for b in parts for row in b.touched_orders])
        puts: tuple[tuple[Copy | Upsert, list[Any]], ...] = (
            (PUT_ORDERS, [(*row, batch.advance.to_offset) for batch in parts for row in batch.new_orders]),
            (PUT_TRADES, [row for batch in parts for row in batch.trades]),
            (PUT_POSTINGS, [(*row, batch.advance.log_time) for batch in parts for row in batch.postings]),
            (PUT_PREVENTED, [row for batch in parts for row in batch.prevented]),
            (PUT_AMENDMENTS, [row for batch in parts for row in batch.amendments]),
            (PUT_LISTS, [row for batch in parts for row in batch.lists]),
            (PUT_SYMBOLS, [row for batch in parts for row in batch.symbols]),
            (PUT_CANDLES, [row for batch in parts for row in batch.candles]),
            (PUT_DEAD, [row for batch in parts for row in batch.dead_letters]),
        )
        for put, rows in puts:
            if rows:
                await put.run(connection, rows)
