"""Orders and order lists as the JSON shapes of the Binance Spot interface."""

from collections.abc import Iterable, Sequence
from typing import Any

from outcry.decimals import money_text, price_text, qty_text
from outcry.market.events import Traded
from outcry.market.instrument import Instrument
from outcry.market.terms import (
    BUY,
    EXPIRED,
    FOK,
    IOC,
    LIMIT,
    LIMIT_MAKER,
    MARKET,
    SIDE_NAMES,
    STATUS_NAMES,
    STOP_LOSS,
    STOP_LOSS_LIMIT,
    STOP_TYPES,
    STP_NAMES,
    TAKE_PROFIT,
    TAKE_PROFIT_LIMIT,
    TIF_NAMES,
    TRIGGERED,
    TYPE_NAMES,
    WAITING,
)
from outcry.rows import AmendmentRow, ListRow, OrderRow

Json = dict[str, Any]

ALL_DONE = "ALL_DONE"
EXECUTING = "EXECUTING"
VOIDED = -1  # OrderRow.applied_offset of an order that never reached a market


def ack_json(row: OrderRow, instrument: Instrument, transact_ms: int) -> Json:
    """The ACK answer of a new order."""
    return {
        "symbol": instrument.symbol,
        "orderId": row.order_id,
        "orderListId": row.list_id,
        "clientOrderId": row.client_order_id,
        "transactTime": transact_ms,
    }


def result_json(row: OrderRow, instrument: Instrument, transact_ms: int, *, prevented_id: int = 0) -> Json:
    """The RESULT answer of a new order; ``prevented_id`` is its last match that self-trade prevention stopped."""
    answer = ack_json(row, instrument, transact_ms)
    _add_terms(answer, row, instrument)
    answer["workingTime"] = row.working_ms or -1
    answer["selfTradePreventionMode"] = STP_NAMES[row.stp]
    _add_conditional(answer, row, instrument, prevented_id)
    return answer


def full_json(
    row: OrderRow, instrument: Instrument, transact_ms: int, fills: Iterable[Traded], *, prevented_id: int = 0
) -> Json:
    """The FULL answer of a new order: RESULT and the trades in which it was the taker."""
    answer = result_json(row, instrument, transact_ms, prevented_id=prevented_id)
    answer["fills"] = [fill_json(fill, instrument) for fill in fills]
    return answer


def fill_json(fill: Traded, instrument: Instrument) -> Json:
    """One of the new order's own trades; its fee is in the asset that it received."""
    return {
        "price": price_text(instrument, fill.price),
        "qty": qty_text(instrument, fill.qty),
        "commission": money_text(fill.taker_fee),
        "commissionAsset": instrument.base if fill.taker_side == BUY else instrument.quote,
        "tradeId": fill.trade_id,
    }


def order_json(row: OrderRow, instrument: Instrument, *, prevented_id: int = 0) -> Json:
    """An order as GET /api/v3/order shows it."""
    answer: Json = {
        "symbol": instrument.symbol,
        "orderId": row.order_id,
        "orderListId": row.list_id,
        "clientOrderId": row.client_order_id,
    }
    _add_terms(answer, row, instrument)
    answer["stopPrice"] = price_text(instrument, row.stop_price)
    answer["icebergQty"] = qty_text(instrument, row.iceberg_qty)
    answer["time"] = row.placed_ms
    answer["updateTime"] = row.updated_ms
    answer["isWorking"] = row.working_ms > 0
    answer["workingTime"] = row.working_ms or -1
    answer["selfTradePreventionMode"] = STP_NAMES[row.stp]
    _add_conditional(answer, row, instrument, prevented_id)
    return answer


def cancel_json(
    row: OrderRow, instrument: Instrument, transact_ms: int, cancel_client_id: str, *, prevented_id: int = 0
) -> Json:
    """The answer of a cancel: ``clientOrderId`` names the cancel, ``origClientOrderId`` the order."""
    answer: Json = {
        "symbol": instrument.symbol,
        "origClientOrderId": row.client_order_id,
        "orderId": row.order_id,
        "orderListId": row.list_id,
        "clientOrderId": cancel_client_id,
        "transactTime": transact_ms,
    }
    _add_terms(answer, row, instrument)
    answer["selfTradePreventionMode"] = STP_NAMES[row.stp]
    _add_conditional(answer, row, instrument, prevented_id)
    return answer


def amended_json(row: OrderRow, instrument: Instrument, amendment: AmendmentRow, *, prevented_id: int = 0) -> Json:
    """The answer of PUT /api/v3/order/amend/keepPriority, but for the order list's part."""
    order: Json = {
        "symbol": instrument.symbol,
        "orderId": row.order_id,
        "orderListId": row.list_id,
        "origClientOrderId": amendment.old_client_order_id,
        "clientOrderId": row.client_order_id,
        "price": price_text(instrument, row.price),
        "qty": qty_text(instrument, row.qty),
        "executedQty": qty_text(instrument, row.executed),
        "preventedQty": qty_text(instrument, row.prevented),
        "quoteOrderQty": money_text(row.quote_qty),
        "cumulativeQuoteQty": money_text(row.cum_quote),
        "status": STATUS_NAMES[row.status],
        "timeInForce": TIF_NAMES[row.tif],
        "type": TYPE_NAMES[row.type],
        "side": SIDE_NAMES[row.side],
        "workingTime": row.working_ms or -1,
        "selfTradePreventionMode": STP_NAMES[row.stp],
    }
    _add_conditional(order, row, instrument, prevented_id)
    return {"transactTime": amendment.time_ms, "executionId": amendment.execution_id, "amendedOrder": order}


