"""POST /v1/orders:batch: up to fifty orders in one request, each with an answer of its own."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from outcry.ports import Outcome
from outcry.roles.api.answers import placed
from outcry.roles.api.endpoint import TRADE, Call, Endpoint, Param
from outcry.roles.api.errors import UNKNOWN_OUTCOME, Refusal, outcome_unknown
from outcry.roles.api.features import BATCH
from outcry.roles.api.idempotency import StoredAnswer, once, refused
from outcry.roles.api.intents import Place
from outcry.roles.api.orderform import ORDER_PARAMS, Caller, caller_of, place_of
from outcry.roles.api.params import Instruments, Recipe, plain
from outcry.roles.api.render import Json
from outcry.roles.api.tickets import Answer, Key
from outcry.roles.api.trading import EXAMPLE_ORDER, stored_outcome
from outcry.rows import OrderRow

MAX_ORDERS: Final = 50
OTHER_PAYLOAD: Final = -1098
# So long after the key was taken its request may place more: it waits 9 s at most for its first order's outcome.
ENTERING_MS: Final = 10_000

_RECIPE = Recipe(ORDER_PARAMS, strict=True)


class Item:
    """One order of a batch: read, or refused while reading. ``held``: it got its hold; ``entered``: or may have."""

    __slots__ = ("answer", "entered", "held", "place", "shape")

    def __init__(self, sent: Any, call: Call, caller: Caller, name: str) -> None:
        self.place: Place | None = None
        self.answer: Json = {}
        self.entered = self.held = False
        self.shape: str | None = None
        try:
            params = _params(sent, call.venue.instruments)
            if name:
                params.setdefault("newClientOrderId", name)
            self.shape = params.get("newOrderRespType")
            self.place = place_of(params, caller)
        except Refusal as refusal:
            self.answer = _refused(refusal)

    def take(self, answer: Answer) -> None:
        """Keeps the desk's answer. Raises Refusal 422 where the batch's key was used with another payload."""
        assert self.place is not None
        self.held = isinstance(answer, Outcome)
        self.entered = self.held or answer.code == UNKNOWN_OUTCOME
        if not isinstance(answer, Outcome) and answer.code == OTHER_PAYLOAD:
            raise answer  # the key is that of another batch: nothing of this one was placed
        if isinstance(answer, Refusal) or answer.code:
            self.answer = _refused(answer)
        else:
            self.answer = placed(answer, self.place, self.shape)


def _params(sent: Any, instruments: Instruments) -> dict[str, Any]:
    """An item's typed parameters. Raises Refusal."""
    if not isinstance(sent, dict):
        raise Refusal(-1130, "Data sent for parameter 'orders' is not valid.")
    found = _RECIPE.read_sound(sent, instruments)
    return _RECIPE.read(plain(sent), instruments) if found is None else found


async def place_batch(call: Call) -> Any:
    """Every order has its own result in ``results``, in the order in which they were sent."""
    sent = call.params["orders"]
    if not isinstance(sent, list) or not 1 <= len(sent) <= MAX_ORDERS:
        text = f"Parameter 'orders' must be an array of 1 to {MAX_ORDERS} orders."
        raise Refusal(-1130, text, errors=[{"parameter": "orders", "code": -1130, "detail": text}])
    caller = caller_of(call)
    items = [Item(each, call, caller, _name(call, number)) for number, each in enumerate(sent)]
    placing = [item for item in items if item.place is not None]
    if not call.idempotency_key:
        await _submit(call, placing, None)
        return _results(items)

    async def work(key: Key) -> StoredAnswer:
        await _submit_keyed(call, placing, replace(key, claimant=secrets.token_hex(8)))
        known = all(item.answer.get("code") != UNKNOWN_OUTCOME for item in placing)
        # Without an order in the market the batch has no key: what is kept under it is another batch's answer.
        entered = any(item.entered for item in placing)
        return StoredAnswer(200, _results(items), known and entered, entered or not known)

    async def settled(first_id: int) -> StoredAnswer | None:
        if not await _settle(call, placing, first_id):
            return None
        return StoredAnswer(200, _results(items))

    return await once(call, "orders:batch", work, settled)


