"""Whatever commands reach an engine, none of them stops it, and none makes money or lets a hold be lost."""

from collections import Counter
from random import Random
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outcry.codec import encode_frame
from outcry.market import pit
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
    Tick,
)
from outcry.market.holds import need_of
from outcry.market.terms import BUY, LIMIT, LIMIT_MAKER, MARKET, PRICED_TYPES, SELL, STOP_TYPES, TYPE_NAMES
from outcry.roles.engine.session import Session
from outcry.rows import Record
from tests.support.logs import BTC, BTCUSD, START_MS, USD
from tests.support.paper import PaperLedger, orders_in

LARGEST: Final = (1 << 63) - 1
MOST_HELD: Final = 1 << 62  # more money than this nobody has
WILD: Final = (0, 1, -1, 2, 1 << 31, (1 << 33) - 1, 1 << 33, 1 << 62, LARGEST, -LARGEST - 1, 2 * LARGEST)
NUMBERS: Final = ("qty", "price", "quote_qty", "stop_price", "trail_bps", "iceberg_qty")
ACCOUNTS: Final = (1001, 1002)


class Villain:
    """Thinks up commands; with ``wildness`` some numbers are such that no order form would let them through."""

    def __init__(self, chance: Random, wildness: float) -> None:
        self.chance = chance
        self.wildness = wildness
        self.next_id = 1
        self.last_price = 0

    def command(self) -> AnyCommand:
        pick = self.chance.random()
        if pick < 0.6:
            return self.order()
        if pick < 0.68:
            return self._list()
        target: dict[str, Any] = {"command_id": 1, "symbol_id": 1, "account": self.chance.choice(ACCOUNTS)}
        if pick < 0.7:
            ids = [(self._some_id(), 0) for _ in range(self.chance.randint(0, 4))]
            return CancelAll(**target, targets=tuple(ids))
        target["order_id"] = self._some_id()
        if pick < 0.8:
            until = self.chance.choice((0, START_MS + 60_000, LARGEST))
            return CancelOrder(**target, target_valid_until_ms=until, restriction=self.chance.choice((0, 0, 1, 2)))
        if pick < 0.88:
            new = self.order(account=target["account"])
            need = self.chance.choice((0, new.held, self._number(9)))
            return ReplaceOrder(**target, target_valid_until_ms=0, new=new, mode=self.chance.randint(1, 2), need=need)
        if pick < 0.96:
            return AmendOrder(**target, qty=self._number(self.chance.randint(0, 9)), new_client_id="n")
        return self.chance.choice(
            (Tick(command_id=0, symbol_id=0), HaltMarket(command_id=1, symbol_id=1))
            + (OpenMarket(command_id=1, symbol_id=1),) * 4
        )

    def order(self, *, account: int = 0) -> PlaceOrder:
        """An order of any type, with the hold that it needs, or now and then half of it."""
        kind = self.chance.choice((LIMIT,) * 6 + (MARKET,) * 2 + tuple(TYPE_NAMES))
        return self._held(self._terms(kind, account or self.chance.choice(ACCOUNTS)))

    def _list(self) -> AnyCommand:
        """Two legs of one side, account and size; the hold of both stands on the first."""
        chance = self.chance
        stop = self._terms(chance.choice(tuple(sorted(STOP_TYPES))), chance.choice(ACCOUNTS))
        limit = self._terms(LIMIT_MAKER, stop.account, side=stop.side, qty=stop.qty)
        legs = [stop, limit] if chance.random() < 0.5 else [limit, stop]
        need = max(self._need(leg) for leg in legs)
        above, below = self._held(legs[0], need), self._held(legs[1], 0)
        return PlaceList(
            command_id=1, symbol_id=1, list_id=above.order_id, account=above.account, client_list_id="l", above=above,
            below=below,
        )  # fmt: skip

    def _terms(self, kind: int, account: int, **given: Any) -> PlaceOrder:
        chance = self.chance
        fields: dict[str, Any] = {"side": chance.choice((BUY, SELL)), "qty": chance.randint(1, 9)}
        if kind in PRICED_TYPES:
            fields |= {"price": chance.randint(97, 103), "iceberg_qty": chance.choice((0, 0, 0, 1, 3))}
        if kind in (LIMIT, *STOP_TYPES) and not given:
            fields["tif"] = chance.choice((1, 1, 1, 1, 2, 3))
        if kind in STOP_TYPES:
            fields |= {"stop_price": chance.choice((0, chance.randint(97, 103))), "trail_bps": 0}
            if not fields["stop_price"] or chance.random() < 0.2:
                fields["trail_bps"] = chance.choice((10, 100, 200))
        if kind == MARKET and chance.random() < 0.4:
            fields |= {"qty": 0, "quote_qty": chance.randint(1, 12 * 100 * BTCUSD.quote_unit)}
        for name in NUMBERS:
            if chance.random() < self.wildness:
                fields[name] = chance.choice(WILD)
        return PlaceOrder(
            command_id=1, symbol_id=1, order_id=0, account=account, client_order_id="c", type=kind,
            stp=chance.choice((0, 0, 1, 2, 3, 4)), maker_ppm=1000, taker_ppm=2000, **{**fields, **given},
        )  # fmt: skip

    def _number(self, tame: int) -> int:
        return self.chance.choice(WILD) if self.chance.random() < self.wildness else tame

    def _some_id(self) -> int:
        return max(1, self.next_id - self.chance.randint(-1, 25))

    def _need(self, order: PlaceOrder) -> int:
        need = need_of(order, BTCUSD, self.last_price or 100) or 0
        return need if 0 <= need < MOST_HELD else 0

    def _held(self, order: PlaceOrder, given: int | None = None) -> PlaceOrder:
        held = self._need(order) if given is None else given
        if self.chance.random() < 0.05:
            held //= 2
        order_id, self.next_id = self.next_id, self.next_id + 1
        return msgspec.structs.replace(
            order, order_id=order_id, held=held, intake_ms=START_MS, valid_until_ms=START_MS + 60_000
        )


