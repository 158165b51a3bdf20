"""Reads from the ledger what came of commands whose outcome was not delivered in time (reliability.md §2, 8)."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from outcry.market.events import Traded
from outcry.market.terms import CANCELED, REJECTED
from outcry.ports import Ledger, Outcome
from outcry.roles.api.intents import Amend, Place, Replace
from outcry.roles.api.tickets import Ticket, unknown_order
from outcry.rows import ListRow, OrderRow, TradeRow

MAX_LOOKUP: Final = 1000  # tickets of one look-up; the others wait for the next
LATE_SECONDS: Final = 0.25  # after this the ledger is asked, and again after as long
UNAPPLIED_SECONDS: Final = 2.0  # the same for records that wait to be applied: their orders may have been voided


class Known(NamedTuple):
    """What one look-up has read, for all its tickets together."""

    rows: Mapping[int, OrderRow]  # by order id
    applied: Mapping[int, int]  # where each partition stands
    fills: Mapping[int, Sequence[TradeRow]]  # of the answers of orders that traded, by order id


class Latecomers:
    """Asks for all tickets whose outcome seems to be lost together, and for the fills of those that traded at once.

    A ticket that is only late, for its record waits to be applied, is not asked about: where the partition stands
    tells them apart. Once in a while it is, for its order may have been voided; what has just been applied is left
    to be told.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def look_up(self, tickets: Sequence[Ticket], now: float) -> list[tuple[Ticket, Outcome]]:
        """Those of the late tickets that have an outcome by ``now``, on the steady clock. Raises OutOfService."""
        applied = {row.part: row.next_offset for row in await self._ledger.partitions()}
        waiting = [ticket for ticket in tickets if _is_due(ticket, applied, now)][:MAX_LOOKUP]
        if not waiting:
            return []
        for ticket in waiting:
            ticket.asked = now
        ids = [order_id for ticket in waiting for order_id in _concerned(ticket)]
        rows = {row.order_id: row for row in await self._ledger.orders_by_id(ids)}
        waiting = [ticket for ticket in waiting if not _is_told_soon(ticket, rows, applied)]
        known = Known(rows, applied, await self._fills(waiting, rows))
        found = []
        for ticket in waiting:
            outcome = await self._outcome(ticket, known)
            if outcome is not None:
                found.append((ticket, outcome))
        return found

    async def _fills(self, tickets: Sequence[Ticket], rows: Mapping[int, OrderRow]) -> Mapping[int, list[TradeRow]]:
        """Of the orders that are answered with their fills, and traded."""
        placing = [each for each in tickets if each.order_ids and isinstance(each.intent, Place | Replace)]
        firsts = (rows.get(each.order_ids[0]) for each in placing)
        traded = [row for row in firsts if row is not None and row.executed]
        return await self._ledger.order_fills(traded) if traded else {}

    async def _outcome(self, ticket: Ticket, known: Known) -> Outcome | None:
        rows, passed = known.rows, _is_applied(ticket, known.applied)
        if ticket.order_ids:
            return await self._of_new_orders(ticket, known)
        if isinstance(ticket.intent, Amend):
            return await self._of_amend(ticket, ticket.intent, passed)
        outcome = _of_targets(ticket, rows, passed)
        return None if outcome is None else await self._with_lists(outcome)

    async def _of_new_orders(self, ticket: Ticket, known: Known) -> Outcome | None:
        rows = known.rows
        placed = [rows[order_id] for order_id in ticket.order_ids if order_id in rows]
        if len(placed) < len(ticket.order_ids):
            return None
        first = placed[0]
        canceled = tuple(rows[t.order_id] for t in ticket.targets if _is_canceled(rows.get(t.order_id)))
        refused = isinstance(ticket.intent, Replace) and ticket.targets and not canceled
        lists = () if first.list_id < 0 else tuple(await self._lists(first))
        return Outcome(
            command_id=ticket.command_id,
            symbol_id=first.symbol_id,
            part=first.part,
            offset=first.applied_offset,
            time_ms=first.placed_ms,
            code=first.code if first.status == REJECTED else 0,
            text=first.text if first.status == REJECTED else "",
            orders=tuple(placed),
            canceled=canceled,
            fills=tuple(taken(trade) for trade in known.fills.get(first.order_id, ())),
            cancel_code=unknown_order().code if refused else 0,
            cancel_text=unknown_order().text if refused else "",
            lists=lists,
        )

    async def _of_amend(self, ticket: Ticket, intent: Amend, passed: bool) -> Outcome | None:
        """An order's total only falls, so that it is amended to a quantity once."""
        order_id, instrument = ticket.targets[0].order_id, intent.instrument
        rows = await self._ledger.amendments(ticket.account, instrument.symbol_id, order_id)
        wanted = (intent.qty, intent.new_client_id)
        made = next((row for row in rows if (row.new_qty, row.new_client_order_id) == wanted), None)
        if made is None and not passed:
            return None
        if made is None:
            return _refused(ticket)
        (row,) = await self._ledger.orders_by_id([order_id])
        listed = [] if row.list_id < 0 else await self._ledger.list_orders([row.list_id])
        return Outcome(
            command_id=ticket.command_id,
            symbol_id=instrument.symbol_id,
            part=instrument.partition,
            offset=made.log_offset,
            time_ms=made.time_ms,
            orders=(row, *(leg for leg in listed if leg.order_id != order_id)),
            lists=() if row.list_id < 0 else tuple(await self._lists(row)),
            amendment=made,
        )

    async def _with_lists(self, outcome: Outcome) -> Outcome:
        """An order of a list went with the list's other one."""
        ids = list(dict.fromkeys(row.list_id for row in outcome.canceled if row.list_id >= 0))
        if not ids:
            return outcome
        legs = [row for row in await self._ledger.list_orders(ids) if _is_canceled(row)]
        others = [row for row in outcome.canceled if row.list_id < 0]
        firsts = {leg.list_id: leg for leg in reversed(legs)}
        lists = [row for leg in firsts.values() for row in await self._lists(leg)]
        return msgspec.structs.replace(outcome, canceled=(*others, *legs), lists=tuple(lists))

    async def _lists(self, leg: OrderRow) -> list[ListRow]:
        row = await self._ledger.order_list(leg.account_id, leg.list_id, None)
        return [] if row is None else [row]


