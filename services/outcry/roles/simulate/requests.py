"""What a member of the crowd wishes, as the exchange's own requests."""

from typing import Final

from outcry.agents.traders import CANCEL, REPLACE, Wish
from outcry.decimals import money_text, price_text, qty_text
from outcry.market.instrument import Instrument
from outcry.market.terms import LIMIT_MAKER, MARKET, SIDE_NAMES, TIF_NAMES, TYPE_NAMES

UNTIMED: Final = (MARKET, LIMIT_MAKER)  # order types without timeInForce


def request_of(wish: Wish, instrument: Instrument) -> tuple[str, dict[str, str]]:
    """The WebSocket API method and its parameters as text."""
    if wish.kind == CANCEL:
        return "order.cancel", {"symbol": instrument.symbol, "origClientOrderId": wish.client_id}
    params = _order(wish, instrument)
    if wish.kind == REPLACE:
        swap = {"cancelReplaceMode": "ALLOW_FAILURE", "cancelOrigClientOrderId": wish.old_client_id}
        return "order.cancelReplace", params | swap
    return "order.place", params


def _order(wish: Wish, instrument: Instrument) -> dict[str, str]:
    params = {
        "symbol": instrument.symbol,
        "side": SIDE_NAMES[wish.side],
        "type": TYPE_NAMES[wish.type],
        "newClientOrderId": wish.client_id,
        "newOrderRespType": "ACK",
    }
    if wish.type not in UNTIMED:
        params["timeInForce"] = TIF_NAMES[wish.tif]
    if wish.price:
        params["price"] = price_text(instrument, wish.price)
    if wish.qty:
        params["quantity"] = qty_text(instrument, wish.qty)
    if wish.quote_qty:
        params["quoteOrderQty"] = money_text(wish.quote_qty)
    if wish.stop_price:
        params["stopPrice"] = price_text(instrument, wish.stop_price)
    if wish.iceberg_qty:
        params["icebergQty"] = qty_text(instrument, wish.iceberg_qty)
    return params
