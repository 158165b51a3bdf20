"""A journal of several partitions in a file, and a short account of what an engine makes of it: for very long logs.

    python -m tests.support.long_log write FILE COMMANDS     makes a journal
    python -m tests.support.long_log apply FILE DICE         applies it and prints the account, as JSON

DICE seeds where batches are cut and the engine is started anew; the account is the same for every one. 0: as few cuts
as the engine makes, no restart.
"""

import json
import random
import sys
import time
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import msgspec

from outcry.codec import encode_frame
from outcry.market.commands import AnyCommand
from outcry.roles.engine.session import Session, genesis
from outcry.rows import CandleRow, ListRow, OrderRow, PartBatch, PartState, Record, SymbolRow
from tests.support.logs import Scribe, broken
from tests.support.paper import orders_in

PARTITIONS: Final = 4
SEED: Final = 7
FRAME: Final = (1, 1, 2, 7)  # commands in one record
STEPS_MS: Final = (0, 0, 1, 3, 7, 20, 60, -25)  # between two records: a broker's clock can go back
PAUSE_MS: Final = 90_000  # now and then nobody trades for longer than an order's bound
MOST_RECORDS: Final = 300  # in one batch
RESTART: Final = 0.02  # the chance of a restart after a batch
APPENDED: Final = ("trades", "postings", "prevented", "amendments", "dead_letters", "cancel_marks")

Told = tuple[
    int, int, int, bytes, list[tuple[int, int]]
]  # partition, offset, time, frame, its orders with their bounds


def write(path: Path, commands: int) -> None:
    """Writes about so many commands, in records whose partitions alternate."""
    encode = msgspec.msgpack.encode
    with path.open("wb") as file:
        for record in _records(commands):
            bounds = [(order.order_id, order.valid_until_ms) for order in orders_in(record)]
            told = encode((record.part, record.offset, record.timestamp_ms, record.frame, bounds))
            file.write(len(told).to_bytes(4, "big") + told)


def read(path: Path) -> Iterator[tuple[Record, list[tuple[int, int]]]]:
    """The records with the bounds of the orders in each, as the intake would know them."""
    decoder = msgspec.msgpack.Decoder(Told)
    with path.open("rb") as file:
        while head := file.read(4):
            *place, bounds = decoder.decode(file.read(int.from_bytes(head, "big")))
            yield Record(*place), bounds


class Digest:
    """A ledger that keeps what a restart loads, and a hash of everything else, whatever the batches were."""

    def __init__(self, part: int) -> None:
        self.state = genesis(part)
        self.rows = 0
        self._orders: dict[int, OrderRow] = {}
        self._lists: dict[int, ListRow] = {}
        self._symbols: dict[int, SymbolRow] = {}
        self._candles: dict[tuple[int, int, int], CandleRow] = {}
        self._applied: dict[int, int] = {}
        self._marks: set[int] = set()
        self._bounds: dict[int, int] = {}
        self._closed = 0
        self._appended = {name: blake2b(digest_size=16) for name in APPENDED}
        self._encode = msgspec.msgpack.Encoder().encode

    def take_in(self, bounds: Iterable[tuple[int, int]]) -> None:
        """The intake's part: orders on their way, with their bounds."""
        self._bounds.update(bounds)

    def commit(self, batch: PartBatch) -> None:
        advance, row = batch.advance, self.state.row
        assert (advance.epoch, advance.from_offset) == (row.epoch, row.next_offset)
        assert all(order.order_id in self._orders for order in batch.touched_orders), "no closed order ever changes"
        self.state = self.state._replace(
            row=row._replace(
                next_offset=advance.to_offset, log_time=advance.log_time, rules_version=advance.rules_version,
                event_seq=advance.event_seq, state_hash=advance.state_hash, log_hash=advance.log_hash,
                tail_hash=advance.tail_hash,
            )
        )  # fmt: skip
        for order in (*batch.new_orders, *batch.touched_orders):
            self._keep(self._orders, order.order_id, order, is_over=not order.open)
        for each in batch.lists:
            self._keep(self._lists, each.list_id, each, is_over=each.status == "ALL_DONE")
        for mark in batch.intake_marks:
            self._applied[mark.order_id] = self._bounds[mark.order_id]
        self._marks.update(mark.order_id for mark in batch.cancel_marks)
        self._symbols |= {each.symbol_id: each for each in batch.symbols}
        self._candles |= {(each.symbol_id, each.interval_ms, each.open_ms): each for each in batch.candles}
        for name, seen in self._appended.items():
            rows = getattr(batch, name)
            self.rows += len(rows)
            for each in rows:
                seen.update(self._encode(each))

    def load(self) -> PartState:
        """What a new owner of the partition reads."""
        log_time = self.state.row.log_time
        self._marks.difference_update(self._applied)
        self._applied = {order_id: until for order_id, until in self._applied.items() if until >= log_time}
        self._bounds = {order_id: until for order_id, until in self._bounds.items() if until >= log_time}
        newest = {(each.symbol_id, each.interval_ms): each for each in sorted(self._candles.values())}
        orders = sorted(self._orders.values(), key=lambda row: (row.symbol_id, row.priority_seq, row.order_id))
        return self.state._replace(
            symbols=sorted(self._symbols.values()), orders=orders, lists=list(self._lists.values()),
            candles=list(newest.values()), applied=list(self._applied.items()), cancel_marks=sorted(self._marks),
        )  # fmt: skip

    def account(self) -> dict[str, Any]:
        """Position, hashes and counts; equal for two engines that did the same."""
        row = self.state.row
        last = (sorted(self._symbols.items()), sorted(self._candles.items()), sorted(self._lists.items()))
        return {
            "next_offset": row.next_offset, "log_time": row.log_time, "event_seq": row.event_seq,
            "state_hash": row.state_hash, "log_hash": row.log_hash.hex(), "rows": self.rows,
            "open": len(self._orders), "open_orders": self._hash(sorted(self._orders.items())),
            "ended": f"{self._closed:032x}", "markets": self._hash(last),
            **{name: seen.hexdigest() for name, seen in self._appended.items()},
        }  # fmt: skip

    def _keep(self, kept: dict[int, Any], key: int, row: Any, *, is_over: bool) -> None:
        """A row that is over goes into a sum of hashes: when its batch was cut says nothing of its place."""
        if not is_over:
            kept[key] = row
            return
        kept.pop(key, None)
        self.rows += 1
        digest = blake2b(self._encode(row), digest_size=16).digest()
        self._closed = (self._closed + int.from_bytes(digest, "big")) % (1 << 128)

    def _hash(self, rows: Any) -> str:
        return blake2b(self._encode(rows), digest_size=16).hexdigest()


