"""An engine on a real store, without an api: holds, frames, outcomes and what the ledger then says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from outcry.adapters.clock import SystemClock
from outcry.adapters.memory import MemoryFeed
from outcry.adapters.sqlite import Store
from outcry.claims import HELD, HoldRequest, HoldResult
from outcry.codec import encode_command, encode_frame
from outcry.market.commands import AnyCommand, PlaceList, PlaceOrder, SetInstrument
from outcry.market.instrument import Instrument
from outcry.market.terms import BUY, LIMIT, SELL
from outcry.ports import Execution, MarketUpdate, Outcome
from outcry.roles.engine.engine import Engine
from outcry.roles.engine.keeper import Keeper
from outcry.roles.engine.verify import Report, verify
from outcry.rows import AccountRow, Balance, OrderRow
from outcry.settings import Settings

UNIT = 100_000_000
ANN, BEN = 1001, 1002
ACCOUNTS = (1, ANN, BEN)
PATIENCE_SECONDS = 30.0


class EngineRoom:
    """One symbol per partition, named S0, S1, ...; Ann and Ben have a thousand of every base and a million USD."""

    def __init__(self, folder: Path, partitions: int) -> None:
        self.clock = SystemClock()
        self.folder = folder
        self.partitions = range(partitions)
        self.instruments: dict[int, Instrument] = {}
        self.outcomes: dict[int, Outcome] = {}
        self.updates: list[MarketUpdate] = []
        self.executions: list[Execution | None] = []
        self._commands = 0

    async def open(self) -> None:
        """Opens the store as a new process would."""
        self.store = Store(self.folder / "outcry.db", clock=self.clock)
        self.feed = MemoryFeed()
        self.feed.on_outcome(lambda outcome: self.outcomes.__setitem__(outcome.command_id, outcome))
        self.feed.on_update(self.updates.append)
        await asyncio.to_thread(self.store.open)
        self.keeper = Keeper(
            ledger=self.store.ledger, journal=self.store.journal, clock=self.clock, partitions=self.partitions,
            settings=Settings(),
        )  # fmt: skip
        self.engine = self.new_engine()

    async def process(self) -> Any:
        """Ledger and lease as one more process would open them."""
        return self.store

    def new_engine(self, **replaced: object) -> Engine:
        """An engine on this store, with some of its parts replaced."""
        parts = {
            "journal": self.store.journal, "ledger": self.store.ledger, "lease": self.store.lease, "feed": self.feed,
            "clock": self.clock, "owner": "room", "partitions": self.partitions,
        }  # fmt: skip
        return Engine(**{**parts, **replaced})  # type: ignore[arg-type]

    async def found(self) -> None:
        """Accounts, money and listings, on a new store."""
        ledger = self.store.ledger
        for account in ACCOUNTS:
            await ledger.create_account(AccountRow(account, f"account {account}", 1000, 1000, 0, 0), "test")
        usd = await ledger.add_asset("USD", "test")
        for part in self.partitions:
            base = await ledger.add_asset(f"S{part}", "test")
            self.instruments[part] = Instrument(
                symbol_id=part + 1, symbol=f"S{part}USD", partition=part, base=base.asset, quote="USD",
                base_asset=base.asset_id, quote_asset=usd.asset_id, tick_size=1_000_000, lot_size=100_000,
            )  # fmt: skip
            for account in (ANN, BEN):
                await ledger.transfer(account, base.asset_id, 1_000 * UNIT, f"{base.asset} {account}", actor="test")
        for account in (ANN, BEN):
            await ledger.transfer(account, usd.asset_id, 1_000_000 * UNIT, f"USD {account}", actor="test")
        await self.journal([self.listing(part) for part in self.partitions])

    async def start(self) -> None:
        await self.engine.start()
        self.running = asyncio.create_task(self.engine.run())

    async def crash(self) -> None:
        """Ends everything without a word and opens the store again, with a new engine that is not started."""
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        await self.close()
        await self.open()

    async def close(self) -> None:
        await asyncio.to_thread(self.store.close)

    def listing(self, part: int) -> SetInstrument:
        instrument = self.instruments[part]
        return SetInstrument(command_id=self.number(), symbol_id=instrument.symbol_id, instrument=instrument)

    def number(self) -> int:
        self._commands += 1
        return self._commands

    def order(self, text: str, account: int = ANN, part: int = 0, **fields: object) -> PlaceOrder:
        """``buy 10@1000``: lots at ticks, with the hold that a limit order needs."""
        side, terms = text.split()
        qty, price = (int(number) for number in terms.split("@"))
        instrument, buying = self.instruments[part], side == "buy"
        number = self.number()
        asked: dict[str, object] = {
            "command_id": number, "symbol_id": instrument.symbol_id, "order_id": 0, "account": account,
            "client_order_id": f"c{number}", "side": BUY if buying else SELL, "type": LIMIT, "qty": qty,
            "price": price, "maker_ppm": 1000, "taker_ppm": 1000,
            "held": qty * price * instrument.quote_unit if buying else qty * instrument.lot_size, **fields,
        }  # fmt: skip
        return PlaceOrder(**asked)  # type: ignore[arg-type]

    async def hold(self, *orders: PlaceOrder, window_ms: int = 60_000, in_list: bool = False) -> list[PlaceOrder]:
        """The orders with what intake gave them: id, time, bound. Orders of a list come back in its terms."""
        held = await self.store.ledger.hold(
            [self._request(order, n, window_ms, in_list) for n, order in enumerate(orders)]
        )
        assert [result.status for result in held] == [HELD] * len(orders)
        self.held: Sequence[HoldResult] = held
        return [
            msgspec.structs.replace(
                order, order_id=result.order_id, intake_ms=result.intake_ms, valid_until_ms=result.valid_until_ms
            )
            for order, result in zip(orders, held, strict=True)
        ]

    async def journal(self, commands: Sequence[AnyCommand]) -> None:
        """One frame for each command, in its symbol's partition."""
        await self.store.journal.append([(command.symbol_id - 1, encode_frame([command])) for command in commands])

    async def place(self, *orders: PlaceOrder) -> list[Outcome]:
        """Holds, journals, and waits for the outcomes."""
        placed = await self.hold(*orders)
        await self.journal(placed)
        return [await self.outcome(order.command_id) for order in placed]

    async def send(self, command: AnyCommand) -> Outcome:
        await self.journal([command])
        return await self.outcome(command.command_id)

    async def outcome(self, command_id: int) -> Outcome:
        await self.until(lambda: command_id in self.outcomes)
        return self.outcomes[command_id]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Looks again and again until something holds, but not for ever."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def caught_up(self) -> None:
        """Waits until all that was journaled is committed."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                ends = await self.store.journal.end_offsets()
                rows = {row.part: row.next_offset for row in await self.store.ledger.partitions()}
                if all(rows.get(part, 0) >= end for part, end in ends.items()):
                    return
                await asyncio.sleep(0.005)

    async def row(self, order_id: int) -> OrderRow:
        (row,) = await self.store.ledger.orders_by_id([order_id])
        return row

    async def money(self, account: int) -> Mapping[str, Balance]:
        names = {row.asset_id: row.asset for row in await self.store.ledger.assets()}
        return {names[each.asset_id]: each for each in await self.store.ledger.balances(account)}

    async def verify(self) -> Report:
        return await verify(self.store.ledger, self.store.journal, lambda text: None)

    async def assert_sound(self) -> None:
        report = await self.verify()
        assert not report.problems, report.problems
        assert len(report.checked) == len(self.partitions) + 3

    def _request(self, order: PlaceOrder, group: int, window_ms: int, in_list: bool) -> HoldRequest:
        instrument = self.instruments[order.symbol_id - 1]
        asset = instrument.quote_asset if order.side == BUY else instrument.base_asset
        return HoldRequest(
            part=instrument.partition, account_id=order.account, symbol_id=order.symbol_id, asset_id=asset,
            amount=order.held, client_order_id=order.client_order_id, window_ms=window_ms,
            body=encode_command(order), group=0 if in_list else group, in_list=in_list,
        )  # fmt: skip


def list_of(room: EngineRoom, above: PlaceOrder, below: PlaceOrder) -> PlaceList:
    """An OCO list of two orders that were held together."""
    return PlaceList(
        command_id=room.number(), symbol_id=above.symbol_id, list_id=room.held[0].list_id, account=above.account,
        client_list_id=f"list-{room.held[0].list_id}", above=above, below=below,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def engine_room(
    folder: Path, *, partitions: int = 1, started: bool = True, kind: type[EngineRoom] = EngineRoom
) -> AsyncIterator[EngineRoom]:
    """A founded room, and at its end a look whether everything in it is sound."""
    room = kind(folder, partitions)
    await room.open()
    try:
        await room.found()
        await room.start()
        await room.caught_up()
        if not started:
            await room.engine.stop()
        yield room
        await room.engine.stop()
        await room.assert_sound()
    finally:
        room.running.cancel()
        await asyncio.gather(room.running, return_exceptions=True)
        await room.close()
