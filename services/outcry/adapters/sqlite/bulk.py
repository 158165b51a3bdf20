"""Statements that take many rows in one step, and queries that return many rows in one.

While SQLite runs one step, Python's lock is free for the event loop; at each step's end the thread
has to win it back. So the cost that counts is the number of steps: rows go in as one long VALUES list
and come out as one JSON text.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

MAX_VARIABLES = 32_000  # SQLite's own limit is 32,766
MAX_SPARE = 4  # rows of padding that are cheaper than another step, or a larger share of the whole
SPARE_SHARE = 16
SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)

Row = Sequence[Any]


class Bulk:
    """One statement over any number of rows of a fixed width.

    The text is ``before`` + a subquery of the rows + ``after``. Lists of a few sizes are compiled, so that a
    handful of statements serves every batch: one with a few rows less is padded with NULL rows, any other goes
    in several steps. ``after`` has to ignore a row whose first column is NULL.
    """

    def __init__(self, before: str, width: int, after: str) -> None:
        row = "(" + ",".join("?" * width) + ")"
        self._width = width
        self._sizes = [size for size in SIZES if size * width <= MAX_VARIABLES]
        self._texts = [f"{before}(VALUES {','.join([row] * size)}){after}" for size in self._sizes]

    def run(self, db: sqlite3.Connection, rows: Sequence[Row]) -> int:
        """Runs for all rows; returns how many table rows changed."""
        return sum(cursor.rowcount for cursor in self._steps(db, rows))

    def ask(self, db: sqlite3.Connection, rows: Sequence[Row]) -> list[str]:
        """The one value that the query gives for each step."""
        return [cursor.fetchone()[0] for cursor in self._steps(db, rows)]

    def _steps(self, db: sqlite3.Connection, rows: Sequence[Row]) -> Iterator[sqlite3.Cursor]:
        start = 0
        while start < len(rows):
            place = self._place(len(rows) - start)
            size = self._sizes[place]
            values = list(chain.from_iterable(rows[start : start + size]))
            start += size
            if start > len(rows):
                values.extend([None] * ((start - len(rows)) * self._width))
            yield db.execute(self._texts[place], values)

    def _place(self, left: int) -> int:
        """Which size comes next: all that is left if that wastes little, else the largest that is filled."""
        place = bisect_left(self._sizes, left)
        if place < len(self._sizes) and self._sizes[place] - left <= max(MAX_SPARE, left // SPARE_SHARE):
            return place
        return place - 1


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
