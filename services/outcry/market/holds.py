"""How much money an order must reserve before it may be journaled, in minor units, always rounded up."""

from outcry.market.commands import PlaceOrder
from outcry.market.instrument import Instrument
from outcry.market.terms import BASIS_POINTS, BUY, MARKET, PPM, PRICED_TYPES


def need_of(order: PlaceOrder, instrument: Instrument, last_price: int) -> int | None:
    """The hold that bounds what ``order`` can spend: quote for a buy, base for a sell.

    ``last_price`` in ticks, 0 before the first trade. None: the bound needs a last price and there is none.
    What the market would ask beyond the bound is not filled.
    """
    if order.side == BUY:
        return _need_of_buy(order, instrument, last_price)
    if order.qty:
        return order.qty * instrument.lot_size
    return _need_of_quote_sell(order, instrument, last_price)


def _need_of_buy(order: PlaceOrder, instrument: Instrument, last_price: int) -> int | None:
    if order.quote_qty:
        return order.quote_qty
    if order.type in PRICED_TYPES:
        return order.price * order.qty * instrument.quote_unit
    price = last_price if order.type == MARKET else order.stop_price or last_price
    if not price:
        return None
    bound = price * order.qty * instrument.quote_unit * (PPM + instrument.market_bound_ppm)
    if not order.trail_bps:
        return _divide_up(bound, PPM)
    return _divide_up(bound * (BASIS_POINTS + order.trail_bps), PPM * BASIS_POINTS)


def _need_of_quote_sell(order: PlaceOrder, instrument: Instrument, last_price: int) -> int | None:
    if not last_price:
        return None
    proceeds = last_price * instrument.quote_unit * (PPM - instrument.market_bound_ppm)
    return _divide_up(order.quote_qty * PPM, proceeds) * instrument.lot_size


def _divide_up(amount: int, by: int) -> int:
    return -(-amount // by)
