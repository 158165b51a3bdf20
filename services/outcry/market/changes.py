"""What may be done to orders that are already open: cancel, replace, amend; and lists of orders that end each other."""

from typing import Any, Final

from msgspec.structs import astuple

from outcry.market import entry
from outcry.market.closing import (
    BY_REPLACE,
    cancel,
    close,
    detach,
    has_exact_need,
    move_hold,
    need_now,
    release,
    retire_sibling,
)  # fmt: skip
from outcry.market.commands import AmendOrder, CancelAll, PlaceList, ReplaceOrder
from outcry.market.entry import Refusal
from outcry.market.events import ListUpdated, OrderAmended, OrderCanceled, OrderRejected, OrderReplaced
from outcry.market.floor import Market
from outcry.market.matching import shrink
from outcry.market.order import EXEC_STARTED, Fields, Order, OrderList, is_stop
from outcry.market.terms import (
    CANCEL_ANY,
    CANCEL_ONLY_NEW,
    CANCELED,
    NEW,
    PARTIALLY_FILLED,
    STOP_ON_FAILURE,
)  # fmt: skip
from outcry.rows import ListRow

UNKNOWN: Final[Refusal] = (-2011, "Unknown order sent.")
RESTRICTED: Final[Refusal] = (-2011, "Order was not canceled due to cancel restrictions.")
NO_INCREASE: Final[Refusal] = (-2038, "Order amend (quantity increase) is not supported.")
NO_CHANGE: Final[Refusal] = (-2038, "The requested action would change no state; rejecting")
ALREADY_DONE: Final[Refusal] = (-2038, "Order amend (quantity at or below what is executed) is not supported.")
NOT_ATTEMPTED: Final[Refusal] = (-2022, "Order cancel-replace failed.")


def find(market: Market, order_id: Any, account: int) -> Order | None:
    """The account's open order in this market, if it is one; ``order_id`` is taken as it came (``Boxed``)."""
    order = market.orders.get(order_id)
    if order is None or order.account != account or order.symbol_id != market.symbol_id:
        return None
    return order


def refuse(market: Market, op: str, target: tuple[int, int], refusal: Refusal) -> None:
    """Says that a change of ``target`` (order id, account) had no effect."""
    market.events.append(
        OrderRejected(
            symbol_id=market.symbol_id, order_id=target[0], account=target[1], op=op, code=refusal[0], text=refusal[1]
        )
    )


def cancel_order(market: Market, fields: Fields) -> None:
    """CancelOrder, by its fields."""
    _, _, account, order_id, _, cancel_client_id, restriction = fields
    order = find(market, order_id, account)
    if order is None:
        refuse(market, "cancel", (order_id, account), UNKNOWN)
    elif restriction and not _is_allowed(order, restriction):
        refuse(market, "cancel", (order_id, account), RESTRICTED)
    else:
        cancel(market, order, cancel_client_id)


def _is_allowed(order: Order, restriction: int) -> bool:
    return order.status == (NEW if restriction == CANCEL_ONLY_NEW else PARTIALLY_FILLED)


def cancel_all(market: Market, command: CancelAll) -> None:
    """CancelAll: targets that are not open are passed over, unless none is."""
    found = False
    for order_id, _ in command.targets:
        order = find(market, order_id, command.account)
        if order is not None:
            found = True
            cancel(market, order, command.cancel_client_id)
    if not found:
        refuse(market, "cancel", (0, command.account), UNKNOWN)


def replace(market: Market, command: ReplaceOrder) -> None:
    """ReplaceOrder: what the cancel releases pays for the new order too, where both use one asset."""
    old = find(market, command.order_id, command.account)
    refusal: Refusal | None = None
    if old is None:
        refusal = UNKNOWN
    elif command.restriction != CANCEL_ANY and not _is_allowed(old, command.restriction):
        refusal = RESTRICTED
    new = Order(astuple(command.new), market.now_ms)
    if old is not None and refusal is None:
        _swap(market, command, old, new)
        return
    assert refusal is not None
    refuse(market, "cancel", (command.order_id, command.account), refusal)
    if command.mode == STOP_ON_FAILURE:
        entry.reject(market, new, NOT_ATTEMPTED)
    elif new.held < command.need:
        entry.reject(market, new, entry.POOR)
    else:
        entry.place(market, new)


