"""Candles of a past that never was, so that charts and bots have something to look back on."""

from random import Random
from typing import Final

from outcry.agents.drift import step_of
from outcry.market.candles import DAY, HOUR, MINUTE, NO_TRADE, merge
from outcry.market.instrument import Instrument
from outcry.market.terms import MINOR_UNITS
from outcry.rows import CandleRow

HOURS_BACK_DAYS: Final = 60
DAYS_BACK: Final = 365
TURNOVER: Final = 3_000 * MINOR_UNITS  # quote money of one trade, about
TRADES_PER_MINUTE: Final = 12


class Past:
    """Makes one symbol's candles from the newest back, so that they end at a wanted price."""

    def __init__(self, instrument: Instrument, rng: Random) -> None:
        self._instrument = instrument
        self._rng = rng

    def candles(self, close: int, now_ms: int, minute_hours: int) -> list[CandleRow]:
        """Candles of 1 m (``minute_hours`` back), 1 h (60 days) and 1 d (a year) that end before the current minute.

        The newest closes at ``close`` ticks. An hour is the sum of its minutes where there are minutes, a day
        that of its hours.
        """
        first_minute = now_ms - now_ms % HOUR - minute_hours * HOUR
        first_hour = now_ms - now_ms % DAY - HOURS_BACK_DAYS * DAY
        first_day = now_ms - now_ms % DAY - DAYS_BACK * DAY
        minutes = self._stretch(close, MINUTE, range(first_minute, now_ms - now_ms % MINUTE, MINUTE))
        close = minutes[0].open if minutes else close
        hours = self._stretch(close, HOUR, range(first_hour, first_minute, HOUR))
        close = hours[0].open if hours else close
        hours += merge(minutes, HOUR)
        days = self._stretch(close, DAY, range(first_day, first_hour, DAY))
        return minutes + hours + days + merge(hours, DAY)

    def _stretch(self, close: int, span_ms: int, opens: range) -> list[CandleRow]:
        """Candles of one length, oldest first: each opens where the one before closed."""
        rows = []
        for open_ms in reversed(opens):
            row = self._candle(close, open_ms, span_ms)
            rows.append(row)
            close = row.open
        rows.reverse()
        return rows

    def _candle(self, close: int, open_ms: int, span_ms: int) -> CandleRow:
        instrument, rng = self._instrument, self._rng
        start = min(max(close - step_of(close, span_ms, rng), instrument.min_price), instrument.max_price)
        high = min(max(start, close) + abs(step_of(close, span_ms, rng)) // 3, instrument.max_price)
        low = max(min(start, close) - abs(step_of(close, span_ms, rng)) // 3, instrument.min_price)
        trades = rng.randint(TRADES_PER_MINUTE // 2, TRADES_PER_MINUTE * 3 // 2) * (span_ms // MINUTE)
        volume = max(trades * TURNOVER * rng.randint(50, 150) // (100 * close * instrument.quote_unit), 1)
        amount = (start + high + low + close) * volume * instrument.quote_unit // 4
        bought = volume * rng.randint(40, 60) // 100
        first = last = NO_TRADE
        ohlc = (start, high, low, close)
        taken = (bought, amount * bought // volume)
        return CandleRow(instrument.symbol_id, span_ms, open_ms, *ohlc, volume, amount, trades, *taken, first, last)
