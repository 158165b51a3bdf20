"""An order in the market: its terms as placed, what became of them, and its place in a queue."""

from typing import TYPE_CHECKING, Any, Final

from outcry.market.boxed import Boxed
from outcry.market.ladder import TOP
from outcry.market.terms import BUY, NEW, NOT_A_STOP, PARTIALLY_FILLED, STOP_LOSS
from outcry.rows import ListRow, OrderRow

if TYPE_CHECKING:
    from outcry.market.book import Level

EXEC_STARTED: Final = "EXEC_STARTED"
ALL_DONE: Final = "ALL_DONE"
NO_LIST: Final = -1

as_row: Final = tuple.__new__  # a row of all its fields at once: a call of the named tuple costs several times as much

Fields = tuple[Any, ...]  # of a command, as ``msgspec.structs.astuple`` gives them: one step instead of one a field

PRICED: Final = 1  # the bit that types with a limit price have in ``terms``: they are the odd ones


def is_priced(kind: int) -> bool:
    """Whether orders of this type have a limit price."""
    return kind & PRICED == PRICED


def is_stop(kind: int) -> bool:
    """Whether orders of this type wait for a trigger: the last types of ``terms``."""
    return kind >= STOP_LOSS


class Tally:
    """How many orders one account has open in one market; ``algo`` counts those of stop types."""

    __slots__ = ("algo", "open")

    def __init__(self) -> None:
        self.open = 0
        self.algo = 0


class Order:
    """One order: its terms as placed, ``left``, the lots still open, and ``visible``, those shown.

    It keeps no reference to its command: a term is read many times, and a compiled core reads its own fields fastest.
    ``rung`` is its price on the ladder of its side. ``level``, ``prev`` and ``next`` are its place in a queue (of a
    book, or of stops), None where it has none.
    """

    __slots__ = (
        "account", "applied_offset", "client_order_id", "code", "cum_quote", "executed", "held", "kind", "left",
        "level", "maker_ppm", "next", "oco", "order_id", "peak", "placed_ms", "prev", "prevented", "price",
        "priority_seq", "qty", "quote_qty", "rung", "side", "stage", "status", "stop_price", "stp", "strategy_id",
        "strategy_type", "symbol_id", "taker_ppm", "tally", "text", "tif", "trail_bps", "trail_ref", "updated_ms",
        "visible", "working_ms",
    )  # fmt: skip

    # What a cancel and its neighbours need comes first: compiled, a far-off order then costs fewer cache misses.
    level: "Level | None"
    prev: "Order | None"
    next: "Order | None"
    order_id: Boxed
    account: int
    symbol_id: int
    side: int
    held: int
    left: int
    visible: int
    status: int
    stage: int
    updated_ms: int
    tally: Tally | None
    oco: "OrderList | None"
    client_order_id: str
    kind: int
    qty: int
    price: int
    tif: int
    quote_qty: int
    stop_price: int
    trail_bps: int
    peak: int  # 0: no iceberg
    stp: int
    maker_ppm: int
    taker_ppm: int
    strategy_id: int
    strategy_type: int

    def __init__(self, placed: Fields, now_ms: int) -> None:
        (
            _, self.symbol_id, self.order_id, self.account, self.client_order_id, self.side, self.kind, self.qty,
            self.price, self.tif, self.quote_qty, self.stop_price, self.trail_bps, self.peak, self.stp, self.held,
            self.maker_ppm, self.taker_ppm, _, _, self.strategy_id, self.strategy_type,
        ) = placed  # fmt: skip
        self.rung: int = self.price if self.side == BUY else TOP - self.price
        self.left = self.qty
        self.status = NEW
        self.stage = NOT_A_STOP
        self.visible = self.executed = self.cum_quote = self.prevented = 0
        self.trail_ref = self.priority_seq = self.applied_offset = self.code = 0
        self.placed_ms: int = now_ms
        self.updated_ms = now_ms
        self.working_ms: int = 0
        self.text: str = ""
        self.oco = self.tally = None
        self.level = self.prev = self.next = None

    def is_open(self) -> bool:
        """Whether it can still trade."""
        return self.status == NEW or self.status == PARTIALLY_FILLED

    def row(self, part: int) -> OrderRow:
        """The order as the ledger keeps it."""
        oco = self.oco
        return as_row(OrderRow, (
            self.order_id, part, self.symbol_id, self.account, self.client_order_id, self.side, self.kind,
            self.tif, self.price, self.qty, self.quote_qty, self.stop_price, self.trail_bps, self.peak, self.stp,
            self.status, self.executed, self.cum_quote, self.held, self.visible,
            self.prevented, self.stage, self.trail_ref, self.priority_seq, NO_LIST if oco is None else oco.list_id,
            self.maker_ppm, self.taker_ppm, self.strategy_id, self.strategy_type, self.placed_ms,
            self.updated_ms, self.working_ms, self.applied_offset, self.code, self.text, 1 if self.is_open() else 0,
        ))  # fmt: skip


def order_of(row: OrderRow) -> Order:
    """An open order as the ledger kept it; its list and its queue are its market's to find.

    The row is taken apart in one step and its terms stand as ``astuple`` of a command gives them: a load does this for
    every order of a partition.
    """
    (
        order_id, _, symbol_id, account, client_order_id, side, kind, tif, price, qty, quote_qty, stop_price, trail_bps,
        peak, stp, status, executed, cum_quote, held, visible, prevented, stage, trail_ref, priority_seq, _,
        maker_ppm, taker_ppm, strategy_id, strategy_type, placed_ms, updated_ms, working_ms, applied_offset, _, _, _,
    ) = row  # fmt: skip
    placed = (
        0, symbol_id, order_id, account, client_order_id, side, kind, qty, price, tif, quote_qty, stop_price, trail_bps,
        peak, stp, held, maker_ppm, taker_ppm, 0, 0, strategy_id, strategy_type,
    )  # fmt: skip
    order = Order(placed, placed_ms)
    order.left = max(0, qty - executed - prevented)
    order.visible = visible
    order.status = status
    order.executed = executed
    order.cum_quote = cum_quote
    order.prevented = prevented
    order.stage = stage
    order.trail_ref = trail_ref
    order.priority_seq = priority_seq
    order.updated_ms = updated_ms
    order.working_ms = working_ms
    order.applied_offset = applied_offset
    return order


class OrderList:
    """Two orders of which at most one trades (OCO). While both are open, ``above`` carries the hold of both."""

    __slots__ = ("_row", "above", "account", "below", "list_id", "status")

    def __init__(self, row: ListRow) -> None:
        self._row = row
        self.list_id: int = row.list_id
        self.account: int = row.account_id
        self.status: str = row.status
        self.above: Order | None = None  # None once it has closed
        self.below: Order | None = None

    def sibling(self, order: Order) -> Order | None:
        """The other leg, if it is still open."""
        return self.below if order is self.above else self.above

    def drop(self, order: Order) -> None:
        """Forgets a leg that closed; without legs the list is done."""
        if order is self.above:
            self.above = None
        else:
            self.below = None
        if self.above is None and self.below is None:
            self.status = ALL_DONE

    def row(self, part: int) -> ListRow:
        """The list as the ledger keeps it."""
        return self._row._replace(part=part, status=self.status)
