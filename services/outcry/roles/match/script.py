"""The one symbol that `outcry match` trades, with units so plain that ticks, lots and money are the same numbers."""

from typing import Final

from outcry.market.commands import PlaceOrder, SetInstrument
from outcry.market.holds import need_of
from outcry.market.instrument import Instrument
from outcry.market.ladder import RUNGS
from outcry.market.pit import Pit

SYMBOL_ID: Final = 1
UNBOUNDED: Final = 1 << 62  # a hold for orders whose cost no price bounds; recorded flows carry no money
MAX_FILLS: Final = 1 << 40  # a recorded sweep is never cut short

UNITS: Final = Instrument(
    symbol_id=SYMBOL_ID,
    symbol="MATCH",
    partition=0,
    base="BASE",
    quote="QUOTE",
    base_asset=2,
    quote_asset=1,
    tick_size=10_000,
    lot_size=10_000,
    max_price=RUNGS - 1,
    max_orders=1 << 40,
    max_algo_orders=1 << 40,
)


class NotACommand(Exception):
    """A line that is not a command: the message is field, rule, value."""


def fresh_pit() -> Pit:
    """A pit with one empty book."""
    pit = Pit(max_fills=MAX_FILLS)
    pit.apply(SetInstrument(command_id=0, symbol_id=SYMBOL_ID, instrument=UNITS), 0)
    return pit


def hold_of(order: PlaceOrder) -> int:
    """A hold that is never what stops the order."""
    return need_of(order, UNITS, 0) or UNBOUNDED


def list_hold(above: PlaceOrder, below: PlaceOrder) -> int:
    """The same for a list, whose hold stands on one leg for both."""
    return max(hold_of(above), hold_of(below))
