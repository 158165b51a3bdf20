"""What a verification reads: rows by their place in the log, and all money at one moment."""

import sqlite3

import msgspec

from outcry.adapters.sqlite.bulk import as_json
from outcry.adapters.sqlite.file import OnFile
from outcry.adapters.sqlite.rowtext import PREVENTED, read_ids, read_prevented
from outcry.adapters.sqlite.statements import statement
from outcry.rows import Money, PostingRow, PreventedRow

MAX_STRAYS = 100  # reported at once

BALANCES = statement("balances_of_all")
NEEDS = statement("needs_of_all")
TRANSFERS = statement("transfers_by_asset")
STRAYS = statement("strays")
POSTINGS = (
    f"SELECT {','.join(PostingRow._fields)} FROM postings"
    " WHERE part = ? AND log_offset >= ? AND log_offset < ? ORDER BY log_offset, idx"
)
PREVENTIONS = as_json(
    PREVENTED, "FROM prevented WHERE symbol_id = ? AND prevented_id BETWEEN ? AND ? ORDER BY prevented_id"
)

read_balances = msgspec.json.Decoder(list[tuple[int, int, int, int]]).decode
read_needs = msgspec.json.Decoder(list[tuple[int, int, int]]).decode
read_transfers = msgspec.json.Decoder(list[tuple[int, int]]).decode


class EvidenceBook(OnFile):
    """Keeps ``roles.engine.verify.EvidenceLedger`` with what the other books lack."""

    async def money(self) -> Money:
        """Everybody's money, from one snapshot."""
        return await self._reader.ask(_money)

    async def postings(self, part: int, from_offset: int, to_offset: int) -> list[PostingRow]:
        """Postings of a stretch of a partition's log, in order."""
        return await self._reader.ask(
            lambda db: [PostingRow(*row) for row in db.execute(POSTINGS, (part, from_offset, to_offset)).fetchall()]
        )

    async def preventions(self, symbol_id: int, first_id: int, last_id: int) -> list[PreventedRow]:
        """Matches that self-trade prevention stopped, by id, both ends included."""
        return await self._reader.ask(
            lambda db: read_prevented(db.execute(PREVENTIONS, (symbol_id, first_id, last_id)).fetchone()[0])
        )


def _money(db: sqlite3.Connection) -> Money:
    return Money(
        read_balances(db.execute(BALANCES).fetchone()[0]),
        read_needs(db.execute(NEEDS).fetchone()[0]),
        read_transfers(db.execute(TRANSFERS).fetchone()[0]),
        read_ids(db.execute(STRAYS, (MAX_STRAYS,)).fetchone()[0]),
    )