def _is_due(ticket: Ticket, applied: Mapping[int, int], now: float) -> bool:
    """Whether to ask about a late ticket: one whose record was applied a look ago has had time to be told."""
    unasked_seconds = now - (ticket.asked or ticket.since)
    if ticket.offset < 0:
        return unasked_seconds > LATE_SECONDS
    if not _is_applied(ticket, applied):
        return unasked_seconds > UNAPPLIED_SECONDS
    was_applied, ticket.applied = ticket.applied, True
    return was_applied and unasked_seconds > LATE_SECONDS


def _is_applied(ticket: Ticket, applied: Mapping[int, int]) -> bool:
    return 0 <= ticket.offset < applied.get(ticket.intent.instrument.partition, 0)


def _is_told_soon(ticket: Ticket, rows: Mapping[int, OrderRow], applied: Mapping[int, int]) -> bool:
    """Whether its record was applied after the look at the partitions: the engine is about to tell it."""
    unpassed = bool(ticket.order_ids) and ticket.offset >= 0 and not _is_applied(ticket, applied)
    return unpassed and _were_applied(ticket, rows)


def _were_applied(ticket: Ticket, rows: Mapping[int, OrderRow]) -> bool:
    """Whether the engine has decided about an order of the ticket; it never does about one that was voided."""
    return any(order_id in rows and rows[order_id].applied_offset >= 0 for order_id in ticket.order_ids)


def _concerned(ticket: Ticket) -> list[int]:
    return [*ticket.order_ids, *(target.order_id for target in ticket.targets)]


def _of_targets(ticket: Ticket, rows: Mapping[int, OrderRow], passed: bool) -> Outcome | None:
    """What a cancel did; without an effect it is refused once the log has passed it.

    It may have overtaken orders: as long as one of them has no outcome of its own, nothing is known.
    """
    found = [row for target in ticket.targets if (row := rows.get(target.order_id)) is not None]
    done = tuple(row for row in found if _is_canceled(row))
    undecided = any(row.open for row in found)
    if len(found) < len(ticket.targets) or not (passed or (done and not undecided)):
        return None
    if not done:
        return _refused(ticket)
    instrument = ticket.intent.instrument
    return Outcome(
        command_id=ticket.command_id,
        symbol_id=instrument.symbol_id,
        part=instrument.partition,
        offset=ticket.offset,
        time_ms=done[0].updated_ms,
        canceled=done,
    )


def _refused(ticket: Ticket) -> Outcome:
    refusal, instrument = unknown_order(), ticket.intent.instrument
    return Outcome(
        command_id=ticket.command_id,
        symbol_id=instrument.symbol_id,
        part=instrument.partition,
        offset=ticket.offset,
        time_ms=0,
        code=refusal.code,
        text=refusal.text,
    )


def _is_canceled(row: OrderRow | None) -> bool:
    return row is not None and row.status == CANCELED


def taken(trade: TradeRow) -> Traded:
    """A stored trade as the event it came from, seen by its taker; what the row does not keep is 0."""
    return Traded(
        symbol_id=trade.symbol_id,
        trade_id=trade.trade_id,
        agg_id=trade.agg_id,
        price=trade.price,
        qty=trade.qty,
        amount=trade.amount,
        taker_side=trade.taker_side,
        maker_id=trade.maker_order,
        maker_account=trade.maker_account,
        maker_fee=trade.maker_fee,
        maker_left=0,
        maker_executed=0,
        maker_quote=0,
        taker_id=trade.taker_order,
        taker_account=trade.taker_account,
        taker_fee=trade.taker_fee,
        taker_left=0,
        taker_executed=0,
        taker_quote=0,
    )
