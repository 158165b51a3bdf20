"""What a batch writes, table by table, whichever way it goes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from outcry.adapters.postgres.changes import Changed
from outcry.rows import (
    Advance,
    AmendmentRow,
    CancelMark,
    CandleRow,
    DeadLetter,
    IntakeMark,
    ListRow,
    PartBatch,
    PreventedRow,
    SymbolRow,
    TradeRow,
)

Row = tuple[Any, ...]


class Sheet(NamedTuple):
    """The rows of all partitions of a batch together."""

    advances: list[Advance]
    told: list[Row]  # part, from_offset, to_offset, payload
    marks: list[IntakeMark]
    closed: list[int]
    touched: list[Changed]
    orders: list[Row]  # OrderRow and changed_before
    trades: list[TradeRow]
    postings: list[Row]  # PostingRow and the log time
    symbols: list[SymbolRow]
    candles: list[CandleRow]
    # What most batches have none of.
    cancels: list[CancelMark]
    prevented: list[PreventedRow]
    amendments: list[AmendmentRow]
    lists: list[ListRow]
    dead_letters: list[DeadLetter]

    @property
    def height(self) -> int:
        """How many rows it writes."""
        tables: tuple[Sequence[Any], ...] = self
        return sum(map(len, tables))

    @property
    def is_plain(self) -> bool:
        """Whether it has nothing that is rare."""
        return not (self.cancels or self.prevented or self.amendments or self.lists or self.dead_letters)


def sheet_of(parts: Sequence[PartBatch]) -> Sheet:
    """All rows of a batch, in the order of its partitions."""
    return Sheet(
        advances=[batch.advance for batch in parts],
        told=[(b.advance.part, b.advance.from_offset, b.advance.to_offset, b.told) for b in parts if b.told],
        marks=[mark for batch in parts for mark in batch.intake_marks],
        closed=[order_id for batch in parts for order_id in batch.intake_closed],
        touched=[(row, batch.advance.to_offset) for batch in parts for row in batch.touched_orders],
        orders=[(*row, batch.advance.to_offset) for batch in parts for row in batch.new_orders],
        trades=[row for batch in parts for row in batch.trades],
        postings=[(*row, batch.advance.log_time) for batch in parts for row in batch.postings],
        symbols=[row for batch in parts for row in batch.symbols],
        candles=[row for batch in parts for row in batch.candles],
        cancels=[mark for batch in parts for mark in batch.cancel_marks],
        prevented=[row for batch in parts for row in batch.prevented],
        amendments=[row for batch in parts for row in batch.amendments],
        lists=[row for batch in parts for row in batch.lists],
        dead_letters=[row for batch in parts for row in batch.dead_letters],
    )
