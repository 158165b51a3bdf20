"""Rolling statistics against sums over all trades."""

from hypothesis import given
from hypothesis import strategies as st

from outcry.market.candles import DAY, HOUR, MINUTE
from outcry.roles.stream.rolling import Rolling
from tests.support.prints import minute, trade

NOON = 1_700_000_040_000


def started(before: int = 0) -> Rolling:
    rolling = Rolling()
    rolling.begin(before, [], (0, 0))
    return rolling


def test_a_market_without_trades_stands_at_the_price_before() -> None:
    bar, before = started(77).window(DAY, NOON)
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trades, before) == (77, 77, 77, 77, 0, 0, 77)


def test_what_is_older_than_the_window_falls_out_of_it() -> None:
    rolling = started()
    rolling.count([trade(1, 50, time_ms=NOON)])
    rolling.count([trade(2, 60, time_ms=NOON + 2 * HOUR)])
    bar, before = rolling.window(HOUR, NOON + 2 * HOUR + 5)
    assert (bar.open, bar.close, bar.trades, before) == (60, 60, 1, 50)
    assert bar.open_ms == (NOON + HOUR + 5) // MINUTE * MINUTE


def test_trades_that_the_ledger_already_counts_are_not_counted_twice() -> None:
    rolling = Rolling()
    rolling.count([trade(4, 70, time_ms=NOON + 1), trade(5, 71, time_ms=NOON + 1)])
    rolling.begin(60, [minute(NOON, 65, 10, first=1, last=4)], (NOON, 10))
    bar, _ = rolling.window(DAY, NOON + 2)
    assert (bar.trades, bar.volume, bar.close, bar.last_trade) == (5, 15, 71, 5)


def test_the_average_price_is_that_of_five_minutes() -> None:
    rolling = started()
    rolling.count([trade(1, 10, 100, time_ms=NOON - 10 * MINUTE)])
    rolling.count([trade(2, 100, 1, time_ms=NOON - MINUTE), trade(3, 103, 2, time_ms=NOON - MINUTE)])
    amount, volume, last = rolling.average(NOON)
    assert (amount, volume, last) == ((100 + 206) * 10, 3, 103)


@given(
    st.lists(st.tuples(st.integers(0, 40 * MINUTE), st.integers(1, 50), st.integers(1, 9)), max_size=60),
    st.sampled_from([HOUR, 4 * HOUR, DAY]),
)
def test_a_window_is_the_sum_of_its_trades(steps: list[tuple[int, int, int]], length_ms: int) -> None:
    rolling, now_ms = started(7), NOON
    seen: list[tuple[int, int, int]] = []
    for number, (step, price, qty) in enumerate(steps, 1):
        now_ms += step
        rolling.count([trade(number, price, qty, time_ms=now_ms)])
        seen.append((now_ms, price, qty))
        open_ms = (now_ms - length_ms) // MINUTE * MINUTE
        inside = [(p, q) for t, p, q in seen if t >= open_ms]
        outside = [p for t, p, _ in seen if t < open_ms]
        bar, before = rolling.window(length_ms, now_ms)
        assert (bar.trades, bar.volume) == (len(inside), sum(q for _, q in inside))
        assert (bar.high, bar.low) == (max(p for p, _ in inside), min(p for p, _ in inside))
        assert (bar.open, bar.close) == (inside[0][0], price)
        assert before == (outside[-1] if outside else 7)
