"""What one partition's commands did since the last commit, written down as the ledger's rows."""

import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from outcry.market.candles import Candles
from outcry.market.events import AnyEvent, HoldReleased, MatchPrevented, OrderAmended, OrderRejected, Traded
from outcry.market.order import Order
from outcry.market.pit import Pit
from outcry.market.settlement import postings_of, trade_legs
from outcry.rows import (
    AmendmentRow,
    CandleRow,
    IntakeMark,
    ListRow,
    OrderRow,
    PartState,
    PostingRow,
    PreventedRow,
    SymbolRow,
    TradeRow,
)

HASH_SPACE: Final = 1 << 63  # a state hash is a whole number below this
MAX_LEGS: Final = 8  # postings of one event; a trade with both fees has six
HASHED_COLUMNS: Final = 36  # of OrderRow, order_id to open: a column appended later changes no stored hash

_encode: Final = msgspec.msgpack.Encoder().encode


def order_hash(row: OrderRow) -> int:
    """The share of one open order in its partition's state hash."""
    return order_hashes([row])[0]


def order_hashes(rows: Sequence[OrderRow]) -> list[int]:
    """The same for many at a time: each digest's number is made with all others."""
    digests = [blake2b(_encode(row[:HASHED_COLUMNS]), digest_size=8).digest() for row in rows]
    return [number % HASH_SPACE for number in struct.unpack(f"<{len(digests)}Q", b"".join(digests))]


