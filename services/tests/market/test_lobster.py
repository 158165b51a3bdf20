"""A morning of Apple on NASDAQ (LOBSTER sample, ten levels): the core keeps the book that the exchange had.

Only levels that stay visible are compared. What rests on a level before it comes into sight is one nameless order
ahead of all others; a level that leaves the ten is forgotten.
"""

import csv
import itertools
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outcry.roles.match.jsonl import JsonLines

SHARED = Path(os.environ.get("OUTCRY_SHARED", Path(__file__).resolve().parents[4] / "shared"))
STEM = "AAPL_2012-06-21_34200000_57600000_{}_10.csv"
EMPTY = 9_999_999_999  # LOBSTER's price of a level that is not there
NEW, REDUCE, DELETE, EXECUTE = "1", "2", "3", "4"
NAMELESS = 1 << 50  # ids from here on are those of nameless orders

Levels = dict[tuple[str, int], int]  # (side, price) -> shares

pytestmark = pytest.mark.skipif(not (SHARED / "data").exists(), reason=f"no recorded market data at {SHARED}/data")


class Replay:
    """Feeds LOBSTER's events to `outcry match` and counts what differs."""

    def __init__(self, first: Levels, first_message: list[str]) -> None:
        self.match = JsonLines()
        self.ids: dict[int, int] = {}  # open shares by id
        self.executed: dict[int, int] = {}
        self.fresh_ids = itertools.count(NAMELESS)
        self.nameless: dict[tuple[str, int], int] = {}  # id by level
        self.compared = self.mismatches = self.executions = self.wrong_executions = 0
        self.visible: Levels = {}
        own = (side_of(first_message), int(first_message[4]))
        if first.get(own) == int(first_message[3]):
            self.add(int(first_message[2]), own, first[own])
            self.visible[own] = first[own]
        self.show(first)

    def tell(self, **command: object) -> list[dict[str, Any]]:
        parsed = self.match.parse(msgspec.json.encode(command))
        self.match.apply(parsed)
        return [msgspec.json.decode(line) for line in self.match.take().splitlines()]

    def add(self, order_id: int, level: tuple[str, int], shares: int) -> None:
        assert self.tell(op="new", id=order_id, side=level[0], price=level[1], qty=shares)[0]["event"] == "accepted"
        self.ids[order_id] = shares

    def message(self, row: list[str]) -> None:
        kind, order_id, shares, price = row[1], int(row[2]), int(row[3]), int(row[4])
        level = (side_of(row), price)
        if kind == NEW:
            self.add(order_id, level, shares)
        elif kind in (REDUCE, DELETE):
            self.reduce(order_id if order_id in self.ids else self.nameless[level], shares)
        elif kind == EXECUTE:
            expected = order_id if order_id in self.ids else self.nameless[level]
            self.execute(expected, level, shares)

    def reduce(self, order_id: int, shares: int) -> None:
        self.ids[order_id] -= shares
        if self.ids[order_id] == 0:
            del self.ids[order_id]
            self.tell(op="cancel", id=order_id)
        else:
            self.tell(op="amend", id=order_id, qty=self.ids[order_id] + self.executed.get(order_id, 0))

    def execute(self, expected: int, level: tuple[str, int], shares: int) -> None:
        side, price = level
        taker = "sell" if side == "buy" else "buy"
        events = self.tell(op="new", id=0, side=taker, type="LIMIT", tif="IOC", price=price, qty=shares)
        trades = [(event["maker"], event["price"], event["qty"]) for event in events if event["event"] == "traded"]
        self.executions += 1
        self.wrong_executions += trades != [(expected, price, shares)]
        self.ids[expected] -= shares
        self.executed[expected] = self.executed.get(expected, 0) + shares
        if not self.ids[expected]:
            del self.ids[expected]

    def compare(self, levels: Levels) -> None:
        book = self.tell(op="book")[0]
        mine = {(side, p): q for side, key in (("buy", "bids"), ("sell", "asks")) for p, q in book[key]}
        self.visible |= {level: lots for level, lots in mine.items() if level in levels}
        for level in self.visible:
            if level in levels:
                self.compared += 1
                self.mismatches += mine.get(level) != levels[level]
        self.show(levels)

    def show(self, levels: Levels) -> None:
        """Forgets levels that went out of sight, and lets a nameless order stand for what came into sight."""
        for side, price in [level for level in self.visible if level not in levels]:
            for order_id, _ in self.tell(op="queue", side=side, price=price)[0]["orders"]:
                self.tell(op="cancel", id=order_id)
                self.ids.pop(order_id)
            self.nameless.pop((side, price), None)
        for level, shares in levels.items():
            if level not in self.visible:
                self.nameless[level] = next(self.fresh_ids)
                self.add(self.nameless[level], level, shares)
        self.visible = dict(levels)


def side_of(row: list[str]) -> str:
    return "buy" if row[5] == "1" else "sell"


def levels_of(row: list[str]) -> Levels:
    found = {}
    for at in range(0, len(row), 4):
        ask, asked, bid, bidden = map(int, row[at : at + 4])
        if ask != EMPTY:
            found["sell", ask] = asked
        if bid != -EMPTY:
            found["buy", bid] = bidden
    return found


def test_the_core_keeps_the_book_that_the_exchange_had() -> None:
    with (SHARED / "data" / STEM.format("message")).open() as file:
        messages = list(csv.reader(file))
    with (SHARED / "data" / STEM.format("orderbook")).open() as file:
        books = [levels_of(row) for row in csv.reader(file)]
    replay = Replay(books[0], messages[0])
    for message, levels in zip(messages[1:], books[1:], strict=True):
        replay.message(message)
        replay.compare(levels)
    assert (len(messages) - 1, replay.mismatches, replay.wrong_executions) == (998, 0, 0)
    assert replay.compared > 19_500 and replay.executions > 90
