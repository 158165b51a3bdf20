"""An account's own trades: which side of each was its own, what it paid, in which shape."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from outcry.decimals import money_text, price_text, qty_text
from outcry.market.instrument import Instrument
from outcry.market.terms import BUY
from outcry.roles.api.endpoint import Call
from outcry.rows import TradeRow

Json = dict[str, Any]


class Fill(NamedTuple):
    """One account's side of a trade. ``fee`` is in the asset received: base for the buyer, quote for the seller."""

    trade: TradeRow
    order_id: int
    side: int
    fee: int
    is_maker: bool


def sides_of(trades: Sequence[TradeRow], account_id: int, order_id: int | None = None) -> Iterator[Fill]:
    """The account's fills in the order of the trades; a self-trade is two, the maker's first.

    Only those of one order where ``order_id`` is given.
    """
    last_id = 0
    for trade in trades:
        if trade.trade_id == last_id:
            continue
        last_id = trade.trade_id
        if trade.maker_account == account_id and order_id in (None, trade.maker_order):
            yield Fill(trade, trade.maker_order, -trade.taker_side, trade.maker_fee, True)
        if trade.taker_account == account_id and order_id in (None, trade.taker_order):
            yield Fill(trade, trade.taker_order, trade.taker_side, trade.taker_fee, False)


async def fills_json(
    call: Call, trades: Sequence[TradeRow], instrument: Instrument, *, order_id: int | None = None
) -> list[Json]:
    """The caller's fills as GET /api/v3/myTrades shows them."""
    fills = list(sides_of(trades, call.account_id, order_id))
    orders = await call.venue.ledger.orders_by_id(sorted({fill.order_id for fill in fills})) if fills else []
    lists = {order.order_id: order.list_id for order in orders}
    return [fill_json(fill, instrument, lists.get(fill.order_id, -1)) for fill in fills]


def fill_json(fill: Fill, instrument: Instrument, list_id: int) -> Json:
    """One fill; ``list_id`` is its order's, -1 for none."""
    trade = fill.trade
    is_buyer = fill.side == BUY
    return {
        "symbol": instrument.symbol,
        "id": trade.trade_id,
        "orderId": fill.order_id,
        "orderListId": list_id,
        "price": price_text(instrument, trade.price),
        "qty": qty_text(instrument, trade.qty),
        "quoteQty": money_text(trade.amount),
        "commission": money_text(fill.fee),
        "commissionAsset": instrument.base if is_buyer else instrument.quote,
        "time": trade.time_ms,
        "isBuyer": is_buyer,
        "isMaker": fill.is_maker,
        "isBestMatch": True,
    }
