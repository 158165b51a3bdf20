"""The static filters of a symbol: what an order must satisfy before the market is asked.

Source: Binance Spot ``filters.md``. MAX_NUM_ORDERS and MAX_NUM_ALGO_ORDERS depend on open orders and are
enforced by the market itself.
"""

from outcry.market.commands import PlaceOrder
from outcry.market.instrument import Instrument
from outcry.market.terms import MARKET, PRICED_TYPES


def check(order: PlaceOrder, instrument: Instrument, last_price: int) -> str | None:
    """The first filter that ``order`` fails, or None. ``last_price`` in ticks; 0 before the first trade."""
    if not _prices_fit(order, instrument):
        return "PRICE_FILTER"
    if not order.quote_qty:
        if not instrument.min_qty <= order.qty <= instrument.max_qty:
            return "LOT_SIZE"
        if order.type == MARKET and not instrument.market_min_qty <= order.qty <= instrument.market_max_qty:
            return "MARKET_LOT_SIZE"
    if order.iceberg_qty:
        if not instrument.min_qty <= order.iceberg_qty <= instrument.max_qty:
            return "LOT_SIZE"
        if -(-order.qty // order.iceberg_qty) > instrument.iceberg_parts:
            return "ICEBERG_PARTS"
    if order.trail_bps and not instrument.min_trailing_bps <= order.trail_bps <= instrument.max_trailing_bps:
        return "TRAILING_DELTA"
    if notional(order, instrument, last_price) < instrument.min_notional:
        return "NOTIONAL"
    return None


def check_quantity(qty: int, price: int, instrument: Instrument) -> str | None:
    """The first filter that an amended total of ``qty`` lots fails at ``price`` ticks, or None."""
    if not instrument.min_qty <= qty <= instrument.max_qty:
        return "LOT_SIZE"
    if price and price * qty * instrument.quote_unit < instrument.min_notional:
        return "NOTIONAL"
    return None


def notional(order: PlaceOrder, instrument: Instrument, last_price: int) -> int:
    """What an order is worth in quote minor units: at its price, else its trigger price, else the last price.

    A market order before the first trade has no price to be judged by and passes any minimum.
    """
    if order.quote_qty:
        return order.quote_qty
    price = order.price or order.stop_price or last_price
    if not price:
        return instrument.min_notional
    return price * order.qty * instrument.quote_unit


def _prices_fit(order: PlaceOrder, instrument: Instrument) -> bool:
    low, high = instrument.min_price, instrument.max_price
    if order.type in PRICED_TYPES and not low <= order.price <= high:
        return False
    return not order.stop_price or low <= order.stop_price <= high
