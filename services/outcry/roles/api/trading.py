"""The trading endpoints: place, test, cancel, cancel all, cancel-replace, amend."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from outcry.decimals import rate_text
from outcry.market.terms import (
    ALLOW_FAILURE,
    CANCEL_ANY,
    CANCEL_ONLY_NEW,
    CANCEL_ONLY_PARTIALLY_FILLED,
    PENDING_NEW,
    REJECTED,
    STOP_ON_FAILURE,
)
from outcry.ports import Outcome, OutOfService
from outcry.roles.api.answers import answer_of, canceled, canceled_lists, ended, placed, replaced
from outcry.roles.api.endpoint import TRADE, Call, Endpoint, Param
from outcry.roles.api.errors import Refusal, market_closed
from outcry.roles.api.features import AMEND, CANCEL_REPLACE
from outcry.roles.api.idempotency import StoredAnswer, once, refused
from outcry.roles.api.intents import Amend, Cancel, CancelOpen, Intent, Place, Replace
from outcry.roles.api.latecomers import taken
from outcry.roles.api.limits import Limits
from outcry.roles.api.orderform import (
    ORDER_PARAMS,
    SYMBOL,
    caller_of,
    draft_of,
    new_client_id,
    one_of,
    place_of,
    size_of,
)
from outcry.roles.api.render import Json, amended_json, legs_of, list_json
from outcry.roles.api.selection import TRADING_STATUS, status_of
from outcry.roles.api.tickets import Key, unknown_order

RESTRICTIONS: Final = {
    "ONLY_NEW": CANCEL_ONLY_NEW,
    "ONLY_PARTIALLY_FILLED": CANCEL_ONLY_PARTIALLY_FILLED,
}
MODES: Final = {"STOP_ON_FAILURE": STOP_ON_FAILURE, "ALLOW_FAILURE": ALLOW_FAILURE}
NOT_OF_AN_AMENDED_LIST: Final = ("listStatusType", "transactionTime")
ZERO_RATES: Final = {"maker": rate_text(0), "taker": rate_text(0)}


async def submit(call: Call, intent: Intent, key: Key | None = None) -> Outcome:
    """What the desk answers to the call's intent, with the preventions and the lists that its orders name."""
    outcome = await _with_preventions(
        call, await call.venue.desk.submit(intent, key, call.traceparent, began=call.began)
    )
    return await _with_all_legs(call, outcome) if outcome.lists else outcome


async def _with_all_legs(call: Call, outcome: Outcome) -> Outcome:
    """Adds the legs that had ended before the command: they are named in their list's answer all the same."""
    known = {row.order_id for row in (*outcome.orders, *outcome.canceled)}
    missing = {leg for row in outcome.lists for leg in (row.above_id, row.below_id)} - known
    if not missing:
        return outcome
    try:
        rows = await call.venue.ledger.list_orders([row.list_id for row in outcome.lists])
    except OutOfService:
        return outcome  # it happened, and is told as far as it is known
    return msgspec.structs.replace(outcome, orders=(*outcome.orders, *(row for row in rows if row.order_id in missing)))


async def _with_preventions(call: Call, outcome: Outcome) -> Outcome:
    """Adds what the engine does not know of orders that it only canceled or amended."""
    rows = (*outcome.orders, *outcome.canceled)
    touched = [row.order_id for row in rows if row.prevented and row.order_id not in outcome.prevented]
    if not touched:
        return outcome
    try:
        found = await call.venue.ledger.last_prevented(touched)
    except OutOfService:
        return outcome  # it happened, and is told as far as it is known
    return msgspec.structs.replace(outcome, prevented=outcome.prevented | found)


async def place_order(call: Call) -> Any:
    """POST /api/v3/order."""
    caller, shape = caller_of(call), call.params.get("newOrderRespType")
    if not call.idempotency_key:
        place = place_of(call.params, caller)
        return placed(await submit(call, place), place, shape)

    async def work(key: Key) -> StoredAnswer:
        place = place_of(call.params, caller)
        return answer_of(await submit(call, place, key), place, shape)

    async def settled(order_id: int) -> StoredAnswer | None:
        return await stored_outcome(call, draft_of(call.params, caller), order_id, shape)

    return await once(call, "order.place", work, settled)


async def test_order(call: Call) -> Json:
    """POST /api/v3/order/test: all checks of a new order, and no order."""
    caller = caller_of(call)
    place_of(call.params, caller)
    if status_of(call.params["symbol"], call.venue) != TRADING_STATUS:
        raise market_closed()
    if not call.params.get("computeCommissionRates"):
        return {}
    account = caller.account
    return {
        "standardCommissionForOrder": {"maker": rate_text(account.maker_ppm), "taker": rate_text(account.taker_ppm)},
        "specialCommissionForOrder": ZERO_RATES,
        "taxCommissionForOrder": ZERO_RATES,
        "discount": {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "",
            "discount": rate_text(0),
        },
    }


