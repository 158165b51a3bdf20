"""The pit: all markets of one partition. Commands go in, events come out, and nothing else is asked or told.

Money: every order brings its hold, spends only from it, and gives back what it needs no longer in the same command.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import astuple

from outcry.market import changes, entry
from outcry.market.changes import cancel_order
from outcry.market.commands import (
    AmendOrder,
    AnyCommand,
    CancelAll,
    CancelOrder,
    HaltMarket,
    OpenMarket,
    PlaceList,
    PlaceOrder,
    ReplaceOrder,
    SetInstrument,
)  # fmt: skip
from outcry.market.entry import place
from outcry.market.events import AnyEvent, InstrumentChanged, OrderRejected
from outcry.market.floor import Market, Register
from outcry.market.instrument import HALTED, TRADING, Instrument
from outcry.market.order import NO_LIST, Order, OrderList, order_of
from outcry.rows import ListRow, OrderRow, SymbolRow

MAX_FILLS: Final = 10_000  # of one command; what is left of the order then expires
MAX_TRIGGERS: Final = 1_000  # stops that enter the book in one command; more wait for ``resume``

SYMBOL_ID: Final = 1  # where the fields of a command have it

# The most frequent commands under names of this module's own, which compiled code need not look up.
PLACE: Final = PlaceOrder
CANCEL: Final = CancelOrder
fields_of: Final = astuple

NO_SYMBOL: Final = (-1121, "Invalid symbol.")
UNSOUND: Final = (-1013, "The terms of the symbol are not sound.")

_decode_instrument: Final = msgspec.msgpack.Decoder(Instrument).decode


class Pit:
    """Applies commands one after another. A refusal is an event; AssertionError is a bug of ours."""

    def __init__(self, *, max_fills: int = MAX_FILLS, max_triggers: int = MAX_TRIGGERS) -> None:
        self.markets: dict[int, Market] = {}
        self._register = Register(max_fills)
        self._max_triggers = max_triggers
        self.touched = self._register.touched
        self.touched_lists = self._register.touched_lists
        self._orders = self._register.orders
        self._stalled: dict[int, Market] = {}
        self._lists: dict[int, OrderList] = {}  # while orders are restored

    def apply(self, command: AnyCommand, now_ms: int) -> list[AnyEvent]:
        """What ``command`` causes at log time ``now_ms``, in order. A Tick and a SetVersion cause nothing."""
        fields = fields_of(command)
        market = self.markets.get(fields[SYMBOL_ID])
        if market is None:
            return self._apply_unlisted(command, now_ms)
        events: list[AnyEvent] = []
        market.begin(now_ms, events)
        kind = type(command)
        if kind is PLACE:
            place(market, Order(fields, now_ms))
        elif kind is CANCEL:
            cancel_order(market, fields)
        else:
            self._apply_rare(market, command)
        if market.is_busy:
            self._run_stops(market)
        if market.is_stirred or market.is_public:
            market.end()
        return events

    def backlog(self) -> bool:
        """Whether triggered stops beyond ``max_triggers`` are still waiting to enter the book."""
        return bool(self._stalled)

    def next_stalled(self) -> int:
        """The symbol whose waiting stops ``resume`` lets in; only where there is a backlog."""
        return min(self._stalled)

    def resume(self, now_ms: int) -> list[AnyEvent]:
        """Lets the next ``max_triggers`` waiting stops enter; one that only comes to rest is no event."""
        if not self._stalled:
            return []
        market = self._stalled[self.next_stalled()]
        events: list[AnyEvent] = []
        market.begin(now_ms, events)
        self._run_stops(market)
        if market.is_stirred or market.is_public:
            market.end()
        return events

    def find(self, order_id: int) -> Order | None:
        """The order if it is open."""
        return self._orders.get(order_id)

    def restore(self, symbols: Sequence[SymbolRow], lists: Sequence[ListRow]) -> None:
        """Goes on from stored rows; the open orders follow by ``restore_orders``, in pieces."""
        for row in symbols:
            market = Market(_decode_instrument(row.instrument), self._register)
            market.restore(row)
            self.markets[row.symbol_id] = market
        self._lists = {row.list_id: OrderList(row) for row in lists}

    def restore_orders(self, rows: Sequence[OrderRow]) -> None:
        """Puts back open orders; all of them come by (symbol_id, priority_seq)."""
        lists, markets = self._lists, self.markets
        for row in rows:
            order = order_of(row)
            if row.list_id != NO_LIST and row.list_id in lists:
                _join(lists[row.list_id], order)
            markets[order.symbol_id].restore_order(order)
        for symbol_id, market in self.markets.items():
            if market.is_busy:
                self._stalled[symbol_id] = market

    def restored(self) -> None:
        """There are no more orders to put back."""
        self._lists = {}

    def _run_stops(self, market: Market) -> None:
        entry.run_stops(market, self._max_triggers)
        pending = market.pending
        while pending and not pending[0].is_open():  # so that a backlog is one after a restart too
            pending.popleft()
        if pending:
            self._stalled[market.symbol_id] = market
            return
        market.is_busy = False
        self._stalled.pop(market.symbol_id, None)

    def _apply_rare(self, market: Market, command: AnyCommand) -> None:
        if isinstance(command, ReplaceOrder):
            changes.replace(market, command)
        elif isinstance(command, AmendOrder):
            changes.amend(market, command)
        elif isinstance(command, CancelAll):
            changes.cancel_all(market, command)
        elif isinstance(command, PlaceList):
            changes.place_list(market, command)
        elif isinstance(command, HaltMarket):
            _set_status(market, HALTED)
        elif isinstance(command, OpenMarket):
            _set_status(market, TRADING)
        elif isinstance(command, SetInstrument):
            _set_instrument(market, command.instrument)

    def _apply_unlisted(self, command: AnyCommand, now_ms: int) -> list[AnyEvent]:
        if isinstance(command, SetInstrument):
            instrument = command.instrument
            if instrument.problems() or instrument.symbol_id != command.symbol_id:
                return [_rejected(command.symbol_id, "instrument", UNSOUND)]
            market = Market(instrument, self._register)
            self.markets[command.symbol_id] = market
            market.public_seq = 1
            return [InstrumentChanged(symbol_id=command.symbol_id, status=instrument.status)]
        orders: tuple[PlaceOrder, ...] = ()
        if isinstance(command, PlaceOrder):
            orders = (command,)
        elif isinstance(command, PlaceList):
            orders = (command.above, command.below)
        elif isinstance(command, ReplaceOrder):
            orders = (command.new,)
        elif isinstance(command, AmendOrder | CancelOrder | CancelAll | HaltMarket | OpenMarket):
            return [_rejected(command.symbol_id, "change", NO_SYMBOL)]
        return [self._reject_unlisted(placed, now_ms) for placed in orders]

    def _reject_unlisted(self, placed: PlaceOrder, now_ms: int) -> AnyEvent:
        order = Order(astuple(placed), now_ms)
        entry.mark_rejected(order, NO_SYMBOL)
        self.touched.append(order)
        return OrderRejected(
            symbol_id=placed.symbol_id, order_id=placed.order_id, account=placed.account, op="new",
            code=NO_SYMBOL[0], text=NO_SYMBOL[1], released=placed.held,
        )  # fmt: skip


def _rejected(symbol_id: int, op: str, refusal: tuple[int, str]) -> AnyEvent:
    return OrderRejected(symbol_id=symbol_id, order_id=0, account=0, op=op, code=refusal[0], text=refusal[1])


def _join(order_list: OrderList, order: Order) -> None:
    order.oco = order_list
    if order.order_id == order_list.row(0).above_id:
        order_list.above = order
    else:
        order_list.below = order


def _set_status(market: Market, status: int) -> None:
    market.set_instrument(msgspec.structs.replace(market.instrument, status=status))
    market.is_public = True
    market.events.append(InstrumentChanged(symbol_id=market.symbol_id, status=status))


def _set_instrument(market: Market, terms: Instrument) -> None:
    """Units, assets and place of a listed symbol stay: open orders and past trades are counted in them."""
    old = market.instrument
    if (
        terms.problems()
        or (terms.symbol_id, terms.partition, terms.tick_size, terms.lot_size)
        != (old.symbol_id, old.partition, old.tick_size, old.lot_size)
        or (terms.base_asset, terms.quote_asset) != (old.base_asset, old.quote_asset)
    ):
        market.events.append(_rejected(market.symbol_id, "instrument", UNSOUND))
        return
    market.set_instrument(terms)
    market.is_public = True
    market.events.append(InstrumentChanged(symbol_id=market.symbol_id, status=terms.status))