class Ledger(PaperLedger):
    """Learns of the records as they are written."""

    def learn(self, record: Record) -> None:
        self._bounds |= {order.order_id: order.valid_until_ms for order in orders_in(record)}


class Room:
    """A session on paper, committed after every record and lot of stops, and restarted now and then."""

    def __init__(self, restarts: float) -> None:
        self.chance = Random(1)
        self.restarts = restarts
        self.records: list[Record] = []
        self.ledger = Ledger([])
        self.session = Session(self.ledger.load())
        self.send([SetInstrument(command_id=0, symbol_id=1, instrument=BTCUSD)])

    def send(self, commands: list[AnyCommand]) -> None:
        record = Record(0, len(self.records), START_MS + len(self.records), encode_frame(commands))
        self.records.append(record)
        self.ledger.learn(record)
        self.session.apply(record)
        self._commit(record)
        while self.session.backlog:
            self.session.resume()
            self._commit(record)

    def _commit(self, record: Record) -> None:
        self.ledger.commit(self.session.take()[0])
        if self.chance.random() < self.restarts:
            state = self.ledger.load()
            self.session = Session(state)
            self.session.check(state, record)

    def assert_sound(self) -> None:
        """Every trade sums to zero; what orders brought as holds is spent, given back, or still needed."""
        per_trade: Counter[tuple[int, int]] = Counter()
        held: Counter[tuple[int, int]] = Counter()
        for row in self.ledger.postings.values():
            per_trade[row.trade_id, row.asset_id] += row.free_delta + row.held_delta
            held[row.account_id, row.asset_id] += row.held_delta
        assert not any(per_trade.values())
        for order in self.ledger.orders.values():
            held[order.account_id, USD if order.side == BUY else BTC] += self.ledger.held[order.order_id] - order.held
            assert all(abs(number) <= LARGEST for number in order if isinstance(number, int)), order
        assert not any(held.values())


def play(seed: int, wildness: float, restarts: float = 0.1, commands: int = 120) -> Room:
    chance = Random(seed)
    villain, room = Villain(chance, wildness), Room(restarts)
    while commands > 0:
        frame = [villain.command() for _ in range(chance.choice((1, 1, 1, 2, 6)))]
        commands -= len(frame)
        room.send(frame)
        villain.last_price = room.ledger.symbols[1].last_price
    room.assert_sound()
    assert len(room.ledger.marked) == villain.next_id - 1 or (wildness and room.ledger.dead), (
        "each order has an outcome"
    )
    return room


@pytest.fixture(autouse=True)
def small_lots_of_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that work is left over after a few stops or fills, not after thousands."""
    monkeypatch.setattr(pit.Pit.__init__, "__kwdefaults__", {"max_fills": 6, "max_triggers": 2})


@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 32))
def test_no_command_of_a_trader_stops_the_engine_or_moves_money_astray(seed: int) -> None:
    play(seed, wildness=0)


@settings(max_examples=60)
@given(seed=st.integers(0, 1 << 32))
def test_no_number_stops_the_engine_or_moves_money_astray(seed: int) -> None:
    play(seed, wildness=0.03)


@settings(max_examples=40)
@given(seed=st.integers(0, 1 << 32))
def test_a_restart_between_two_lots_of_stops_changes_nothing(seed: int) -> None:
    assert play(seed, 0, restarts=0.5).ledger.contents() == play(seed, 0, restarts=0).ledger.contents()
