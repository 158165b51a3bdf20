"""Positions of trades that retention deletes: carried over in the same transaction, so that no profit is lost."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from outcry.adapters.positions import accounts_of, counted_in
from outcry.adapters.sqlite.bulk import upsert
from outcry.market.instrument import Instrument
from outcry.rows import OpeningRow, TradeRow

OPENING = OpeningRow._fields
FIRST_TEXT, LAST_TEXT = OPENING.index("qty"), OPENING.index("quote_fees")
PUT_OPENINGS = upsert("openings", OPENING, ("account_id", "symbol_id"))
OPENINGS = (
    f"SELECT {','.join(OPENING)} FROM openings"
    " WHERE symbol_id = ? AND account_id IN (SELECT value FROM json_each(?)) ORDER BY account_id"
)


def openings(db: sqlite3.Connection, symbol_id: int, accounts: Sequence[int]) -> dict[int, OpeningRow]:
    """By account, what its deleted trades of the symbol came to."""
    rows = db.execute(OPENINGS, (symbol_id, json.dumps(list(accounts)))).fetchall()
    return {row[0]: OpeningRow._make(map(int, row)) for row in rows}


def carry_over(db: sqlite3.Connection, trades: Sequence[TradeRow], instrument: Instrument) -> None:
    """Counts a symbol's oldest trades, in order, into the openings of their accounts."""
    rows = counted_in(trades, instrument, openings(db, instrument.symbol_id, accounts_of(trades)))
    PUT_OPENINGS.run(db, [_as_stored(row) for row in rows])


def _as_stored(row: OpeningRow) -> Sequence[Any]:
    texts = (str(number) for number in row[FIRST_TEXT : LAST_TEXT + 1])
    return [*row[:FIRST_TEXT], *texts, *row[LAST_TEXT + 1 :]]