def _swap(market: Market, command: ReplaceOrder, old: Order, new: Order) -> None:
    if old.oco is not None:
        retire_sibling(market, old, CANCELED)
    detach(market, old)
    left = old.left
    close(market, old, CANCELED)
    refusal = entry.refusal_of(market, new)
    need = max(need_now(market, new), command.need)
    spare = old.held if old.side == new.side else 0
    if refusal is None and new.held + spare < need:
        refusal = entry.POOR
    if refusal is not None:
        market.events.append(
            OrderCanceled(
                symbol_id=market.symbol_id, order_id=old.order_id, account=old.account, left=left, reason=BY_REPLACE,
                cancel_client_id=command.cancel_client_id,
            )
        )  # fmt: skip
        release(market, old, 0)
        entry.reject(market, new, refusal)
        return
    market.events.append(
        OrderReplaced(
            symbol_id=market.symbol_id, order_id=old.order_id, new_id=new.order_id, account=old.account, left=left,
            cancel_client_id=command.cancel_client_id,
        )
    )  # fmt: skip
    entry.accept(market, new)
    wanted = max(0, need - new.held) if command.need or has_exact_need(new) else spare
    move_hold(market, old, new, min(spare, wanted))
    release(market, old, 0)
    if is_stop(new.kind):
        entry.wait(market, new)
    else:
        entry.work(market, new)


def amend(market: Market, command: AmendOrder) -> None:
    """AmendOrder: less quantity at the same priority; the legs of a list keep the same quantity."""
    order = find(market, command.order_id, command.account)
    target = (command.order_id, command.account)
    if order is None:
        refuse(market, "amend", target, UNKNOWN)
        return
    if command.qty >= order.qty:
        refuse(market, "amend", target, NO_INCREASE if command.qty > order.qty else NO_CHANGE)
        return
    if command.qty <= order.executed + order.prevented:
        refuse(market, "amend", target, ALREADY_DONE)
        return
    other = order.oco.sibling(order) if order.oco is not None else None
    lots = order.qty - command.qty
    holder = order if other is None or order.held else other
    # Needs are proportional to the lots open, so a hold stays exact, or as good a bound as it was.
    need = -(-holder.held * (order.left - lots) // order.left)
    _reduce(market, order, lots, command.new_client_id)
    if other is not None:
        _reduce(market, other, lots, "")
    release(market, holder, need)


def _reduce(market: Market, order: Order, lots: int, new_client_id: str) -> None:
    old_client_id, old_qty = order.client_order_id, order.qty
    order.qty -= lots
    if new_client_id:
        order.client_order_id = new_client_id
    order.updated_ms = market.now_ms
    market.touched.append(order)
    shrink(market, order, lots)
    market.events.append(
        OrderAmended(
            symbol_id=market.symbol_id, order_id=order.order_id, account=order.account, old_qty=old_qty,
            qty=order.qty, left=order.left, old_client_id=old_client_id,
        )
    )  # fmt: skip


def place_list(market: Market, command: PlaceList) -> None:
    """PlaceList: both legs or neither; the leg that may trade at once comes in last."""
    above, below = (Order(astuple(leg), market.now_ms) for leg in (command.above, command.below))
    refusal = _refusal_of_list(market, above, below)
    if refusal is not None:
        entry.reject(market, above, refusal)
        entry.reject(market, below, refusal)
        return
    oco = OrderList(
        ListRow(
            command.list_id, 0, command.symbol_id, command.account, command.client_list_id, above.order_id,
            below.order_id, EXEC_STARTED, market.now_ms,
        )
    )  # fmt: skip
    oco.above, oco.below = above, below
    above.oco = below.oco = oco
    market.register.touched_lists[oco.list_id] = oco
    market.events.append(
        ListUpdated(symbol_id=market.symbol_id, list_id=oco.list_id, account=oco.account, status=EXEC_STARTED)
    )
    entry.accept(market, above)
    entry.accept(market, below)
    release(market, above, max(need_now(market, above), need_now(market, below)))
    for leg in (above, below):
        if is_stop(leg.kind):
            entry.wait(market, leg)
    for leg in (above, below):
        if not is_stop(leg.kind) and leg.is_open():
            entry.work(market, leg)


def _refusal_of_list(market: Market, above: Order, below: Order) -> Refusal | None:
    for leg in (above, below):
        refusal = entry.refusal_of(market, leg)
        if refusal is not None:
            return refusal
    tally = market.tally(above.account)
    if tally.open + 2 > market.instrument.max_orders:
        return entry.TOO_MANY
    if tally.algo + is_stop(above.kind) + is_stop(below.kind) > market.instrument.max_algo_orders:
        return entry.TOO_MANY_ALGO
    if above.held < max(need_now(market, above), need_now(market, below)):
        return entry.POOR
    return None
