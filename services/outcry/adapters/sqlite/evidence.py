"""What a verification reads: rows by their place in the log, and all money at one moment."""

import json
import sqlite3
from collections.abc import Sequence

import msgspec

from outcry.adapters.sqlite.bulk import as_json
from outcry.adapters.sqlite.file import OnFile
from outcry.adapters.sqlite.rowtext import (
    AMENDMENT,
    INTAKE_TEXT,
    PREVENTED,
    TRADE,
    read_amendments,
    read_ids,
    read_intake,
    read_prevented,
    read_trades,
)
from outcry.adapters.sqlite.statements import statement
from outcry.rows import AmendmentRow, DeadLetter, IntakeRow, KeptKey, Money, PostingRow, PreventedRow, TradeRow

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
AMENDMENTS = as_json(
    AMENDMENT, "FROM amendments WHERE part = ? AND log_offset >= ? AND log_offset < ? ORDER BY log_offset, execution_id"
)
DEAD_LETTERS = (
    f"SELECT {','.join(DeadLetter._fields)} FROM dead_letter"
    " WHERE part = ? AND log_offset >= ? AND log_offset < ? ORDER BY log_offset, rowid"
)
OUTCOMES = "SELECT count(*) FROM orders WHERE part = ? AND applied_offset >= ? AND applied_offset < ?"
PENDING = as_json(
    INTAKE_TEXT, "FROM intake WHERE applied_offset IS NULL AND order_id IN (SELECT value FROM json_each(?))"
)
NAMED = as_json(
    [f"t.{name} AS {name}" for name in TRADE],
    "FROM json_each(?) w CROSS JOIN trades t ON t.symbol_id = w.value ->> 0 AND t.trade_id = w.value ->> 1"
    " AND t.time_ms = w.value ->> 2",
)
KEYS = (
    "SELECT account_id, key, order_ids, response, expires_ms FROM idempotency"
    " WHERE (account_id, key) > (?, ?) ORDER BY account_id, key LIMIT ?"
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

    async def amended(self, part: int, from_offset: int, to_offset: int) -> list[AmendmentRow]:
        """Amendments of a stretch of a partition's log, in order."""
        values = (part, from_offset, to_offset)
        return await self._reader.ask(lambda db: read_amendments(db.execute(AMENDMENTS, values).fetchone()[0]))

    async def preventions(self, symbol_id: int, first_id: int, last_id: int) -> list[PreventedRow]:
        """Matches that self-trade prevention stopped, by id, both ends included."""
        return await self._reader.ask(
            lambda db: read_prevented(db.execute(PREVENTIONS, (symbol_id, first_id, last_id)).fetchone()[0])
        )

    async def dead_letters(self, part: int, from_offset: int, to_offset: int) -> list[DeadLetter]:
        """Bad frames and commands of a stretch of a partition's log, in order."""
        span = (part, from_offset, to_offset)
        return await self._reader.ask(lambda db: [DeadLetter(*row) for row in db.execute(DEAD_LETTERS, span)])

    async def outcomes(self, part: int, from_offset: int, to_offset: int) -> int:
        """How many orders had their first outcome there. Reads every order."""
        return await self._reader.ask(
            lambda db: int(db.execute(OUTCOMES, (part, from_offset, to_offset)).fetchone()[0])
        )

    async def pending(self, order_ids: Sequence[int]) -> list[IntakeRow]:
        """The intake rows, of these orders, that have no outcome yet."""
        ids = json.dumps(list(order_ids))
        return await self._reader.ask(lambda db: read_intake(db.execute(PENDING, (ids,)).fetchone()[0]))

    async def kept_keys(self, after: tuple[int, str], limit: int) -> list[KeptKey]:
        """The next Idempotency-Keys by account and key."""
        return await self._reader.ask(lambda db: [_kept(row) for row in db.execute(KEYS, (*after, limit))])

    async def named_trades(self, places: Sequence[tuple[int, int, int]]) -> list[TradeRow]:
        """Trades by symbol, id and time of log; one that is not there is left out."""
        return await self._reader.ask(lambda db: read_trades(db.execute(NAMED, (json.dumps(places),)).fetchone()[0]))


def _kept(row: tuple[int, str, str, bytes | None, int]) -> KeptKey:
    return KeptKey(row[0], row[1], json.loads(row[2]), *row[3:])


def _money(db: sqlite3.Connection) -> Money:
    return Money(
        read_balances(db.execute(BALANCES).fetchone()[0]),
        read_needs(db.execute(NEEDS).fetchone()[0]),
        read_transfers(db.execute(TRANSFERS).fetchone()[0]),
        read_ids(db.execute(STRAYS, (MAX_STRAYS,)).fetchone()[0]),
    )
