"""Retention takes trades away, and what they came to stays: a position is the same before and after."""

from random import Random

import msgspec
import pytest

from outcry.adapters.postgres import retention
from outcry.adapters.sqlite import housekeeping
from outcry.market.instrument import Instrument
from outcry.market.portfolio import Position, count_trade
from outcry.rows import SymbolRow, TradeRow
from tests.support.prints import BTCUSD
from tests.support.storage import ALICE, BOB, START_MS, Storage, trade_row

ETHUSD = msgspec.structs.replace(BTCUSD, symbol_id=2, symbol="ETHUSD", base="ETH", base_asset=3, lot_size=100)
CAROL = 1003
ACCOUNTS = (ALICE, BOB, CAROL)
KEEP = START_MS + 10**9  # everything is older
RECORDS = 20


async def trading_day(storage: Storage, seed: int) -> list[TradeRow]:
    """Random trades between three accounts in two symbols, some with oneself, a few in each record."""
    chance, made, numbers = Random(seed), [], {1: 0, 2: 0}
    await storage.own(0)
    symbols = [
        SymbolRow(each.symbol_id, 0, 0, 0, 0, 0, 0, 0, 0, msgspec.msgpack.encode(each), b"")
        for each in (BTCUSD, ETHUSD)
    ]
    for offset in range(RECORDS):
        trades = []
        for _ in range(chance.randrange(4)):
            symbol_id = chance.choice((1, 2))
            numbers[symbol_id] += 1
            qty, price = chance.randrange(1, 50), chance.randrange(1, 900)
            trades.append(
                trade_row(
                    numbers[symbol_id], symbol_id=symbol_id, log_offset=offset, time_ms=storage.clock.ms, price=price,
                    qty=qty, amount=price * qty * 7, taker_side=chance.choice((1, -1)),
                    maker_account=chance.choice(ACCOUNTS), taker_account=chance.choice(ACCOUNTS),
                    maker_fee=chance.randrange(3), taker_fee=chance.randrange(3),
                )
            )  # fmt: skip
        await storage.journal.append([(0, b"record")])
        await storage.commit(storage.batch(symbols=symbols, trades=trades))
        storage.clock.ms += 1
        made += trades
    await storage.ledger.fold([0])
    return made


async def position(storage: Storage, account: int, instrument: Instrument) -> Position:
    """As a process that has just begun makes it out."""
    opening, trades = await storage.ledger.carried_fills(account, instrument.symbol_id, from_id=0, limit=1000)
    made = Position() if opening is None else Position.of(opening)
    for trade in trades:
        assert opening is None or trade.trade_id >= opening.next_trade
        count_trade(made, trade, account, instrument)
    return made


def told(position: Position) -> tuple[int, ...]:
    return position.opening(0, 0, 0)[3:]


async def positions(storage: Storage) -> list[tuple[int, ...]]:
    return [
        told(await position(storage, account, instrument)) for account in ACCOUNTS for instrument in (BTCUSD, ETHUSD)
    ]


@pytest.mark.parametrize("seed", range(5))
async def test_positions_are_the_same_wherever_retention_has_cut(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    for adapter in (housekeeping, retention):
        monkeypatch.setattr(adapter, "RETAIN_TRADES", 3)
    made = await trading_day(storage, seed)
    before = await positions(storage)
    assert any(any(each) for each in before)
    for keep_offset in (0, 1, 7, 8, 15, RECORDS):
        await storage.ledger.retain(0, KEEP, keep_offset)
        left = [trade for symbol in (1, 2) for trade in await storage.ledger.trades(symbol, from_id=0)]
        assert len(left) == len([trade for trade in made if trade.log_offset >= keep_offset])
        assert await positions(storage) == before
    assert left == []


async def test_what_all_accounts_came_to_is_what_the_venue_took(storage: Storage) -> None:
    made = await trading_day(storage, 11)
    await storage.ledger.retain(0, KEEP, RECORDS)
    for instrument in (BTCUSD, ETHUSD):
        held = [await position(storage, account, instrument) for account in ACCOUNTS]
        assert sum(each.qty + each.base_fees for each in held) == 0
        assert sum(each.cost - each.realised - each.quote_fees for each in held) == 0
        sides = [trade for trade in made if trade.symbol_id == instrument.symbol_id for _ in (0, 1)]
        assert sum(each.fills for each in held) == len(sides)


async def test_sums_beyond_what_a_column_holds_are_kept(storage: Storage) -> None:
    await storage.own(0)
    symbol = SymbolRow(1, 0, 0, 0, 0, 0, 0, 0, 0, msgspec.msgpack.encode(BTCUSD), b"")
    for offset in range(2):
        await storage.journal.append([(0, b"record")])
        trades = [trade_row(n + 4 * offset, log_offset=offset, amount=1 << 62) for n in range(1, 5)]
        await storage.commit(storage.batch(symbols=[symbol], trades=trades))
        storage.clock.ms += 1
        await storage.ledger.fold([0])
        await storage.ledger.retain(0, KEEP, offset + 1)
        assert (await position(storage, ALICE, BTCUSD)).cost == (offset + 1) << 64
