"""The visible book as its followers see it: a quantity per price and side, best first."""

from collections.abc import Sequence

from outcry.market.ladder import NONE, TOP, Ladder
from outcry.market.terms import BUY

PriceQty = tuple[int, int]  # (price ticks, lots)


class DepthView:
    """A book kept by applying level changes. ``update_id`` is that of the last change applied."""

    __slots__ = ("_asks", "_bids", "update_id")

    def __init__(self) -> None:
        self.update_id = 0
        self._bids = HalfView(BUY)
        self._asks = HalfView(-BUY)

    def apply(self, levels: Sequence[tuple[int, int, int]], update_id: int) -> None:
        """Sets each (side, price, absolute visible lots); 0 lots remove the level."""
        for side, price, lots in levels:
            half = self._bids if side == BUY else self._asks
            half.set(price, lots)
        self.update_id = update_id

    def replace(self, levels: Sequence[tuple[int, int, int]], update_id: int) -> None:
        """Forgets the book and starts again from ``levels``."""
        self._bids = HalfView(BUY)
        self._asks = HalfView(-BUY)
        self.apply(levels, update_id)

    def top(self, depth: int) -> tuple[tuple[PriceQty, ...], tuple[PriceQty, ...]]:
        """Up to ``depth`` levels of each side, (bids, asks), best first."""
        return self._bids.top(depth), self._asks.top(depth)


class HalfView:
    """One side of a depth view."""

    __slots__ = ("_ladder", "_lots", "_side")

    def __init__(self, side: int) -> None:
        self._side = side
        self._ladder = Ladder()
        self._lots: dict[int, int] = {}

    def set(self, price: int, lots: int) -> None:
        rung = price if self._side == BUY else TOP - price
        if lots:
            if price not in self._lots:
                self._ladder.insert(rung)
            self._lots[price] = lots
        elif self._lots.pop(price, 0):
            self._ladder.remove(rung)

    def top(self, depth: int) -> tuple[PriceQty, ...]:
        found: list[PriceQty] = []
        rung = self._ladder.highest() if depth > 0 else NONE
        while rung != NONE:
            price = rung if self._side == BUY else TOP - rung
            found.append((price, self._lots[price]))
            if len(found) == depth:
                break
            rung = self._ladder.below(rung)
        return tuple(found)