async def cancel_order(call: Call) -> Json:
    """DELETE /api/v3/order; an order of a list takes the whole list with it."""
    cancel = cancel_of(call, "orderId", "origClientOrderId", cancel_id="newClientOrderId")
    return canceled(await submit(call, cancel), cancel.instrument, cancel.cancel_client_id)


async def cancel_open_orders(call: Call) -> list[Json]:
    """DELETE /api/v3/openOrders: single orders first, then lists."""
    instrument = call.params["symbol"]
    cancel_id = new_client_id()
    outcome = await submit(
        call,
        CancelOpen(
            instrument=instrument,
            account=call.account_id,
            cancel_client_id=cancel_id,
            deadline_us=call.valid_until_us,
        ),
    )
    if outcome.code:
        raise Refusal(outcome.code, outcome.text)
    if not outcome.canceled:
        raise unknown_order()
    alone = [row for row in outcome.canceled if row.list_id < 0]
    return [
        *(ended(row, instrument, outcome, cancel_id) for row in alone),
        *canceled_lists(outcome, instrument, cancel_id),
    ]


async def amend_order(call: Call) -> Json:
    """PUT /api/v3/order/amend/keepPriority."""
    params = call.params
    old = cancel_of(call, "orderId", "origClientOrderId")
    qty = size_of(params, "newQty", old.instrument)
    new_id = params.get("newClientOrderId") or new_client_id()
    outcome = await submit(call, Amend(old=old, qty=qty, new_client_id=new_id))
    if outcome.code:
        raise Refusal(outcome.code, outcome.text)
    row = outcome.orders[0]
    assert outcome.amendment is not None
    prevented_id = outcome.prevented.get(row.order_id, 0)
    answer = amended_json(row, old.instrument, outcome.amendment, prevented_id=prevented_id)
    if outcome.lists:
        list_row = outcome.lists[0]
        told = list_json(list_row, legs_of(list_row, outcome.orders), old.instrument, outcome.time_ms)
        answer["listStatus"] = {name: told[name] for name in told if name not in NOT_OF_AN_AMENDED_LIST}
    return answer


async def cancel_replace(call: Call) -> Json:
    """POST /api/v3/order/cancelReplace. Orders are counted here: over the limit a cancel may still go on alone."""
    params = call.params
    old = cancel_of(
        call, "cancelOrderId", "cancelOrigClientOrderId", cancel_id="cancelNewClientOrderId"
    )  # fmt: skip
    new = place_of(params, caller_of(call))
    try:
        await _count_order(call)
    except Refusal as too_many:
        if params["orderRateLimitExceededMode"] != "CANCEL_ONLY":
            raise
        return replaced(await _cancel_alone(call, old, too_many), Replace(old=old, new=new), None)
    intent = Replace(old=old, new=new, mode=MODES[params["cancelReplaceMode"]])
    return replaced(await submit(call, intent), intent, params.get("newOrderRespType"))


async def _count_order(call: Call) -> None:
    """Counts one new order. A call without a key comes from within the process, where no limit holds."""
    if call.key is not None:
        venue = call.venue
        limits = Limits(venue.shared, venue.clock, venue.settings.limits)
        try:
            call.spent += await limits.count_orders(call.account_id, 1)
        except Refusal as too_many:
            call.spent += too_many.spent
            too_many.spent = call.spent
            raise


async def _cancel_alone(call: Call, old: Cancel, too_many: Refusal) -> Outcome:
    """What a replace comes to when its account may cancel but not order. Raises the refusal if the cancel fails too."""
    outcome = await submit(call, old)
    if outcome.code:
        raise too_many
    return Outcome(
        command_id=outcome.command_id,
        symbol_id=outcome.symbol_id,
        part=outcome.part,
        offset=outcome.offset,
        time_ms=outcome.time_ms,
        code=too_many.code,
        text=too_many.text,
        canceled=outcome.canceled,
        lists=outcome.lists,
    )


def cancel_of(call: Call, id_name: str, client_id_name: str, *, cancel_id: str = "") -> Cancel:
    """Which order the parameters name. Raises Refusal when they name none."""
    params = call.params
    order_id, client_order_id = params.get(id_name), params.get(client_id_name)
    if order_id is None and client_order_id is None:
        raise one_of(client_id_name, id_name)
    return Cancel(
        instrument=params["symbol"],
        account=call.account_id,
        order_id=order_id,
        client_order_id=client_order_id,
        cancel_client_id=params.get(cancel_id) or new_client_id(),
        restriction=RESTRICTIONS.get(params.get("cancelRestrictions", ""), CANCEL_ANY),
        deadline_us=call.valid_until_us,
    )


async def stored_outcome(call: Call, place: Place, order_id: int, shape: str | None) -> StoredAnswer | None:
    """The answer about an order that another process placed under the same key; None while it has no outcome."""
    ledger, instrument = call.venue.ledger, place.instrument
    row = await ledger.order(call.account_id, instrument.symbol_id, order_id, None)
    if row is None or row.status == PENDING_NEW:
        return None
    if row.status == REJECTED:
        return refused(row.code, row.text)
    trades = (await ledger.order_fills([row]))[row.order_id] if row.executed else []
    outcome = Outcome(
        command_id=0,
        symbol_id=row.symbol_id,
        part=row.part,
        offset=row.applied_offset,
        time_ms=row.placed_ms,
        orders=(row,),
        fills=tuple(taken(trade) for trade in trades),
    )
    return answer_of(await _with_preventions(call, outcome), place, shape)


