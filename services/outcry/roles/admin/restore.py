"""Rebuilds holds that a failed-over database lost from the frames that carry them.

A standby that was behind has forgotten holds whose orders are in the journal: their partitions halt with
``intake_missing``. The frames say all that an intake row says, so the rows and the money can be put back before the
partitions are resumed. Idempotency keys are in no frame and stay lost.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from outcry.codec import BadFrame, decode_frame, encode_command
from outcry.market.commands import AnyCommand, PlaceList, PlaceOrder, ReplaceOrder
from outcry.market.instrument import Instrument
from outcry.market.terms import BUY
from outcry.ports import Journal
from outcry.roles.admin.founding import terms_of
from outcry.rows import IntakeRow, PartitionRow, SymbolRow

MAX_READ: Final = 256  # records at once
CHUNK: Final = 1_000  # rows put back in one transaction

Progress = Callable[[str], None]


class Restored(NamedTuple):
    """What came of a restore."""

    looked_at: int  # orders in the journal without an outcome in the ledger
    put_back: int  # of these, whose rows were missing


class RestoringLedger(Protocol):
    """What a restore asks of the ledger."""

    async def partitions(self) -> list[PartitionRow]: ...
    async def symbols(self) -> list[SymbolRow]: ...
    async def put_back(self, rows: Sequence[IntakeRow]) -> int:
        """Holds again what is missing of these rows, all or nothing; returns how many were. Orders with an outcome are
        left alone. Raises Damaged where an account has not the money: nothing of the chunk is written then."""

    async def raise_ids(self, order_id: int, list_id: int) -> None:
        """No order or list gets one of these ids, or a lower one, from now on."""


async def restore(ledger: RestoringLedger, journal: Journal, progress: Progress) -> Restored:
    """Puts back every hold that the journal knows beyond what is applied. Raises Damaged, OutOfService."""
    instruments = {row.symbol_id: terms_of(row) for row in await ledger.symbols()}
    ends = await journal.end_offsets()
    looked_at = put_back = order_id = list_id = 0
    for part in await ledger.partitions():
        progress(f"partition {part.part}: records {part.next_offset} to {ends.get(part.part, 0)}")
        rows = await _rows(journal, part, ends.get(part.part, 0), instruments)
        looked_at += len(rows)
        order_id = max([order_id, *(row.order_id for row in rows)])
        list_id = max([list_id, *(row.list_id for row in rows)])
        for start in range(0, len(rows), CHUNK):
            put_back += await ledger.put_back(rows[start : start + CHUNK])
    await ledger.raise_ids(order_id, list_id)
    return Restored(looked_at, put_back)


async def _rows(
    journal: Journal, part: PartitionRow, end: int, instruments: Mapping[int, Instrument]
) -> list[IntakeRow]:
    rows: list[IntakeRow] = []
    offset = part.next_offset
    while offset < end:
        for record in await journal.read({part.part: offset}, MAX_READ, 0):
            offset = record.offset + 1
            try:
                commands = decode_frame(record.frame).commands
            except BadFrame:
                continue  # the engine makes a dead letter of it, and nothing in it happens
            rows += [row for command in commands for row in intake_of(command, part.part, instruments)]
    return rows


def intake_of(command: AnyCommand, part: int, instruments: Mapping[int, Instrument]) -> Iterator[IntakeRow]:
    """The rows that intake wrote for a command."""
    instrument = instruments.get(command.symbol_id)
    if instrument is None:
        return
    list_id = command.list_id if isinstance(command, PlaceList) else -1
    for order in _orders(command):
        asset = instrument.quote_asset if order.side == BUY else instrument.base_asset
        yield IntakeRow(
            order.order_id, part, order.account, command.symbol_id, asset, order.held, order.client_order_id,
            encode_command(command), order.intake_ms, order.valid_until_ms, None, None, list_id, 1,
        )  # fmt: skip


def _orders(command: AnyCommand) -> tuple[PlaceOrder, ...]:
    if isinstance(command, PlaceOrder):
        return (command,)
    if isinstance(command, PlaceList):
        return (command.above, command.below)
    return (command.new,) if isinstance(command, ReplaceOrder) else ()
