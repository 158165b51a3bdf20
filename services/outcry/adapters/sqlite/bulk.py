"""Statements that take many rows in one step, and queries that return many rows in one.

While SQLite runs one step, Python's lock is free for the event loop; at each step's end the thread
has to win it back. So the cost that counts is the number of steps: rows go in as one long VALUES list
and come out as one JSON text.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

MAX_VARIABLES = 32_000  # SQLite's own limit is 32,766
SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)

Row = Sequence[Any]


class Bulk:
    """One statement over any number of rows of a fixed width.

    The text is ``before`` + a subquery of the rows + ``after``. The list is padded with NULL rows up to one
    of a few sizes, so that a handful of compiled statements serves every batch; ``after`` has to
    ignore a row whose first column is NULL.
    """

    def __init__(self, before: str, width: int, after: str) -> None:
        row = "(" + ",".join("?" * width) + ")"
        self._width = width
        self._sizes = [size for size in SIZES if size * width <= MAX_VARIABLES]
        self._texts = [f"{before}(VALUES {','.join([row] * size)}){after}" for size in self._sizes]

    def run(self, db: sqlite3.Connection, rows: Sequence[Row]) -> int:
        """Runs for all rows; returns how many table rows changed."""
        most = self._sizes[-1]
        changed = 0
        for start in range(0, len(rows), most):
            changed += self._step(db, rows[start : start + most]).rowcount
        return changed

    def ask(self, db: sqlite3.Connection, rows: Sequence[Row]) -> list[str]:
        """The one value that the query gives for each step."""
        most = self._sizes[-1]
        return [self._step(db, rows[n : n + most]).fetchone()[0] for n in range(0, len(rows), most)]

    def _step(self, db: sqlite3.Connection, rows: Sequence[Row]) -> sqlite3.Cursor:
        place = next(i for i, size in enumerate(self._sizes) if size >= len(rows))
        values = list(chain.from_iterable(rows))
        values.extend([None] * ((self._sizes[place] - len(rows)) * self._width))
        return db.execute(self._texts[place], values)


def insert(table: str, columns: Sequence[str], conflict: str = "") -> Bulk:
    """Inserts rows; without ``conflict`` an existing key is an error."""
    names = ",".join(columns)
    return Bulk(f"INSERT INTO {table} ({names}) SELECT * FROM ", len(columns), f" WHERE column1 IS NOT NULL {conflict}")


def upsert(table: str, columns: Sequence[str], key: Sequence[str]) -> Bulk:
    """Inserts rows, or replaces all columns but the key."""
    changed = ",".join(f"{name}=excluded.{name}" for name in columns if name not in key)
    return insert(table, columns, f"ON CONFLICT ({','.join(key)}) DO UPDATE SET {changed}")


def update(table: str, key: str, columns: Sequence[str], condition: str = "") -> Bulk:
    """Changes ``columns`` of the rows with a given ``key``: each row is the key, then the columns."""
    changed = ",".join(f"{name}=given.column{place}" for place, name in enumerate(columns, start=2))
    after = f" AS given WHERE {table}.{key} = given.column1 {condition}"
    return Bulk(f"UPDATE {table} SET {changed} FROM ", len(columns) + 1, after)


def as_json(columns: Iterable[str], source: str) -> str:
    """A query whose only row is the JSON list of ``source``'s rows; ``source`` starts at FROM."""
    names = list(columns)
    plain = ",".join(name for name in names)
    cells = ",".join(name.rpartition(" AS ")[2] for name in names)
    return f"SELECT json_group_array(json_array({cells})) FROM (SELECT {plain} {source})"
