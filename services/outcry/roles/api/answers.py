"""What the desk's outcomes become on the wire: an answer, or the refusal that the market gave."""

from outcry.market.instrument import Instrument
from outcry.market.terms import ALLOW_FAILURE, LIMIT, MARKET
from outcry.ports import Outcome
from outcry.roles.api.errors import Refusal
from outcry.roles.api.idempotency import StoredAnswer, refused
from outcry.roles.api.intents import Place, Replace
from outcry.roles.api.render import Json, ack_json, cancel_json, full_json, legs_of, list_json, result_json
from outcry.rows import OrderRow


def placed(outcome: Outcome, place: Place, shape: str | None) -> Json:
    """A new order's answer in the asked shape. Raises the market's refusal."""
    if outcome.code:
        raise Refusal(outcome.code, outcome.text)
    return report(outcome.orders[0], place.instrument, outcome, shape or default_shape(place.order.type))


def answer_of(outcome: Outcome, place: Place, shape: str | None) -> StoredAnswer:
    """As ``placed``, with a refusal as an answer."""
    return refused(outcome.code, outcome.text) if outcome.code else StoredAnswer(200, placed(outcome, place, shape))


def default_shape(order_type: int) -> str:
    return "FULL" if order_type in (MARKET, LIMIT) else "ACK"


def report(row: OrderRow, instrument: Instrument, outcome: Outcome, shape: str) -> Json:
    """One new order as ACK, RESULT or FULL."""
    if shape not in ("FULL", "RESULT"):
        return ack_json(row, instrument, outcome.time_ms)
    prevented_id = outcome.prevented.get(row.order_id, 0)
    if shape == "FULL":
        return full_json(row, instrument, outcome.time_ms, outcome.fills, prevented_id=prevented_id)
    return result_json(row, instrument, outcome.time_ms, prevented_id=prevented_id)


def canceled(outcome: Outcome, instrument: Instrument, cancel_id: str) -> Json:
    """A cancel's answer: the order, or the list that went with it. Raises the market's refusal."""
    if outcome.code:
        raise Refusal(outcome.code, outcome.text)
    if outcome.lists:
        return canceled_lists(outcome, instrument, cancel_id)[0]
    return ended(outcome.canceled[0], instrument, outcome, cancel_id)


def ended(row: OrderRow, instrument: Instrument, outcome: Outcome, cancel_id: str) -> Json:
    """One canceled order of the outcome."""
    prevented_id = outcome.prevented.get(row.order_id, 0)
    return cancel_json(row, instrument, outcome.time_ms, cancel_id, prevented_id=prevented_id)


def canceled_lists(outcome: Outcome, instrument: Instrument, cancel_id: str) -> list[Json]:
    """Every list of the outcome with its orders, and the reports of those that were canceled."""
    answers = []
    for row in outcome.lists:
        legs = legs_of(row, outcome.canceled)
        answer = list_json(row, legs_of(row, (*outcome.canceled, *outcome.orders)), instrument, outcome.time_ms)
        answer["orderReports"] = [ended(leg, instrument, outcome, cancel_id) for leg in legs]
        answers.append(answer)
    return answers


def replaced(outcome: Outcome, intent: Replace, shape: str | None) -> Json:
    """A cancel-replace's answer. Raises -2022 when nothing happened and -2021 when half of it did."""
    cancel_failed, new_failed = bool(outcome.cancel_code), bool(outcome.code)
    attempted = not cancel_failed or intent.mode == ALLOW_FAILURE
    answer: Json = {
        "cancelResult": "FAILURE" if cancel_failed else "SUCCESS",
        "newOrderResult": _new_result(attempted, new_failed),
        "cancelResponse": _cancel_response(outcome, intent),
        "newOrderResponse": None,
    }
    if attempted and new_failed:
        answer["newOrderResponse"] = {"code": outcome.code, "msg": outcome.text}
    elif attempted:
        answer["newOrderResponse"] = placed(outcome, intent.new, shape)
    if cancel_failed and (new_failed or not attempted):
        raise Refusal(-2022, "Order cancel-replace failed.", data=answer)
    if cancel_failed or new_failed:
        raise Refusal(-2021, "Order cancel-replace partially failed.", 409, data=answer)
    return answer


def _new_result(attempted: bool, failed: bool) -> str:
    if not attempted:
        return "NOT_ATTEMPTED"
    return "FAILURE" if failed else "SUCCESS"


def _cancel_response(outcome: Outcome, intent: Replace) -> Json:
    if outcome.cancel_code:
        return {"code": outcome.cancel_code, "msg": outcome.cancel_text}
    instrument, cancel_id = intent.instrument, intent.old.cancel_client_id
    if outcome.lists:
        return canceled_lists(outcome, instrument, cancel_id)[0]
    return ended(outcome.canceled[0], instrument, outcome, cancel_id)
