"""Stream names."""

import pytest

from outcry.roles.stream.names import parse


@pytest.mark.parametrize(
    ("name", "kind", "rest"),
    [
        ("btcusd@trade", "trade", {}),
        ("btcusd@aggTrade", "aggTrade", {}),
        ("btcusd@bookTicker", "bookTicker", {}),
        ("btcusd@depth", "depth", {"speed_ms": 1000}),
        ("btcusd@depth@100ms", "depth", {"speed_ms": 100}),
        ("btcusd@depth@1000ms", "depth", {"speed_ms": 1000}),
        ("btcusd@depth5", "book", {"levels": 5, "speed_ms": 1000}),
        ("btcusd@depth20@100ms", "book", {"levels": 20, "speed_ms": 100}),
        ("btcusd@kline_1m", "kline", {"interval": "1m"}),
        ("btcusd@kline_1M", "kline", {"interval": "1M"}),
        ("btcusd@kline_1d@+08:00", "kline", {"interval": "1d", "shift_ms": 28_800_000}),
        ("btcusd@kline_1d@-03:30", "kline", {"interval": "1d", "shift_ms": -12_600_000}),
        ("btcusd@miniTicker", "miniTicker", {"window": "24h"}),
        ("btcusd@ticker", "ticker", {"window": "24h"}),
        ("btcusd@ticker_4h", "ticker", {"window": "4h"}),
        ("btcusd@avgPrice", "avgPrice", {}),
        ("!miniTicker@arr", "miniTicker", {"symbol": "!", "window": "24h"}),
        ("!ticker_1h@arr", "ticker", {"symbol": "!", "window": "1h"}),
        ("!bookTicker", "bookTicker", {"symbol": "!"}),
    ],
)
def test_a_stream_name_is_taken_apart(name: str, kind: str, rest: dict[str, object]) -> None:
    stream = parse(name)
    assert stream is not None
    found = stream._asdict()
    assert found["kind"] == kind
    assert {"symbol": "btcusd"} | rest == {"symbol": found["symbol"]} | {key: found[key] for key in rest}


@pytest.mark.parametrize(
    "name",
    [
        "", "7", "btcusd", "BTCUSD@trade", "btcusd@trades", "btcusd@depth7", "btcusd@depth5@250ms", "btcusd@kline_7m",
        "btcusd@kline_1d@+99:00", "btcusd@ticker_2h", "!trade", "btc\u0661usd@trade", "b" * 200 + "@trade",
        "@trade", "btcusd@", "btcusd@kline_", "btcusd@depth\u0665",
    ],
)  # fmt: skip
def test_what_is_no_stream_is_none(name: str) -> None:
    assert parse(name) is None
