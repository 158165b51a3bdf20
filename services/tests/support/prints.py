"""A symbol and its trades for the tests of the stream role."""

from typing import Any

from outcry.market.events import Traded
from outcry.market.instrument import Instrument
from outcry.market.terms import BUY
from outcry.rows import CandleRow, TradeRow

BTCUSD = Instrument(
    symbol_id=1, symbol="BTCUSD", partition=0, base="BTC", quote="USD", base_asset=1, quote_asset=2,
    tick_size=1_000_000, lot_size=1_000,
)  # fmt: skip


def trade(
    number: int, price: int = 100, qty: int = 5, *, side: int = BUY, agg: int | None = None, time_ms: int = 0
) -> TradeRow:
    """A trade of BTCUSD between orders 1 (maker) and 2 (taker)."""
    return TradeRow(
        1, number, number if agg is None else agg, 0, number, number, time_ms, price, qty,
        price * qty * BTCUSD.quote_unit, side, 1, 2, 1001, 1002, 0, 0,
    )  # fmt: skip


def traded(number: int, price: int = 100, qty: int = 5, *, side: int = BUY, **more: Any) -> Traded:
    """The event of such a trade."""
    amount = price * qty * BTCUSD.quote_unit
    fields = {
        "symbol_id": 1, "trade_id": number, "agg_id": number, "price": price, "qty": qty,
        "amount": amount, "taker_side": side, "maker_id": 1, "maker_account": 1001, "maker_fee": 0, "maker_left": 0,
        "maker_executed": qty, "maker_quote": amount, "taker_id": 2, "taker_account": 1002, "taker_fee": 0,
        "taker_left": 0, "taker_executed": qty, "taker_quote": amount,
    }  # fmt: skip
    return Traded(**{**fields, **more})


def minute(open_ms: int, price: int, volume: int, *, first: int, last: int) -> CandleRow:
    """A stored one-minute candle that stands at one price."""
    return CandleRow(
        1, 60_000, open_ms, price, price, price, price, volume, price * volume * BTCUSD.quote_unit, last - first + 1,
        volume, price * volume * BTCUSD.quote_unit, first, last,
    )  # fmt: skip
