"""What may be asked of a market: imperatives that travel through the journal and never change shape.

Prices are ticks, sizes lots, money minor units, times integer milliseconds; 0 means "not given".
A command carries all that matching needs (hold, fee rates, limits), so that the engine reads nothing
but its log. Fields are only ever appended, with a default: old journals must stay readable. An amount is no
number below zero or beyond 63 bits: a command with one cannot be decoded.
"""

from typing import Annotated

import msgspec

from outcry.market.instrument import Instrument
from outcry.market.terms import GTC, STOP_ON_FAILURE

Amount = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Command(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag_field="kind", gc=False):
    """``command_id`` correlates the reply; 0 wants none."""

    command_id: int
    symbol_id: int


class PlaceOrder(Command, frozen=True, kw_only=True, array_like=True, tag=1, gc=False):
    """A new order. ``held`` is the amount already reserved: base for a sell, quote for a buy."""

    order_id: int
    account: int
    client_order_id: str
    side: int
    type: int
    qty: Amount
    price: Amount = 0
    tif: int = GTC
    quote_qty: Amount = 0
    stop_price: Amount = 0
    trail_bps: Amount = 0
    iceberg_qty: Amount = 0
    stp: int = 0
    held: Amount = 0
    maker_ppm: Amount = 0
    taker_ppm: Amount = 0
    intake_ms: int = 0
    valid_until_ms: int = 0
    strategy_id: Amount = 0
    strategy_type: Amount = 0


class PlaceList(Command, frozen=True, kw_only=True, array_like=True, tag=2):
    """An OCO list: ``above`` and ``below`` close each other. The hold stands on ``above``."""

    list_id: int
    account: int
    client_list_id: str
    above: PlaceOrder
    below: PlaceOrder


class CancelOrder(Command, frozen=True, kw_only=True, array_like=True, tag=3, gc=False):
    """Cancels one order, and with it the list that it belongs to.

    ``target_valid_until_ms`` is the bound of the order to cancel: an unknown target within its bound
    is canceled when its own record arrives. ``restriction`` is one of ``terms.CANCEL_*``.
    """

    account: int
    order_id: int
    target_valid_until_ms: int
    cancel_client_id: str = ""
    restriction: int = 0


class CancelAll(Command, frozen=True, kw_only=True, array_like=True, tag=4):
    """Cancels the named orders of one account: each target is (order id, its valid_until_ms)."""

    account: int
    targets: tuple[tuple[int, int], ...]
    cancel_client_id: str = ""


class ReplaceOrder(Command, frozen=True, kw_only=True, array_like=True, tag=5):
    """Cancels ``order_id`` and places ``new`` in one step; what the cancel released pays for it too.

    ``need`` is what the new order's hold and the released money must come to together; of more it has no use.
    0 (journals of before): what its terms say, which is nothing where a bound stands for a price.
    """

    account: int
    order_id: int
    target_valid_until_ms: int
    new: PlaceOrder
    mode: int = STOP_ON_FAILURE
    cancel_client_id: str = ""
    restriction: int = 0
    need: Amount = 0


class AmendOrder(Command, frozen=True, kw_only=True, array_like=True, tag=6, gc=False):
    """Reduces an order's total to ``qty`` lots; it keeps its priority."""

    account: int
    order_id: int
    qty: int
    new_client_id: str = ""


class SetInstrument(Command, frozen=True, kw_only=True, array_like=True, tag=7):
    """Lists a symbol or changes its terms from this place in the log on."""

    instrument: Instrument


class HaltMarket(Command, frozen=True, kw_only=True, array_like=True, tag=8, gc=False):
    """New orders are refused from here on; cancels still work."""


class OpenMarket(Command, frozen=True, kw_only=True, array_like=True, tag=9, gc=False):
    """The market trades again."""


class Tick(Command, frozen=True, kw_only=True, array_like=True, tag=10, gc=False):
    """Moves log time where nobody trades; ``symbol_id`` is 0."""


class SetVersion(Command, frozen=True, kw_only=True, array_like=True, tag=11, gc=False):
    """Switches the matching rules at this offset; ``symbol_id`` is 0."""

    rules_version: int


AnyCommand = (
    PlaceOrder
    | PlaceList
    | CancelOrder
    | CancelAll
    | ReplaceOrder
    | AmendOrder
    | SetInstrument
    | HaltMarket
    | OpenMarket
    | Tick
    | SetVersion
)