class Run:
    """One engine on one partition, whose batches end and which starts anew as the dice say."""

    def __init__(self, part: int, dice: int) -> None:
        self._chance = random.Random(f"{dice} {part}")
        self._is_cut = dice > 0
        self.ledger = Digest(part)
        self.session = Session(self.ledger.load())
        self.late = self.repeated = self.restarts = self.batches = 0
        self._left = self._next()

    def apply(self, record: Record, bounds: list[tuple[int, int]]) -> None:
        self.ledger.take_in(bounds)
        self.session.apply(record)
        self._left -= 1
        if self._left == 0:
            self.end_batch()
            if self._is_cut and self._chance.random() < RESTART:
                self._restart(record)

    def end_batch(self) -> None:
        self.ledger.commit(self.session.take()[0])
        self.batches += 1
        self._left = self._next()

    def account(self) -> dict[str, Any]:
        late, repeated = self.late + self.session.late, self.repeated + self.session.repeated
        return {**self.ledger.account(), "late": late, "repeated": repeated}

    def _restart(self, tail: Record) -> None:
        self.late, self.repeated = self.late + self.session.late, self.repeated + self.session.repeated
        self.restarts += 1
        state = self.ledger.load()
        self.session = Session(state)
        self.session.check(state, tail)

    def _next(self) -> int:
        return self._chance.choice((1, 2, 10, MOST_RECORDS)) if self._is_cut else MOST_RECORDS


def apply(path: Path, dice: int) -> dict[str, Any]:
    """The account of each partition, and under ``run`` what may differ: batches, restarts, seconds."""
    began = time.process_time()
    runs = [Run(part, dice) for part in range(PARTITIONS)]
    for record, bounds in read(path):
        runs[record.part].apply(record, bounds)
    for run in runs:
        run.end_batch()
    ran = {"batches": sum(run.batches for run in runs), "restarts": sum(run.restarts for run in runs)}
    told: dict[str, Any] = {str(part): run.account() for part, run in enumerate(runs)}
    return {**told, "run": {**ran, "seconds": round(time.process_time() - began, 1)}}


def _records(commands: int) -> Iterator[Record]:
    scribes = [Scribe(SEED + part, part) for part in range(PARTITIONS)]
    made = 0
    offset = 0
    while made < commands:
        for part, scribe in enumerate(scribes):
            frame = _frame(scribe) if offset else scribe.listing()
            made += len(frame)
            yield Record(part, offset, scribe.now_ms, broken(encode_frame(frame), scribe.chance))
        offset += 1


def _frame(scribe: Scribe) -> list[AnyCommand]:
    """The commands of the next record, at a time and around a price that have moved a little."""
    chance = scribe.chance
    scribe.now_ms += PAUSE_MS if chance.random() < 0.0002 else chance.choice(STEPS_MS)
    for symbol_id, price in scribe.last.items():
        if chance.random() < 0.05:
            scribe.last[symbol_id] = max(100, price + chance.choice((-1, 1)))
    return [scribe.command() for _ in range(chance.choice(FRAME))]


if __name__ == "__main__":
    verb, file, number = sys.argv[1:]
    if verb == "write":
        write(Path(file), int(number))
    else:
        print(json.dumps({**apply(Path(file), int(number)), "python": sys.version.split()[0]}))