async def _submit(call: Call, items: Sequence[Item], key: Key | None) -> None:
    places = [item.place for item in items if item.place is not None]
    began, call.began = call.began, 0.0  # what comes in a second step was admitted with the first
    answers = await call.venue.desk.submit_all(places, key, call.traceparent, began=began)
    for item, answer in zip(items, answers, strict=True):
        item.take(answer)


async def _submit_keyed(call: Call, items: Sequence[Item], key: Key) -> None:
    """The first order that gets its hold claims the key for all, even if the market refuses it; the others follow.

    The ledger lets the others in only while the key is this request's: where the first one's hold is unknown and was
    not taken, who asks again places them; and once somebody was told that they were not placed, they are not.
    """
    for number, item in enumerate(items):
        await _submit(call, [item], key)
        if item.entered:
            await _submit(call, items[number + 1 :], replace(key, follows=True))
            _doubt(items)
            return


def _doubt(items: Sequence[Item]) -> None:
    """Where none is known to have got its hold, the key may be that of the same request, sent before.

    That one may have placed what was refused here, so nothing is told as refused.
    """
    if not any(item.held for item in items):
        for item in items:
            item.answer = _refused(outcome_unknown())


async def _settle(call: Call, items: Sequence[Item], first_id: int) -> bool:
    """Answers for a request whose answer was lost; False while one of its orders has no outcome, or may still come.

    Nobody is told that an order was not placed before the key is closed: the request may only be slow, or asleep.
    """
    found = [await _newest(call, item) for item in items]
    if any(row is None or row.order_id < first_id for row in found):
        if not await call.venue.ledger.close_key(call.account_id, call.idempotency_key, ENTERING_MS):
            return False
        found = [await _newest(call, item) for item in items]
    for item, row in zip(items, found, strict=True):
        answer = await _stored(call, item, row, first_id)
        if answer is None:
            return False
        item.answer = answer.body
    return True


async def _newest(call: Call, item: Item) -> OrderRow | None:
    """The newest order under the item's client order id."""
    assert item.place is not None
    order = item.place.order
    return await call.venue.ledger.order(order.account, order.symbol_id, None, order.client_order_id)


async def _stored(call: Call, item: Item, row: OrderRow | None, first_id: int) -> StoredAnswer | None:
    """What became of an item: ``row`` tells, the newest order of its client order id.

    One older than the batch's first order is somebody else's, which had the id first.
    """
    if row is None:
        return refused(-2010, "Order was not placed.")
    if row.order_id < first_id:
        return refused(-2010, "Duplicate order sent.")
    assert item.place is not None
    return await stored_outcome(call, item.place, row.order_id, item.shape)


def _name(call: Call, number: int) -> str:
    """A client order id by which an order of a keyed batch is found again; "" without a key."""
    if not call.idempotency_key:
        return ""
    return hashlib.sha256(f"{call.account_id}/{number}/{call.idempotency_key}".encode()).hexdigest()[:22]


def _results(items: Sequence[Item]) -> Json:
    return {"results": [item.answer for item in items]}


def _refused(refusal: Answer) -> Json:
    return {"code": refusal.code, "msg": refusal.text}


ENDPOINTS: Final = [
    Endpoint(
        method="POST",
        path="/v1/orders:batch",
        answer=place_batch,
        security=TRADE,
        feature=BATCH,
        orders=1,
        params=(
            Param(
                name="orders",
                kind="json",
                required=True,
                example=[
                    {
                        "symbol": "BTCUSD",
                        "side": "BUY",
                        "type": "LIMIT",
                        "timeInForce": "GTC",
                        "quantity": "0.01",
                        "price": "60000",
                    }
                ],
                note="1 to 50 orders, each as POST /api/v3/order takes it",
            ),
        ),
        summary="Place up to 50 orders",
        example={"results": [EXAMPLE_ORDER, {"code": -1013, "msg": "Filter failure: LOT_SIZE"}]},
        tag="trading",
    )
]
