"""Candles say what the trades said, whichever way they are summed."""

from datetime import UTC, datetime
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from outcry.market.candles import (
    DAY,
    HOUR,
    INTERVALS,
    MINUTE,
    MONTH,
    NO_TRADE,
    STORED,
    WEEK,
    Bar,
    Candles,
    fill,
    merge,
    next_open,
    open_of,
    source_of,
)
from outcry.market.terms import BUY, SELL
from outcry.rows import CandleRow

NOON = 20_000 * DAY + 12 * HOUR


class Deal(NamedTuple):
    trade_id: int
    price: int
    qty: int
    taker_side: int = BUY
    symbol_id: int = 7

    @property
    def amount(self) -> int:
        return self.price * self.qty


def minute_rows(deals: list[tuple[int, Deal]]) -> list[CandleRow]:
    candles = Candles()
    stored: dict[tuple[int, int], CandleRow] = {}
    for time_ms, deal in deals:
        candles.trade(time_ms, deal)
        stored |= {(row.interval_ms, row.open_ms): row for row in candles.take()}
    return [row for (interval, _), row in stored.items() if interval == MINUTE]


def test_a_candle_opens_with_its_first_trade_and_closes_with_its_last() -> None:
    candles = Candles()
    for number, price in enumerate([100, 105, 95, 101], start=1):
        candles.trade(NOON + number, Deal(number, price, 2, BUY if number < 3 else SELL))
    minute = candles.take()[0]
    assert (minute.open, minute.high, minute.low, minute.close) == (100, 105, 95, 101)
    assert (minute.volume, minute.amount, minute.trades) == (8, 802, 4)
    assert (minute.taker_buy_volume, minute.taker_buy_amount) == (4, 410)
    assert (minute.first_trade, minute.last_trade) == (1, 4)


def test_one_take_gives_each_stored_interval_once() -> None:
    candles = Candles()
    candles.trade(NOON, Deal(1, 100, 1))
    candles.trade(NOON + MINUTE, Deal(2, 101, 1))
    rows = candles.take()
    assert [(row.interval_ms, row.open_ms, row.trades) for row in rows] == [
        (MINUTE, NOON, 1),
        (HOUR, NOON, 2),
        (DAY, NOON - 12 * HOUR, 2),
        (MINUTE, NOON + MINUTE, 1),
    ]
    assert candles.take() == []


def test_a_restart_goes_on_within_a_started_candle() -> None:
    whole, halves = Candles(), Candles()
    whole.trade(NOON, Deal(1, 100, 1))
    whole.trade(NOON + 5, Deal(2, 90, 3))
    halves.trade(NOON, Deal(1, 100, 1))
    resumed = Candles(halves.take())
    resumed.trade(NOON + 5, Deal(2, 90, 3))
    assert resumed.take() == whole.take()


def test_symbols_have_candles_of_their_own() -> None:
    candles = Candles()
    candles.trade(NOON, Deal(1, 100, 1, symbol_id=1))
    candles.trade(NOON, Deal(1, 200, 1, symbol_id=2))
    assert {row.symbol_id: row.close for row in candles.take()} == {1: 100, 2: 200}


DEALS = st.lists(
    st.tuples(st.integers(0, 3 * DAY), st.integers(1, 10_000), st.integers(1, 50), st.sampled_from([BUY, SELL])),
    min_size=1,
    max_size=40,
)


@given(DEALS, st.sampled_from([m for m in INTERVALS.values() if m >= MINUTE]))
def test_merged_minutes_equal_the_candle_of_all_trades(raw: list[tuple[int, int, int, int]], interval_ms: int) -> None:
    deals = [
        (NOON + time, Deal(number, price, qty, side))
        for number, (time, price, qty, side) in enumerate(sorted(raw), start=1)
    ]
    expected: dict[int, Bar] = {}
    for time_ms, deal in deals:
        open_ms = open_of(interval_ms, time_ms)
        expected.setdefault(open_ms, Bar(open_ms, deal.price)).add(deal)
    merged = merge(minute_rows(deals), interval_ms)
    assert merged == [bar.row(7, interval_ms) for bar in expected.values()]


@given(DEALS)
def test_stored_candles_do_not_depend_on_how_often_they_are_taken(raw: list[tuple[int, int, int, int]]) -> None:
    often, once = Candles(), Candles()
    stored: dict[tuple[int, int], CandleRow] = {}
    for number, (time, price, qty, side) in enumerate(sorted(raw), start=1):
        for candles in (often, once):
            candles.trade(NOON + time, Deal(number, price, qty, side))
        stored |= {(row.interval_ms, row.open_ms): row for row in often.take()}
    assert stored == {(row.interval_ms, row.open_ms): row for row in once.take()}


def test_a_stretch_without_trades_is_flat_at_the_close_before_it() -> None:
    rows = minute_rows([(NOON, Deal(1, 100, 1)), (NOON + 3 * MINUTE, Deal(2, 120, 1))])
    filled = fill(rows, NOON + 5 * MINUTE + 1)
    assert [row.open_ms for row in filled] == [NOON + n * MINUTE for n in range(6)]
    assert [row.close for row in filled] == [100, 100, 100, 120, 120, 120]
    assert (filled[1].open, filled[1].volume, filled[1].trades, filled[1].first_trade) == (100, 0, 0, NO_TRADE)


def test_a_flat_candle_adds_nothing_to_a_longer_one() -> None:
    rows = fill(minute_rows([(NOON, Deal(1, 100, 1))]), NOON + 10 * MINUTE)
    assert merge(rows, HOUR) == merge(rows[:1], HOUR)


@given(st.integers(0, 4_102_444_800_000))
def test_months_open_on_their_first_day_in_utc(time_ms: int) -> None:
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    first = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    after = datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=UTC)
    opened = open_of(MONTH, time_ms)
    assert opened == int(first.timestamp()) * 1000
    assert next_open(MONTH, opened) == int(after.timestamp()) * 1000


@given(st.integers(0, 4_102_444_800_000))
def test_weeks_open_on_monday(time_ms: int) -> None:
    opened = open_of(WEEK, time_ms)
    assert datetime.fromtimestamp(opened / 1000, UTC).weekday() == 0
    assert 0 <= time_ms - opened < WEEK


@given(st.integers(10 * DAY, 4_102_444_800_000), st.integers(-48, 56), st.sampled_from(list(INTERVALS.values())))
def test_a_time_lies_within_its_candle_in_every_time_zone(time_ms: int, quarters: int, interval_ms: int) -> None:
    shift = quarters * 15 * MINUTE
    opened = open_of(interval_ms, time_ms, shift)
    assert opened <= time_ms < next_open(interval_ms, opened, shift)
    assert open_of(interval_ms, opened, shift) == opened


def test_each_interval_is_merged_from_the_longest_stored_one_that_fits() -> None:
    assert [source_of(INTERVALS[name]) for name in ("1s", "5m", "4h", "1w", "1M")] == [0, MINUTE, HOUR, DAY, DAY]
    assert source_of(DAY, 5 * HOUR + 30 * MINUTE) == MINUTE
    assert source_of(DAY, 2 * HOUR) == HOUR
    assert STORED == (MINUTE, HOUR, DAY)
