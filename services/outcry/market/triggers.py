"""Stops that wait for the last price: found by price, never by looking at each of them.

Plain stops wait in price levels. Trailing stops follow an extreme: all that started since the same extreme share
one group, the extremes form a monotone stack, and a new extreme merges groups, the smaller into the larger.
Source of the rules: Binance Spot ``faqs/trailing-stop-faq.md``. Prices in ticks, deltas in basis points.
"""

from bisect import bisect_right
from heapq import heapify, heappop, heappush
from typing import Final

import msgspec

from outcry.market.book import Half
from outcry.market.order import Order
from outcry.market.terms import BASIS_POINTS, BUY, SELL, STOP_LOSS, STOP_LOSS_LIMIT

Extremes = list[tuple[int, int]]  # (priority_seq of the first follower, signed price), oldest first

_encode: Final = msgspec.msgpack.Encoder().encode

_NEVER: Final = -(1 << 60)
_AT_ONCE: Final = 1  # every trade price reaches one tick from below
_SPARE_ENTRIES: Final = 64  # outdated heap entries that are not worth a rebuild


def rises(order: Order) -> bool:
    """Whether the order's stop price is reached from below (last >= stop) rather than from above."""
    return (order.kind in (STOP_LOSS, STOP_LOSS_LIMIT)) == (order.side == BUY)


def is_reached(order: Order, last_price: int) -> bool:
    """Whether the stop price, if there is one, is reached at ``last_price`` (0: no trade yet)."""
    stop = order.stop_price
    if not stop or not last_price:
        return False
    return last_price >= stop if rises(order) else last_price <= stop


class Triggers:
    """The waiting stops of one market."""

    __slots__ = ("_falling", "_rising", "_state", "_trails", "count")

    def __init__(self) -> None:
        self.count = 0
        self._rising = Half(SELL)
        self._falling = Half(BUY)
        self._trails = (Trail(BUY), Trail(SELL))
        self._state = b""  # the extremes encoded, where no trail has changed since

    def add(self, order: Order, last_price: int) -> None:
        """Takes in a new stop; a trailing one whose start is due follows ``last_price`` at once."""
        self.count += 1
        if not order.trail_bps:
            self._queue(order, order.stop_price)
        elif last_price and (not order.stop_price or is_reached(order, last_price)):
            self._trail(order.side).add(order, last_price)
        elif order.stop_price:
            self._queue(order, order.stop_price)
        else:
            self._rising.append(order, _AT_ONCE)

    def follow(self, order: Order, price: int) -> None:
        """Starts a trailing stop that ``reached`` returned: from now on it follows the extreme since ``price``."""
        self.count += 1
        self._trail(order.side).add(order, price)

    def remove(self, order: Order) -> None:
        """Takes out a waiting stop."""
        level = order.level
        assert level is not None
        level.half.remove(order)
        self.count -= 1
        if order.trail_ref:
            self._trail(order.side).is_changed = True

    def reached(self, price: int) -> list[Order]:
        """Takes out what a trade at ``price`` reaches, by ``priority_seq``: triggered stops and trails that start."""
        found: list[Order] = []
        for trail in self._trails:
            trail.move(price)
            trail.reached(price, found)
        self._collect(self._rising, price, found)
        self._collect(self._falling, price, found)
        self.count -= len(found)
        if len(found) > 1:
            found.sort(key=_priority)
        return found

    def entries(self) -> int:
        """How many heap entries watch the extremes: what trailing stops cost beyond themselves."""
        return sum(trail.entries() for trail in self._trails)

    def extremes(self) -> tuple[Extremes, Extremes]:
        """What trailing buys and trailing sells follow; with the orders' own rows it restores them."""
        return self._trails[0].extremes(), self._trails[1].extremes()

    def state(self) -> bytes:
        """The extremes as the ledger keeps them; b"" where nothing waits. Made anew only when one has changed."""
        if not self.count:
            return b""
        buys, sells = self._trails
        if buys.is_changed or sells.is_changed or not self._state:
            self._state = _encode(self.extremes())
            buys.is_changed = sells.is_changed = False
        return self._state

    def restore_extremes(self, extremes: tuple[Extremes, Extremes]) -> None:
        """Comes before the waiting orders are restored."""
        for trail, stack in zip(self._trails, extremes, strict=True):
            trail.restore_extremes(stack)

    def restore(self, order: Order) -> None:
        """Takes in an order that waited before."""
        self.count += 1
        if order.trail_ref:
            self._trail(order.side).restore(order)
        elif order.stop_price:
            self._queue(order, order.stop_price)
        else:
            self._rising.append(order, _AT_ONCE)

    def _queue(self, order: Order, price: int) -> None:
        half = self._rising if rises(order) else self._falling
        half.append(order, price)

    def _trail(self, side: int) -> "Trail":
        return self._trails[0] if side == BUY else self._trails[1]

    def _collect(self, half: Half, price: int, found: list[Order]) -> None:
        level = half.best
        while level is not None and (level.price - price) * half.side >= 0:
            orders = level.orders()
            for order in orders:
                half.remove(order)
            found += orders
            level = half.best


