"""What the engine answers: one outcome per command that wants one, and what followed accounts hear privately."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from msgspec.structs import replace

from outcry.market.commands import (
    AmendOrder,
    AnyCommand,
    CancelAll,
    CancelOrder,
    PlaceList,
    PlaceOrder,
    ReplaceOrder,
)
from outcry.market.events import (
    AnyEvent,
    HoldMoved,
    HoldReleased,
    InstrumentChanged,
    ListUpdated,
    MatchPrevented,
    OrderAmended,
    OrderRejected,
    Traded,
)
from outcry.market.order import Order
from outcry.market.terms import CANCELED, NEW, PARTIALLY_FILLED
from outcry.ports import Execution, Outcome
from outcry.roles.engine.window import Overtaker
from outcry.rows import AmendmentRow, ListRow, OrderRow

Follows = Callable[[int], bool]

UNKNOWN_ORDER: Final = (-2011, "Unknown order sent.")
CANCELING: Final = (CancelOrder, CancelAll, ReplaceOrder)
LISTED: Final = (ListUpdated, OrderAmended)  # what may change a list
UNSPOKEN: Final = (HoldReleased, HoldMoved, InstrumentChanged)  # seen as balances and market status instead


class Rows(Protocol):
    """Where an outcome finds what its command touched, as it is after the command."""

    def row(self, order_id: int) -> OrderRow | None: ...
    def list_row(self, list_id: int) -> ListRow | None: ...
    def list_of(self, order_id: int) -> ListRow | None: ...
    def amendment(self, order_id: int) -> AmendmentRow | None: ...


class Place(Protocol):
    """Where in the log the command stands."""

    @property
    def part(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def next_offset(self) -> int: ...
    @property
    def log_time(self) -> int: ...
    @property
    def reply_to(self) -> str: ...


def refused(command: AnyCommand, place: Place, code: int, text: str) -> Outcome:
    """The answer to a command that had no effect."""
    return Outcome(
        command_id=command.command_id,
        symbol_id=command.symbol_id,
        part=place.part,
        offset=place.next_offset,
        time_ms=place.log_time,
        code=code,
        text=text,
        reply_to=place.reply_to,
    )


def belated(cancel: Overtaker, place: Place) -> Outcome:
    """The answer to a cancel when the last of the orders that it overtook has come."""
    if not cancel.canceled:
        return replace(refused(cancel.command, place, *UNKNOWN_ORDER), reply_to=cancel.reply_to)
    return Outcome(
        command_id=cancel.command.command_id,
        symbol_id=cancel.command.symbol_id,
        part=place.part,
        offset=place.next_offset,
        time_ms=place.log_time,
        canceled=tuple(cancel.canceled.values()),
        lists=tuple(cancel.lists.values()),
        reply_to=cancel.reply_to,
    )


def ids_of(touched: Sequence[Order]) -> Iterable[int]:
    """Their ids, each once, in the order in which they were first touched."""
    return dict.fromkeys(order.order_id for order in touched)


def ended(
    among: Iterable[int], events: Sequence[AnyEvent], rows: Rows
) -> tuple[tuple[OrderRow, ...], tuple[ListRow, ...]]:
    """The orders among those just touched that are canceled, and the lists that changed with them."""
    found = (rows.row(order_id) for order_id in among)
    return tuple(row for row in found if row is not None and row.status == CANCELED), _lists(events, rows)


def answered(
    command: AnyCommand, place: Place, events: Sequence[AnyEvent], *, touched: Sequence[Order], rows: Rows
) -> Outcome:
    """The answer to a command that the market took, whether it refused it or not."""
    new_ids = new_orders(command)
    code, text, cancel_code, cancel_text, amendment = 0, "", 0, "", None
    fills = []
    prevented: dict[int, int] = {}
    for event in events:
        kind = type(event)
        if kind is Traded:
            if event.taker_id in new_ids:  # type: ignore[union-attr]
                fills.append(event)
        elif kind is OrderRejected:
            assert isinstance(event, OrderRejected)
            if isinstance(command, ReplaceOrder) and event.order_id not in new_ids:
                cancel_code, cancel_text = event.code, event.text
            elif not code:
                code, text = event.code, event.text
        elif kind is OrderAmended and isinstance(command, AmendOrder):
            amendment = rows.amendment(command.order_id)
        elif kind is MatchPrevented and event.taker_id in new_ids:  # type: ignore[union-attr]
            prevented[event.taker_id] = event.prevented_id  # type: ignore[union-attr]
    return Outcome(
        command_id=command.command_id, symbol_id=command.symbol_id, part=place.part, offset=place.next_offset,
        time_ms=place.log_time, code=code, text=text,
        orders=_own(command, new_ids, events, rows),
        canceled=_canceled(command, new_ids, touched, rows),
        fills=tuple(fills),  # type: ignore[arg-type]
        cancel_code=cancel_code, cancel_text=cancel_text,
        lists=_lists(events, rows),
        amendment=amendment, prevented=prevented, reply_to=place.reply_to,
    )  # fmt: skip


def new_orders(command: AnyCommand) -> tuple[int, ...]:
    """The ids of the orders that the command brings."""
    kind = type(command)
    if kind is PlaceOrder:
        return (command.order_id,)  # type: ignore[union-attr]
    if isinstance(command, ReplaceOrder):
        return (command.new.order_id,)
    if isinstance(command, PlaceList):
        return (command.above.order_id, command.below.order_id)
    return ()


def spoken(place: Place, events: Sequence[AnyEvent], rows: Rows, follows: Follows) -> list[Execution]:
    """The private events of one command for the accounts that somebody follows."""
    heard: list[Execution] = []
    for number, event in enumerate(events):
        if isinstance(event, UNSPOKEN):
            continue
        for account, order_id in _concerned(event):
            if follows(account):
                row = rows.row(order_id) if order_id else None
                if row is not None and row.prevented:
                    row = _before(row, events[number + 1 :])
                heard.append(
                    Execution(
                        account_id=account,
                        symbol_id=event.symbol_id,
                        time_ms=place.log_time,
                        event=event,
                        order=row,
                        list_row=_list_row(event, rows),
                    )
                )
    return heard


def _before(row: OrderRow, later: Sequence[AnyEvent]) -> OrderRow:
    """The order as it was before what came later in its command: a report of prevention has no fields of its own."""
    executed, quote, prevented, known = row.executed, row.cum_quote, row.prevented, True
    for event in later:
        if isinstance(event, Traded | MatchPrevented) and row.order_id in (event.taker_id, event.maker_id):
            known = False
            if isinstance(event, Traded):
                executed -= event.qty
                quote -= event.amount
            else:
                prevented -= event.taker_prevented if event.taker_id == row.order_id else event.maker_prevented
    if known:
        return row
    status = PARTIALLY_FILLED if executed else NEW
    return row._replace(executed=executed, cum_quote=quote, prevented=prevented, status=status)


def _list_row(event: AnyEvent, rows: Rows) -> ListRow | None:
    """The list that an event starts or ends, or that of an amended order."""
    if isinstance(event, ListUpdated):
        return rows.list_row(event.list_id)
    return rows.list_of(event.order_id) if isinstance(event, OrderAmended) else None


def _concerned(event: AnyEvent) -> tuple[tuple[int, int], ...]:
    """The (account, order id) pairs that an event is about; order id 0 where it is about a list."""
    if isinstance(event, Traded):
        return ((event.taker_account, event.taker_id), (event.maker_account, event.maker_id))
    if isinstance(event, MatchPrevented):
        return ((event.account, event.taker_id), (event.account, event.maker_id))
    if isinstance(event, ListUpdated):
        return ((event.account, 0),)
    if isinstance(event, InstrumentChanged):
        return ()
    return ((event.account, getattr(event, "order_id", 0)),)


def _own(command: AnyCommand, new_ids: tuple[int, ...], events: Sequence[AnyEvent], rows: Rows) -> tuple[OrderRow, ...]:
    """The orders that the command brought or amended, the one it names first."""
    if isinstance(command, AmendOrder):
        amended = (event.order_id for event in events if isinstance(event, OrderAmended))
        new_ids = tuple(dict.fromkeys((command.order_id, *amended)))
    return tuple([row for row in map(rows.row, new_ids) if row is not None]) if new_ids else ()


def _canceled(
    command: AnyCommand, new_ids: tuple[int, ...], touched: Sequence[Order], rows: Rows
) -> tuple[OrderRow, ...]:
    """The orders that the command canceled, the one it names first."""
    if not isinstance(command, CANCELING):
        return ()
    named = 0 if isinstance(command, CancelAll) else command.order_id
    found = [
        row
        for order_id in ids_of(touched)
        if order_id not in new_ids
        if (row := rows.row(order_id)) is not None and row.status == CANCELED and row.account_id == command.account
    ]
    if len(found) > 1:
        found.sort(key=lambda row: row.order_id != named)
    return tuple(found)


def _lists(events: Sequence[AnyEvent], rows: Rows) -> tuple[ListRow, ...]:
    """The lists that the command started, changed or ended, and that of an order that it amended."""
    found: dict[int, ListRow] = {}
    for event in events:
        if isinstance(event, LISTED) and (row := _list_row(event, rows)) is not None:
            found[row.list_id] = row
    return tuple(found.values())
