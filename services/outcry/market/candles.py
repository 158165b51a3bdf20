"""Candles: trades summed over fixed stretches of time, and stretches summed over longer ones.

Prices are ticks, sizes lots, amounts quote minor units, times integer milliseconds. A candle is closed
when the log's time has passed its end; a stretch without trades has no row and is shown flat (``fill``).
"""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from outcry.market.terms import BUY
from outcry.rows import CandleRow

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY
MONTH: Final = 30 * DAY  # stands for the calendar month, whose length differs

# Binance's interval names (enums.md, "Kline/Candlestick chart intervals") and their lengths.
INTERVALS: Final[dict[str, int]] = {
    "1s": SECOND,
    "1m": MINUTE,
    "3m": 3 * MINUTE,
    "5m": 5 * MINUTE,
    "15m": 15 * MINUTE,
    "30m": 30 * MINUTE,
    "1h": HOUR,
    "2h": 2 * HOUR,
    "4h": 4 * HOUR,
    "6h": 6 * HOUR,
    "8h": 8 * HOUR,
    "12h": 12 * HOUR,
    "1d": DAY,
    "3d": 3 * DAY,
    "1w": WEEK,
    "1M": MONTH,
}
STORED: Final = (MINUTE, HOUR, DAY)  # what the ledger keeps
NO_TRADE: Final = -1  # first and last trade id of a candle without trades

_MONDAY: Final = 4 * DAY  # 1970-01-05, the first Monday of the epoch


class Print(Protocol):
    """A trade as a candle sees it; events.Traded and rows.TradeRow both are one."""

    @property
    def trade_id(self) -> int: ...
    @property
    def price(self) -> int: ...
    @property
    def qty(self) -> int: ...
    @property
    def amount(self) -> int: ...
    @property
    def taker_side(self) -> int: ...


class SymbolPrint(Print, Protocol):
    """A trade that names its symbol."""

    @property
    def symbol_id(self) -> int: ...


class Candles:
    """The newest candle of every symbol in each stored interval, fed by one partition's trades.

    ``rows`` are the newest stored candles, so that a restart goes on within a started candle.
    """

    def __init__(self, rows: Iterable[CandleRow] = ()) -> None:
        self._newest: dict[tuple[int, int], Bar] = {}
        for row in rows:
            self._newest[(row.symbol_id, row.interval_ms)] = Bar.of(row)
        self._minutes: dict[int, Bar] = {}  # trades since the last take, not yet in the stored candles
        self._closed: list[CandleRow] = []

    def trade(self, time_ms: int, traded: SymbolPrint) -> None:
        """Counts one trade at log time ``time_ms``, which never goes back."""
        open_ms = time_ms - time_ms % MINUTE
        bar = self._minutes.get(traded.symbol_id)
        if bar is None or bar.open_ms != open_ms:
            if bar is not None:
                self._closed += self._settle(traded.symbol_id, bar)
            bar = self._minutes[traded.symbol_id] = Bar(open_ms, traded.price)
        bar.add(traded)

    def take(self) -> list[CandleRow]:
        """The candles that changed since the last take, one row each, as they are now."""
        for symbol_id, bar in self._minutes.items():
            self._closed += self._settle(symbol_id, bar)
        latest = {(row.symbol_id, row.interval_ms, row.open_ms): row for row in self._closed}
        self._minutes.clear()
        self._closed.clear()
        return list(latest.values())

    def _settle(self, symbol_id: int, minute: "Bar") -> list[CandleRow]:
        rows = []
        for interval_ms in STORED:
            open_ms = minute.open_ms - minute.open_ms % interval_ms
            bar = self._newest.get((symbol_id, interval_ms))
            if bar is None or bar.open_ms < open_ms:
                bar = self._newest[(symbol_id, interval_ms)] = Bar(open_ms, minute.open)
            bar.absorb(minute)
            rows.append(bar.row(symbol_id, interval_ms))
        return rows