def _test_weight(params: Mapping[str, Any]) -> int:
    return 20 if params.get("computeCommissionRates") else 1


_ORDER_ID = Param(name="orderId", kind="int", example=1)
_ORIGINAL_ID = Param(name="origClientOrderId", kind="client_id")
_NEW_ID = Param(name="newClientOrderId", kind="client_id")
_RESTRICTIONS = Param(name="cancelRestrictions", kind="enum", values=tuple(RESTRICTIONS))
_TERMS: Json = {
    "price": "60000.00000000",
    "origQty": "0.01000000",
    "executedQty": "0.00000000",
    "origQuoteOrderQty": "0.00000000",
    "cummulativeQuoteQty": "0.00000000",
    "status": "NEW",
    "timeInForce": "GTC",
    "type": "LIMIT",
    "side": "BUY",
}
_ACK: Json = {
    "symbol": "BTCUSD",
    "orderId": 1,
    "orderListId": -1,
    "clientOrderId": "my-order-1",
    "transactTime": 1700000000000,
}
EXAMPLE_ORDER: Final = (
    _ACK | _TERMS | {"workingTime": 1700000000000, "selfTradePreventionMode": "NONE", "fills": []}
)  # fmt: skip
EXAMPLE_CANCEL: Final = (
    _ACK
    | {"origClientOrderId": "my-order-1", "clientOrderId": "my-cancel-1"}
    | _TERMS
    | {"status": "CANCELED", "selfTradePreventionMode": "NONE"}
)

ENDPOINTS: Final = [
    Endpoint(
        method="POST",
        path="/api/v3/order",
        answer=place_order,
        security=TRADE,
        orders=1,
        params=ORDER_PARAMS,
        ws="order.place",
        summary="Place an order",
        example=EXAMPLE_ORDER,
        tag="trading",
    ),
    Endpoint(
        method="POST",
        path="/api/v3/order/test",
        answer=test_order,
        security=TRADE,
        weight=_test_weight,
        params=(*ORDER_PARAMS, Param(name="computeCommissionRates", kind="bool")),
        ws="order.test",
        summary="Check an order without placing it",
        example={},
        tag="trading",
    ),
    Endpoint(
        method="DELETE",
        path="/api/v3/order",
        answer=cancel_order,
        security=TRADE,
        params=(SYMBOL, _ORDER_ID, _ORIGINAL_ID, _NEW_ID, _RESTRICTIONS),
        ws="order.cancel",
        summary="Cancel an order",
        example=EXAMPLE_CANCEL,
        tag="trading",
    ),
    Endpoint(
        method="DELETE",
        path="/api/v3/openOrders",
        answer=cancel_open_orders,
        security=TRADE,
        params=(SYMBOL,),
        ws="openOrders.cancelAll",
        summary="Cancel all open orders of a symbol",
        example=[EXAMPLE_CANCEL],
        tag="trading",
    ),
    Endpoint(
        method="POST",
        path="/api/v3/order/cancelReplace",
        answer=cancel_replace,
        security=TRADE,
        feature=CANCEL_REPLACE,
        params=(
            *ORDER_PARAMS,
            Param(name="cancelReplaceMode", kind="enum", required=True, values=tuple(MODES), example="STOP_ON_FAILURE"),
            Param(name="cancelOrderId", kind="int", example=1),
            Param(name="cancelOrigClientOrderId", kind="client_id"),
            Param(name="cancelNewClientOrderId", kind="client_id"),
            _RESTRICTIONS,
            Param(
                name="orderRateLimitExceededMode",
                kind="enum",
                values=("DO_NOTHING", "CANCEL_ONLY"),
                default="DO_NOTHING",
            ),
        ),
        ws="order.cancelReplace",
        summary="Cancel an order and place another in one step",
        example={
            "cancelResult": "SUCCESS",
            "newOrderResult": "SUCCESS",
            "cancelResponse": EXAMPLE_CANCEL,
            "newOrderResponse": EXAMPLE_ORDER,
        },
        tag="trading",
    ),
    Endpoint(
        method="PUT",
        path="/api/v3/order/amend/keepPriority",
        answer=amend_order,
        security=TRADE,
        feature=AMEND,
        weight=4,
        params=(
            SYMBOL,
            _ORDER_ID,
            _ORIGINAL_ID,
            _NEW_ID,
            Param(name="newQty", kind="decimal", required=True, example="0.005"),
        ),
        ws="order.amend.keepPriority",
        summary="Reduce an order; it keeps its place in the queue",
        example={"transactTime": 1700000000000, "executionId": 75, "amendedOrder": {"symbol": "BTCUSD", "orderId": 1}},
        tag="trading",
    ),
]
