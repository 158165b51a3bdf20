"""An account's orders, order lists and fills: what is open, and what was."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from outcry.market.instrument import Instrument
from outcry.roles.api.endpoint import READ, Call, Endpoint, Param
from outcry.roles.api.errors import Refusal
from outcry.roles.api.fills import fills_json
from outcry.roles.api.intervals import refuse_together, refuse_wide_history
from outcry.roles.api.orderform import one_of
from outcry.roles.api.render import amendment_json, legs_of, list_json, order_json
from outcry.roles.api.selection import END_TIME, FROM_ID, LIMIT, MAX_LIMIT, ONE_SYMBOL, START_TIME, SYMBOL
from outcry.rows import ListRow, OrderRow

Json = dict[str, Any]


async def order_status(call: Call) -> Json:
    """GET /api/v3/order; with both ids the client id must be that of the order."""
    params = call.params
    instrument: Instrument = params["symbol"]
    order_id, client_id = params.get("orderId"), params.get("origClientOrderId")
    if order_id is None and client_id is None:
        raise one_of("origClientOrderId", "orderId")
    wanted = client_id if order_id is None else None
    row = await call.venue.ledger.order(call.account_id, instrument.symbol_id, order_id, wanted)
    if row is None or (client_id is not None and row.client_order_id != client_id):
        raise Refusal(-2013, "Order does not exist.")
    return (await orders_json(call, [row]))[0]


async def open_orders(call: Call) -> list[Json]:
    """GET /api/v3/openOrders."""
    instrument = call.params.get("symbol")
    rows = await call.venue.ledger.open_orders(call.account_id, instrument.symbol_id if instrument else None)
    return await orders_json(call, rows)


async def all_orders(call: Call) -> list[Json]:
    """GET /api/v3/allOrders; a time range goes before an order id."""
    params = call.params
    refuse_wide_history(params)
    timed = "startTime" in params or "endTime" in params
    rows = await call.venue.ledger.orders(
        call.account_id,
        params["symbol"].symbol_id,
        from_id=None if timed else params.get("orderId"),
        start_ms=params.get("startTime"),
        end_ms=params.get("endTime"),
        limit=params["limit"],
    )
    return await orders_json(call, rows)


async def amendments(call: Call) -> list[Json]:
    """GET /api/v3/order/amendments."""
    params = call.params
    instrument: Instrument = params["symbol"]
    rows = await call.venue.ledger.amendments(
        call.account_id,
        instrument.symbol_id,
        params["orderId"],
        from_id=params.get("fromExecutionId"),
        limit=params["limit"],
    )
    return [amendment_json(row, instrument) for row in rows]


async def my_trades(call: Call) -> list[Json]:
    """GET /api/v3/myTrades."""
    params = call.params
    refuse_wide_history(params)
    refuse_together(params, "fromId", "startTime", "endTime")
    refuse_together(params, "orderId", "startTime", "endTime")
    instrument: Instrument = params["symbol"]
    trades = await call.venue.ledger.fills(
        call.account_id,
        instrument.symbol_id,
        order_id=params.get("orderId"),
        from_id=params.get("fromId"),
        start_ms=params.get("startTime"),
        end_ms=params.get("endTime"),
        limit=params["limit"],
    )
    return await fills_json(call, trades, instrument, order_id=params.get("orderId"))


async def list_status(call: Call) -> Json:
    """GET /api/v3/orderList."""
    params = call.params
    list_id, client_id = params.get("orderListId"), params.get("origClientOrderId")
    if list_id is None and client_id is None:
        raise one_of("origClientOrderId", "orderListId")
    row = await call.venue.ledger.order_list(call.account_id, list_id, client_id if list_id is None else None)
    if row is None or (client_id is not None and row.client_list_id != client_id):
        raise Refusal(-2013, "Order list does not exist.")
    return (await _lists_json(call, [row]))[0]


async def open_lists(call: Call) -> list[Json]:
    """GET /api/v3/openOrderList."""
    rows = await call.venue.ledger.order_lists(call.account_id, open_only=True, limit=MAX_LIMIT)
    return await _lists_json(call, rows)


async def all_lists(call: Call) -> list[Json]:
    """GET /api/v3/allOrderList."""
    params = call.params
    refuse_wide_history(params)
    refuse_together(params, "fromId", "startTime", "endTime")
    rows = await call.venue.ledger.order_lists(
        call.account_id,
        open_only=False,
        from_id=params.get("fromId"),
        start_ms=params.get("startTime"),
        end_ms=params.get("endTime"),
        limit=params["limit"],
    )
    return await _lists_json(call, rows)


async def orders_json(call: Call, rows: Sequence[OrderRow]) -> list[Json]:
    """Orders of any symbol."""
    instruments = call.venue.instruments_by_id
    touched = [row.order_id for row in rows if row.prevented]
    met = await call.venue.ledger.last_prevented(touched) if touched else {}
    return [order_json(row, instruments[row.symbol_id], prevented_id=met.get(row.order_id, 0)) for row in rows]


async def _lists_json(call: Call, rows: Sequence[ListRow]) -> list[Json]:
    legs = await call.venue.ledger.list_orders([row.list_id for row in rows]) if rows else []
    instruments = call.venue.instruments_by_id
    return [list_json(row, legs_of(row, legs), instruments[row.symbol_id], row.placed_ms) for row in rows]


def _open_weight(params: Mapping[str, Any]) -> int:
    return 6 if "symbol" in params else 80


def _trades_weight(params: Mapping[str, Any]) -> int:
    return 5 if "orderId" in params else 20


ORDER_ID: Final = Param(name="orderId", kind="int")
_CLIENT_ID: Final = Param(name="origClientOrderId", kind="client_id")
_ORDER: Final[Json] = {
    "symbol": "BTCUSD", "orderId": 1, "orderListId": -1, "clientOrderId": "my-order-1", "price": "60000.00000000",
    "origQty": "0.01000000", "executedQty": "0.00000000", "origQuoteOrderQty": "0.00000000",
    "cummulativeQuoteQty": "0.00000000", "status": "NEW", "timeInForce": "GTC", "type": "LIMIT", "side": "BUY",
    "stopPrice": "0.00000000", "icebergQty": "0.00000000", "time": 1700000000000, "updateTime": 1700000000000,
    "isWorking": True, "workingTime": 1700000000000, "selfTradePreventionMode": "NONE",
}  # fmt: skip
_FILL: Final[Json] = {
    "symbol": "BTCUSD", "id": 28457, "orderId": 1, "orderListId": -1, "price": "60000.00000000", "qty": "0.01000000",
    "quoteQty": "600.00000000", "commission": "0.00001000", "commissionAsset": "BTC", "time": 1700000000000,
    "isBuyer": True, "isMaker": False, "isBestMatch": True,
}  # fmt: skip
_AMENDMENT: Final[Json] = {
    "symbol": "BTCUSD", "orderId": 1, "executionId": 75, "origClientOrderId": "my-order-1",
    "newClientOrderId": "my-order-2", "origQty": "0.01000000", "newQty": "0.00500000", "time": 1700000000000,
}  # fmt: skip
_LIST: Final[Json] = {
    "orderListId": 1, "contingencyType": "OCO", "listStatusType": "EXEC_STARTED", "listOrderStatus": "EXECUTING",
    "listClientOrderId": "my-list-1", "transactionTime": 1700000000000, "symbol": "BTCUSD",
    "orders": [{"symbol": "BTCUSD", "orderId": 1, "clientOrderId": "above-1"}],
}  # fmt: skip

ENDPOINTS: Final = [
    Endpoint(
        method="GET", path="/api/v3/order", answer=order_status, security=READ, weight=4,
        params=(SYMBOL, ORDER_ID, _CLIENT_ID), ws="order.status", summary="One order", example=_ORDER, tag="account",
    ),
    Endpoint(
        method="GET", path="/api/v3/openOrders", answer=open_orders, security=READ, weight=_open_weight,
        params=(ONE_SYMBOL,), ws="openOrders.status", summary="Open orders", example=[_ORDER], tag="account",
    ),
    Endpoint(
        method="GET", path="/api/v3/allOrders", answer=all_orders, security=READ, weight=20,
        params=(SYMBOL, ORDER_ID, START_TIME, END_TIME, LIMIT), ws="allOrders", summary="All orders, open or not",
        example=[_ORDER], tag="account",
    ),
    Endpoint(
        method="GET", path="/api/v3/order/amendments", answer=amendments, security=READ, weight=4,
        params=(
            SYMBOL, Param(name="orderId", kind="int", required=True, example=1),
            Param(name="fromExecutionId", kind="int"), LIMIT,
        ),
        ws="order.amendments", summary="The amends of one order", example=[_AMENDMENT], tag="account",
    ),
    Endpoint(
        method="GET", path="/api/v3/myTrades", answer=my_trades, security=READ, weight=_trades_weight,
        params=(SYMBOL, ORDER_ID, START_TIME, END_TIME, FROM_ID, LIMIT), ws="myTrades", summary="The account's trades",
        example=[_FILL], tag="account",
    ),
    Endpoint(
        method="GET", path="/api/v3/orderList", answer=list_status, security=READ, weight=4,
        params=(Param(name="orderListId", kind="int"), _CLIENT_ID), ws="orderList.status", summary="One order list",
        example=_LIST, tag="account",
    ),
    Endpoint(
        method="GET", path="/api/v3/openOrderList", answer=open_lists, security=READ, weight=6,
        ws="openOrderLists.status", summary="Open order lists", example=[_LIST], tag="account",
    ),
    Endpoint(
        method="GET", path="/api/v3/allOrderList", answer=all_lists, security=READ, weight=20,
        params=(FROM_ID, START_TIME, END_TIME, LIMIT), ws="allOrderLists", summary="All order lists", example=[_LIST],
        tag="account",
    ),
]  # fmt: skip
