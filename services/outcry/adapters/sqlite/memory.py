"""What the writer knows without asking the file: balances, counters, ends of logs, fences.

All of it can be read again, so whenever a transaction fails, it is forgotten.
"""

import json
import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from outcry.adapters.sqlite.bulk import upsert
from outcry.ports import Damaged

MAX_BALANCES = 200_000  # beyond it the cache starts anew
OFFSET_BITS = 40
MAX_OFFSET = (1 << OFFSET_BITS) - 1

Pocket = tuple[int, int]  # (account id, asset id)
Money = tuple[int, int]  # (free, held) in minor units

PUT_BALANCES = upsert("balances", ("account_id", "asset_id", "free", "held"), ("account_id", "asset_id"))


class Purse:
    """Balances as of the running transaction; changed ones are written once, at its end."""

    def __init__(self) -> None:
        self._money: dict[Pocket, Money] = {}
        self._before: list[tuple[Pocket, Money]] = []
        self._changed: dict[Pocket, None] = {}

    def load(self, db: sqlite3.Connection, pockets: Iterable[Pocket]) -> None:
        """Makes the balances known; a pocket without a row is empty."""
        unknown = [pocket for pocket in dict.fromkeys(pockets) if pocket not in self._money]
        if not unknown:
            return
        found = db.execute(
            "SELECT account_id, asset_id, free, held FROM json_each(?) AS wanted JOIN balances"
            " ON account_id = json_extract(wanted.value, '$[0]') AND asset_id = json_extract(wanted.value, '$[1]')",
            (json.dumps(unknown),),
        ).fetchall()
        self._money.update(dict.fromkeys(unknown, (0, 0)))
        self._money.update({(account, asset): (free, held) for account, asset, free, held in found})

    def of(self, pocket: Pocket) -> Money:
        return self._money[pocket]

    def move(self, pocket: Pocket, free_delta: int, held_delta: int) -> None:
        """Changes a loaded balance. Raises Damaged when it would become negative."""
        free, held = self._money[pocket]
        after = (free + free_delta, held + held_delta)
        if after[1] < 0 or (after[0] < 0 and pocket[0] != 0):
            raise Damaged(f"Account {pocket[0]} would have {after[0]} free and {after[1]} held of asset {pocket[1]}.")
        self._before.append((pocket, (free, held)))
        self._changed[pocket] = None
        self._money[pocket] = after

    def hold(self, pocket: Pocket, amount: int) -> bool:
        """Moves money of a loaded balance from free to held, if it is there."""
        assert amount >= 0
        free, held = self._money[pocket]
        if free < amount:
            return False
        if amount:
            self._before.append((pocket, (free, held)))
            self._changed[pocket] = None
            self._money[pocket] = (free - amount, held + amount)
        return True

    def mark(self) -> int:
        return len(self._before)

    def undo(self, mark: int) -> None:
        """Takes back the moves since ``mark``."""
        while len(self._before) > mark:
            pocket, money = self._before.pop()
            self._money[pocket] = money

    def flush(self, db: sqlite3.Connection) -> None:
        """Writes what changed."""
        if self._changed:
            PUT_BALANCES.run(db, [(*pocket, *self._money[pocket]) for pocket in self._changed])
            self._changed.clear()
            self._before.clear()
        if len(self._money) > MAX_BALANCES:
            self._money.clear()


class LogEnd(NamedTuple):
    """Where a partition's log ends."""

    next_offset: int
    timestamp_ms: int
    weight: int


class Fence(NamedTuple):
    """The part of a partition's row that decides who may commit and how long a command is valid."""

    epoch: int
    next_offset: int
    log_time: int
    running: bool


class Memory:
    """The writer's memory; ``forget`` makes it read everything again."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.purse = Purse()
        self._ends: dict[int, LogEnd] = {}
        self._fences: dict[int, Fence] | None = None
        self._next_ids: tuple[int, int] | None = None

    def end(self, db: sqlite3.Connection, part: int) -> LogEnd:
        if part not in self._ends:
            self._ends[part] = _read_end(db, part)
        return self._ends[part]

    def set_end(self, part: int, end: LogEnd) -> None:
        self._ends[part] = end

    def fences(self, db: sqlite3.Connection) -> dict[int, Fence]:
        if self._fences is None:
            rows = db.execute("SELECT part, epoch, next_offset, log_time, status FROM engine_partition").fetchall()
            self._fences = {row[0]: Fence(row[1], row[2], row[3], row[4] == "RUN") for row in rows}
        return self._fences

    def forget_fences(self) -> None:
        self._fences = None

    def next_ids(self, db: sqlite3.Connection) -> tuple[int, int]:
        """The next order id and the next list id."""
        if self._next_ids is None:
            self._next_ids = (_next_id(db, "order_id"), _next_id(db, "list_id"))
        return self._next_ids

    def set_next_ids(self, order_id: int, list_id: int) -> None:
        self._next_ids = (order_id, list_id)


def _next_id(db: sqlite3.Connection, column: str) -> int:
    """One more than any id that was ever given out: ids live in intake first, in orders or lists later."""
    table = "orders" if column == "order_id" else "lists"
    highest = db.execute(
        f"SELECT max(coalesce((SELECT max({column}) FROM intake), 0), coalesce((SELECT max({column}) FROM {table}), 0),"
        " coalesce((SELECT value FROM counters WHERE name = ?), 0))",
        (column,),
    ).fetchone()[0]
    return int(highest) + 1


def _read_end(db: sqlite3.Connection, part: int) -> LogEnd:
    first = part << OFFSET_BITS
    row = db.execute(
        "SELECT place, timestamp_ms, weight FROM journal WHERE place BETWEEN ? AND ? ORDER BY place DESC LIMIT 1",
        (first, first | MAX_OFFSET),
    ).fetchone()
    if row:
        return LogEnd((row[0] & MAX_OFFSET) + 1, row[1], row[2])
    trimmed = db.execute("SELECT value FROM counters WHERE name = ?", (f"journal-{part}",)).fetchone()
    return LogEnd(trimmed[0] if trimmed else 0, 0, 0)
