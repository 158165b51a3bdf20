"""Candles as they grow: one tape per kline stream, begun from the ledger and fed by trades."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from outcry.market.candles import INTERVALS, SECOND, Bar, next_open, open_of
from outcry.market.instrument import Instrument
from outcry.roles.stream.payloads import Payload, kline
from outcry.rows import CandleRow, TradeRow

QUIET_MS: Final = 1_000  # a candle closes this long after its end even if nothing happens
MAX_WAITING_TRADES: Final = 50_000  # trades kept while the ledger is read; older ones are dropped
MAX_CLOSED: Final = 100  # closed candles waiting for the next beat; older ones are dropped

Waiting = deque[TradeRow]


class KlineTape:
    """One symbol's current candle of one interval; ``ready`` once the ledger's part is in."""

    def __init__(self, interval: str, shift_ms: int = 0) -> None:
        self.interval = interval
        self.length_ms = INTERVALS[interval]
        self.shift_ms = shift_ms
        self.ready = False
        self._bar = Bar(0, 0)
        self._end_ms = 0  # when the next candle opens
        self._closed: deque[tuple[Bar, int]] = deque(maxlen=MAX_CLOSED)
        self._waiting: Waiting = deque(maxlen=MAX_WAITING_TRADES)

    def opens(self, now_ms: int) -> int:
        """When the candle around a time opens."""
        return open_of(self.length_ms, now_ms, self.shift_ms)

    def begin(self, now_ms: int, price: int, rows: Iterable[CandleRow | TradeRow]) -> None:
        """Starts from what the ledger knows of the current candle, oldest first; ``price`` is the last before it."""
        self._open(self.opens(now_ms), price)
        for row in rows:
            if isinstance(row, CandleRow):
                self._bar.absorb(row)
            else:
                self._bar.add(row)
        self.ready = True
        counted = self._bar.last_trade
        while self._waiting:
            trade = self._waiting.popleft()
            if trade.trade_id > counted and trade.time_ms >= self._bar.open_ms:
                self._add(trade)

    def count(self, trades: Sequence[TradeRow]) -> None:
        """Counts new trades, each at its own log time."""
        for trade in trades:
            if self.ready:
                self._add(trade)
            else:
                self._waiting.append(trade)

    def closed(self, instrument: Instrument, log_ms: int, now_ms: int) -> list[Payload]:
        """Candles that have ended since the last call, as seen at log time ``log_ms``."""
        if not self.ready:
            return []
        if log_ms >= self._end_ms or now_ms >= self._end_ms + QUIET_MS:
            self._roll(max(log_ms, now_ms - QUIET_MS))
        ended, self._closed = self._closed, deque(maxlen=MAX_CLOSED)
        return [
            kline(instrument, now_ms, self.interval, bar, close_ms=end_ms - 1, closed=True) for bar, end_ms in ended
        ]

    def current(self, instrument: Instrument, now_ms: int) -> Payload:
        """The candle that still grows."""
        return kline(instrument, now_ms, self.interval, self._bar, close_ms=self._end_ms - 1, closed=False)

    def due(self, beat_ms: int) -> bool:
        """Whether the growing candle is told at this full second: each for 1s, every other one else."""
        return self.ready and (self.length_ms == SECOND or beat_ms % (2 * SECOND) == 0)

    def _add(self, trade: TradeRow) -> None:
        if trade.time_ms >= self._end_ms:
            self._roll(trade.time_ms)
        self._bar.add(trade)

    def _roll(self, until_ms: int) -> None:
        last_open = self.opens(until_ms)
        steps = 0
        while self._bar.open_ms < last_open:
            self._closed.append((self._bar, self._end_ms))
            steps += 1
            self._open(self._end_ms if steps < MAX_CLOSED else last_open, self._bar.close)

    def _open(self, open_ms: int, price: int) -> None:
        self._bar = Bar(open_ms, price)
        self._end_ms = next_open(self.length_ms, open_ms, self.shift_ms)
