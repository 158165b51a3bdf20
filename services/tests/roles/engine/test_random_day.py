"""A day of random trading on the real store, with crashes in it, proves itself at its end."""

import random
from pathlib import Path

import msgspec
import pytest

from outcry.market.commands import AnyCommand, CancelOrder, PlaceList, PlaceOrder, ReplaceOrder
from tests.support.engine_room import ANN, BEN, EngineRoom, engine_room
from tests.support.logs import Scribe


class Trader(Scribe):
    """A scribe whose orders pass the intake first, which gives them their ids and bounds."""

    def __init__(self, seed: int, room: EngineRoom) -> None:
        super().__init__(seed)
        self._room = room

    def cancel(self, target: PlaceOrder) -> CancelOrder:
        """Of an order that intake knows, as the api resolves the targets of cancels there."""
        return CancelOrder(
            command_id=self._room.number(), symbol_id=target.symbol_id, account=target.account,
            order_id=target.order_id, target_valid_until_ms=target.valid_until_ms,
        )  # fmt: skip

    async def send(self, command: AnyCommand) -> None:
        """Journals a command; now and then the cancel of a new order gets there first."""
        sent = await self.taken_in(command)
        if isinstance(sent, PlaceOrder) and self.chance.random() < 0.05:
            await self._room.journal([self.cancel(sent)])
            if self.chance.random() < 0.5:
                await self._room.caught_up()
        await self._room.journal([sent])

    async def taken_in(self, command: AnyCommand) -> AnyCommand:
        """The command with what the intake gave its new orders; those it knows already are sent as they are."""
        if isinstance(command, PlaceOrder) and command in self.placed[:-1]:
            return command
        if isinstance(command, PlaceOrder):
            (order,) = await self._hold(command)
            return order
        if isinstance(command, ReplaceOrder):
            (new,) = await self._hold(command.new)
            return msgspec.structs.replace(command, new=new, account=new.account)
        if isinstance(command, PlaceList):
            above, below = await self._hold(command.above, command.below, in_list=True)
            return msgspec.structs.replace(
                command, above=above, below=below, list_id=self._room.held[0].list_id, account=above.account
            )
        return command

    async def _hold(self, *orders: PlaceOrder, in_list: bool = False) -> list[PlaceOrder]:
        account = orders[0].account if orders[0].account in (ANN, BEN) else self.chance.choice((ANN, BEN))
        named = [
            msgspec.structs.replace(order, account=account, client_order_id=f"day-{self._room.number()}")
            for order in orders
        ]
        window_ms = 1 if self.chance.random() < 0.02 else 60_000
        held = await self._room.hold(*named, window_ms=window_ms, in_list=in_list)
        self.placed[-len(held) :] = held
        self.next_id = held[-1].order_id + 1
        return held


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_random_day_with_crashes_is_sound(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    async with engine_room(tmp_path, partitions=2) as room:
        trader = Trader(seed, room)
        for _ in range(4):
            for _ in range(100):
                command = trader.command()
                if command.symbol_id in (1, 2):
                    await trader.send(command)
            if chance.random() < 0.5:
                await room.caught_up()
            await room.crash()
            await room.start()
            await room.keeper.fold_now()
            await room.keeper.checkpoint_all()
        await room.caught_up()
        symbols = await room.store.ledger.symbols()
        assert sum(row.trade_seq for row in symbols) > 20
