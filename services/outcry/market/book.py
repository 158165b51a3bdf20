"""One side of a book: price levels, each a queue of orders, best first; stops wait in the same structure."""

from outcry.market.ladder import NONE, RUNGS, Ladder
from outcry.market.order import Order
from outcry.market.terms import BUY


class Level:
    """The orders at one price in priority: a linked list, so that any of them leaves in constant time."""

    __slots__ = ("half", "head", "price", "tail", "visible")

    def __init__(self, half: "Half", price: int) -> None:
        self.half = half
        self.price = price
        self.visible = 0  # lots
        self.head: Order | None = None
        self.tail: Order | None = None

    def append(self, order: Order) -> None:
        """Puts the order behind all others."""
        tail = self.tail
        order.level = self
        if tail is None:
            self.head = order
        else:
            tail.next = order
            order.prev = tail
        self.tail = order
        self.visible += order.visible

    def unlink(self, order: Order) -> None:
        """Takes the order out; its visible lots go with it."""
        before, behind = order.prev, order.next
        if before is None:
            self.head = behind
        else:
            before.next = behind
            order.prev = None
        if behind is None:
            self.tail = before
        else:
            behind.prev = before
            order.next = None
        order.level = None
        self.visible -= order.visible

    def orders(self) -> list[Order]:
        """The queue, first in priority first."""
        found = []
        order = self.head
        while order is not None:
            found.append(order)
            order = order.next
        return found


class Half:
    """Levels of one side. ``side`` BUY has the highest price first, SELL the lowest."""

    __slots__ = ("_ladder", "best", "levels", "side")

    def __init__(self, side: int) -> None:
        self.side = side
        self.best: Level | None = None
        self.levels: dict[int, Level] = {}
        self._ladder = Ladder()

    def append(self, order: Order, price: int) -> None:
        """Queues the order at ``price``, which for a stop is another than its own."""
        level = self.levels.get(price)
        if level is None:
            level = self._open(price)
        level.append(order)

    def remove(self, order: Order) -> None:
        """Takes the order out of its level, and the level out when it was the last."""
        level = order.level
        assert level is not None
        level.unlink(order)
        if level.head is None:
            self.close(level)

    def close(self, level: Level) -> None:
        """Takes a level out."""
        price = level.price
        del self.levels[price]
        self._ladder.remove(price if self.side == BUY else RUNGS - 1 - price)
        if level is self.best:
            self.best = self._highest()

    def behind(self, level: Level) -> Level | None:
        """The next level that is worse than ``level``."""
        if self.side == BUY:
            rung = self._ladder.below(level.price)
            return None if rung == NONE else self.levels[rung]
        rung = self._ladder.below(RUNGS - 1 - level.price)
        return None if rung == NONE else self.levels[RUNGS - 1 - rung]

    def _open(self, price: int) -> Level:
        level = self.levels[price] = Level(self, price)
        self._ladder.insert(price if self.side == BUY else RUNGS - 1 - price)
        best = self.best
        if best is None or (price - best.price) * self.side > 0:
            self.best = level
        return level

    def _highest(self) -> Level | None:
        rung = self._ladder.highest()
        if rung == NONE:
            return None
        return self.levels[rung if self.side == BUY else RUNGS - 1 - rung]
