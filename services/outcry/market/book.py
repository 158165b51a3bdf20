"""One side of a book: price levels, each a queue of orders, best first; stops wait in the same structure."""

from outcry.market.ladder import NONE, TOP, Ladder
from outcry.market.order import Order
from outcry.market.terms import BUY


class Level:
    """The orders at one price in priority: a linked list, so that any of them leaves in constant time."""

    __slots__ = ("half", "head", "is_changed", "price", "rung", "tail", "visible")

    def __init__(self, half: "Half", price: int) -> None:
        self.half = half
        self.price = price
        self.rung: int = price if half.side == BUY else TOP - price
        self.visible = 0  # lots
        self.is_changed = False  # since the public was last told
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
    """Levels of one side. ``side`` BUY has the highest price first, SELL the lowest.

    Rungs count upwards to the better price on either side, so that a buy and a sell meet where theirs reach ``TOP``.
    """

    __slots__ = ("_ladder", "best", "levels", "side")

    def __init__(self, side: int) -> None:
        self.side = side
        self.best: Level | None = None
        self.levels: dict[int, Level] = {}  # by price; an empty one until it is forgotten
        self._ladder = Ladder()

    def append(self, order: Order, price: int) -> Level:
        """Queues the order at ``price``, which for a stop is another than its own; gives the level."""
        level = self.levels.get(price)
        if level is None:
            level = self.levels[price] = Level(self, price)
        if level.head is None:
            self._open(level)
        level.append(order)
        return level

    def remove(self, order: Order) -> None:
        """Takes the order out of its level, and the level out when it was the last."""
        level = order.level
        assert level is not None
        level.unlink(order)
        if level.head is None:
            self.close(level)
            self.forget(level)

    def close(self, level: Level) -> None:
        """Takes an empty level off the ladder; ``forget`` comes once the public knows that it is gone."""
        self._ladder.remove(level.rung)
        if level is self.best:
            self.best = self._at(self._ladder.highest())

    def forget(self, level: Level) -> None:
        """Drops an empty level."""
        del self.levels[level.price]

    def behind(self, level: Level) -> Level | None:
        """The next level that is worse than ``level``."""
        return self._at(self._ladder.below(level.rung))

    def _open(self, level: Level) -> None:
        self._ladder.insert(level.rung)
        best = self.best
        if best is None or level.rung > best.rung:
            self.best = level

    def _at(self, rung: int) -> Level | None:
        if rung == NONE:
            return None
        return self.levels[rung if self.side == BUY else TOP - rung]
