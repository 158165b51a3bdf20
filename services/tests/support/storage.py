"""Stored exchanges to test adapters with: a clock by hand, funded accounts, and rows as an engine would write them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from outcry.adapters.sqlite import Store
from outcry.claims import HoldRequest, HoldResult
from outcry.codec import encode_command
from outcry.market.commands import PlaceOrder
from outcry.market.terms import BUY, FILLED, LIMIT, NEW
from outcry.ports import Lease, Ledger
from outcry.roles.engine.keeper import KeeperLedger, SizedJournal
from outcry.roles.stream.entries import Losses, Transfers
from outcry.rows import Advance, IntakeMark, OrderRow, PartBatch, PartitionRow, PostingRow, TradeRow

USD, BTC = 1, 2
ALICE, BOB = 1001, 1002
MONEY = 1_000_000
START_MS = 1_700_000_000_000
WINDOW_MS = 5_000


class HandClock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.ms = START_MS

    def now_ms(self) -> int:
        return self.ms

    def now_us(self) -> int:
        return self.ms * 1000


class StoredLedger(Ledger, KeeperLedger, Transfers, Losses, Protocol):
    """All that is asked of a ledger that lasts."""


@dataclass
class Storage:
    """The three ports of one stored exchange, and how to stop and open it again."""

    journal: SizedJournal
    ledger: StoredLedger
    lease: Lease
    clock: HandClock
    partitions: dict[int, PartitionRow] = field(default_factory=dict)
    event_seq: int = 0

    async def own(self, part: int = 0) -> PartitionRow:
        """Takes a partition over."""
        row = await self.lease.takeover(part, "pod/1")
        assert row is not None
        self.partitions[part] = row
        return row

    async def hold(self, name: str, amount: int = 100, **more: Any) -> HoldResult:
        (result,) = await self.ledger.hold([request(name, amount, **more)])
        return result

    def batch(self, part: int = 0, *, log_time: int | None = None, records: int = 1, **rows: Any) -> PartBatch:
        """A batch that applies the partition's next records; remembers how far it got."""
        before = self.partitions[part]
        time = self.clock.ms if log_time is None else log_time
        self.event_seq += 1
        advance = Advance(
            part,
            before.epoch,
            before.next_offset,
            before.next_offset + records,
            time,
            1,
            self.event_seq,
            7,
            b"log",
            b"tail",
        )
        empty: dict[str, Any] = {name: [] for name in PartBatch._fields if name != "advance"}
        return PartBatch(advance=advance, **{**empty, **rows})

    async def commit(self, *batches: PartBatch) -> set[int]:
        named = await self.ledger.commit(batches)
        if len(named) == len(batches):
            for each in batches:
                part = each.advance.part
                self.partitions[part] = self.partitions[part]._replace(next_offset=each.advance.to_offset)
        return named

    async def rest(self, name: str, amount: int = 100, **more: Any) -> OrderRow:
        """Holds for an order and lets it rest in the book."""
        held = await self.hold(name, amount, **more)
        row = order_row(held.order_id, name, held=amount, applied_offset=self.partitions[0].next_offset, **more)
        await self.commit(self.batch(new_orders=[row], intake_marks=[mark(row)]))
        return row

    async def money(self, account: int, asset: int = USD) -> tuple[int, int]:
        """(free, held)."""
        found = {row.asset_id: row for row in await self.ledger.balances(account)}
        return (found[asset].free, found[asset].held) if asset in found else (0, 0)


@contextlib.asynccontextmanager
async def sqlite_storage(folder: Path) -> AsyncIterator[Storage]:
    """An exchange in a file of the folder, opened anew each time."""
    clock = HandClock()
    store = Store(folder / "outcry.db", clock=clock)
    await asyncio.to_thread(store.open)
    try:
        yield Storage(store.journal, store.ledger, store.lease, clock)
    finally:
        await asyncio.to_thread(store.close)


async def fund(storage: Storage, accounts: Sequence[int] = (ALICE, BOB)) -> None:
    """Two assets, and money of both for each account."""
    for asset in ("USD", "BTC"):
        await storage.ledger.add_asset(asset, "test")
    for account in accounts:
        for asset_id in (USD, BTC):
            assert await storage.ledger.transfer(account, asset_id, MONEY, f"first {account} {asset_id}", actor="test")


def request(
    name: str, amount: int = 100, *, account: int = ALICE, part: int = 0, symbol: int = 1, group: int = 0,
    asset: int = USD, in_list: bool = False, window_ms: int = WINDOW_MS,
) -> HoldRequest:  # fmt: skip
    order = PlaceOrder(
        command_id=0, symbol_id=symbol, order_id=0, account=account, client_order_id=name, side=BUY, type=LIMIT,
        qty=5, price=20,
    )  # fmt: skip
    body = encode_command(order)
    return HoldRequest(part, account, symbol, asset, amount, name, window_ms, body, group, in_list)


def order_row(order_id: int, name: str, **changes: Any) -> OrderRow:
    """An open limit order to buy 5 at 20."""
    if "account" in changes:
        changes["account_id"] = changes.pop("account")
    row = OrderRow(
        order_id=order_id, part=0, symbol_id=1, account_id=ALICE, client_order_id=name, side=BUY, type=LIMIT, tif=1,
        price=20, qty=5, quote_qty=0, stop_price=0, trail_bps=0, iceberg_qty=0, stp=0, status=NEW, executed=0,
        cum_quote=0, held=100, visible=5, prevented=0, stage=0, trail_ref=0, priority_seq=order_id, list_id=-1,
        maker_ppm=0, taker_ppm=0, strategy_id=0, strategy_type=0, placed_ms=START_MS, updated_ms=START_MS,
        working_ms=START_MS, applied_offset=0, code=0, text="", open=1,
    )  # fmt: skip
    return row._replace(**changes)


def filled(row: OrderRow, time_ms: int = START_MS) -> OrderRow:
    return row._replace(status=FILLED, executed=5, cum_quote=100, held=0, visible=0, open=0, updated_ms=time_ms)


def mark(row: OrderRow, held: int | None = None) -> IntakeMark:
    return IntakeMark(row.order_id, row.part, row.held if held is None else held, row.applied_offset, row.open)


def trade_row(trade_id: int, **changes: Any) -> TradeRow:
    """Bob sells Alice 5 at 20."""
    row = TradeRow(
        symbol_id=1, trade_id=trade_id, agg_id=trade_id, part=0, log_offset=trade_id, idx=0,
        time_ms=START_MS + trade_id, price=20, qty=5, amount=100, taker_side=-1, maker_order=1, taker_order=2,
        maker_account=ALICE, taker_account=BOB, maker_fee=0, taker_fee=0,
    )  # fmt: skip
    return row._replace(**changes)


def posting(account: int, free: int, held: int, *, offset: int, idx: int = 0, asset: int = USD) -> PostingRow:
    return PostingRow(0, offset, idx, account, asset, free, held, 1, 0)
