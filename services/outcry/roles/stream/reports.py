"""Private events in the Binance shapes of ``user-data-stream.md``; an executionReport always has all its fields."""

from typing import Final

from outcry.decimals import money_text, price_text, qty_text
from outcry.market.events import (
    AnyEvent,
    MatchPrevented,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderReplaced,
    OrderTriggered,
    Traded,
)
from outcry.market.instrument import Instrument
from outcry.market.terms import (
    BUY,
    EXPIRED_IN_MATCH,
    FILLED,
    GTC,
    MARKET,
    REJECTED,
    SIDE_NAMES,
    STATUS_NAMES,
    STOP_LOSS,
    STOP_TYPES,
    STP_NAMES,
    TAKE_PROFIT,
    TIF_NAMES,
    TYPE_NAMES,
)
from outcry.ports import Execution
from outcry.roles.api.render import expiry_reason
from outcry.roles.stream.payloads import ZERO, Payload
from outcry.rows import Balance, ListRow, OrderRow

NO_TRADE_GROUP: Final = -1
MARKET_STYLES: Final = (MARKET, STOP_LOSS, TAKE_PROFIT)  # never in the book
REJECT_REASONS: Final = {
    "Account has insufficient balance for requested action.": "INSUFFICIENT_BALANCES",
    "Order would trigger immediately.": "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY",
    "Order would immediately match and take.": "WOULD_MATCH_IMMEDIATELY",
    "The relationship of the prices for the orders is not correct.": "OCO_BAD_PRICES",
}


def execution_report(
    execution: Execution, instrument: Instrument, *, event_ms: int, execution_id: int
) -> Payload | None:
    """The report of one private event, or None where Binance reports nothing."""
    row, event = execution.order, execution.event
    if row is None:
        return None
    change = _change(event, row, instrument)
    if change is None:
        return None
    report = _order_fields(row, instrument) | {
        "e": "executionReport",
        "E": event_ms,
        "T": execution.time_ms,
        "I": execution_id,
    }
    report.update(change)
    if report["w"] or row.working_ms:
        if not (isinstance(event, OrderAccepted) and row.type in STOP_TYPES):
            report["W"] = row.working_ms or execution.time_ms
    return report


def list_status(
    row: ListRow, legs: list[tuple[int, str]], instrument: Instrument, *, event_ms: int, time_ms: int
) -> Payload:
    """``listStatus``; ``legs`` are order ids with their client ids, the one above first."""
    done = row.status == "ALL_DONE"
    return {
        "e": "listStatus",
        "E": event_ms,
        "s": instrument.symbol,
        "g": row.list_id,
        "c": "OCO",
        "l": row.status,
        "L": "ALL_DONE" if done else "EXECUTING",
        "r": "NONE",
        "C": row.client_list_id,
        "T": time_ms,
        "O": [{"s": instrument.symbol, "i": order_id, "c": client_id} for order_id, client_id in legs],
    }


def account_position(balances: list[tuple[str, Balance]], *, event_ms: int, updated_ms: int) -> Payload:
    """``outboundAccountPosition``: the balances that changed, by asset name."""
    return {
        "e": "outboundAccountPosition",
        "E": event_ms,
        "u": updated_ms,
        "B": [{"a": asset, "f": money_text(b.free), "l": money_text(b.held)} for asset, b in balances],
    }


def balance_update(asset: str, delta: int, *, event_ms: int, time_ms: int) -> Payload:
    """``balanceUpdate``: a deposit (positive minor units) or withdrawal."""
    return {"e": "balanceUpdate", "E": event_ms, "a": asset, "d": money_text(delta), "T": time_ms}


