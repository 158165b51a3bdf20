"""What an account made of its trades: position, average cost and profit, by the average cost method.

Money is quote minor units, sizes base minor units; a short position and its cost are negative, so that
buying and selling are one rule with a sign.
"""

from outcry.market.instrument import Instrument
from outcry.market.terms import BUY, MINOR_UNITS, SELL
from outcry.rows import OpeningRow, TradeRow


class Position:
    """One account's trading in one symbol, fill by fill. ``cost - realised`` is always the money that went in."""

    __slots__ = ("base_fees", "cost", "fills", "qty", "quote_fees", "realised", "since_ms")

    def __init__(self) -> None:
        self.qty = 0  # bought less sold
        self.cost = 0  # what the open quantity cost, fees included
        self.realised = 0
        self.base_fees = 0
        self.quote_fees = 0
        self.fills = 0
        self.since_ms = 0  # time of the first fill; 0: none yet

    @classmethod
    def of(cls, opening: OpeningRow) -> "Position":
        """The position as it was when the trades before it were deleted."""
        position = cls()
        position.qty, position.cost, position.realised = opening.qty, opening.cost, opening.realised
        position.base_fees, position.quote_fees = opening.base_fees, opening.quote_fees
        position.fills, position.since_ms = opening.fills, opening.since_ms
        return position

    def opening(self, account_id: int, symbol_id: int, next_trade: int) -> OpeningRow:
        """The position as the ledger keeps it, with every trade before ``next_trade`` counted."""
        return OpeningRow(
            account_id, symbol_id, next_trade, self.qty, self.cost, self.realised, self.base_fees, self.quote_fees,
            self.fills, self.since_ms,
        )  # fmt: skip

    def add(self, qty: int, money: int) -> None:
        """Counts a fill: ``qty`` received for ``money`` paid; both negative for a sale.

        What reduces the position releases its cost in proportion, rounded towards zero; what goes beyond it
        opens the opposite position.
        """
        if self.qty and (self.qty < 0) != (qty < 0):
            closed = min(abs(qty), abs(self.qty))
            released = _share(self.cost, closed, abs(self.qty))
            settled = _share(money, closed, abs(qty))
            self.realised -= settled + released
            self.cost -= released
            self.qty += closed if qty > 0 else -closed
            qty += -closed if qty > 0 else closed
            money -= settled
        self.qty += qty
        self.cost += money

    def average_cost(self) -> int:
        """Quote minor units per whole base unit of the open position; 0 when there is none."""
        return abs(self.cost) * MINOR_UNITS // abs(self.qty) if self.qty else 0

    def unrealised(self, price: int) -> int:
        """The open position's profit at ``price`` quote minor units per whole base unit."""
        return _share(self.qty, price, MINOR_UNITS) - self.cost


def count_trade(position: Position, trade: TradeRow, account_id: int, instrument: Instrument) -> None:
    """Counts the account's side of a trade, or both sides of a self-trade.

    A buyer receives the size less its fee, a seller the amount less its own.
    """
    if not position.since_ms:
        position.since_ms = trade.time_ms
    size = trade.qty * instrument.lot_size
    for account, side, fee in (
        (trade.maker_account, -trade.taker_side, trade.maker_fee),
        (trade.taker_account, trade.taker_side, trade.taker_fee),
    ):
        if account != account_id:
            continue
        position.fills += 1
        if side == BUY:
            position.base_fees += fee
            position.add(size - fee, trade.amount)
        else:
            assert side == SELL
            position.quote_fees += fee
            position.add(-size, fee - trade.amount)


def _share(amount: int, part: int, whole: int) -> int:
    """``part / whole`` of an amount, rounded towards zero."""
    return -(-amount * part // whole) if amount < 0 else amount * part // whole
