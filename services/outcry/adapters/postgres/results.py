"""The engine's side of the ledger: results and offset in one transaction, and the way back from them."""

import asyncio
from collections.abc import Sequence
from typing import Final

from outcry.adapters.postgres.book import Book
from outcry.adapters.postgres.bulk import Upsert, columns_of
from outcry.adapters.postgres.careful import ADVANCE, put_rows
from outcry.adapters.postgres.database import Database
from outcry.adapters.postgres.days import Days
from outcry.adapters.postgres.faults import TROUBLE, fault_of
from outcry.adapters.postgres.load import load_partition
from outcry.adapters.postgres.sessions import LOADER_SETTINGS
from outcry.adapters.postgres.sheet import sheet_of
from outcry.adapters.postgres.swift import commit_swiftly, is_swift
from outcry.adapters.postgres.writer import Connection
from outcry.ports import IntakeMissing, Restoring
from outcry.rows import Checkpoint, PartBatch, PartState

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

    async def load(self, part: int, to: Restoring | None = None) -> PartState:
        """On a connection of its own, so that commits of other partitions go on."""
        try:
            connection = await self._database.connect(LOADER_SETTINGS)
            try:
                async with asyncio.timeout(LOAD_SECONDS):
                    return await load_partition(connection, self._database.topic, part, to)
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
    """One batch, swiftly where it may go that way; what that does not bring about, the careful way does or explains."""

    def __init__(self, parts: Sequence[PartBatch]) -> None:
        self._sheet = sheet_of(parts)
        self.committing = False  # what commits is on its way: only the ledger knows what comes of it

    async def attempt(self, connection: Connection, database: Database) -> set[int] | IntakeMissing:
        """The partitions that the compare-and-set named, or why a row was refused; nothing is written in either case
        of less than all. Raises what asyncpg raises."""
        if is_swift(self._sheet):
            self.committing = True
            named = await commit_swiftly(connection, database, self._sheet)
            self.committing = False
            if named:
                return named
        return await self._carefully(connection, database)

    async def _carefully(self, connection: Connection, database: Database) -> set[int] | IntakeMissing:
        """The compare-and-set, the rows, and COMMIT only if all partitions were named."""
        await connection.execute("BEGIN")
        fences = columns_of(self._sheet.advances)
        rows = await connection.fetch(ADVANCE, database.topic, database.lease_ms, *fences)
        verdict: set[int] | IntakeMissing = {part for (part,) in rows}
        if len(rows) == len(self._sheet.advances):
            refusal = await put_rows(connection, self._sheet)
            if refusal is None:
                self.committing = True
                await connection.execute("COMMIT")
                return verdict
            verdict = refusal
        await connection.execute("ROLLBACK")
        return verdict
