"""What came of an order is told in the shapes of the Binance interface."""

import asyncio
from typing import Any

import msgspec
import pytest

from outcry.codec import decode_frame
from outcry.market.commands import CancelAll, CancelOrder, PlaceOrder
from outcry.market.events import Traded
from outcry.market.instrument import Instrument
from outcry.market.terms import (
    ALLOW_FAILURE,
    BUY,
    CANCELED,
    EXPIRED,
    FILLED,
    FOK,
    GTC,
    IOC,
    LIMIT,
    LIMIT_MAKER,
    MARKET,
    NEW,
    SELL,
    STOP_LOSS_LIMIT,
    STOP_ON_FAILURE,
    WAITING,
)
from outcry.ports import Outcome
from outcry.roles.api.answers import canceled, placed, replaced
from outcry.roles.api.errors import Refusal
from outcry.roles.api.framing import pack
from outcry.roles.api.idempotency import payload_hash
from outcry.roles.api.intents import Cancel, CancelOpen, Place, Replace
from outcry.roles.api.render import expiry_reason, order_json
from outcry.roles.api.tickets import Request, Ticket
from outcry.rows import ListRow, OrderRow

BTCUSD = Instrument(
    symbol_id=1, symbol="BTCUSD", partition=0, base="BTC", quote="USD", base_asset=1, quote_asset=2,
    tick_size=1_000_000, lot_size=1_000,
)  # fmt: skip


def row(**fields: Any) -> OrderRow:
    plain = OrderRow(
        order_id=28, part=0, symbol_id=1, account_id=1001, client_order_id="mine", side=BUY, type=LIMIT, tif=GTC,
        price=6_000_000, qty=50_000, quote_qty=0, stop_price=0, trail_bps=0, iceberg_qty=0, stp=0, status=NEW,
        executed=0, cum_quote=0, held=0, visible=50_000, prevented=0, stage=0, trail_ref=0, priority_seq=1, list_id=-1,
        maker_ppm=1000, taker_ppm=1000, strategy_id=0, strategy_type=0, placed_ms=1000, updated_ms=2000,
        working_ms=1000, applied_offset=5, code=0, text="", open=1,
    )  # fmt: skip
    return plain._replace(**fields)


def outcome(**fields: Any) -> Outcome:
    return Outcome(**{"command_id": 1, "symbol_id": 1, "part": 0, "offset": 5, "time_ms": 1000, **fields})


def order(**fields: Any) -> PlaceOrder:
    plain = {
        "command_id": 0, "symbol_id": 1, "order_id": 0, "account": 1001, "client_order_id": "mine", "side": BUY,
        "type": LIMIT, "qty": 50_000, "price": 6_000_000,
    }  # fmt: skip
    return PlaceOrder(**{**plain, **fields})


def place(**fields: Any) -> Place:
    return Place(instrument=BTCUSD, order=order(**fields), asset=2, need=1)


FILL = Traded(
    symbol_id=1, trade_id=56, agg_id=56, price=5_999_900, qty=20_000, amount=1_199_980_000_000, taker_side=BUY,
    maker_id=27, maker_account=1002, maker_fee=1, maker_left=0, maker_executed=1, maker_quote=1, taker_id=28,
    taker_account=1001, taker_fee=20_000, taker_left=30_000, taker_executed=20_000, taker_quote=1,
)  # fmt: skip


def test_an_acknowledgement_has_five_fields() -> None:
    assert placed(outcome(orders=(row(),)), place(), "ACK") == {
        "symbol": "BTCUSD", "orderId": 28, "orderListId": -1, "clientOrderId": "mine", "transactTime": 1000,
    }  # fmt: skip


def test_a_full_answer_has_the_order_and_its_own_fills() -> None:
    answer = placed(outcome(orders=(row(executed=20_000, cum_quote=1_199_980_000_000),), fills=(FILL,)), place(), None)
    assert answer == {
        "symbol": "BTCUSD", "orderId": 28, "orderListId": -1, "clientOrderId": "mine", "transactTime": 1000,
        "price": "60000.00000000", "origQty": "0.50000000", "executedQty": "0.20000000",
        "origQuoteOrderQty": "0.00000000", "cummulativeQuoteQty": "11999.80000000", "status": "NEW",
        "timeInForce": "GTC", "type": "LIMIT", "side": "BUY", "workingTime": 1000, "selfTradePreventionMode": "NONE",
        "fills": [{
            "price": "59999.00000000", "qty": "0.20000000", "commission": "0.00020000", "commissionAsset": "BTC",
            "tradeId": 56,
        }],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("order_type", "full"), [(LIMIT, True), (MARKET, True), (LIMIT_MAKER, False), (STOP_LOSS_LIMIT, False)]
)
def test_limit_and_market_orders_answer_in_full_and_others_acknowledge(order_type: int, full: bool) -> None:
    assert ("fills" in placed(outcome(orders=(row(),)), place(type=order_type), None)) is full


