"""Finds places in rows by bisection where ids, times and offsets grow together, so that no index is needed."""

import sqlite3
from typing import Final

from outcry.adapters.sqlite.memory import MAX_OFFSET, OFFSET_BITS
from outcry.adapters.sqlite.statements import statement
from outcry.ports import Damaged

LONGEST_WAY_MS: Final = 600_000  # more than any bound of an order after its intake

SEEK: Final = statement("first_trade")
BY_TIME: Final = SEEK.format(column="time_ms")
BY_OFFSET: Final = SEEK.format(column="log_offset")
BY_AGGREGATE: Final = SEEK.format(column="agg_id")


def first_trade_since(db: sqlite3.Connection, symbol_id: int, time_ms: int) -> int:
    """The id of the first trade at or after a time; one past the last when there is none."""
    return _seek(db, BY_TIME, symbol_id, time_ms)


def first_trade_at(db: sqlite3.Connection, symbol_id: int, log_offset: int) -> int:
    """The id of the first trade at or after a log offset."""
    return _seek(db, BY_OFFSET, symbol_id, log_offset)


def first_trade_of(db: sqlite3.Connection, symbol_id: int, agg_id: int) -> int:
    """The id of the first trade of an aggregate or a later one."""
    return _seek(db, BY_AGGREGATE, symbol_id, agg_id)


def _seek(db: sqlite3.Connection, text: str, symbol_id: int, wanted: int) -> int:
    row = db.execute(text, {"symbol": symbol_id, "wanted": wanted}).fetchone()
    if row is None:
        raise Damaged(f"The trades of symbol {symbol_id} have a hole. Run `outcry verify`.")
    return int(row[0])


def first_record_since(db: sqlite3.Connection, part: int, time_ms: int) -> int:
    """The offset of the partition's first record at or after a time; one past the last when there is none."""
    low, last = part << OFFSET_BITS, part << OFFSET_BITS | MAX_OFFSET
    row = db.execute("SELECT max(place) FROM journal WHERE place BETWEEN ? AND ?", (low, last)).fetchone()
    if row[0] is None:
        return 0
    high = row[0] + 1
    while low < high:
        middle = (low + high) // 2
        probe = db.execute("SELECT place, timestamp_ms FROM journal WHERE place >= ? LIMIT 1", (middle,)).fetchone()
        if probe[1] < time_ms:
            low = probe[0] + 1
        else:
            high = middle
    return low & MAX_OFFSET


def record_time(db: sqlite3.Connection, part: int, offset: int) -> int:
    """The time of a record, or of the last one before it; 0 when there is none."""
    row = db.execute(
        "SELECT timestamp_ms FROM journal WHERE place BETWEEN ? AND ? ORDER BY place DESC LIMIT 1",
        (part << OFFSET_BITS, part << OFFSET_BITS | offset),
    ).fetchone()
    return int(row[0]) if row else 0


def placed_between(db: sqlite3.Connection, start_ms: int, end_ms: int) -> tuple[int, int]:
    """Order ids (first, last) outside of which no order was placed in that time.

    Ids are given at intake, in order; an order is placed when its record is applied, which is later by at
    most the longest time that an order may be under way.
    """
    low, newest = db.execute("SELECT min(order_id), max(order_id) FROM orders").fetchone()
    if low is None:
        return 1, 0
    first = _order_seek(db, (low, newest), start_ms - LONGEST_WAY_MS)
    return first, _order_seek(db, (low, newest), end_ms + LONGEST_WAY_MS)


def _order_seek(db: sqlite3.Connection, bounds: tuple[int, int], time_ms: int) -> int:
    low, high = bounds
    while low < high:
        middle = (low + high) // 2
        probe = db.execute("SELECT order_id, placed_ms FROM orders WHERE order_id >= ? LIMIT 1", (middle,)).fetchone()
        if probe[1] < time_ms:
            low = probe[0] + 1
        else:
            high = middle
    return low
