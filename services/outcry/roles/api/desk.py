"""Order entry: admit, resolve, hold, journal, wait for the outcome; many requests share one micro-batch."""

from typing import Protocol

from outcry.market.commands import AmendOrder, CancelAll, CancelOrder, PlaceList, PlaceOrder, ReplaceOrder
from outcry.ports import Outcome

Intent = PlaceOrder | PlaceList | CancelOrder | CancelAll | ReplaceOrder | AmendOrder


class Desk(Protocol):
    """Placeholder of the contract: submit() -> Outcome. (to be replaced by the implementation)"""

    async def submit(self, intent: Intent) -> Outcome: ...