def _priority(order: Order) -> int:
    return order.priority_seq


class Trail:
    """The trailing stops of one side. Prices are signed so that the extreme is a maximum for both sides."""

    __slots__ = ("_entries", "_groups", "_sign", "_watch", "is_changed")

    def __init__(self, side: int) -> None:
        self._sign = -side
        self.is_changed = False  # an extreme came, moved or lost its last follower since that was last looked at
        self._groups: list[Followers] = []  # oldest first, extremes falling
        self._watch: list[tuple[int, int, Followers]] = []  # heap of (-threshold, entry, group)
        self._entries = 0

    def add(self, order: Order, price: int) -> None:
        """Lets the order follow from ``price``, which is the last trade's."""
        order.trail_ref = price
        self.is_changed = True
        extreme = price * self._sign
        groups = self._groups
        while groups and groups[-1].is_empty():
            groups.pop()
        if not groups or groups[-1].extreme != extreme:
            groups.append(Followers(self._sign, order.priority_seq, extreme))
        groups[-1].add(order)
        self._watch_group(groups[-1])

    def move(self, price: int) -> None:
        """Takes notice of a trade: a new extreme is followed by all whose own is behind it."""
        extreme = price * self._sign
        groups = self._groups
        if not groups or groups[-1].extreme >= extreme:
            return
        self.is_changed = True
        merged: Followers | None = None
        while groups and groups[-1].extreme <= extreme:
            older = groups.pop()
            if not older.is_empty():
                merged = older if merged is None else older.merge(merged)
        if merged is not None:
            merged.extreme = extreme
            groups.append(merged)
            self._watch_group(merged)

    def reached(self, price: int, found: list[Order]) -> None:
        """Takes out the stops whose delta from the extreme ``price`` has reached, into ``found``."""
        here = price * self._sign
        while self._watch and -self._watch[0][0] >= here:
            threshold, _, group = heappop(self._watch)
            self.is_changed = True
            if group.watched != -threshold:
                continue
            while not group.is_empty() and group.threshold() >= here:
                group.take_nearest(found)
            group.watched = _NEVER
            if not group.is_empty():
                self._watch_group(group)

    def entries(self) -> int:
        return len(self._watch)

    def extremes(self) -> Extremes:
        return [(group.start_seq, group.extreme) for group in self._groups if not group.is_empty()]

    def restore_extremes(self, stack: Extremes) -> None:
        self._groups = [Followers(self._sign, start_seq, extreme) for start_seq, extreme in stack]
        self.is_changed = True

    def restore(self, order: Order) -> None:
        starts = [group.start_seq for group in self._groups]
        at = bisect_right(starts, order.priority_seq) - 1
        assert at >= 0, f"no extreme for trailing order {order.order_id}"
        self._groups[at].add(order)
        self._watch_group(self._groups[at])

    def _watch_group(self, group: "Followers") -> None:
        threshold = group.threshold()
        if threshold <= group.watched:
            return
        if len(self._watch) > _SPARE_ENTRIES + 4 * len(self._groups):
            self._rebuild()
        group.watched = threshold
        self._entries += 1
        heappush(self._watch, (-threshold, self._entries, group))

    def _rebuild(self) -> None:
        self._groups = [group for group in self._groups if not group.is_empty()]
        self._watch = [(-group.watched, at, group) for at, group in enumerate(self._groups)]
        self._entries = len(self._groups)
        heapify(self._watch)


class Followers:
    """Trailing stops that follow the same extreme, by delta; those with the smallest delta trigger first."""

    __slots__ = ("_deltas", "_sign", "_weight", "extreme", "start_seq", "watched")

    def __init__(self, sign: int, start_seq: int, extreme: int) -> None:
        self._sign = sign
        self._deltas = Half(SELL)
        self._weight = 0  # orders ever taken in: bounds the cost of merging
        self.start_seq = start_seq
        self.extreme = extreme
        self.watched = _NEVER  # threshold of the entry in the heap that stands for this group

    def is_empty(self) -> bool:
        return self._deltas.best is None

    def add(self, order: Order) -> None:
        self._deltas.append(order, order.trail_bps)
        self._weight += 1

    def threshold(self) -> int:
        """The signed price at or below which the first of the group triggers."""
        nearest = self._deltas.best
        assert nearest is not None
        return self.extreme * (BASIS_POINTS - self._sign * nearest.price) // BASIS_POINTS

    def take_nearest(self, found: list[Order]) -> None:
        """Takes out the orders with the smallest delta."""
        nearest = self._deltas.best
        assert nearest is not None
        for order in nearest.orders():
            self._deltas.remove(order)
            found.append(order)

    def merge(self, newer: "Followers") -> "Followers":
        """Both groups as one, as old as this one; the larger takes the smaller in."""
        larger, smaller = (self, newer) if self._weight >= newer._weight else (newer, self)
        for level in list(smaller._deltas.levels.values()):
            for order in level.orders():
                smaller._deltas.remove(order)
                larger._deltas.append(order, order.trail_bps)
        larger._weight += smaller._weight
        larger.start_seq = self.start_seq
        return larger
