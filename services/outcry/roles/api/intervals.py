"""Spans of time as clients name them: kline intervals, time zones, ticker windows, time ranges of a query."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from outcry.market.candles import DAY, HOUR, MINUTE, MONTH, next_open, open_of
from outcry.roles.api.errors import Refusal

MAX_HISTORY_MS: Final = DAY  # between startTime and endTime of an account's history
WESTMOST, EASTMOST = -12 * HOUR, 14 * HOUR

# Ticker windows by name: 1m to 59m, 1h to 23h, 1d to 7d (rest-api.md, "Rolling window price change statistics").
WINDOWS: Final = (
    {f"{n}m": n * MINUTE for n in range(1, 60)}
    | {f"{n}h": n * HOUR for n in range(1, 24)}
    | {f"{n}d": n * DAY for n in range(1, 8)}
)

_ZONE = re.compile(r"([+\- ]?)([0-9]{1,2})(?::([0-5][0-9]))?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which candles are wanted: at most ``limit``, from ``start_ms`` on (None: the newest), opened by ``end_ms``."""

    interval_ms: int
    end_ms: int
    limit: int
    start_ms: int | None = None
    shift_ms: int = 0

    def opens(self, since_ms: int = 0) -> tuple[int, int]:
        """When the first and the last candle open where trading began at ``since_ms``; first > last: there is none."""
        last = self.open_of(self.end_ms)
        if self.start_ms is None:
            first = max(self._earlier(last, self.limit - 1), self.open_of(since_ms))
            return first, last
        first = self.open_of(max(self.start_ms, since_ms))
        if first < self.start_ms:
            first = self.next(first)
        return first, min(self._later(first, self.limit - 1), last)

    def open_of(self, time_ms: int) -> int:
        """When the candle around a time opens."""
        return open_of(self.interval_ms, time_ms, self.shift_ms)

    def next(self, open_ms: int) -> int:
        """When the candle after one opens."""
        return next_open(self.interval_ms, open_ms, self.shift_ms)

    def _earlier(self, open_ms: int, candles: int) -> int:
        if self.interval_ms != MONTH:
            return open_ms - candles * self.interval_ms
        for _ in range(candles):
            open_ms = self.open_of(open_ms - 1)
        return open_ms

    def _later(self, open_ms: int, candles: int) -> int:
        if self.interval_ms != MONTH:
            return open_ms + candles * self.interval_ms
        for _ in range(candles):
            open_ms = self.next(open_ms)
        return open_ms


def shift_of(time_zone: str) -> int:
    """The distance of a time zone (``-1:00``, ``05:45``, ``8``) from UTC in milliseconds. Raises Refusal -1130."""
    match = _ZONE.fullmatch(time_zone)
    shift_ms = WESTMOST - 1
    if match is not None:
        shift_ms = int(match[2]) * HOUR + int(match[3] or 0) * MINUTE
        shift_ms = -shift_ms if match[1] == "-" else shift_ms
    if not WESTMOST <= shift_ms <= EASTMOST:
        raise Refusal(-1130, "Data sent for parameter 'timeZone' is not valid.")
    return shift_ms


def refuse_wide_history(params: Mapping[str, Any]) -> None:
    """Raises Refusal -1127 where startTime and endTime are more than a day apart."""
    start_ms, end_ms = params.get("startTime"), params.get("endTime")
    if start_ms is not None and end_ms is not None and end_ms - start_ms > MAX_HISTORY_MS:
        raise Refusal(-1127, "More than 24 hours between startTime and endTime.")


def refuse_together(params: Mapping[str, Any], name: str, *others: str) -> None:
    """Raises Refusal -1128 where a parameter came together with one that excludes it."""
    if name in params and any(other in params for other in others):
        raise Refusal(-1128, "Combination of optional parameters invalid.")