class Blotter:
    """Collects rows until they are taken. ``event_seq`` numbers the partition's events for ever.

    A row's ``idx`` comes from ``event_seq``, so that it is unique at its log offset even where the work of one
    offset is committed in pieces.
    """

    def __init__(self, state: PartState, pit: Pit) -> None:
        self.event_seq = state.row.event_seq
        self._part = state.row.part
        self._pit = pit
        self._candles = Candles(state.candles)
        self._hashes: dict[int, int] = {}
        self._state_hash = 0
        self.clear()

    def restore(self, orders: Sequence[OrderRow]) -> None:
        """Takes open orders into the state hash."""
        hashes = order_hashes(orders)
        self._hashes.update(zip([row[0] for row in orders], hashes, strict=True))
        self._state_hash = (self._state_hash + sum(hashes)) % HASH_SPACE

    def clear(self) -> None:
        """Starts an empty page."""
        self.trades: list[TradeRow] = []
        self.postings: list[PostingRow] = []
        self.prevented: list[PreventedRow] = []
        self.amendments: list[AmendmentRow] = []
        self.moved: dict[int, None] = {}  # accounts, in the order in which their money moved
        self.traded: dict[int, list[TradeRow]] = {}  # by symbol
        self._awaited: dict[int, int] = {}  # order id -> hold, for orders that came since the last page
        self._touched: dict[int, Order] = {}
        self._rows: dict[int, OrderRow] = {}  # rows already made and still true
        self._lists: dict[int, ListRow] = {}
        self._symbols: dict[int, None] = {}

    @property
    def height(self) -> int:
        """About how many rows the page holds."""
        return len(self.trades) + len(self.postings) + len(self._touched)

    def await_order(self, order_id: int, held: int) -> None:
        """Announces that the next command brings this order: it must leave a row and an intake mark."""
        self._awaited[order_id] = held

    def write(self, events: list[AnyEvent], symbol_id: int, offset: int, time_ms: int) -> list[Order]:
        """Settles a command's events and returns the orders that it touched, some of them more than once."""
        self._symbols[symbol_id] = None
        for event in events:
            self.event_seq += 1
            kind = type(event)
            if kind is Traded:
                self._trade(event, offset, time_ms)  # type: ignore[arg-type]
            elif kind is HoldReleased or kind is OrderRejected:
                self._release(event, offset)  # type: ignore[arg-type]
            elif kind is MatchPrevented:
                self._prevent(event, offset, time_ms)  # type: ignore[arg-type]
            elif kind is OrderAmended:
                self._amend(event, offset, time_ms)  # type: ignore[arg-type]
        return self._gather(offset)

    def row(self, order_id: int) -> OrderRow | None:
        """A touched order as it is now."""
        row = self._rows.get(order_id)
        if row is None:
            order = self._touched.get(order_id)
            if order is None:
                return None
            row = self._rows[order_id] = order.row(self._part)
        return row

    def amendment(self, order_id: int) -> AmendmentRow | None:
        """The last amendment of an order on the page."""
        return next((row for row in reversed(self.amendments) if row.order_id == order_id), None)

    def list_row(self, list_id: int) -> ListRow | None:
        """A touched list as it is now."""
        return self._lists.get(list_id)

    def list_of(self, order_id: int) -> ListRow | None:
        """The list that a touched order is in."""
        order = self._touched.get(order_id)
        return order.oco.row(self._part) if order is not None and order.oco is not None else None

    def orders(self) -> tuple[list[OrderRow], list[OrderRow], list[IntakeMark], list[int]]:
        """New orders, known ones that changed, the intake marks of the new, and the known ones that closed."""
        new: list[OrderRow] = []
        changed: list[OrderRow] = []
        marks: list[IntakeMark] = []
        closed: list[int] = []
        for order_id in self._touched:
            row = self.row(order_id)
            assert row is not None and row.held >= 0 and (row.open or not row.held), f"hold of order {order_id}"
            held = self._awaited.pop(order_id, -1)
            if held >= 0:
                new.append(row)
                marks.append(IntakeMark(order_id, self._part, held, row.applied_offset, row.open))
            else:
                changed.append(row)
                if not row.open:
                    closed.append(order_id)
            self._rehash(row)
        assert not self._awaited, f"orders without an outcome: {list(self._awaited)}"
        return new, changed, marks, closed

    @property
    def state_hash(self) -> int:
        """The sum of the open orders' hashes, as of the last ``orders()``: the same in whatever order they came."""
        return self._state_hash

    def lists(self) -> list[ListRow]:
        return list(self._lists.values())

    def symbols(self) -> list[SymbolRow]:
        """The markets that had a command, as they are now."""
        return [self._pit.markets[symbol_id].row(self._part) for symbol_id in self._symbols]

    def symbol_ids(self) -> list[int]:
        return list(self._symbols)

    def candles(self) -> list[CandleRow]:
        return self._candles.take()

    def _gather(self, offset: int) -> list[Order]:
        touched = self._pit.touched.copy()
        self._pit.touched.clear()
        for order in touched:
            order_id = order.order_id
            if order_id in self._awaited and order_id not in self._touched:
                order.applied_offset = offset
            self._touched[order_id] = order
            self._rows.pop(order_id, None)
        if self._pit.touched_lists:
            for list_id, order_list in self._pit.touched_lists.items():
                self._lists[list_id] = order_list.row(self._part)
            self._pit.touched_lists.clear()
        return touched

    def _rehash(self, row: OrderRow) -> None:
        change = -self._hashes.pop(row.order_id, 0)
        if row.open:
            share = self._hashes[row.order_id] = order_hash(row)
            change += share
        self._state_hash = (self._state_hash + change) % HASH_SPACE

    def _trade(self, traded: Traded, offset: int, time_ms: int) -> None:
        symbol_id, trade_id = traded.symbol_id, traded.trade_id
        row = TradeRow(
            symbol_id,
            trade_id,
            traded.agg_id,
            self._part,
            offset,
            self.event_seq,
            time_ms,
            traded.price,
            traded.qty,
            traded.amount,
            traded.taker_side,
            traded.maker_id,
            traded.taker_id,
            traded.maker_account,
            traded.taker_account,
            traded.maker_fee,
            traded.taker_fee,
        )
        self.trades.append(row)
        of_symbol = self.traded.get(symbol_id)
        if of_symbol is None:
            of_symbol = self.traded[symbol_id] = []
        of_symbol.append(row)
        self._candles.trade(time_ms, traded)
        part, postings, moved = self._part, self.postings, self.moved
        idx = self.event_seq * MAX_LEGS
        for account, asset, free, held in trade_legs(traded, self._pit.markets[symbol_id].instrument):
            postings.append(PostingRow(part, offset, idx, account, asset, free, held, symbol_id, trade_id))
            moved[account] = None
            idx += 1

    def _release(self, event: HoldReleased | OrderRejected, offset: int) -> None:
        idx = self.event_seq * MAX_LEGS
        instrument = self._pit.markets[event.symbol_id].instrument
        for account, asset, free, held in postings_of(event, instrument):
            self.postings.append(PostingRow(self._part, offset, idx, account, asset, free, held, event.symbol_id, 0))
            self.moved[account] = None

    def _amend(self, amended: OrderAmended, offset: int, time_ms: int) -> None:
        order = self._pit.find(amended.order_id)
        assert order is not None, f"amended order {amended.order_id} is not open"
        self.amendments.append(
            AmendmentRow(
                self._part,
                self.event_seq,
                offset,
                amended.symbol_id,
                amended.account,
                amended.order_id,
                amended.old_client_id,
                order.client_order_id,
                amended.old_qty,
                amended.qty,
                time_ms,
            )
        )

    def _prevent(self, met: MatchPrevented, offset: int, time_ms: int) -> None:
        self.prevented.append(
            PreventedRow(
                met.symbol_id,
                met.prevented_id,
                self._part,
                offset,
                met.account,
                met.maker_id,
                met.taker_id,
                met.price,
                met.maker_prevented,
                met.taker_prevented,
                met.mode,
                time_ms,
            )
        )
