"""What became of each order that the log asks for: exactly one outcome, or none yet."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from outcry.market.commands import AnyCommand, PlaceList, PlaceOrder, ReplaceOrder
from outcry.market.terms import CANCELED, EXPIRED
from outcry.rows import IntakeRow, OrderRow, PartState

VOIDED = -1  # applied_offset of an order that never reached the market


class FateLedger(Protocol):
    """What is read of orders and of those on their way."""

    async def orders_by_id(self, order_ids: Sequence[int]) -> list[OrderRow]: ...
    async def pending(self, order_ids: Sequence[int]) -> list[IntakeRow]:
        """The intake rows, of these orders, that have no outcome yet."""

    async def outcomes(self, part: int, from_offset: int, to_offset: int) -> int:
        """How many orders had their first outcome in a stretch of a partition's log."""


class Fates:
    """Looks at the orders that a replay accepts and at those that it ignores, which are voided or will be."""

    def __init__(self, ledger: FateLedger, start: PartState) -> None:
        self.asked = 0
        self.accepted = 0
        self._ledger = ledger
        self._start = start.row
        self._known = {order_id for order_id, _ in start.applied}  # had their outcome before

    async def add(self, asked: Sequence[PlaceOrder], accepted: Iterable[OrderRow]) -> list[str]:
        """Problems of the orders in a stretch of the log. The accepted ones are compared elsewhere, row by row."""
        new = {row.order_id for row in accepted}
        self.asked += len(asked)
        self.accepted += len(new)
        ignored = {order.order_id: order for order in asked if order.order_id not in new}
        if not ignored:
            return []
        # What waits is looked at first: whatever is settled in between is found among the orders.
        waiting = {row.order_id for row in await self._ledger.pending(list(ignored))}
        rows = {row.order_id: row for row in await self._ledger.orders_by_id(list(ignored))}
        return [
            problem
            for order_id, order in ignored.items()
            if order_id not in waiting and (problem := self._problem(order, rows.get(order_id)))
        ]

    async def finish(self, to_offset: int) -> list[str]:
        """Whether the ledger knows outcomes that the log does not."""
        span = (self._start.next_offset, to_offset)
        stored = await self._ledger.outcomes(self._start.part, *span)
        if stored == self.accepted:
            return []
        return [f"records {span[0]} to {span[1]} bring {self.accepted} orders, the ledger has outcomes of {stored}"]

    def _problem(self, order: PlaceOrder, row: OrderRow | None) -> str:
        if row is None:
            # What was settled before the replay's beginning may have been thrown away since.
            is_old = order.order_id in self._known or order.valid_until_ms < self._start.log_time
            return "" if is_old else f"order {order.order_id} was journaled and has no outcome"
        if row.applied_offset != VOIDED:
            return ""  # a later copy: the first had the outcome
        if row.status in (EXPIRED, CANCELED) and not (row.executed or row.held or row.open):
            return ""
        return f"order {order.order_id} never reached the market, but its row says otherwise"


def asked_by(command: AnyCommand) -> tuple[PlaceOrder, ...]:
    """The new orders that a command brings."""
    if isinstance(command, PlaceOrder):
        return (command,)
    if isinstance(command, PlaceList):
        return (command.above, command.below)
    return (command.new,) if isinstance(command, ReplaceOrder) else ()
