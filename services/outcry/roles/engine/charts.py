"""The candles that a replay makes beside the stored ones; those back-filled before the first trade are left out."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from outcry.market.candles import DAY, HOUR, MINUTE, NO_TRADE, STORED, Bar, merge, open_of
from outcry.rows import CandleRow

Key = tuple[int, int]  # symbol id, interval in ms


class Pair(NamedTuple):
    """Candles as the log makes them and as the ledger has them: both must be the same."""

    replayed: list[CandleRow]
    stored: list[CandleRow]


class CandleLedger(Protocol):
    """What is read of stored candles."""

    async def candles(
        self, symbol_id: int, interval_ms: int, *, start_ms: int | None = None, end_ms: int | None = None,
        limit: int = 500,
    ) -> list[CandleRow]: ...  # fmt: skip


class Charts:
    """A candle is final, and compared, when a later one of its interval has begun; ``finish`` compares the newest."""

    def __init__(self, ledger: CandleLedger, newest: Iterable[CandleRow]) -> None:
        self._ledger = ledger
        self._newest: dict[Key, CandleRow] = {(row.symbol_id, row.interval_ms): row for row in newest}
        self._compared_ms = {key: row.open_ms - 1 for key, row in self._newest.items()}  # up to here
        self._past: dict[Key, CandleRow] = {}  # back-filled beginnings of first candles

    async def add(self, candles: Sequence[CandleRow]) -> list[Pair]:
        """Takes the candles that a batch changed; gives those that it closed."""
        closed: dict[Key, list[CandleRow]] = {}
        for row in candles:
            key = (row.symbol_id, row.interval_ms)
            if key not in self._newest:
                await self._begin(row)
            before = self._newest.get(key)
            if before is not None and before.open_ms < row.open_ms:
                closed.setdefault(key, []).append(before)
            self._newest[key] = _after(self._past.get(key), row)
        return [await self._pair(key, rows, rows[-1].open_ms) for key, rows in closed.items()]

    async def finish(self, symbol_ids: Iterable[int], end: Iterable[CandleRow]) -> list[Pair]:
        """The newest candles as of the replay's end, and what lies before them and was never compared."""
        stored = {(row.symbol_id, row.interval_ms): row for row in end}
        pairs = []
        for symbol_id in symbol_ids:
            for key in ((symbol_id, interval_ms) for interval_ms in STORED):
                mine, theirs = self._newest.get(key), stored.get(key)
                if mine is not None:
                    pairs.append(await self._pair(key, [], mine.open_ms - 1))
                    pairs.append(Pair([mine], [theirs] if theirs else []))
                elif theirs is not None and theirs.first_trade != NO_TRADE:
                    pairs.append(Pair([], [theirs]))
        return pairs

    async def _pair(self, key: Key, rows: list[CandleRow], until_ms: int) -> Pair:
        """What is stored after the last comparison, up to a time."""
        since_ms, self._compared_ms[key] = self._compared_ms[key] + 1, until_ms
        if until_ms < since_ms:
            return Pair(rows, [])
        stored = await self._ledger.candles(*key, start_ms=since_ms, end_ms=until_ms, limit=len(rows) + 1)
        return Pair(rows, stored)

    async def _begin(self, first: CandleRow) -> None:
        """A symbol's first trade: its hour and day may have begun with back-filled candles, which hold no trade."""
        symbol_id, interval_ms, open_ms = first[:3]
        self._compared_ms[symbol_id, interval_ms] = open_ms - 1
        if interval_ms != MINUTE:
            return
        hour_ms, day_ms = open_of(HOUR, open_ms), open_of(DAY, open_ms)
        minutes = await self._back_filled((symbol_id, MINUTE), hour_ms, open_ms)
        hours = await self._back_filled((symbol_id, HOUR), day_ms, hour_ms)
        begun = merge(minutes, HOUR)
        for row in (*begun, *merge([*hours, *begun], DAY)):
            self._past[symbol_id, row.interval_ms] = row

    async def _back_filled(self, key: Key, since_ms: int, before_ms: int) -> list[CandleRow]:
        limit = (before_ms - since_ms) // key[1]
        if not limit:
            return []
        rows = await self._ledger.candles(*key, start_ms=since_ms, end_ms=before_ms - 1, limit=limit)
        return [row for row in rows if row.first_trade == NO_TRADE]


def _after(past: CandleRow | None, row: CandleRow) -> CandleRow:
    """The candle, behind what was back-filled of it."""
    if past is None or past.open_ms != row.open_ms:
        return row
    bar = Bar.of(past)
    bar.absorb(row)
    return bar.row(row.symbol_id, row.interval_ms)