def _order_fields(row: OrderRow, instrument: Instrument) -> Payload:
    """What an order is, with the fields of a report that nothing was executed in."""
    lots = row.executed if row.quote_qty and not row.qty else row.qty
    fields: Payload = {
        "e": "", "E": 0, "s": instrument.symbol, "c": row.client_order_id, "S": SIDE_NAMES[row.side],
        "o": TYPE_NAMES[row.type], "f": TIF_NAMES[row.tif], "q": qty_text(instrument, lots),
        "p": price_text(instrument, row.price), "P": price_text(instrument, row.stop_price),
        "F": qty_text(instrument, row.iceberg_qty), "g": row.list_id, "C": "", "x": "", "X": STATUS_NAMES[row.status],
        "r": "NONE", "i": row.order_id, "l": ZERO, "z": qty_text(instrument, row.executed), "L": ZERO,
        "n": "0", "N": None, "T": 0, "t": -1, "I": 0, "w": False, "m": False, "M": False, "O": row.placed_ms,
        "Z": money_text(row.cum_quote), "Y": ZERO, "Q": money_text(row.quote_qty), "V": STP_NAMES[row.stp],
    }  # fmt: skip
    if row.trail_bps:
        fields["d"] = row.trail_bps
        if row.trail_ref:
            fields["D"] = row.placed_ms
    if row.strategy_id:
        fields["j"] = row.strategy_id
    if row.strategy_type:
        fields["J"] = row.strategy_type
    if row.prevented:
        fields["A"] = qty_text(instrument, row.prevented)
    return fields


def _change(event: AnyEvent, row: OrderRow, instrument: Instrument) -> Payload | None:
    """The fields that say what happened."""
    match event:
        case OrderAccepted():
            untouched = {"x": "NEW", "X": "NEW", "z": ZERO, "Z": ZERO}
            return untouched | {"w": row.type not in STOP_TYPES}
        case OrderTriggered():
            return {"x": "NEW", "X": "NEW", "z": ZERO, "Z": ZERO, "w": True}
        case Traded():
            return _traded(event, row, instrument)
        case OrderCanceled() | OrderReplaced():
            return {
                "x": "CANCELED", "X": "CANCELED", "c": event.cancel_client_id or row.client_order_id,
                "C": row.client_order_id,
            }  # fmt: skip
        case OrderExpired(in_match=False):
            return {"x": "EXPIRED", "X": "EXPIRED", "eR": expiry_reason(row)}
        case OrderAmended():
            state = "PARTIALLY_FILLED" if row.executed else "NEW"
            return {
                "x": "REPLACED", "X": state, "q": qty_text(instrument, event.qty), "w": row.working_ms > 0,
                "C": event.old_client_id or row.client_order_id,
            }  # fmt: skip
        case OrderRejected() if row.status == REJECTED:
            return {"x": "REJECTED", "X": "REJECTED", "r": REJECT_REASONS.get(event.text, "NONE")}
        case MatchPrevented():
            return _prevented(event, row, instrument)
        case _:
            return None


def _traded(event: Traded, row: OrderRow, instrument: Instrument) -> Payload:
    maker = event.maker_id == row.order_id
    left, executed, quote, fee = (
        (event.maker_left, event.maker_executed, event.maker_quote, event.maker_fee)
        if maker
        else (event.taker_left, event.taker_executed, event.taker_quote, event.taker_fee)
    )
    filled = left == 0 if row.qty else row.status == FILLED and row.executed == executed
    return {
        "x": "TRADE",
        "X": "FILLED" if filled else "PARTIALLY_FILLED",
        "l": qty_text(instrument, event.qty),
        "L": price_text(instrument, event.price),
        "Y": money_text(event.amount),
        "z": qty_text(instrument, executed),
        "Z": money_text(quote),
        "n": money_text(fee),
        "N": instrument.base if row.side == BUY else instrument.quote,
        "t": event.trade_id,
        "w": not filled and row.type not in MARKET_STYLES and row.tif == GTC,
        "m": maker,
        "M": True,
    }


def _prevented(event: MatchPrevented, row: OrderRow, instrument: Instrument) -> Payload | None:
    """Self-trade prevention: only the orders that lost quantity to it are told (faqs/stp_faq.md)."""
    maker = event.maker_id == row.order_id
    lost = event.maker_prevented if maker else event.taker_prevented
    if not lost:
        return None
    ended = row.status == EXPIRED_IN_MATCH
    return {
        "x": "TRADE_PREVENTION",
        "X": "EXPIRED_IN_MATCH" if ended else "PARTIALLY_FILLED" if row.executed else "NEW",
        "v": event.prevented_id,
        "A": qty_text(instrument, row.prevented),
        "B": qty_text(instrument, lost),
        "u": NO_TRADE_GROUP,
        "U": event.taker_id if maker else event.maker_id,
        "pl": qty_text(instrument, event.qty),
        "pL": price_text(instrument, event.price),
        "pY": money_text(event.qty * event.price * instrument.quote_unit),
        "w": not ended,
    }
