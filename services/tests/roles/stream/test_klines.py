"""Candles as kline streams tell them."""

from outcry.roles.stream.klines import QUIET_MS, KlineTape
from tests.support.prints import BTCUSD, minute, trade

NOON = 1_700_000_040_000  # a full minute


def tape(now_ms: int = NOON, interval: str = "1m") -> KlineTape:
    started = KlineTape(interval)
    started.begin(now_ms, 100, [])
    return started


def test_a_trade_moves_the_growing_candle() -> None:
    candle = tape()
    candle.count([trade(1, 103, 2, time_ms=NOON + 5), trade(2, 101, 3, time_ms=NOON + 5)])
    k = candle.current(BTCUSD, NOON + 1000)["k"]
    assert (k["o"], k["h"], k["l"], k["c"]) == ("1.03000000", "1.03000000", "1.01000000", "1.01000000")
    assert (k["t"], k["T"], k["f"], k["L"], k["n"], k["x"]) == (NOON, NOON + 59_999, 1, 2, 2, False)
    assert k["v"] == "0.00005000"
    assert k["q"] == k["Q"] == "0.00005090"


def test_a_candle_closes_once_when_the_log_passes_its_end() -> None:
    candle = tape()
    candle.count([trade(1, 103, time_ms=NOON + 5)])
    assert candle.closed(BTCUSD, NOON + 59_999, NOON + 60_000) == []
    [ended] = candle.closed(BTCUSD, NOON + 60_000, NOON + 60_100)
    assert ended["k"]["x"] is True
    assert ended["k"]["t"] == NOON
    assert candle.closed(BTCUSD, NOON + 60_000, NOON + 60_200) == []
    flat = candle.current(BTCUSD, NOON + 61_000)["k"]
    assert (flat["t"], flat["o"], flat["c"], flat["n"]) == (NOON + 60_000, "1.03000000", "1.03000000", 0)


def test_a_candle_of_a_quiet_market_closes_by_the_clock() -> None:
    candle = tape()
    assert candle.closed(BTCUSD, NOON, NOON + 60_000 + QUIET_MS - 100) == []
    [ended] = candle.closed(BTCUSD, NOON, NOON + 60_000 + QUIET_MS)
    assert ended["k"]["n"] == 0


def test_a_trade_behind_the_end_of_a_candle_opens_the_next() -> None:
    candle = tape()
    candle.count([trade(1, 103, time_ms=NOON + 10)])
    candle.count([trade(2, 104, time_ms=NOON + 60_010)])
    [ended] = candle.closed(BTCUSD, NOON + 60_010, NOON + 60_100)
    assert (ended["k"]["c"], ended["k"]["n"]) == ("1.03000000", 1)
    assert candle.current(BTCUSD, NOON + 60_200)["k"]["o"] == "1.04000000"


def test_every_second_without_trades_has_its_candle() -> None:
    candle = tape(interval="1s")
    ended = candle.closed(BTCUSD, NOON + 3_500, NOON + 3_500)
    assert [each["k"]["t"] for each in ended] == [NOON, NOON + 1000, NOON + 2000]


def test_a_long_stall_is_not_made_up_for_without_end() -> None:
    candle = tape(interval="1s")
    assert len(candle.closed(BTCUSD, NOON + 86_400_000, NOON + 86_400_000)) <= 100
    assert candle.current(BTCUSD, NOON)["k"]["t"] == NOON + 86_400_000


def test_trades_that_the_ledger_already_counts_are_not_counted_twice() -> None:
    candle = KlineTape("1h")
    hour = NOON - NOON % 3_600_000
    candle.count([trade(7, time_ms=NOON), trade(8, time_ms=NOON)])
    candle.begin(NOON, 100, [minute(hour, 90, 4, first=1, last=7)])
    k = candle.current(BTCUSD, NOON)["k"]
    assert (k["n"], k["f"], k["L"], k["o"], k["c"]) == (8, 1, 8, "0.90000000", "1.00000000")


def test_only_seconds_are_told_every_second() -> None:
    assert [tape(interval=i).due(NOON + 1000) for i in ("1s", "1m")] == [True, False]
    assert [tape(interval=i).due(NOON + 2000) for i in ("1s", "1m")] == [True, True]
