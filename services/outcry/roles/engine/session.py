"""One partition's log applied in memory: records in, rows for the ledger and news for the world out.

A session is a pure function of the state it began with and the records it was given; where a batch is cut
changes nothing but which rows travel together.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

from outcry.codec import BadFrame, decode_frame
from outcry.market.commands import (
    AmendOrder,
    AnyCommand,
    CancelAll,
    CancelOrder,
    HaltMarket,
    OpenMarket,
    PlaceList,
    PlaceOrder,
    ReplaceOrder,
    SetInstrument,
    SetVersion,
    Tick,
)
from outcry.market.events import AnyEvent
from outcry.market.floor import Market
from outcry.market.order import Order
from outcry.market.pit import Pit
from outcry.ports import MarketUpdate, Publication
from outcry.roles.engine.blotter import Blotter
from outcry.roles.engine.news import Follows, News, nobody
from outcry.roles.engine.outcomes import ended, ids_of, new_orders
from outcry.roles.engine.window import LONGEST_BOUND_MS, Marks, Overtaker, Waiting, Window
from outcry.roles.engine.witness import Witness
from outcry.rows import Advance, CancelMark, DeadLetter, OrderRow, PartBatch, PartitionRow, PartState, Record

RULES: Final = (1,)  # versions of the matching rules that this release knows

_PLACE: Final = struct.Struct("<IQQ")  # partition, offset, milliseconds

WRONG_SYMBOL: Final = (-1121, "Invalid symbol.")
SKIPPED: Final = (-2010, "The operator skipped this command.")


class Contradiction(Exception):
    """A partition's stored state disagrees with itself or with its log: the partition halts."""


