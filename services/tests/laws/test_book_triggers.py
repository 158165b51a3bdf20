"""Waiting stops, found by structure, are those that a look at each of them would find."""

from random import Random

import msgspec
import pytest
from msgspec.structs import astuple

from outcry.market.commands import PlaceOrder
from outcry.market.order import Order
from outcry.market.terms import BUY, SELL, STOP_LOSS, TAKE_PROFIT
from outcry.market.triggers import Triggers
from tests.support.naive_entry import Entry


class Watch:
    """Triggers and a plain list of entries, side by side."""

    def __init__(self) -> None:
        self.triggers = Triggers()
        self.waiting: dict[int, tuple[Order, Entry]] = {}
        self.seq = 0
        self.last = 0

    def add(self, chance: Random) -> None:
        self.seq += 1
        trail = chance.choice((0, 10, 25, 100, 250, 900))
        near = max(1, (self.last or 10_000) + chance.randint(-300, 300))
        placed = PlaceOrder(
            command_id=0, symbol_id=1, order_id=self.seq, account=1, client_order_id="",
            side=chance.choice((BUY, SELL)), type=chance.choice((STOP_LOSS, TAKE_PROFIT)), qty=1,
            stop_price=0 if trail and chance.randint(0, 2) else near, trail_bps=trail,
        )  # fmt: skip
        order, entry = Order(astuple(placed), 0), Entry(placed, 0)
        if self.last and not trail and entry.wakes(self.last):
            return
        order.priority_seq = self.seq
        self.triggers.add(order, self.last)
        if trail and self.last and (not placed.stop_price or entry.wakes(self.last)):
            entry.extreme = self.last
        self.waiting[self.seq] = order, entry

    def remove(self, chance: Random) -> None:
        if self.waiting:
            order, _ = self.waiting.pop(chance.choice(list(self.waiting)))
            self.triggers.remove(order)

    def trade(self, price: int) -> None:
        self.last = price
        due = [order_id for order_id, (_, entry) in self.waiting.items() if self.is_due(entry, price)]
        found = self.triggers.reached(price)
        assert [order.order_id for order in found] == due
        for order in found:
            if order.trail_bps and not order.trail_ref:
                self.follow(order, price)
            else:
                del self.waiting[order.order_id]
        assert self.triggers.count == len(self.waiting)

    def follow(self, order: Order, price: int) -> None:
        self.seq += 1
        order.priority_seq = self.seq
        self.triggers.follow(order, price)
        both = self.waiting.pop(order.order_id)
        both[1].extreme = price
        self.waiting[order.order_id] = both  # by priority, as ``reached`` answers

    def is_due(self, entry: Entry, price: int) -> bool:
        if entry.extreme is not None:
            return entry.follows_to(price)
        return not entry.placed.stop_price or entry.wakes(price)


@pytest.mark.parametrize("seed", range(6))
def test_stops_and_trails_are_found_wherever_the_price_walks(seed: int) -> None:
    chance, watch = Random(seed), Watch()
    price, drift = 10_000, 0
    for _ in range(2_500):
        if chance.randint(0, 99) == 0:
            drift = chance.choice((-8, 0, 8))
        price = max(100, price + drift + chance.randint(-20, 20))
        watch.trade(price)
        for _ in range(chance.randint(0, 2)):
            watch.add(chance)
        if chance.randint(0, 4) == 0:
            watch.remove(chance)
        assert watch.triggers.state() == (msgspec.msgpack.encode(watch.triggers.extremes()) if watch.waiting else b"")


def test_a_long_rise_costs_no_memory() -> None:
    """One follower and ten thousand extremes leave one group and a heap of a bounded size."""
    watch = Watch()
    placed = PlaceOrder(
        command_id=0, symbol_id=1, order_id=1, account=1, client_order_id="", side=SELL, type=STOP_LOSS, qty=1,
        trail_bps=100,
    )  # fmt: skip
    order = Order(astuple(placed), 0)
    watch.triggers.add(order, 10_000)
    for price in range(10_001, 20_000):
        assert watch.triggers.reached(price) == []
    assert watch.triggers.extremes() == ([], [(0, 19_999)])
    assert watch.triggers.entries() < 100
    assert watch.triggers.reached(19_800) == []
    assert watch.triggers.reached(19_799) == [order]
