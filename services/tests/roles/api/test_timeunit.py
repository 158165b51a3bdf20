"""Answers in microseconds: every time is scaled, and nothing else."""

from outcry.roles.api.timeunit import in_micros


def test_times_are_scaled_wherever_they_stand() -> None:
    answer = {"transactTime": 5, "price": "5", "fills": [{"tradeId": 5, "time": 6}]}
    assert in_micros("/api/v3/order", answer) == {
        "transactTime": 5_000, "price": "5", "fills": [{"tradeId": 5, "time": 6_000}],
    }  # fmt: skip


def test_a_candle_closes_with_the_last_microsecond_before_the_next_one_opens() -> None:
    candle = [60_000, "1", "1", "1", "1", "0", 119_999, "0", 0, "0", "0", "0"]
    (told,) = in_micros("/api/v3/klines", [candle])
    assert (told[0], told[6], told[8]) == (60_000_000, 119_999_999, 0)


def test_what_has_not_happened_stays_minus_one() -> None:
    waiting = {"workingTime": -1, "trailingTime": -1, "updateTime": 7, "since": 8}
    assert in_micros("/api/v3/order", waiting) == waiting | {"updateTime": 7_000, "since": 8_000}
