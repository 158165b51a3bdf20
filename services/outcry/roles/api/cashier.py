"""Takes the holds of one micro-batch and writes into each command what the ledger answered."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from outcry.claims import DUPLICATE, HELD, KEY_LOST, KEY_TAKEN, HoldRequest, HoldResult, KeyClaim
from outcry.codec import encode_command
from outcry.market.commands import AnyCommand, CancelOrder, PlaceList, PlaceOrder, ReplaceOrder
from outcry.ports import Ledger, OutcomeUnknown, OutOfService
from outcry.roles.api.errors import outcome_unknown, overloaded
from outcry.roles.api.intents import Cancel, Place, PlacePair, Replace
from outcry.roles.api.tickets import (
    Answer,
    Ticket,
    duplicate_order,
    insufficient_balance,
    new_orders,
    taken_key,
)

MAX_FOLD: Final = 1_000_000  # postings of a partition folded at once for those who are short of money

Settle = Callable[[Ticket, Answer | Exception], None]


class Cashier:
    """Asks the ledger for holds. What it refuses is settled at once; what it holds has its command afterwards."""

    def __init__(self, ledger: Ledger, partitions: int, settle: Settle) -> None:
        self._ledger = ledger
        self._partitions = partitions
        self._settle = settle

    async def hold(self, tickets: Sequence[Ticket]) -> None:
        """One statement for all; those that do not fit are tried once more, one by one, after a fold.

        Raises what IntakeLedger.hold raises, and then nothing is held. Trouble with those that are tried once more is
        their own answer: what others hold already goes on.
        """
        requests: list[HoldRequest] = []
        for number, ticket in enumerate(tickets):
            requests += _requests(ticket, number)
        results = await self._ledger.hold(requests, _claims(tickets))
        short = []
        taken = 0
        for ticket in tickets:
            first, taken = taken, taken + (1 if type(ticket.intent) is Place else len(new_orders(ticket.intent)))
            if not self._take(ticket, results[first:taken]):
                short.append(ticket)
        if short:
            await self._retry(short)

    async def _retry(self, short: list[Ticket]) -> None:
        """The money may be there but not folded yet: folds, then asks for each ticket alone."""
        try:
            await self._ledger.fold(range(self._partitions), MAX_FOLD)
        except (OutOfService, OutcomeUnknown):
            for ticket in short:
                self._settle(ticket, overloaded())
            return
        await asyncio.gather(*map(self._hold_alone, short))

    async def _hold_alone(self, ticket: Ticket) -> None:
        try:
            if self._take(ticket, await self._ledger.hold(_requests(ticket, 0), _claims([ticket]))):
                return
            if isinstance(ticket.intent, Replace):
                await self._hold_nothing(ticket)
            else:
                self._settle(ticket, insufficient_balance())
        except OutOfService:
            self._settle(ticket, overloaded())
        except OutcomeUnknown:
            self._settle(ticket, outcome_unknown())

    async def _hold_nothing(self, ticket: Ticket) -> None:
        """A replace that cannot be paid beforehand may still be paid by what its cancel releases."""
        (request,) = _requests(ticket, 0)
        self._take(ticket, await self._ledger.hold([request._replace(amount=0)], _claims([ticket])), held_nothing=True)

    def _take(self, ticket: Ticket, results: Sequence[HoldResult], *, held_nothing: bool = False) -> bool:
        """False: the account's money did not fit."""
        status = results[0].status
        if status == HELD:
            _stamp(ticket, results, held_nothing)
        elif status == DUPLICATE:
            self._refuse_duplicate(ticket)
        elif status in KEY_TAKEN:
            self._settle(ticket, taken_key(results[0]))
        elif status == KEY_LOST:
            self._settle(ticket, outcome_unknown())  # who has the key, or closed it, tells
        else:
            return False
        return True

    def _refuse_duplicate(self, ticket: Ticket) -> None:
        """A replace still cancels its old order, as the cancel comes first."""
        intent = ticket.intent
        if isinstance(intent, Replace) and ticket.targets:
            ticket.new_refusal = duplicate_order()
            ticket.command = cancel_command(ticket, intent.old)
        else:
            self._settle(ticket, duplicate_order())


