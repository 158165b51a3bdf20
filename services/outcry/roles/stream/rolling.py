"""One symbol's rolling statistics: a day of minutes, begun from the ledger and fed by trades."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from outcry.market.candles import DAY, MINUTE, Bar
from outcry.roles.stream.klines import MAX_WAITING_TRADES, Waiting
from outcry.rows import CandleRow, TradeRow

DAY_MINUTES: Final = DAY // MINUTE
AVERAGE_MS: Final = 5 * MINUTE


class Rolling:
    """Minutes with trades of the last 24 hours; ``ready`` once the ledger's part is in."""

    def __init__(self) -> None:
        self.ready = False
        self.last_qty = 0  # lots of the last trade
        self.last_trade_ms = 0
        self._before = 0  # close before the oldest minute, ticks
        self._minutes: deque[Bar] = deque(maxlen=DAY_MINUTES + 2)
        self._waiting: Waiting = deque(maxlen=MAX_WAITING_TRADES)
        self._sums: dict[int, tuple[int, Bar, int]] = {}  # by window: when it was summed, closed minutes, price before

    def begin(self, before: int, rows: Iterable[CandleRow], last: tuple[int, int]) -> None:
        """Starts from the ledger's minutes, oldest first.

        ``before`` is the price that held before them, ``last`` the time and lots of the last trade.
        """
        self._before = before
        self._minutes.extend(Bar.of(row) for row in rows)
        self.last_trade_ms, self.last_qty = last
        self.ready = True
        counted = self._minutes[-1].last_trade if self._minutes else 0
        while self._waiting:
            trade = self._waiting.popleft()
            if trade.trade_id > counted:
                self._add(trade)

    def count(self, trades: Sequence[TradeRow]) -> None:
        """Counts new trades, each at its own log time."""
        for trade in trades:
            if self.ready:
                self._add(trade)
            else:
                self._waiting.append(trade)

    def window(self, length_ms: int, now_ms: int) -> tuple[Bar, int]:
        """All trades since the minute in which the window begins, and the last price before them.

        The bar opens with that minute; without trades it is flat at the last price.
        """
        open_ms = (now_ms - length_ms) // MINUTE * MINUTE
        minute_ms = now_ms - now_ms % MINUTE
        self._forget(now_ms)
        known = self._sums.get(length_ms)
        if known is None or known[0] != minute_ms:
            known = self._sums[length_ms] = (minute_ms, *self._sum(open_ms, minute_ms))
        bar = _copy(known[1])
        for latest in self._from(minute_ms):
            bar.absorb(latest)
        return bar, known[2]

    def average(self, now_ms: int) -> tuple[int, int, int]:
        """Quote minor units and lots traded in the last five minutes, and the last price in ticks."""
        bar, _ = self.window(AVERAGE_MS, now_ms)
        return bar.amount, bar.volume, bar.close

    def _add(self, trade: TradeRow) -> None:
        open_ms = trade.time_ms - trade.time_ms % MINUTE
        if not self._minutes or self._minutes[-1].open_ms < open_ms:
            self._minutes.append(Bar(open_ms, trade.price))
        elif self._minutes[-1].open_ms > open_ms:
            self._sums.clear()
        self._minutes[-1].add(trade)
        self.last_qty, self.last_trade_ms = trade.qty, trade.time_ms

    def _forget(self, now_ms: int) -> None:
        oldest = (now_ms - DAY) // MINUTE * MINUTE
        while self._minutes and self._minutes[0].open_ms < oldest:
            self._before = self._minutes.popleft().close

    def _sum(self, open_ms: int, until_ms: int) -> tuple[Bar, int]:
        before = self._price_at(open_ms)
        bar = Bar(open_ms, before)
        for minute in self._minutes:
            if open_ms <= minute.open_ms < until_ms:
                bar.absorb(minute)
        return bar, before

    def _from(self, open_ms: int) -> list[Bar]:
        latest = []
        for minute in reversed(self._minutes):
            if minute.open_ms < open_ms:
                break
            latest.append(minute)
        return latest[::-1]

    def _price_at(self, open_ms: int) -> int:
        """The last price before a minute; of a market's first minute, its open."""
        before = self._before
        for minute in self._minutes:
            if minute.open_ms >= open_ms:
                return before or minute.open
            before = minute.close
        return before


def _copy(bar: Bar) -> Bar:
    """A bar that may grow on its own."""
    copy = Bar(bar.open_ms, bar.open)
    copy.absorb(bar)
    copy.close = bar.close
    return copy