def test_a_refusal_of_the_market_is_an_error() -> None:
    with pytest.raises(Refusal, match="Market is closed") as caught:
        placed(outcome(code=-2010, text="Market is closed."), place(), None)
    assert (caught.value.code, caught.value.status) == (-2010, 400)


def test_an_order_by_amount_has_the_size_that_it_got() -> None:
    shown = order_json(row(type=MARKET, price=0, qty=0, quote_qty=10**10, executed=7_000, status=FILLED), BTCUSD)
    assert (shown["origQty"], shown["origQuoteOrderQty"]) == ("0.07000000", "100.00000000")


def test_a_waiting_stop_is_not_working() -> None:
    shown = order_json(row(type=STOP_LOSS_LIMIT, stop_price=5, stage=WAITING, working_ms=0), BTCUSD)
    assert (shown["isWorking"], shown["workingTime"], shown["stopPrice"]) == (False, -1, "0.05000000")


def test_only_orders_that_have_them_show_conditional_fields() -> None:
    conditional = {"trailingDelta", "trailingTime", "strategyId", "strategyType", "preventedQuantity", "expiryReason"}
    assert not conditional & set(order_json(row(), BTCUSD))
    shown = order_json(row(trail_bps=10, strategy_id=1, strategy_type=1_000_000, prevented=3, status=EXPIRED), BTCUSD)
    assert conditional <= set(shown)
    assert shown["preventedQuantity"] == "0.00003000"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"type": MARKET}, "INSUFFICIENT_LIQUIDITY"),
        ({"tif": IOC}, "UNFILLED_IOC_QUANTITY_EXPIRED"),
        ({"tif": FOK}, "UNFILLED_FOK_ORDER_EXPIRED"),
        ({"type": LIMIT_MAKER, "list_id": 3}, "OCO_TRIGGER"),
        ({"type": STOP_LOSS_LIMIT, "list_id": 3, "stage": WAITING}, "OCO_TRIGGER"),
        ({"applied_offset": -1}, "EXCHANGE_CANCELED"),
    ],
)
def test_an_expired_order_says_why(fields: dict[str, Any], reason: str) -> None:
    assert expiry_reason(row(status=EXPIRED, **fields)) == reason


def test_a_cancel_names_itself_and_the_order() -> None:
    answer = canceled(outcome(canceled=(row(status=CANCELED, open=0),)), BTCUSD, "cancel-1")
    assert (answer["clientOrderId"], answer["origClientOrderId"], answer["status"]) == ("cancel-1", "mine", "CANCELED")


def test_canceling_an_order_of_a_list_answers_with_the_list() -> None:
    legs = (row(order_id=28, list_id=4, status=CANCELED), row(order_id=29, list_id=4, status=CANCELED))
    lists = (ListRow(4, 0, 1, 1001, "pair", 29, 28, "ALL_DONE", 1000),)
    answer = canceled(outcome(canceled=legs, lists=lists), BTCUSD, "cancel-1")
    assert (answer["orderListId"], answer["listStatusType"], answer["listOrderStatus"]) == (4, "ALL_DONE", "ALL_DONE")
    assert [report["orderId"] for report in answer["orderReports"]] == [29, 28]


OLD = Cancel(instrument=BTCUSD, account=1001, order_id=9, cancel_client_id="cancel-1")
GONE = {"cancel_code": -2011, "cancel_text": "Unknown order sent."}
CROSSED = {"code": -2010, "text": "Order would immediately match and take."}
FREED = {"canceled": (row(order_id=9, status=CANCELED),)}
BORN = {"orders": (row(),)}