def cancel_command(ticket: Ticket, intent: Cancel) -> CancelOrder:
    """The cancel of the ticket's one target."""
    (target,) = ticket.targets
    return CancelOrder(
        command_id=ticket.command_id,
        symbol_id=intent.instrument.symbol_id,
        account=intent.account,
        order_id=target.order_id,
        target_valid_until_ms=target.valid_until_ms,
        cancel_client_id=intent.cancel_client_id,
        restriction=intent.restriction,
    )


def _claims(tickets: Sequence[Ticket]) -> list[KeyClaim]:
    return [
        KeyClaim(
            number, ticket.account, ticket.key.text, ticket.key.payload_sha256, ticket.key.claimant, ticket.key.follows
        )
        for number, ticket in enumerate(tickets)
        if ticket.key is not None
    ]


def _requests(ticket: Ticket, group: int) -> list[HoldRequest]:
    """What the ticket needs: one hold per new order, of which a pair's second is empty."""
    intent = ticket.intent
    if isinstance(intent, Place):
        return [_request(intent, intent.need, encode_command(intent.order), group)]
    body = encode_command(_bare(ticket))
    requests = [
        _request(place, amount, body, group) for place, amount in zip(new_orders(intent), _amounts(ticket), strict=True)
    ]
    return [request._replace(in_list=True) for request in requests] if isinstance(intent, PlacePair) else requests


def _request(place: Place, amount: int, body: bytes, group: int) -> HoldRequest:
    order = place.order
    return HoldRequest(
        place.instrument.partition,
        order.account,
        order.symbol_id,
        place.asset,
        amount,
        order.client_order_id,
        place.window_ms,
        body,
        group,
    )


def _amounts(ticket: Ticket) -> tuple[int, ...]:
    intent = ticket.intent
    if isinstance(intent, PlacePair):
        return max(intent.above.need, intent.below.need), 0
    assert isinstance(intent, Replace)
    freed = sum(target.remaining for target in ticket.targets if target.asset == intent.new.asset)
    return (max(0, intent.new.need - freed),)


def _bare(ticket: Ticket) -> AnyCommand:
    """The command before it has order ids, holds and bounds."""
    intent = ticket.intent
    symbol_id = intent.instrument.symbol_id
    if isinstance(intent, PlacePair):
        return PlaceList(
            command_id=ticket.command_id,
            symbol_id=symbol_id,
            list_id=0,
            account=ticket.account,
            client_list_id=intent.client_list_id,
            above=intent.above.order,
            below=intent.below.order,
        )
    assert isinstance(intent, Replace)
    if not ticket.targets:
        return intent.new.order
    (target,) = ticket.targets
    return ReplaceOrder(
        command_id=ticket.command_id,
        symbol_id=symbol_id,
        account=ticket.account,
        order_id=target.order_id,
        target_valid_until_ms=target.valid_until_ms,
        new=intent.new.order,
        mode=intent.mode,
        cancel_client_id=intent.old.cancel_client_id,
        restriction=intent.old.restriction,
        need=intent.new.need,
    )


def _stamp(ticket: Ticket, results: Sequence[HoldResult], held_nothing: bool) -> None:
    """Writes ids, holds and bounds into the command."""
    intent = ticket.intent
    if isinstance(intent, Place):
        ticket.order_ids = (results[0].order_id,)
        ticket.command = _stamped(ticket, intent, intent.need, results[0])
        return
    amounts = (0,) if held_nothing else _amounts(ticket)
    orders = [
        _stamped(ticket, place, amount, result)
        for place, amount, result in zip(new_orders(intent), amounts, results, strict=True)
    ]
    ticket.order_ids = tuple(order.order_id for order in orders)
    ticket.command = _with_orders(_bare(ticket), orders, results[0].list_id)


def _stamped(ticket: Ticket, place: Place, amount: int, result: HoldResult) -> PlaceOrder:
    return msgspec.structs.replace(
        place.order,
        command_id=ticket.command_id,
        order_id=result.order_id,
        held=amount,
        intake_ms=result.intake_ms,
        valid_until_ms=result.valid_until_ms,
    )


def _with_orders(bare: AnyCommand, orders: Sequence[PlaceOrder], list_id: int) -> AnyCommand:
    if isinstance(bare, PlaceList):
        return msgspec.structs.replace(bare, list_id=list_id, above=orders[0], below=orders[1])
    if isinstance(bare, ReplaceOrder):
        return msgspec.structs.replace(bare, new=orders[0])
    return orders[0]