class Bar:
    """One candle that still grows; without trades it is flat at ``price``."""

    __slots__ = (
        "amount",
        "close",
        "first_trade",
        "high",
        "last_trade",
        "low",
        "open",
        "open_ms",
        "taker_buy_amount",
        "taker_buy_volume",
        "trades",
        "volume",
    )

    def __init__(self, open_ms: int, price: int) -> None:
        self.open_ms = open_ms
        self.open = self.high = self.low = self.close = price
        self.volume = self.amount = self.trades = 0
        self.taker_buy_volume = self.taker_buy_amount = 0
        self.first_trade = self.last_trade = NO_TRADE

    @classmethod
    def of(cls, row: CandleRow) -> "Bar":
        """The bar that goes on where a stored candle stands."""
        bar = cls(row.open_ms, row.open)
        bar.high, bar.low, bar.close = row.high, row.low, row.close
        bar.volume, bar.amount, bar.trades = row.volume, row.amount, row.trades
        bar.taker_buy_volume, bar.taker_buy_amount = row.taker_buy_volume, row.taker_buy_amount
        bar.first_trade, bar.last_trade = row.first_trade, row.last_trade
        return bar

    def add(self, traded: Print) -> None:
        """Counts one trade, later than all before it."""
        price = traded.price
        if self.first_trade == NO_TRADE:
            self.first_trade = traded.trade_id
        self.last_trade = traded.trade_id
        if not self.trades:
            self.open = self.high = self.low = price
        elif price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.trades += 1
        self.volume += traded.qty
        self.amount += traded.amount
        if traded.taker_side == BUY:
            self.taker_buy_volume += traded.qty
            self.taker_buy_amount += traded.amount

    def absorb(self, later: "Bar | CandleRow") -> None:
        """Counts all of a candle that follows the trades counted so far."""
        if not later.trades:
            return
        if not self.trades:
            self.open, self.high, self.low = later.open, later.high, later.low
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        if self.first_trade == NO_TRADE:
            self.first_trade = later.first_trade
        self.last_trade = max(self.last_trade, later.last_trade)
        self.trades += later.trades
        self.volume += later.volume
        self.amount += later.amount
        self.taker_buy_volume += later.taker_buy_volume
        self.taker_buy_amount += later.taker_buy_amount

    def row(self, symbol_id: int, interval_ms: int) -> CandleRow:
        """The candle as it is now."""
        return CandleRow(
            symbol_id,
            interval_ms,
            self.open_ms,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            self.amount,
            self.trades,
            self.taker_buy_volume,
            self.taker_buy_amount,
            self.first_trade,
            self.last_trade,
        )


def open_of(interval_ms: int, time_ms: int, shift_ms: int = 0) -> int:
    """When the candle around ``time_ms`` opens.

    Weeks begin on Monday, months on their first day; ``shift_ms`` is the distance of the wanted time
    zone from UTC, as Binance's ``timeZone`` parameter moves the boundaries.
    """
    local = time_ms + shift_ms
    if interval_ms == MONTH:
        return _month_start(local // DAY) * DAY - shift_ms
    if interval_ms == WEEK:
        return local - (local - _MONDAY) % WEEK - shift_ms
    return local - local % interval_ms - shift_ms


def next_open(interval_ms: int, open_ms: int, shift_ms: int = 0) -> int:
    """When the candle after the one that opens at ``open_ms`` opens; one millisecond after its close."""
    if interval_ms == MONTH:
        return open_of(MONTH, open_ms + 31 * DAY, shift_ms)
    return open_ms + interval_ms


def source_of(interval_ms: int, shift_ms: int = 0) -> int:
    """The longest stored interval that candles of ``interval_ms`` can be merged from; 0: only from trades."""
    for stored in reversed(STORED):
        if interval_ms % stored == 0 and shift_ms % stored == 0:
            return stored
    return 0


def merge(rows: Iterable[CandleRow], interval_ms: int, shift_ms: int = 0) -> list[CandleRow]:
    """Sums one symbol's shorter candles, oldest first, into those of ``interval_ms``; gaps stay gaps."""
    merged: list[CandleRow] = []
    bar: Bar | None = None
    symbol_id = 0
    for row in rows:
        open_ms = open_of(interval_ms, row.open_ms, shift_ms)
        if bar is not None and bar.open_ms != open_ms:
            merged.append(bar.row(symbol_id, interval_ms))
            bar = None
        if bar is None:
            bar, symbol_id = Bar(open_ms, row.open), row.symbol_id
        bar.absorb(row)
    if bar is not None:
        merged.append(bar.row(symbol_id, interval_ms))
    return merged


def fill(rows: Sequence[CandleRow], end_ms: int, shift_ms: int = 0) -> list[CandleRow]:
    """The same candles with a flat one for every stretch without trades, up to the one around ``end_ms``.

    A flat candle stands at the close before it. The caller bounds the span.
    """
    filled: list[CandleRow] = []
    for row in rows:
        if filled:
            filled += _flats(filled[-1], row.open_ms, shift_ms)
        filled.append(row)
    if filled:
        filled += _flats(filled[-1], end_ms + 1, shift_ms)
    return filled


def flat(before: CandleRow, open_ms: int) -> CandleRow:
    """A candle without trades, standing at the close of the one before it."""
    return Bar(open_ms, before.close).row(before.symbol_id, before.interval_ms)


def _flats(before: CandleRow, until_ms: int, shift_ms: int) -> list[CandleRow]:
    flats = []
    open_ms = next_open(before.interval_ms, before.open_ms, shift_ms)
    while open_ms < until_ms:
        flats.append(flat(before, open_ms))
        open_ms = next_open(before.interval_ms, open_ms, shift_ms)
    return flats


def _month_start(day: int) -> int:
    """The first day of the month of ``day``, both counted from 1970-01-01 in the Gregorian calendar.

    Years are counted from 1 March, so that a leap day comes last: months then follow the 153-day
    pattern of five months, and 719,468 days lie between 0000-03-01 and the epoch.
    """
    of_cycle = (day + 719_468) % 146_097  # days within 400 years
    year = (of_cycle - of_cycle // 1_460 + of_cycle // 36_524 - of_cycle // 146_096) // 365
    of_year = of_cycle - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    return day - (of_year - (153 * month + 2) // 5)
