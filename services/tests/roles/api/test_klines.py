"""Candles as clients read them: every interval from what is stored, without gaps, in any time zone."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from outcry.market.candles import DAY, HOUR, MINUTE, MONTH, Bar, Candles
from outcry.roles.api import klines as klines_module
from outcry.rows import CandleRow
from tests.support.reads import Reads, reading


@pytest.fixture
async def reads(tmp_path: Path) -> AsyncIterator[Reads]:
    async with reading(tmp_path) as running:
        yield running


async def klines(reads: Reads, interval: str, **params: Any) -> list[list[Any]]:
    rows: list[list[Any]] = await reads.get("/api/v3/klines", symbol="BTCUSD", interval=interval, **params)
    return rows


def stored(interval_ms: int, open_ms: int, price: int) -> CandleRow:
    bar = Bar(open_ms, price)
    bar.volume = bar.trades = 1
    bar.amount = price * 10
    return bar.row(1, interval_ms)


async def test_a_market_that_never_traded_has_no_candles(reads: Reads) -> None:
    for interval in ("1s", "1m", "1M"):
        assert await klines(reads, interval) == []


async def test_a_candle_has_twelve_columns_of_which_numbers_are_strings(reads: Reads) -> None:
    minute = reads.now_ms // MINUTE * MINUTE
    await reads.print(minute + 1, 6_000_000, 100)
    await reads.print(minute + 2, 6_000_100, 50, taker_side=-1)
    assert await klines(reads, "1m") == [
        [
            minute, "60000.00000000", "60001.00000000", "60000.00000000", "60001.00000000", "0.00150000",
            minute + MINUTE - 1, "90.00050000", 2, "0.00100000", "60.00000000", "0",
        ]
    ]  # fmt: skip


async def test_minutes_without_trades_are_flat_since_the_first_trade(reads: Reads) -> None:
    minute = reads.now_ms // MINUTE * MINUTE
    await reads.print(minute - 4 * MINUTE, 100)
    await reads.print(minute - 2 * MINUTE, 300)
    rows = await klines(reads, "1m")
    assert [row[0] for row in rows] == [minute + n * MINUTE for n in (-4, -3, -2, -1, 0)]
    assert [row[4] for row in rows] == ["1.00000000", "1.00000000", "3.00000000", "3.00000000", "3.00000000"]
    assert [row[8] for row in rows] == [1, 0, 1, 0, 0]


async def test_a_start_within_a_gap_is_flat_at_the_price_before_it(reads: Reads) -> None:
    minute = reads.now_ms // MINUTE * MINUTE
    await reads.print(minute - 9 * MINUTE, 100)
    await reads.print(minute - MINUTE, 300)
    rows = await klines(reads, "1m", startTime=minute - 5 * MINUTE, limit=2)
    assert [(row[0], row[1]) for row in rows] == [
        (minute - 5 * MINUTE, "1.00000000"), (minute - 4 * MINUTE, "1.00000000"),
    ]  # fmt: skip


async def test_a_start_before_all_trades_begins_with_the_first(reads: Reads) -> None:
    minute = reads.now_ms // MINUTE * MINUTE
    await reads.print(minute - 3 * MINUTE, 100)
    rows = await klines(reads, "1m", startTime=0, limit=2)
    assert [row[0] for row in rows] == [minute - 3 * MINUTE, minute - 2 * MINUTE]


async def test_start_and_end_are_opening_times_and_both_included(reads: Reads) -> None:
    minute = reads.now_ms // MINUTE * MINUTE
    await reads.print(minute - 9 * MINUTE, 100)
    span = {"startTime": minute - 6 * MINUTE, "endTime": minute - 4 * MINUTE}
    assert [row[0] for row in await klines(reads, "1m", **span)] == [minute - n * MINUTE for n in (6, 5, 4)]
    later = {"startTime": minute - 6 * MINUTE + 1, "endTime": minute - 4 * MINUTE}
    assert [row[0] for row in await klines(reads, "1m", **later)] == [minute - n * MINUTE for n in (5, 4)]


async def test_an_end_alone_gives_the_newest_before_it(reads: Reads) -> None:
    minute = reads.now_ms // MINUTE * MINUTE
    await reads.print(minute - 9 * MINUTE, 100)
    rows = await klines(reads, "1m", endTime=minute - 2 * MINUTE, limit=3)
    assert [row[0] for row in rows] == [minute - n * MINUTE for n in (4, 3, 2)]


async def test_an_end_before_the_start_or_all_trades_gives_nothing(reads: Reads) -> None:
    await reads.print(reads.now_ms, 100)
    assert await klines(reads, "1m", startTime=reads.now_ms, endTime=reads.now_ms - HOUR) == []
    assert await klines(reads, "1m", endTime=5) == []
    assert await klines(reads, "1m", startTime=reads.now_ms + HOUR) == []


@pytest.mark.parametrize("interval", ["3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w"])
async def test_a_longer_interval_sums_what_lies_in_it(reads: Reads, interval: str) -> None:
    for back in (0, 1, 4, 40, 50):
        await reads.print(reads.now_ms - (50 - back) * 7 * MINUTE, 100 + back, 3)
    rows = await klines(reads, interval)
    assert sum(row[8] for row in rows) == 5
    assert (rows[0][1], rows[-1][4]) == ("1.00000000", "1.50000000")
    assert [row[0] for row in rows[1:]] == [row[6] + 1 for row in rows[:-1]]
    assert [row[1] for row in rows if not row[8]] == [row[4] for row in rows if not row[8]]


async def test_a_month_is_a_calendar_month(reads: Reads) -> None:
    first = reads.now_ms // DAY * DAY - 70 * DAY
    await reads.front.store.ledger.put_candles([stored(DAY, first + n * DAY, 100 + n) for n in range(71)])
    rows = await klines(reads, "1M")
    assert sum(row[8] for row in rows) == 71
    assert {(row[6] + 1 - row[0]) // DAY for row in rows} <= {28, 29, 30, 31}
    assert await klines(reads, "1M", limit=1) == rows[-1:]
    assert await klines(reads, "1M", startTime=first - MONTH) == rows


async def test_a_time_zone_moves_where_days_begin(reads: Reads) -> None:
    day = reads.now_ms // DAY * DAY
    await reads.print(day - 1, 100)
    await reads.print(day + HOUR, 200)
    assert [row[0] for row in await klines(reads, "1d", timeZone="0")] == [day - DAY, day]
    assert [row[0] for row in await klines(reads, "1d", timeZone="-2:00")] == [day - 22 * HOUR, day + 2 * HOUR]
    halved = await klines(reads, "1d", timeZone="5:30")
    assert [(row[0], row[8]) for row in halved] == [(day - 5 * HOUR - 30 * MINUTE, 2)]


@pytest.mark.parametrize("zone", ["15", "-12:01", "+8:60", "UTC", "8:0", "٣", "1:000"])
async def test_a_time_zone_that_is_none_is_refused(reads: Reads, zone: str) -> None:
    sent = {"symbol": "BTCUSD", "interval": "1h", "timeZone": zone}
    assert (await reads.refused("/api/v3/klines", **sent))[0] == -1130


async def test_an_interval_that_is_none_is_refused(reads: Reads) -> None:
    assert await reads.refused("/api/v3/klines", symbol="BTCUSD", interval="7m") == (-1120, "Invalid interval.")


async def test_seconds_are_made_from_trades(reads: Reads) -> None:
    second = reads.now_ms // 1000 * 1000
    await reads.print(second - 3_000, 100)
    await reads.print(second - 2_500, 200)
    await reads.print(second - 1_000, 300)
    rows = await klines(reads, "1s")
    assert [(row[0], row[1], row[4], row[8]) for row in rows] == [
        (second - 3_000, "1.00000000", "2.00000000", 2),
        (second - 2_000, "2.00000000", "2.00000000", 0),
        (second - 1_000, "3.00000000", "3.00000000", 1),
        (second, "3.00000000", "3.00000000", 0),
    ]
    assert rows[0][6] == second - 2_001
    assert await klines(reads, "1s", limit=2) == rows[-2:]
    assert await klines(reads, "1s", startTime=second - 2_000, limit=2) == rows[1:3]


async def test_seconds_that_are_too_busy_are_fewer_and_never_wrong(
    reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(klines_module, "PAGE_TRADES", 2)
    second = reads.now_ms // 1000 * 1000
    for n in range(10):
        await reads.print(second - 9_000 + n * 900, 100 + n)
    everything = await klines(reads, "1s")
    monkeypatch.setattr(klines_module, "MAX_TRADES", 4)
    newest = await klines(reads, "1s")
    assert newest == everything[-len(newest) :]
    assert 0 < len(newest) < len(everything)
    oldest = await klines(reads, "1s", startTime=everything[0][0])
    assert oldest == everything[: len(oldest)]
    assert 0 < len(oldest) < len(everything)


async def test_pages_of_stored_candles_make_the_same_answer(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(40):
        await reads.print(reads.now_ms - (40 - n) * 3 * MINUTE, 100 + n)
    whole = await klines(reads, "15m")
    monkeypatch.setattr(klines_module, "PAGE_ROWS", 3)
    assert await klines(reads, "15m") == whole


async def test_an_answer_is_bounded_by_the_candles_it_sums(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(40):
        await reads.print(reads.now_ms - (40 - n) * 15 * MINUTE, 100 + n)
    whole = await klines(reads, "15m")
    monkeypatch.setattr(klines_module, "MAX_SOURCE_ROWS", 45)
    assert await klines(reads, "15m") == whole[-3:]


async def test_charts_get_the_same_candles(reads: Reads) -> None:
    await reads.print(reads.now_ms, 100)
    assert await reads.get("/api/v3/uiKlines", symbol="BTCUSD", interval="1m") == await klines(reads, "1m")


async def test_the_engine_goes_on_within_back_filled_candles_of_a_symbol_not_yet_listed(reads: Reads) -> None:
    hour = reads.now_ms // HOUR * HOUR
    await reads.front.store.ledger.put_candles([stored(HOUR, hour - HOUR, 90), stored(HOUR, hour, 100)])
    state = await reads.front.store.ledger.load(0)
    assert [(candle.symbol_id, candle.open_ms, candle.close) for candle in state.candles] == [(1, hour, 100)]
    reads.candles = Candles(state.candles)
    await reads.print(reads.now_ms, 130)
    newest = (await klines(reads, "1h"))[-1]
    assert (newest[1], newest[4], newest[8]) == ("1.00000000", "1.30000000", 2)
