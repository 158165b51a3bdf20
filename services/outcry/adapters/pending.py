"""Orders that have no outcome yet, or never had one, as order rows: made from their intake."""

from typing import Final

from outcry.codec import BadFrame, decode_command
from outcry.market.commands import AnyCommand, PlaceList, PlaceOrder, ReplaceOrder
from outcry.market.terms import CANCELED, EXPIRED, PENDING_NEW
from outcry.rows import IntakeRow, OrderRow

VOIDED_MS: Final = 86_400_000  # for which it is noted that an order was voided, for those who tell its account


def pending_order(row: IntakeRow) -> OrderRow:
    """The order as it was asked for, still on its way to the market."""
    return _order(row, PENDING_NEW)


def voided_order(row: IntakeRow, log_time: int) -> OrderRow:
    """The order as closed without ever having reached the market; canceled, if that was asked meanwhile."""
    status = EXPIRED if row.cancel_offset is None else CANCELED
    return _order(row, status)._replace(held=0, updated_ms=log_time, applied_offset=-1, open=0)


def _order(row: IntakeRow, status: int) -> OrderRow:
    order = _asked(row)
    return OrderRow(
        order_id=row.order_id, part=row.part, symbol_id=row.symbol_id, account_id=row.account_id,
        client_order_id=row.client_order_id, side=order.side, type=order.type, tif=order.tif, price=order.price,
        qty=order.qty, quote_qty=order.quote_qty, stop_price=order.stop_price, trail_bps=order.trail_bps,
        iceberg_qty=order.iceberg_qty, stp=order.stp, status=status, executed=0, cum_quote=0, held=row.held,
        visible=0, prevented=0, stage=0, trail_ref=0, priority_seq=0, list_id=row.list_id,
        maker_ppm=order.maker_ppm, taker_ppm=order.taker_ppm, strategy_id=order.strategy_id,
        strategy_type=order.strategy_type, placed_ms=row.intake_ms, updated_ms=row.intake_ms, working_ms=0,
        applied_offset=-1, code=0, text="", open=1,
    )  # fmt: skip


def _asked(row: IntakeRow) -> PlaceOrder:
    """The order within the command; an unreadable one still has its money given back."""
    try:
        found = _within(decode_command(row.body), row.client_order_id)
    except BadFrame:
        found = None
    return found or PlaceOrder(
        command_id=0, symbol_id=row.symbol_id, order_id=row.order_id, account=row.account_id,
        client_order_id=row.client_order_id, side=1, type=1, qty=0,
    )  # fmt: skip


def _within(command: AnyCommand, client_order_id: str) -> PlaceOrder | None:
    if isinstance(command, ReplaceOrder):
        return command.new
    if isinstance(command, PlaceList):
        return command.below if command.below.client_order_id == client_order_id else command.above
    return command if isinstance(command, PlaceOrder) else None