class Session:
    """``apply`` records in offset order, then ``take`` what they came to. AssertionError is a bug of ours."""

    def __init__(self, state: PartState, *, follows: Follows = nobody) -> None:
        row = state.row
        self.part: Final = row.part
        self.epoch = row.epoch  # a copy gets another when its engine takes the partition over
        self.next_offset = row.next_offset
        self.log_time = row.log_time
        self.late = 0  # orders ignored for being past their bound
        self.repeated = 0  # orders ignored because their id had its effect before
        self.commands = 0  # since the last take
        self.reply_to = ""  # who asked for the running record's commands
        self.witness: Witness | None = None  # sees all events, where somebody compares them
        self._rules_version = row.rules_version
        self._log_hash = row.log_hash
        self._tail_hash = row.tail_hash
        self._from_offset = row.next_offset
        self._pit = Pit()
        self._pit.restore(state.symbols, state.lists)
        self._blotter = Blotter(state, self._pit)
        self.restore(state.orders)
        self._window = Window(state.applied)
        self._marks = Marks(state.cancel_marks, row.log_time)
        self._skips = {(offset, index) for offset, index, _ in state.skips}
        self._waiting = Waiting()
        self._news = News(self, self._pit, self._blotter, follows)
        self._clear()

    def restore(self, orders: Sequence[OrderRow]) -> None:
        """Goes on from more open orders of the state, by (symbol_id, priority_seq), until ``check``."""
        self._pit.restore_orders(orders)
        self._blotter.restore(orders)

    def check(self, state: PartState, tail: Record | None) -> None:
        """Compares the orders loaded and the record before ``next_offset`` with their hashes."""
        self._pit.restored()
        found = self._blotter.state_hash
        if found != state.row.state_hash:
            raise Contradiction(f"the open orders hash to {found}, the ledger says {state.row.state_hash}")
        if tail is not None and record_hash(tail) != state.row.tail_hash:
            raise Contradiction(f"record {tail.offset} of the journal is not the one that was applied")

    def stands_at(self, row: PartitionRow) -> bool:
        """Whether the session, with nothing left to take, is at the row's offset and just as the row says."""
        return (
            self.next_offset,
            self.event_seq,
            self._blotter.state_hash,
            self._log_hash,
            self._rules_version,
        ) == (row.next_offset, row.event_seq, row.state_hash, row.log_hash, row.rules_version)

    def open_to(self, follows: Follows) -> None:
        """Builds private events from now on, of the accounts that somebody follows."""
        self._news.follows = follows

    @property
    def changed(self) -> bool:
        """Whether there is something to take."""
        return self._work > 0

    @property
    def markets(self) -> Mapping[int, Market]:
        """The partition's markets by symbol id, as they are after the last record; to look at."""
        return self._pit.markets

    @property
    def event_seq(self) -> int:
        return self._blotter.event_seq

    @property
    def height(self) -> int:
        """About how many rows the next ``take`` gives."""
        return self._blotter.height

    @property
    def backlog(self) -> bool:
        """Triggered stops wait: call ``resume`` before the next record."""
        return self._pit.backlog()

    def resume(self) -> None:
        """Lets the next bounded lot of triggered stops in, at the place in the log after the last record.

        A lot counts as an event of its own, so that ``event_seq`` tells how far the work at one offset has come.
        """
        if not self.backlog:
            return
        self._work += 1
        self._blotter.event_seq += 1
        symbol_id = self._pit.next_stalled()
        self._write(None, symbol_id, self._pit.resume(self.log_time))

    def apply(self, record: Record) -> None:
        """Applies the record at ``next_offset``. One that cannot be read becomes a dead letter."""
        assert record.offset == self.next_offset, f"record {record.offset} came where {self.next_offset} is due"
        while self.backlog:
            self.resume()
        self._work += 1
        self.log_time = max(self.log_time, record.timestamp_ms)
        self._window.forget(self.log_time)
        try:
            frame = decode_frame(record.frame)
        except BadFrame as problem:
            self._dead(record, str(problem))
        else:
            self.reply_to = frame.reply_to
            for reason in frame.unreadable:
                self._dead(record, reason)
            for index, command in enumerate(frame.commands):
                self._command(command, index)
        self._tail_hash = record_hash(record)
        self._log_hash = blake2b(self._log_hash + self._tail_hash, digest_size=32).digest()
        self.next_offset += 1
        if self.witness is not None:
            self.witness.close(self.next_offset)

    def take(self) -> tuple[PartBatch, Publication]:
        """All since the last take; the caller commits the batch before it publishes."""
        blotter = self._blotter
        new, changed, marks, closed = blotter.orders()
        batch = PartBatch(
            self._advance(),
            new,
            changed,
            blotter.trades,
            blotter.postings,
            blotter.prevented,
            blotter.lists(),
            blotter.symbols(),
            blotter.candles(),
            marks,
            closed,
            self._cancel_marks,
            self._dead_letters,
            blotter.amendments,
        )
        publication = self._news.take()
        blotter.clear()
        self._from_offset = self.next_offset
        self._clear()
        return batch, publication

    def snapshots(self) -> list[MarketUpdate]:
        """Every market's whole book, for listeners that know nothing yet."""
        return self._news.snapshots()

    def _clear(self) -> None:
        self._work = 0
        self.commands = 0
        self._cancel_marks: list[CancelMark] = []
        self._dead_letters: list[DeadLetter] = []

    def _advance(self) -> Advance:
        return Advance(
            self.part,
            self.epoch,
            self._from_offset,
            self.next_offset,
            self.log_time,
            self._rules_version,
            self._blotter.event_seq,
            self._blotter.state_hash,
            self._log_hash,
            self._tail_hash,
        )

    def _dead(self, record: Record, reason: str) -> None:
        self._dead_letters.append(DeadLetter(self.part, record.offset, reason, record.frame))

    def _command(self, command: AnyCommand, index: int) -> None:
        self.commands += 1
        if self._skips and (self.next_offset, index) in self._skips:
            self._skip(command)
        elif command.symbol_id not in self._pit.markets and not isinstance(command, SetInstrument | Tick | SetVersion):
            self._news.refuse(command, *WRONG_SYMBOL)
        else:
            _APPLY[type(command)](self, command)

    def _place(self, command: PlaceOrder) -> None:
        if self._stale(command):
            return
        self._await(command)
        if self._marks.arrived(command.order_id):
            self._cancel_at_once(command, (command,))
        else:
            self._write(command, command.symbol_id, self._pit.apply(command, self.log_time))

    def _place_list(self, command: PlaceList) -> None:
        if self._stale(command.above):
            return
        self._await(command.above)
        self._await(command.below)
        marked = [leg for leg in (command.above, command.below) if self._marks.arrived(leg.order_id)]
        if marked:
            self._cancel_at_once(command, marked)
        else:
            self._write(command, command.symbol_id, self._pit.apply(command, self.log_time))

    def _replace(self, command: ReplaceOrder) -> None:
        new = command.new
        # Late comes first: how long an id past its bound is still known depends on when the engine was started.
        if self.log_time > new.valid_until_ms:
            self.late += 1
        elif new.order_id in self._window:
            self.repeated += 1
            again = CancelOrder(
                command_id=0,
                symbol_id=command.symbol_id,
                account=command.account,
                order_id=command.order_id,
                target_valid_until_ms=0,
                restriction=command.restriction,
            )
            self._write(again, command.symbol_id, self._pit.apply(again, self.log_time))
        else:
            self._await(new)
            if self._marks.arrived(new.order_id):
                self._cancel_at_once(command, (new,))
            else:
                self._write(command, command.symbol_id, self._pit.apply(command, self.log_time))

    def _cancel(self, command: CancelOrder) -> None:
        if command.restriction == 0 and self._overtakes(command.order_id, command.target_valid_until_ms):
            target = (command.order_id, command.target_valid_until_ms)
            self._waiting.add(Overtaker(command, (target,), self.reply_to), self.log_time)
        else:
            self._write(command, command.symbol_id, self._pit.apply(command, self.log_time))

    def _cancel_all(self, command: CancelAll) -> None:
        """The answer is about all of its orders: it waits for those that have not come."""
        coming = [target for target in command.targets if self._overtakes(*target)]
        events = self._pit.apply(command, self.log_time)
        if not coming:
            self._write(command, command.symbol_id, events)
            return
        touched = self._write(None, command.symbol_id, events)
        cancel = Overtaker(command, coming, self.reply_to)
        cancel.note(*ended(ids_of(touched), events, self._blotter))
        self._waiting.add(cancel, self.log_time)

    def _any(self, command: AnyCommand) -> None:
        self._write(command, command.symbol_id, self._pit.apply(command, self.log_time))

    def _set_instrument(self, command: SetInstrument) -> None:
        instrument = command.instrument
        if instrument.partition != self.part or instrument.symbol_id != command.symbol_id or instrument.problems():
            self._news.refuse(command, *WRONG_SYMBOL)
        else:
            self._any(command)

    def _tick(self, command: Tick) -> None:
        """Log time has moved with its record; nothing else is to do."""

    def _set_version(self, command: SetVersion) -> None:
        assert command.rules_version in RULES, f"this release does not know matching rules {command.rules_version}"
        self._rules_version = command.rules_version

    def _stale(self, order: PlaceOrder) -> bool:
        """Whether the order had its effect or is past its bound: it is ignored, a late one's hold is left to VOID."""
        if order.order_id in self._window:
            self.repeated += 1
            return True
        if self.log_time > order.valid_until_ms:
            self.late += 1
            return True
        return False

    def _await(self, order: PlaceOrder) -> None:
        self._window.add(order.order_id, order.valid_until_ms)
        self._blotter.await_order(order.order_id, order.held)

    def _overtakes(self, order_id: int, valid_until_ms: int) -> bool:
        """Marks an order that has not come yet but still may; False for one that came or no longer can."""
        if self.log_time > valid_until_ms or order_id in self._window or self._pit.find(order_id) is not None:
            return False
        if self._marks.add(order_id, valid_until_ms, self.log_time):
            self._cancel_marks.append(CancelMark(order_id, self.next_offset))
        return True

    def _cancel_at_once(self, command: AnyCommand, orders: Sequence[PlaceOrder]) -> None:
        """The order's own record came after its cancel: it is accepted, and what then is open of it canceled."""
        events = self._pit.apply(command, self.log_time)
        for order in orders:
            if self._pit.find(order.order_id) is not None:
                events += self._pit.apply(_own_cancel(order), self.log_time)
        self._write(command, command.symbol_id, events)
        outcome = ended(new_orders(command), events, self._blotter)
        for order in orders:
            for cancel in self._waiting.pop(order.order_id):
                cancel.note(*outcome)
                if not cancel.coming:
                    self._news.tell_belated(cancel)

    def _skip(self, command: AnyCommand) -> None:
        for order_id in new_orders(command):
            self._window.add(order_id, self.log_time + LONGEST_BOUND_MS)
        self._news.refuse(command, *SKIPPED)

    def _write(self, command: AnyCommand | None, symbol_id: int, events: list[AnyEvent]) -> Sequence[Order]:
        postings = self._blotter.postings
        settled = len(postings)
        touched = self._blotter.write(events, symbol_id, self.next_offset, self.log_time)
        if self.witness is not None:
            self.witness.note(events, postings[settled:])
        self._news.tell(command, events, touched)
        return touched


def genesis(part: int) -> PartState:
    """A partition before its first record."""
    return PartState(PartitionRow(part, 0, 0, 0, 1, 0, 0, b"", b"", "RUN", None), [], [], [], [], [], [], [])


def record_hash(record: Record) -> bytes:
    """What ties a record's bytes to its place and time in the log."""
    return blake2b(_PLACE.pack(record.part, record.offset, record.timestamp_ms) + record.frame, digest_size=32).digest()


def _own_cancel(order: PlaceOrder) -> CancelOrder:
    return CancelOrder(
        command_id=0,
        symbol_id=order.symbol_id,
        account=order.account,
        order_id=order.order_id,
        target_valid_until_ms=order.valid_until_ms,
    )


_APPLY: Final[dict[type, Callable[[Session, Any], None]]] = {
    PlaceOrder: Session._place,
    PlaceList: Session._place_list,
    ReplaceOrder: Session._replace,
    CancelOrder: Session._cancel,
    CancelAll: Session._cancel_all,
    AmendOrder: Session._any,
    HaltMarket: Session._any,
    OpenMarket: Session._any,
    SetInstrument: Session._set_instrument,
    Tick: Session._tick,
    SetVersion: Session._set_version,
}