def amendment_json(row: AmendmentRow, instrument: Instrument) -> Json:
    """One amend of an order as GET /api/v3/order/amendments shows it."""
    return {
        "symbol": instrument.symbol,
        "orderId": row.order_id,
        "executionId": row.execution_id,
        "origClientOrderId": row.old_client_order_id,
        "newClientOrderId": row.new_client_order_id,
        "origQty": qty_text(instrument, row.old_qty),
        "newQty": qty_text(instrument, row.new_qty),
        "time": row.time_ms,
    }


def list_json(row: ListRow, legs: Sequence[OrderRow], instrument: Instrument, transact_ms: int) -> Json:
    """An order list without reports: GET /api/v3/orderList."""
    done = row.status == ALL_DONE
    return {
        "orderListId": row.list_id,
        "contingencyType": "OCO",
        "listStatusType": row.status,
        "listOrderStatus": ALL_DONE if done else EXECUTING,
        "listClientOrderId": row.client_list_id,
        "transactionTime": transact_ms,
        "symbol": instrument.symbol,
        "orders": [_leg_json(leg, instrument) for leg in legs],
    }


def legs_of(row: ListRow, orders: Iterable[OrderRow]) -> list[OrderRow]:
    """The list's orders among ``orders``, the one above first."""
    mine = {order.order_id: order for order in orders}
    return [mine[leg] for leg in (row.above_id, row.below_id) if leg in mine]


def expiry_reason(row: OrderRow) -> str:
    """Why the market ended an EXPIRED order (Binance enum ExpiryReason)."""
    if row.applied_offset == VOIDED:
        return "EXCHANGE_CANCELED"
    if row.type in (MARKET, STOP_LOSS, TAKE_PROFIT) and row.stage not in (WAITING, TRIGGERED):
        return "INSUFFICIENT_LIQUIDITY"
    if row.list_id >= 0 and (row.type == LIMIT_MAKER or row.stage == WAITING):
        return "OCO_TRIGGER"
    if row.type in (LIMIT, STOP_LOSS_LIMIT, TAKE_PROFIT_LIMIT) and row.tif == IOC:
        return "UNFILLED_IOC_QUANTITY_EXPIRED"
    if row.type in (LIMIT, STOP_LOSS_LIMIT, TAKE_PROFIT_LIMIT) and row.tif == FOK:
        return "UNFILLED_FOK_ORDER_EXPIRED"
    return "INSUFFICIENT_LIQUIDITY"


def _leg_json(leg: OrderRow, instrument: Instrument) -> Json:
    return {"symbol": instrument.symbol, "orderId": leg.order_id, "clientOrderId": leg.client_order_id}


def _add_terms(answer: Json, row: OrderRow, instrument: Instrument) -> None:
    """The fields that every answer about an order shares; an order by quote amount has the size it got."""
    lots = row.executed if row.quote_qty and not row.qty else row.qty
    answer["price"] = price_text(instrument, row.price)
    answer["origQty"] = qty_text(instrument, lots)
    answer["executedQty"] = qty_text(instrument, row.executed)
    answer["origQuoteOrderQty"] = money_text(row.quote_qty)
    answer["cummulativeQuoteQty"] = money_text(row.cum_quote)
    answer["status"] = STATUS_NAMES[row.status]
    answer["timeInForce"] = TIF_NAMES[row.tif]
    answer["type"] = TYPE_NAMES[row.type]
    answer["side"] = SIDE_NAMES[row.side]


def _add_conditional(answer: Json, row: OrderRow, instrument: Instrument, prevented_id: int) -> None:
    """Fields that only some orders have (rest-api.md, "Conditional fields in Order Responses")."""
    if row.type in STOP_TYPES:
        answer["stopPrice"] = price_text(instrument, row.stop_price)
    if row.trail_bps:
        answer["trailingDelta"] = row.trail_bps
        answer["trailingTime"] = row.placed_ms if row.trail_ref else -1
    if row.iceberg_qty:
        answer["icebergQty"] = qty_text(instrument, row.iceberg_qty)
    if row.strategy_id:
        answer["strategyId"] = row.strategy_id
    if row.strategy_type:
        answer["strategyType"] = row.strategy_type
    if row.prevented:
        if prevented_id:
            answer["preventedMatchId"] = prevented_id
        answer["preventedQuantity"] = qty_text(instrument, row.prevented)
    if row.status == EXPIRED:
        answer["expiryReason"] = expiry_reason(row)