@pytest.mark.parametrize(
    ("mode", "happened", "status", "results"),
    [
        (STOP_ON_FAILURE, {**FREED, **BORN}, 200, ("SUCCESS", "SUCCESS")),
        (STOP_ON_FAILURE, GONE, 400, ("FAILURE", "NOT_ATTEMPTED")),
        (STOP_ON_FAILURE, {**FREED, **CROSSED}, 409, ("SUCCESS", "FAILURE")),
        (ALLOW_FAILURE, {**FREED, **BORN}, 200, ("SUCCESS", "SUCCESS")),
        (ALLOW_FAILURE, {**GONE, **CROSSED}, 400, ("FAILURE", "FAILURE")),
        (ALLOW_FAILURE, {**GONE, **BORN}, 409, ("FAILURE", "SUCCESS")),
        (ALLOW_FAILURE, {**FREED, **CROSSED}, 409, ("SUCCESS", "FAILURE")),
    ],
)
def test_a_replace_tells_what_became_of_either_half(
    mode: int, happened: dict[str, Any], status: int, results: tuple[str, str]
) -> None:
    intent = Replace(old=OLD, new=place(), mode=mode)
    if status == 200:
        answer = replaced(outcome(**happened), intent, None)
    else:
        with pytest.raises(Refusal) as caught:
            replaced(outcome(**happened), intent, None)
        assert (caught.value.status, caught.value.code) == (status, -2022 if status == 400 else -2021)
        answer = caught.value.data
    assert (answer["cancelResult"], answer["newOrderResult"]) == results
    cancel, new = answer["cancelResponse"], answer["newOrderResponse"]
    assert cancel["orderId"] == 9 if results[0] == "SUCCESS" else cancel["code"] == -2011
    if results[1] == "NOT_ATTEMPTED":
        assert new is None
    else:
        assert new["orderId"] == 28 if results[1] == "SUCCESS" else new["code"] == -2010


async def tickets(count: int, **fields: Any) -> list[Ticket]:
    request = Request(count, asyncio.get_running_loop().create_future())
    made = []
    for number in range(count):
        ticket = Ticket(place(**fields), number + 1, request, number)
        ticket.command = order(order_id=number + 1, **fields)
        made.append(ticket)
    return made


async def test_frames_keep_the_order_of_commands_and_their_bounds() -> None:
    made = await tickets(600, client_order_id="x" * 36, held=2**61, valid_until_ms=2**52)
    parcels = pack(made, "pod")
    assert len(parcels) == 3
    assert [ticket.command_id for parcel in parcels for ticket in parcel.tickets] == list(range(1, 601))
    assert all(len(parcel.frame) <= 65536 for parcel in parcels)


async def test_a_frame_carries_a_trace_and_no_nonsense() -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    for sent, carried in ((trace, trace), ("x" * 500, ""), ("", "")):
        request = Request(1, asyncio.get_running_loop().create_future(), sent)
        ticket = Ticket(place(), 7, request, 0)
        ticket.command = order(order_id=1)
        frame = decode_frame(pack([ticket], "pod")[0].frame)
        assert (frame.traceparent, frame.reply_to, frame.correlation_id) == (carried, "pod", 7)


async def test_a_cancel_of_thousands_fits_into_a_frame() -> None:
    made = await tickets(2)
    targets = tuple((2**52 + n, 2**52) for n in range(3000))
    for ticket in made:
        ticket.intent = CancelOpen(instrument=BTCUSD, account=1001)
        ticket.command = CancelAll(command_id=1, symbol_id=1, account=1001, targets=targets, cancel_client_id="x" * 36)
    parcels = pack(made, "pod")
    assert [len(parcel.tickets) for parcel in parcels] == [1, 1]
    assert all(len(parcel.frame) <= 65536 for parcel in parcels)


async def test_commands_of_two_partitions_travel_apart() -> None:
    made = await tickets(2)
    other = Instrument(
        symbol_id=2, symbol="ETHUSD", partition=3, base="ETH", quote="USD", base_asset=3, quote_asset=2,
        tick_size=1_000_000, lot_size=1_000,
    )  # fmt: skip
    made[1].intent = Cancel(instrument=other, account=1001, order_id=1)
    made[1].command = CancelOrder(command_id=2, symbol_id=2, account=1001, order_id=1, target_valid_until_ms=0)
    assert [(parcel.part, len(parcel.tickets)) for parcel in pack(made, "pod")] == [(0, 1), (3, 1)]


def test_a_payload_is_the_same_without_its_signature_and_differs_with_its_terms() -> None:
    first = payload_hash("order.place", {"symbol": BTCUSD, "quantity": 100_000_000, "timestamp": 1})
    assert first == payload_hash("order.place", {"quantity": 100_000_000, "symbol": BTCUSD, "timestamp": 2})
    assert first != payload_hash("order.place", {"symbol": BTCUSD, "quantity": 110_000_000})
    assert first != payload_hash("orders:batch", {"symbol": BTCUSD, "quantity": 100_000_000})


def test_sells_pay_their_fee_in_the_quote_asset() -> None:
    answer = placed(
        outcome(orders=(row(side=SELL),), fills=(_sold(),)), place(side=SELL), "FULL"
    )  # fmt: skip
    assert answer["fills"][0]["commissionAsset"] == "USD"


def _sold() -> Traded:
    return msgspec.structs.replace(FILL, taker_side=SELL)
