"""Cancel on disconnect: orders that a connection placed and that are open when it ends are canceled.

A connection asks for it with ``?cancelOnDisconnect=true``, as traders ask a FIX session (tag 8013 of several venues).
It is the api process that watches: where that process itself dies, nothing is canceled.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from outcry.ports import OutcomeUnknown, OutOfService
from outcry.roles.api.endpoint import Call, Endpoint
from outcry.roles.api.errors import Refusal

MAX_ORDERS: Final = 10_000  # remembered of one connection, the newest
ATTEMPTS: Final = 5  # at a cancel that could not be asked for
RETRY_SECONDS: Final = 1.0
OPEN: Final = ("NEW", "PARTIALLY_FILLED", "PENDING_NEW", None)  # None: an ACK does not say
UNKNOWN_ORDER: Final = -2011

log = logging.getLogger(__name__)


class CancelOnDisconnect:
    """``note`` every answer to a request; ``leave`` once, when the connection is gone."""

    def __init__(self, cancel: Endpoint) -> None:
        self._cancel = cancel
        self._orders: OrderedDict[int, Call] = OrderedDict()  # with the call that placed it
        self._gone = False
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, call: Call, result: Any) -> None:
        """Remembers the new orders of an answer; one that comes after the end is canceled at once."""
        if not isinstance(result, Mapping) or "symbol" not in call.params:
            return
        for told in (result, result.get("newOrderResponse"), *result.get("orderReports", ())):
            if not isinstance(told, Mapping) or "orderId" not in told or told.get("status") not in OPEN:
                continue
            self._orders[int(told["orderId"])] = call
            if len(self._orders) > MAX_ORDERS:
                self._orders.popitem(last=False)
        if self._gone:
            self.leave()

    def leave(self) -> None:
        """Cancels what is remembered."""
        self._gone = True
        while self._orders:
            order_id, call = self._orders.popitem()
            task = asyncio.create_task(self._take_back(order_id, call))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _take_back(self, order_id: int, placed: Call) -> None:
        params = {"symbol": placed.params["symbol"], "orderId": order_id}
        for _ in range(ATTEMPTS):
            try:
                await self._cancel.answer(Call(placed.venue, params, {}, account=placed.account, key=placed.key))
                return
            except Refusal as refusal:
                if refusal.code == UNKNOWN_ORDER:  # filled or canceled in the meantime
                    return
                trouble: Exception = refusal
            except (OutOfService, OutcomeUnknown) as outside:
                trouble = outside
            await asyncio.sleep(RETRY_SECONDS)
        log.error("Order %d could not be canceled after its connection ended: %s", order_id, trouble)
