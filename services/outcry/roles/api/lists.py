"""Order lists: two orders of which one cancels the other (OCO)."""

from collections.abc import Mapping
from typing import Any, Final

from outcry.market.terms import BUY, GTC, LIMIT_MAKER, SELL, STOP_LOSS, STOP_LOSS_LIMIT, TAKE_PROFIT
from outcry.ports import Outcome
from outcry.roles.api.answers import canceled, report
from outcry.roles.api.endpoint import TRADE, Call, Endpoint, Param
from outcry.roles.api.errors import Refusal, unwanted
from outcry.roles.api.features import LISTS
from outcry.roles.api.intents import Cancel, Place, PlacePair
from outcry.roles.api.orderform import (
    RESPONSE_TYPE,
    RULES,
    SIDE,
    STP,
    SYMBOL,
    TIFS,
    caller_of,
    new_client_id,
    one_of,
    place_of,
)
from outcry.roles.api.render import ALL_DONE, Json, legs_of, list_json
from outcry.roles.api.tickets import unknown_order
from outcry.roles.api.trading import submit

LEG_TYPES: Final = ("STOP_LOSS_LIMIT", "STOP_LOSS", "LIMIT_MAKER", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
STOP_LOSSES: Final = (STOP_LOSS, STOP_LOSS_LIMIT)

# What a leg's parameters are called in a single order.
_LEG: Final = {
    "type": "Type",
    "newClientOrderId": "ClientOrderId",
    "icebergQty": "IcebergQty",
    "price": "Price",
    "stopPrice": "StopPrice",
    "trailingDelta": "TrailingDelta",
    "timeInForce": "TimeInForce",
    "strategyId": "StrategyId",
    "strategyType": "StrategyType",
    "pegPriceType": "PegPriceType",
    "pegOffsetType": "PegOffsetType",
    "pegOffsetValue": "PegOffsetValue",
}
_ABOVE: Final = {name: "above" + leg for name, leg in _LEG.items()}
_BELOW: Final = {name: "below" + leg for name, leg in _LEG.items()}
_LIMIT_LEG: Final = {
    "newClientOrderId": "limitClientOrderId",
    "icebergQty": "limitIcebergQty",
    "price": "price",
    "strategyId": "limitStrategyId",
    "strategyType": "limitStrategyType",
}
_STOP_LEG: Final = {
    "newClientOrderId": "stopClientOrderId",
    "icebergQty": "stopIcebergQty",
    "price": "stopLimitPrice",
    "stopPrice": "stopPrice",
    "trailingDelta": "trailingDelta",
    "timeInForce": "stopLimitTimeInForce",
    "strategyId": "stopStrategyId",
    "strategyType": "stopStrategyType",
}
_SHARED: Final = ("symbol", "side", "quantity", "selfTradePreventionMode")


async def place_pair(call: Call) -> Json:
    """POST /api/v3/orderList/oco."""
    above, below = _leg(call, _ABOVE), _leg(call, _BELOW)
    _check_sides(above, below)
    return await _place(call, above, below)


async def place_pair_by_sides(call: Call) -> Json:
    """POST /api/v3/order/oco, the older form: a limit order and a stop, which are above and below by their side."""
    stop_type = "STOP_LOSS_LIMIT" if "stopLimitPrice" in call.params else "STOP_LOSS"
    if stop_type == "STOP_LOSS" and "stopLimitTimeInForce" in call.params:
        raise unwanted("stopLimitTimeInForce")
    limit = _leg(call, _LIMIT_LEG, "LIMIT_MAKER")
    stop = _leg(call, _STOP_LEG, stop_type)
    above, below = (limit, stop) if limit.order.side == SELL else (stop, limit)
    return await _place(call, above, below)


async def cancel_list(call: Call) -> Json:
    """DELETE /api/v3/orderList."""
    params = call.params
    list_id, client_list_id = params.get("orderListId"), params.get("listClientOrderId")
    if list_id is None and client_list_id is None:
        raise one_of("orderListId", "listClientOrderId")
    instrument = params["symbol"]
    row = await call.venue.ledger.order_list(call.account_id, list_id, client_list_id)
    if row is None or row.symbol_id != instrument.symbol_id or row.status == ALL_DONE:
        raise unknown_order()
    cancel_id = params.get("newClientOrderId") or new_client_id()
    outcome = await _cancel_open_leg(call, (row.above_id, row.below_id), cancel_id)
    return canceled(outcome, instrument, cancel_id)


async def _cancel_open_leg(call: Call, legs: tuple[int, int], cancel_id: str) -> Outcome:
    """Cancels the list by whichever of its orders is still open. Raises Refusal when neither is."""
    refusal = unknown_order()
    for order_id in legs:
        try:
            outcome = await submit(
                call,
                Cancel(
                    instrument=call.params["symbol"],
                    account=call.account_id,
                    order_id=order_id,
                    cancel_client_id=cancel_id,
                    deadline_us=call.valid_until_us,
                ),
            )
        except Refusal as refused:
            if refused.code != refusal.code:
                raise
            continue
        if not outcome.code:
            return outcome
    raise refusal


async def _place(call: Call, above: Place, below: Place) -> Json:
    _check_prices(above, below, call.venue.last_prices.get(above.instrument.symbol_id, 0))
    pair = PlacePair(
        client_list_id=call.params.get("listClientOrderId") or new_client_id(), above=above, below=below
    )  # fmt: skip
    outcome = await submit(call, pair)
    if outcome.code:
        raise Refusal(outcome.code, outcome.text)
    row = outcome.lists[0]
    legs = legs_of(row, outcome.orders)
    answer = list_json(row, legs, pair.instrument, outcome.time_ms)
    shape = call.params.get("newOrderRespType", "RESULT")
    answer["orderReports"] = [report(leg, pair.instrument, outcome, shape) for leg in legs]
    return answer


def _leg(call: Call, names: Mapping[str, str], order_type: str = "") -> Place:
    """One leg as a single order, refused under the leg's own parameter names."""
    sent = call.params
    params: dict[str, Any] = {name: sent[name] for name in _SHARED if name in sent}
    params |= {name: sent[own] for name, own in names.items() if own in sent}
    if order_type:
        params["type"] = order_type
    if params["type"] not in LEG_TYPES:
        raise Refusal(-1158, "Order type not supported in OCO.")
    tif = TIFS[params.get("timeInForce", "GTC")]
    if "icebergQty" in params and tif != GTC:
        text = (
            f"Parameter '{names['icebergQty']}' is not supported if `aboveTimeInForce`/`belowTimeInForce` is not GTC."
        )
        raise Refusal(-1160, text)
    return place_of(params, caller_of(call), names)


def _check_sides(above: Place, below: Place) -> None:
    """A stop loss is on the far side of the market, the profit on the near one."""
    if above.order.type == below.order.type == LIMIT_MAKER:
        raise Refusal(-1168, "At least one OCO order must be contingent.")
    buying = above.order.side == BUY
    gain, loss = (below, above) if buying else (above, below)
    side, gain_place, loss_place = ("buy", "below", "above") if buying else ("sell", "above", "below")
    if loss.order.type == LIMIT_MAKER:
        raise Refusal(-1165 if buying else -1166, f"A limit order in a {side} OCO must be {gain_place}.")
    if loss.order.type not in STOP_LOSSES:
        raise Refusal(-1198 if buying else -1199, f"A take profit order in a {side} OCO must be {gain_place}.")
    if gain.order.type in STOP_LOSSES:
        raise Refusal(-1196 if buying else -1197, f"A stop loss order in a {side} OCO must be {loss_place}.")


def _check_prices(above: Place, below: Place, last_price: int) -> None:
    """The order above must stand above the one below, with the last price between them."""
    high, low = _reference(above), _reference(below)
    if (high and low and high <= low) or (last_price and (0 < high <= last_price or low >= last_price)):
        raise Refusal(-2010, "The relationship of the prices for the orders is not correct.")


def _reference(place: Place) -> int:
    """The price at which a leg starts to matter; 0 for a trailing stop, which follows the market."""
    order = place.order
    if order.type == LIMIT_MAKER:
        return order.price
    if order.type == TAKE_PROFIT or order.type in STOP_LOSSES:
        return order.stop_price
    return order.stop_price or order.price


def _leg_params(prefix: str) -> tuple[Param, ...]:
    decimals = ("IcebergQty", "Price", "StopPrice")
    return (
        Param(name=prefix + "Type", kind="enum", required=True, values=tuple(RULES)),
        Param(name=prefix + "ClientOrderId", kind="client_id"),
        *(Param(name=prefix + name, kind="decimal") for name in decimals),
        Param(name=prefix + "TrailingDelta", kind="int", low=1, high=1 << 31),
        Param(name=prefix + "TimeInForce", kind="enum", values=tuple(TIFS)),
        Param(name=prefix + "StrategyId", kind="int"),
        Param(name=prefix + "StrategyType", kind="int"),
        *(Param(name=prefix + name) for name in ("PegPriceType", "PegOffsetType", "PegOffsetValue")),
    )


_QUANTITY = Param(name="quantity", kind="decimal", required=True, example="0.01")
_LIST_NAME = Param(name="listClientOrderId", kind="client_id")
_EXAMPLE: Json = {
    "orderListId": 1,
    "contingencyType": "OCO",
    "listStatusType": "EXEC_STARTED",
    "listOrderStatus": "EXECUTING",
    "listClientOrderId": "my-list-1",
    "transactionTime": 1700000000000,
    "symbol": "BTCUSD",
    "orders": [{"symbol": "BTCUSD", "orderId": 1, "clientOrderId": "above-1"}],
    "orderReports": [],
}

ENDPOINTS: Final = [
    Endpoint(
        method="POST",
        path="/api/v3/orderList/oco",
        answer=place_pair,
        security=TRADE,
        feature=LISTS,
        orders=2,
        params=(SYMBOL, SIDE, _QUANTITY, _LIST_NAME, *_leg_params("above"), *_leg_params("below"), RESPONSE_TYPE, STP),
        ws="orderList.place.oco",
        summary="Place two orders of which one cancels the other",
        example=_EXAMPLE,
        tag="trading",
    ),
    Endpoint(
        method="POST",
        path="/api/v3/order/oco",
        answer=place_pair_by_sides,
        security=TRADE,
        feature=LISTS,
        orders=2,
        params=(
            SYMBOL,
            SIDE,
            _QUANTITY,
            _LIST_NAME,
            Param(name="price", kind="decimal", required=True),
            Param(name="stopPrice", kind="decimal"),
            Param(name="trailingDelta", kind="int", low=1, high=1 << 31),
            Param(name="stopLimitPrice", kind="decimal"),
            Param(name="stopLimitTimeInForce", kind="enum", values=tuple(TIFS)),
            Param(name="limitClientOrderId", kind="client_id"),
            Param(name="stopClientOrderId", kind="client_id"),
            Param(name="limitIcebergQty", kind="decimal"),
            Param(name="stopIcebergQty", kind="decimal"),
            Param(name="limitStrategyId", kind="int"),
            Param(name="limitStrategyType", kind="int"),
            Param(name="stopStrategyId", kind="int"),
            Param(name="stopStrategyType", kind="int"),
            RESPONSE_TYPE,
            STP,
        ),
        ws="orderList.place",
        summary="Place a limit order and a stop of which one cancels the other (older form)",
        example=_EXAMPLE,
        tag="trading",
    ),
    Endpoint(
        method="DELETE",
        path="/api/v3/orderList",
        answer=cancel_list,
        security=TRADE,
        params=(
            SYMBOL,
            Param(name="orderListId", kind="int", example=1),
            _LIST_NAME,
            Param(name="newClientOrderId", kind="client_id"),
        ),
        ws="orderList.cancel",
        summary="Cancel an order list",
        example=_EXAMPLE | {"listStatusType": ALL_DONE, "listOrderStatus": ALL_DONE},
        tag="trading",
    ),
]
