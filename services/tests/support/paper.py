"""A ledger on paper: what an engine's batches leave behind, kept in dictionaries, for tests of pure sessions."""

from outcry.codec import BadFrame, decode_frame
from outcry.market.commands import PlaceList, PlaceOrder, ReplaceOrder
from outcry.rows import (
    AmendmentRow,
    CandleRow,
    ListRow,
    OrderRow,
    PartBatch,
    PartitionRow,
    PartState,
    PostingRow,
    PreventedRow,
    Record,
    SymbolRow,
    TradeRow,
)


class PaperLedger:
    """Takes batches as a database would: keys are unique, changed rows are known, the offset is compared."""

    def __init__(self, records: list[Record]) -> None:
        self.row = PartitionRow(0, 0, 0, 0, 1, 0, 0, b"", b"", "RUN", None)
        self.orders: dict[int, OrderRow] = {}
        self.trades: dict[tuple[int, int], TradeRow] = {}
        self.postings: dict[tuple[int, int], PostingRow] = {}
        self.prevented: dict[tuple[int, int], PreventedRow] = {}
        self.amendments: dict[int, AmendmentRow] = {}
        self.lists: dict[int, ListRow] = {}
        self.symbols: dict[int, SymbolRow] = {}
        self.candles: dict[tuple[int, int, int], CandleRow] = {}
        self.marked: dict[int, int] = {}  # order id -> open at intake
        self.held: dict[int, int] = {}
        self.cancel_marks: dict[int, int] = {}
        self.dead: list[tuple[int, str]] = []
        self._bounds = {order.order_id: order.valid_until_ms for each in records for order in orders_in(each)}

    def commit(self, batch: PartBatch) -> None:
        advance = batch.advance
        assert (advance.epoch, advance.from_offset) == (self.row.epoch, self.row.next_offset)
        self.row = self.row._replace(
            next_offset=advance.to_offset, log_time=advance.log_time, rules_version=advance.rules_version,
            event_seq=advance.event_seq, state_hash=advance.state_hash, log_hash=advance.log_hash,
            tail_hash=advance.tail_hash,
        )  # fmt: skip
        for row in batch.new_orders:
            assert row.order_id not in self.orders
        assert all(row.order_id in self.orders for row in batch.touched_orders)
        self.orders |= {row.order_id: row for row in [*batch.new_orders, *batch.touched_orders]}
        self._mark(batch)
        for table, key, rows in (
            (self.trades, lambda row: (row.symbol_id, row.trade_id), batch.trades),
            (self.postings, lambda row: (row.log_offset, row.idx), batch.postings),
            (self.prevented, lambda row: (row.symbol_id, row.prevented_id), batch.prevented),
            (self.amendments, lambda row: row.execution_id, batch.amendments),
        ):
            for row in rows:
                assert key(row) not in table
                table[key(row)] = row
        self.lists |= {row.list_id: row for row in batch.lists}
        self.symbols |= {row.symbol_id: row for row in batch.symbols}
        self.candles |= {(row.symbol_id, row.interval_ms, row.open_ms): row for row in batch.candles}
        self.dead += [(letter.log_offset, letter.reason) for letter in batch.dead_letters]

    def load(self) -> PartState:
        orders = sorted(
            (row for row in self.orders.values() if row.open),
            key=lambda row: (row.symbol_id, row.priority_seq, row.order_id),
        )
        newest = {(row.symbol_id, row.interval_ms): row for row in sorted(self.candles.values())}
        applied = [(order_id, self._bounds[order_id]) for order_id in self.marked]
        return PartState(
            self.row,
            sorted(self.symbols.values()),
            orders,
            [row for row in self.lists.values() if row.status != "ALL_DONE"],
            list(newest.values()),
            [(order_id, bound) for order_id, bound in applied if bound >= self.row.log_time],
            [order_id for order_id in self.cancel_marks if order_id not in self.marked],
            [],
        )

    def contents(self) -> tuple[object, ...]:
        """Everything, to be compared with another ledger's."""
        return (
            self.row, self.orders, self.trades, self.postings, self.prevented, self.amendments, self.lists,
            self.symbols, self.candles, self.marked, self.cancel_marks, self.dead,
        )  # fmt: skip

    def _mark(self, batch: PartBatch) -> None:
        for mark in batch.intake_marks:
            assert mark.order_id not in self.marked
            assert self.orders[mark.order_id].applied_offset == mark.applied_offset
            self.marked[mark.order_id] = mark.open
            self.held[mark.order_id] = mark.held
        for order_id in batch.intake_closed:
            assert self.marked[order_id] == 1
            self.marked[order_id] = 0
        for cancel in batch.cancel_marks:
            self.cancel_marks.setdefault(cancel.order_id, cancel.cancel_offset)
        for order_id, is_open in self.marked.items():
            assert self.orders[order_id].open == is_open


def orders_in(record: Record) -> list[PlaceOrder]:
    """The new orders of a record."""
    try:
        commands = decode_frame(record.frame).commands
    except BadFrame:
        return []
    found: list[PlaceOrder] = []
    for command in commands:
        if isinstance(command, PlaceOrder):
            found.append(command)
        elif isinstance(command, ReplaceOrder):
            found.append(command.new)
        elif isinstance(command, PlaceList):
            found += [command.above, command.below]
    return found
