"""Finds the open orders that cancels, amends and replaces name, before anything is journaled."""

import asyncio
from collections.abc import Sequence

from outcry.market.filters import check_quantity
from outcry.market.terms import STOP_ON_FAILURE
from outcry.ports import Ledger
from outcry.roles.api.cashier import Settle
from outcry.roles.api.errors import filter_failure
from outcry.roles.api.intents import Amend, Cancel, CancelOpen, Replace
from outcry.roles.api.tickets import Target, Ticket, duplicate_order, named_order, unknown_order
from outcry.rows import IntakeRow

MAX_TARGETS = 3000  # orders that one cancel-all names; it fits into a frame


class Resolver:
    """Fills in ``Ticket.targets``; a ticket that names no open order is settled, as nothing needs to be asked."""

    def __init__(self, ledger: Ledger, settle: Settle) -> None:
        self._ledger = ledger
        self._settle = settle

    async def resolve(self, tickets: Sequence[Ticket]) -> None:
        """One look-up for all that name an order, one per cancel-all. Raises OutOfService."""
        named = [(ticket, old) for ticket in tickets if (old := named_order(ticket.intent)) is not None]
        if named:
            await self._resolve_named(named)
        every = [(t, t.intent) for t in tickets if isinstance(t.intent, CancelOpen)]
        await asyncio.gather(*(self._resolve_open(ticket, intent) for ticket, intent in every))
        await self._add_remaining([t for t in tickets if isinstance(t.intent, Replace) and t.targets])
        amends = [(t, t.intent) for t in tickets if isinstance(t.intent, Amend) and t.targets]
        await self._refuse_taken_names(amends)
        await asyncio.gather(*(self._refuse_filtered(ticket, intent) for ticket, intent in amends))

    async def _resolve_named(self, named: Sequence[tuple[Ticket, Cancel]]) -> None:
        wanted = [(old.account, old.instrument.symbol_id, old.order_id, old.client_order_id) for _, old in named]
        for (ticket, _), row in zip(named, await self._ledger.targets(wanted), strict=True):
            if row is not None:
                ticket.targets = (_target(row),)
            else:
                self._refuse(ticket)

    async def _resolve_open(self, ticket: Ticket, intent: CancelOpen) -> None:
        rows = await self._ledger.open_targets(intent.account, intent.instrument.symbol_id)
        ticket.targets = tuple(_target(row) for row in rows[:MAX_TARGETS])
        if not ticket.targets:
            self._refuse(ticket)

    def _refuse(self, ticket: Ticket) -> None:
        """No such open order. A replace that may fail in one half goes on with the other."""
        intent = ticket.intent
        if not isinstance(intent, Replace):
            self._settle(ticket, unknown_order())
            return
        ticket.cancel_refusal = unknown_order()
        if intent.mode == STOP_ON_FAILURE:
            self._settle(ticket, unknown_order())

    async def _add_remaining(self, replaces: Sequence[Ticket]) -> None:
        """What is left of the old orders' holds pays for the new ones."""
        if not replaces:
            return
        rows = await self._ledger.orders_by_id([ticket.targets[0].order_id for ticket in replaces])
        held = {row.order_id: row.held for row in rows if row.open}
        for ticket in replaces:
            (target,) = ticket.targets
            ticket.targets = (
                Target(target.order_id, target.valid_until_ms, target.asset, held.get(target.order_id, 0)),
            )

    async def _refuse_taken_names(self, amends: Sequence[tuple[Ticket, Amend]]) -> None:
        """An amended order may keep its own name, but not take that of another open order."""
        if not amends:
            return
        wanted = [(a.old.account, a.instrument.symbol_id, None, a.new_client_id) for _, a in amends]
        for (ticket, _), row in zip(amends, await self._ledger.targets(wanted), strict=True):
            if row is not None and row.order_id != ticket.targets[0].order_id:
                self._settle(ticket, duplicate_order())

    async def _refuse_filtered(self, ticket: Ticket, intent: Amend) -> None:
        """The amended total must satisfy the filters at the order's price, which no amend changes."""
        (target,) = ticket.targets
        row = await self._ledger.order(ticket.account, intent.instrument.symbol_id, target.order_id, None)
        failed = check_quantity(intent.qty, row.price or row.stop_price, intent.instrument) if row else None
        if failed is not None:
            self._settle(ticket, filter_failure(failed))


def _target(row: IntakeRow) -> Target:
    return Target(row.order_id, row.valid_until_ms, row.asset_id)
