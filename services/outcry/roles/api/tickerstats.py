"""Price statistics over a window of time, summed from stored candles and kept for an instant."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeVar

from outcry.market.candles import DAY, HOUR, MINUTE, Bar, open_of
from outcry.ports import Clock, QueryLedger
from outcry.rows import TradeRow

MAX_AGE_MS: Final = 500  # how old a statistic may be
MAX_KEPT: Final = 4_096  # statistics kept; the least recently made goes first
PART_ROWS: Final = 256  # more candles than one part of a window has

T = TypeVar("T")


class Figures(NamedTuple):
    """One window. ``bar`` sums it: flat at the last price before it when nothing traded, 0 when nothing ever did."""

    bar: Bar
    before: int  # last price before the window, ticks; 0: none known
    open_ms: int
    close_ms: int


class TickerStatistics:
    """Statistics of all symbols; whoever asks for the same one within half a second shares the work."""

    def __init__(self, ledger: QueryLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._kept: OrderedDict[tuple[Any, ...], tuple[int, asyncio.Future[Any]]] = OrderedDict()

    async def rolling(self, symbol_id: int, length_ms: int) -> Figures:
        """The last ``length_ms``; it opens on the minute."""

        async def compute() -> Figures:
            now_ms = self._clock.now_ms()
            open_ms = open_of(MINUTE, now_ms - length_ms)
            return Figures(*await self._sum(symbol_id, open_ms, now_ms), open_ms, now_ms)

        return await self._fresh(("rolling", symbol_id, length_ms), compute)

    async def trading_day(self, symbol_id: int, shift_ms: int) -> Figures:
        """Today in a time zone that is ``shift_ms`` from UTC."""

        async def compute() -> Figures:
            now_ms = self._clock.now_ms()
            open_ms = open_of(DAY, now_ms, shift_ms)
            return Figures(*await self._sum(symbol_id, open_ms, now_ms), open_ms, open_ms + DAY - 1)

        return await self._fresh(("day", symbol_id, shift_ms), compute)

    async def last_trade(self, symbol_id: int) -> TradeRow | None:
        """The newest trade."""

        async def compute() -> TradeRow | None:
            trades = await self._ledger.trades(symbol_id, limit=1)
            return trades[-1] if trades else None

        return await self._fresh(("last", symbol_id), compute)

    async def _sum(self, symbol_id: int, open_ms: int, now_ms: int) -> tuple[Bar, int]:
        """All candles since the minute ``open_ms``: whole hours as hours, what is left of them as minutes."""
        ledger = self._ledger
        earlier = await ledger.candles(symbol_id, MINUTE, end_ms=open_ms - 1, limit=1)
        before = earlier[-1].close if earlier else 0
        hours_from, hours_to = open_of(HOUR, open_ms + HOUR - 1), open_of(HOUR, now_ms)
        if hours_from >= hours_to:
            rows = await ledger.candles(symbol_id, MINUTE, start_ms=open_ms, limit=PART_ROWS)
        else:
            rows = await ledger.candles(symbol_id, MINUTE, start_ms=open_ms, end_ms=hours_from - 1, limit=PART_ROWS)
            rows += await ledger.candles(symbol_id, HOUR, start_ms=hours_from, end_ms=hours_to - 1, limit=PART_ROWS)
            rows += await ledger.candles(symbol_id, MINUTE, start_ms=hours_to, limit=PART_ROWS)
        bar = Bar(open_ms, before or (rows[0].open if rows else 0))
        for row in rows:
            bar.absorb(row)
        return bar, before

    async def _fresh(self, key: tuple[Any, ...], compute: Callable[[], Awaitable[T]]) -> T:
        now_ms = self._clock.now_ms()
        made_ms, task = self._kept.get(key, (0, None))
        if task is None or not 0 <= now_ms - made_ms < MAX_AGE_MS:
            task = asyncio.ensure_future(compute())
            self._kept[key] = now_ms, task
            self._kept.move_to_end(key)
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return await asyncio.shield(task)
