"""One symbol's market: its book, its waiting stops, its counters, and what the running command changed in them."""

from collections import deque
from typing import Final

import msgspec

from outcry.market.book import Half, Level
from outcry.market.events import AnyEvent
from outcry.market.instrument import TRADING, Instrument
from outcry.market.order import Order, OrderList, Tally, is_stop
from outcry.market.terms import BUY, SELL, TRIGGERED, WAITING
from outcry.market.triggers import Extremes, Triggers
from outcry.rows import SymbolRow

LevelChange = tuple[int, int, int]  # side, price in ticks, absolute visible lots

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_extremes: Final = msgspec.msgpack.Decoder(tuple[Extremes, Extremes]).decode


class Register:
    """What the markets of a pit share: open orders by id, and what the caller has not yet taken note of."""

    __slots__ = ("max_fills", "orders", "touched", "touched_lists")

    def __init__(self, max_fills: int) -> None:
        self.max_fills = max_fills
        self.orders: dict[int, Order] = {}
        self.touched: list[Order] = []  # as often as something changed in it
        self.touched_lists: dict[int, OrderList] = {}


class Market:
    """The state of one symbol. Its rules are the functions of ``entry``, ``matching`` and ``closing``."""

    __slots__ = (
        "_encoded", "agg_seq", "asks", "base_asset", "bids", "changed", "events", "instrument", "is_busy",
        "is_public", "is_stirred", "is_trading", "last_price", "lot_size", "max_fills", "max_orders", "now_ms",
        "orders", "pending", "prevented_seq", "prints", "priority_seq", "public_seq", "quote_asset", "quote_unit",
        "register", "symbol_id", "tallies", "touched", "trade_seq", "triggers", "update_id", "work_left",
    )  # fmt: skip

    def __init__(self, instrument: Instrument, register: Register) -> None:
        self.register = register
        self.max_fills: int = register.max_fills
        self.orders = register.orders
        self.touched = register.touched
        self.bids = Half(BUY)
        self.asks = Half(SELL)
        self.triggers = Triggers()
        self.pending: deque[Order] = deque()  # triggered stops that have not entered the book yet
        self.tallies: dict[int, Tally] = {}  # by account
        self.trade_seq: int = 0
        self.agg_seq: int = 0
        self.update_id: int = 0
        self.public_seq: int = 0
        self.priority_seq: int = 0
        self.prevented_seq: int = 0
        self.last_price: int = 0
        self.changed: list[Level] = []  # since the last take, each once
        self.events: list[AnyEvent] = []
        self.now_ms: int = 0
        self.work_left: int = 0  # fills that the running command may still make
        self.is_stirred: bool = False  # the running command changed a visible level
        self.is_public: bool = False  # it did something else that everyone sees
        self.is_busy: bool = False  # there are prints or pending stops to see to
        self.prints: list[int] = []  # prices of its trades that no stop has been compared with yet
        self.set_instrument(instrument)

    def set_instrument(self, instrument: Instrument) -> None:
        """Trades on these terms from now on."""
        self.instrument = instrument
        self._encoded: bytes = _encode(instrument)
        self.symbol_id: int = instrument.symbol_id
        self.quote_unit: int = instrument.quote_unit
        self.lot_size: int = instrument.lot_size
        self.base_asset: int = instrument.base_asset
        self.quote_asset: int = instrument.quote_asset
        self.max_orders: int = instrument.max_orders
        self.is_trading: bool = instrument.status == TRADING

    def begin(self, now_ms: int, events: list[AnyEvent]) -> None:
        """Starts a command; what it causes is added to ``events``."""
        self.now_ms = now_ms
        self.work_left = self.max_fills
        self.events = events

    def end(self) -> None:
        """Numbers what the public sees of the command that ends here."""
        if self.is_stirred:
            self.update_id += 1
        self.public_seq += 1
        self.is_stirred = self.is_public = False

    def show(self, level: Level) -> None:
        """The running command changed what the public sees of a level."""
        self.is_stirred = True
        if not level.is_changed:
            level.is_changed = True
            self.changed.append(level)

    def half(self, side: int) -> Half:
        """The orders of one side."""
        return self.bids if side == BUY else self.asks

    def tally(self, account: int) -> Tally:
        """The account's open orders, counted."""
        tally = self.tallies.get(account)
        if tally is None:
            tally = self.tallies[account] = Tally()
        return tally

    def take_levels(self) -> list[LevelChange]:
        """The levels that changed since the last take, as they are now; 0 lots: the level is gone."""
        taken = []
        for level in self.changed:
            level.is_changed = False
            taken.append((level.half.side, level.price, level.visible))
            if level.head is None:
                level.half.forget(level)
        self.changed.clear()
        return taken

    def levels(self) -> list[LevelChange]:
        """The whole visible book, bids before asks, best first."""
        found = []
        for half in (self.bids, self.asks):
            level = half.best
            while level is not None:
                found.append((half.side, level.price, level.visible))
                level = half.behind(level)
        return found

    def queue(self, side: int, price: int) -> list[Order]:
        """The orders of one level, first in priority first."""
        level = self.half(side).levels.get(price)
        return [] if level is None else level.orders()

    def row(self, part: int) -> SymbolRow:
        """The market's counters as the ledger keeps them."""
        return SymbolRow(
            self.symbol_id, part, self.trade_seq, self.agg_seq, self.update_id, self.public_seq, self.priority_seq,
            self.prevented_seq, self.last_price, self._encoded, self.triggers.state(),
        )  # fmt: skip

    def restore(self, row: SymbolRow) -> None:
        """Goes on from a row; the open orders follow by ``restore_order``."""
        self.trade_seq = row.trade_seq
        self.agg_seq = row.agg_seq
        self.update_id = row.update_id
        self.public_seq = row.public_seq
        self.priority_seq = row.priority_seq
        self.prevented_seq = row.prevented_seq
        self.last_price = row.last_price
        if row.state:
            self.triggers.restore_extremes(_decode_extremes(row.state))

    def restore_order(self, order: Order) -> None:
        """Puts back an open order; orders come by ``priority_seq``."""
        self.orders[order.order_id] = order
        order.tally = tally = self.tally(order.account)
        tally.open += 1
        if is_stop(order.kind):
            tally.algo += 1
        if order.stage == WAITING:
            self.triggers.restore(order)
        elif order.stage == TRIGGERED:
            self.pending.append(order)
            self.is_busy = True
        else:
            self.half(order.side).append(order, order.price)
