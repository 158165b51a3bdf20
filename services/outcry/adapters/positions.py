"""What trades that retention deletes had come to for their accounts: positions go on from there."""

from collections.abc import Mapping, Sequence

import msgspec

from outcry.market.instrument import Instrument
from outcry.market.portfolio import Position, count_trade
from outcry.rows import OpeningRow, TradeRow

decode_instrument = msgspec.msgpack.Decoder(Instrument).decode


def accounts_of(trades: Sequence[TradeRow]) -> list[int]:
    """Everybody who had a side of the trades."""
    return sorted({account for trade in trades for account in (trade.maker_account, trade.taker_account)})


def counted_in(trades: Sequence[TradeRow], instrument: Instrument, kept: Mapping[int, OpeningRow]) -> list[OpeningRow]:
    """The openings of all accounts of a symbol's oldest trades, in order; ``kept`` are those before, by account."""
    accounts = accounts_of(trades)
    positions = {account: Position.of(kept[account]) if account in kept else Position() for account in accounts}
    next_trades: dict[int, int] = {}
    for trade in trades:
        for account in dict.fromkeys((trade.maker_account, trade.taker_account)):
            count_trade(positions[account], trade, account, instrument)
            next_trades[account] = trade.trade_id + 1
    return [positions[account].opening(account, instrument.symbol_id, next_trades[account]) for account in accounts]
