"""One tradable pair: its units, its filters, and the arithmetic between price, size and money."""

from typing import Final

import msgspec

from outcry.market.terms import MINOR_UNITS, PPM

TRADING: Final = 1
HALTED: Final = 2

MAX_PRICE_TICKS: Final = 1 << 33  # what the price ladder can index
MAX_AMOUNT: Final = 1 << 62  # a hold or a notional of this size or more is refused


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """The terms on which a symbol trades.

    Units: prices in ticks, sizes in lots, money in minor units (1e-8 of an asset).
    ``tick_size`` is quote minor units per whole base unit per tick, ``lot_size`` is base minor
    units per lot; their product must be a whole number of quote minor units.
    Source of the filters: Binance Spot ``filters.md``.
    """

    symbol_id: int
    symbol: str
    partition: int
    base: str
    quote: str
    base_asset: int
    quote_asset: int
    tick_size: int
    lot_size: int
    min_price: int = 1
    max_price: int = 100_000_000
    min_qty: int = 1
    max_qty: int = 900_000_000
    market_min_qty: int = 1
    market_max_qty: int = 900_000_000
    min_notional: int = 0
    max_orders: int = 1000
    max_algo_orders: int = 100
    iceberg_parts: int = 100
    min_trailing_bps: int = 10
    max_trailing_bps: int = 2000
    market_bound_ppm: int = 50_000
    status: int = TRADING

    @property
    def quote_unit(self) -> int:
        """Quote minor units that one lot at a price of one tick costs."""
        return self.tick_size * self.lot_size // MINOR_UNITS

    def problems(self) -> list[str]:
        """Everything wrong with these terms, one sentence each; empty when sound."""
        found = []
        if self.tick_size <= 0 or self.lot_size <= 0:
            found.append("the tick and the step of the quantity must be positive")
        elif self.tick_size * self.lot_size % MINOR_UNITS:
            found.append("the tick times the step of the quantity must be a whole number of 1e-8")
        if not 1 <= self.min_price <= self.max_price < MAX_PRICE_TICKS:
            found.append(f"1 <= min_price <= max_price < {MAX_PRICE_TICKS} must hold")
        if not 1 <= self.min_qty <= self.max_qty:
            found.append("1 <= min_qty <= max_qty must hold")
        if not 1 <= self.market_min_qty <= self.market_max_qty:
            found.append("1 <= market_min_qty <= market_max_qty must hold")
        if self.base == self.quote:
            found.append("base and quote must differ")
        return found


def fee_of(amount: int, rate_ppm: int) -> int:
    """The fee on ``amount`` minor units at ``rate_ppm``, rounded down to a whole minor unit."""
    return amount * rate_ppm // PPM
