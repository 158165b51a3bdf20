"""What an account asks of the order desk, before it has an order id, a hold or a place in the journal."""

import msgspec

from outcry.market.commands import PlaceOrder
from outcry.market.instrument import Instrument
from outcry.market.terms import CANCEL_ANY, STOP_ON_FAILURE

MIN_WINDOW_MS = 5_000
MAX_WINDOW_MS = 60_000


class Place(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One new order. ``order`` has no ids, hold or bound yet; ``need`` minor units of ``asset`` pay for it.

    ``window_ms`` is how long after its intake the order may still be matched; ``deadline_us`` is the end of
    the request's recvWindow (0: none), past which nothing is begun.
    """

    instrument: Instrument
    order: PlaceOrder
    asset: int
    need: int
    window_ms: int = MIN_WINDOW_MS
    deadline_us: int = 0


class PlacePair(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Two new orders of which one cancels the other (OCO); the hold of both stands on ``above``."""

    client_list_id: str
    above: Place
    below: Place

    @property
    def instrument(self) -> Instrument:
        return self.above.instrument

    @property
    def deadline_us(self) -> int:
        return self.above.deadline_us


class Cancel(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Ends one open order, named by its id, its client order id or both."""

    instrument: Instrument
    account: int
    order_id: int | None = None
    client_order_id: str | None = None
    cancel_client_id: str = ""
    restriction: int = CANCEL_ANY
    deadline_us: int = 0


class CancelOpen(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Ends every open order of an account in one symbol."""

    instrument: Instrument
    account: int
    cancel_client_id: str = ""
    deadline_us: int = 0


class Replace(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Ends one order and places another in one step."""

    old: Cancel
    new: Place
    mode: int = STOP_ON_FAILURE

    @property
    def instrument(self) -> Instrument:
        return self.new.instrument

    @property
    def deadline_us(self) -> int:
        return self.new.deadline_us


class Amend(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Reduces an open order's total to ``qty`` lots; ``new_client_id`` names it from then on."""

    old: Cancel
    qty: int
    new_client_id: str

    @property
    def instrument(self) -> Instrument:
        return self.old.instrument

    @property
    def deadline_us(self) -> int:
        return self.old.deadline_us


Intent = Place | PlacePair | Cancel | CancelOpen | Replace | Amend
