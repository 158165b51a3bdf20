"""Whole numbers as Binance's decimal strings with exactly 8 decimals, and back."""

from outcry.market.instrument import Instrument
from outcry.market.terms import MINOR_UNITS

DECIMALS = 8  # of every amount; MINOR_UNITS is a one with as many zeros


def money_text(minor: int) -> str:
    """Minor units (1e-8) as a decimal string: 150000000 is ``"1.50000000"``."""
    if minor < 0:
        return "-" + money_text(-minor)
    return f"{minor // MINOR_UNITS}.{minor % MINOR_UNITS:08d}"


def price_text(instrument: Instrument, ticks: int) -> str:
    """A price in ticks as a decimal string."""
    return money_text(ticks * instrument.tick_size)


def qty_text(instrument: Instrument, lots: int) -> str:
    """A size in lots as a decimal string."""
    return money_text(lots * instrument.lot_size)


def rate_text(ppm: int) -> str:
    """A fee rate in parts per million as a decimal string: 1000 is ``"0.00100000"``."""
    return money_text(ppm * (MINOR_UNITS // 1_000_000))


def minor_units(text: str) -> int | None:
    """Digits with or without a point, such as ``"1.5"``, in minor units; None where more than 8 decimals count."""
    whole, _, fraction = text.partition(".")
    if len(fraction) > DECIMALS:
        fraction = fraction.rstrip("0")
        if len(fraction) > DECIMALS:
            return None
    return int(whole + fraction.ljust(DECIMALS, "0"))


def weighted_price(instrument: Instrument, amount: int, volume: int) -> int:
    """The volume-weighted average price in quote minor units: ``amount`` minor units paid for ``volume`` lots."""
    return amount * MINOR_UNITS // (volume * instrument.lot_size) if volume else 0


def percent_text(change: int, start: int) -> str:
    """A change as percent of ``start`` with three decimals, rounded half away from zero."""
    if not start:
        return "0.000"
    thousandths = (abs(change) * 200_000 + start) // (2 * start)
    sign = "-" if change < 0 and thousandths else ""
    return f"{sign}{thousandths // 1000}.{thousandths % 1000:03d}"
