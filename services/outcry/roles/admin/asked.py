"""The symbols that the engine was asked for: those that are listed, and those that still wait in its journal."""

from typing import Final

from outcry.codec import decode_frame
from outcry.market.commands import SetInstrument
from outcry.market.instrument import Instrument
from outcry.ports import Journal, Ledger
from outcry.roles.admin.founding import terms_of
from outcry.rows import Record

MAX_READ: Final = 256  # records taken from the journal at once; what waits is bounded by what is admitted


async def symbols_asked_for(ledger: Ledger, journal: Journal) -> list[Instrument]:
    """The terms of each symbol. Two that were asked for in a row must not get the same number, or name."""
    # The offsets first: a symbol that is applied in between is then seen twice, never missed.
    positions = {row.part: row.next_offset for row in await ledger.partitions()}
    found = {each.symbol_id: each for each in map(terms_of, await ledger.symbols())}
    while records := await journal.read(positions, MAX_READ, 0):
        for record in records:
            positions[record.part] = record.offset + 1
            found |= {each.symbol_id: each for each in _instruments(record)}
    return list(found.values())


def _instruments(record: Record) -> list[Instrument]:
    return [each.instrument for each in decode_frame(record.frame).commands if isinstance(each, SetInstrument)]
