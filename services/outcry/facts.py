"""What the feed carries: committed facts, as listeners are told them."""

import msgspec

from outcry.market.events import AnyEvent, Traded
from outcry.rows import AmendmentRow, ListRow, OrderRow, TradeRow


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one command, for the api that asked.

    ``orders`` are the orders it placed or touched, as they are after it (new order first; for a
    ReplaceOrder the canceled order is in ``canceled``); ``fills`` are the new order's own trades.
    A refusal has a Binance ``code`` and ``text``. ``cancel_code`` is that of a replace's cancel half.
    """

    command_id: int
    symbol_id: int
    part: int
    offset: int
    time_ms: int
    code: int = 0
    text: str = ""
    orders: tuple[OrderRow, ...] = ()
    canceled: tuple[OrderRow, ...] = ()
    fills: tuple[Traded, ...] = ()
    cancel_code: int = 0
    cancel_text: str = ""
    lists: tuple[ListRow, ...] = ()
    amendment: AmendmentRow | None = None
    prevented: dict[int, int] = {}  # the last match of an order that self-trade prevention stopped, by order id
    reply_to: str = ""  # the process that asked, from its frame's header; "": nobody in particular


class MarketUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol's public changes in one engine batch; ``time_ms`` is the log time at its end.

    ``levels`` are (side, price ticks, absolute visible lots; 0 removes). ``first_u`` > ``last_u``: no level changed.
    ``snapshot`` True: ``levels`` is the whole book and replaces what was known. ``epoch`` is that of the partition's
    owner. Within one ``feed_epoch``, which a cluster's feed fills in, listeners can be given every seq they lack.
    """

    symbol_id: int
    part: int
    epoch: int
    first_seq: int
    last_seq: int
    first_u: int
    last_u: int
    time_ms: int
    levels: tuple[tuple[int, int, int], ...] = ()
    trades: tuple[TradeRow, ...] = ()
    snapshot: bool = False
    status: int = 0  # Instrument.status when the instrument changed, else 0
    feed_epoch: int = 0


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One private event: what happened, to which order, to whom.

    ``order`` is as the command leaves it; one that self-trade prevention met, as it was just after the event.
    ``list_row`` is the list that a ListUpdated is about, or that of the order that an OrderAmended is about.
    """

    account_id: int
    symbol_id: int
    time_ms: int
    event: AnyEvent
    order: OrderRow | None
    list_row: ListRow | None = None


class GivenUp(msgspec.Struct, frozen=True, kw_only=True):
    """An order that never reached the market: the ledger gave it up, under a number, and no engine knows of it."""

    number: int
    order: OrderRow

    @property
    def account_id(self) -> int:
        return self.order.account_id


class Span(msgspec.Struct, frozen=True, array_like=True):
    """One partition's events in one committed batch: those behind ``after_seq`` up to ``last_seq``, and whose they are.

    Numbers are the ledger's ``event_seq``, so that spans lead on from one another for as long as the partition lives.
    An account missed something when a span does not lead on, when one names it and it heard nothing of that, or when
    the ledger has one that never comes. Feeds between processes look at the ledger for that, every few seconds; within
    one process nothing is lost: an engine that dies between commit and publication takes the sockets with it.
    """

    part: int
    after_seq: int
    last_seq: int
    told: tuple[int, ...] = ()  # accounts whose private events were built
    untold: tuple[int, ...] = ()  # accounts whose were not, as nobody was known to follow them


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """All that one committed engine batch tells the world."""

    outcomes: tuple[Outcome, ...] = ()
    updates: tuple[MarketUpdate, ...] = ()
    executions: tuple[Execution, ...] = ()
    moved: tuple[int, ...] = ()  # accounts whose balances changed
    spans: tuple[Span, ...] = ()  # of the partitions that had events: whoever misses one missed something


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """The visible book at ``update_id``: (price ticks, lots) per side, best first."""

    update_id: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


WINDOWS_MS = (100, 1_000)  # of the depth streams


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """A window of ``window_ms`` ends for a symbol: its levels changed from ``first_u`` to ``last_u``.

    The engine's side cuts, by its own clock, so that every process of the stream role sends the same.
    """

    symbol_id: int
    window_ms: int
    first_u: int
    last_u: int
