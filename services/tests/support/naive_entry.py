"""One order of the naive market: its own extreme, its own purse, and no place in any structure."""

from fractions import Fraction

from outcry.market.commands import PlaceOrder
from outcry.market.terms import BUY, PRICED_TYPES, STOP_LOSS, STOP_LOSS_LIMIT

LOT = 10_000  # minor units of base in a lot; a lot at a price of one tick costs one minor unit of quote


class Entry:
    """One order in the naive market."""

    def __init__(self, placed: PlaceOrder, purse: int) -> None:
        self.placed = placed
        self.id, self.side, self.account = placed.order_id, placed.side, placed.account
        self.total = self.left = placed.qty
        self.shown = 0
        self.executed = self.spent = self.prevented = 0
        self.purse = purse
        self.stage = "new"  # new, waiting, due, book, done
        self.place = 0  # smaller is earlier
        self.extreme: int | None = None
        self.partner: Entry | None = None

    @property
    def priced(self) -> bool:
        return self.placed.type in PRICED_TYPES

    def need(self) -> int:
        """The money it can still cost; all it has where no price bounds it."""
        if self.side != BUY and self.total:
            return self.left * LOT
        return self.placed.price * self.left if self.side == BUY and self.priced else self.purse

    def wakes(self, price: int) -> bool:
        """Whether its stop price is reached at ``price``."""
        up = (self.placed.type in (STOP_LOSS, STOP_LOSS_LIMIT)) == (self.side == BUY)
        return price >= self.placed.stop_price if up else price <= self.placed.stop_price

    def follows_to(self, price: int) -> bool:
        """Moves its extreme to ``price`` where that is better; True when it has fallen behind by its delta."""
        assert self.extreme is not None
        delta = Fraction(self.placed.trail_bps, 10_000)
        if self.side == BUY:
            self.extreme = min(self.extreme, price)
            return price >= self.extreme * (1 + delta)
        self.extreme = max(self.extreme, price)
        return price <= self.extreme * (1 - delta)
