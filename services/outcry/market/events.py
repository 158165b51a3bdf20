"""What happened in a market: past facts in the order in which they came about, never changed afterwards.

Prices are ticks, sizes lots, money minor units. An event says what changed; what an order is besides
stands in the order itself.
"""

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One fact about one symbol."""

    symbol_id: int


class OrderAccepted(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """The order exists (executionReport ``x=NEW``); it may rest, wait for its trigger, or trade at once."""

    order_id: int
    account: int


class OrderRejected(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """A command had no effect. ``code`` and ``text`` are Binance's error; ``op`` names the command.

    ``released`` is the hold given back (0 for anything but a new order).
    """

    order_id: int
    account: int
    op: str
    code: int
    text: str
    released: int = 0
    asset: int = 0


class Traded(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """Maker and taker exchanged ``qty`` lots at the maker's ``price``.

    ``amount`` is the quote money; fees are in the received asset (buyer: base, seller: quote).
    ``*_left``, ``*_executed`` (lots) and ``*_quote`` (money) are after this trade.
    """

    trade_id: int
    agg_id: int
    price: int
    qty: int
    amount: int
    taker_side: int
    maker_id: int
    maker_account: int
    maker_fee: int
    maker_left: int
    maker_executed: int
    maker_quote: int
    taker_id: int
    taker_account: int
    taker_fee: int
    taker_left: int
    taker_executed: int
    taker_quote: int


class OrderCanceled(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """Its owner ended the order with ``left`` lots open."""

    order_id: int
    account: int
    left: int
    reason: str
    cancel_client_id: str = ""


class OrderExpired(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """The market ended the order with ``left`` lots open; ``in_match`` when self-trade prevention did."""

    order_id: int
    account: int
    left: int
    reason: str
    in_match: bool = False


class OrderAmended(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """The order's total is now ``qty`` lots, ``left`` of them open, its priority as before; it was ``old_qty``."""

    order_id: int
    account: int
    old_qty: int
    qty: int
    left: int
    old_client_id: str = ""


class OrderReplaced(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """``order_id`` made way for ``new_id`` in one command: its owner canceled it with ``left`` lots open."""

    order_id: int
    new_id: int
    account: int
    left: int
    cancel_client_id: str = ""


class OrderTriggered(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """A stop reached its trigger price and now works in the book."""

    order_id: int
    account: int


class MatchPrevented(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """Two orders of one account met and did not trade; ``qty`` lots were prevented at ``price``.

    ``maker_prevented`` and ``taker_prevented`` say how much each lost to it.
    """

    prevented_id: int
    maker_id: int
    taker_id: int
    account: int
    price: int
    qty: int
    mode: int
    maker_prevented: int
    taker_prevented: int


class HoldReleased(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """``amount`` minor units of ``asset`` are free again: the order needs them no longer."""

    order_id: int
    account: int
    asset: int
    amount: int


class HoldMoved(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """``amount`` of one order's hold now stands on another order of the same account and asset."""

    from_id: int
    to_id: int
    account: int
    asset: int
    amount: int


class ListUpdated(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """An order list started (``EXEC_STARTED``) or ended (``ALL_DONE``)."""

    list_id: int
    account: int
    status: str


class InstrumentChanged(Event, frozen=True, kw_only=True, tag=True, gc=False):
    """The symbol was listed, halted, opened or given new terms; the instrument itself holds them."""

    status: int


AnyEvent = (
    OrderAccepted
    | OrderRejected
    | Traded
    | OrderCanceled
    | OrderExpired
    | OrderAmended
    | OrderReplaced
    | OrderTriggered
    | MatchPrevented
    | HoldReleased
    | HoldMoved
    | ListUpdated
    | InstrumentChanged
)
