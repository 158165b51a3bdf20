"""Figures of the last minute are what happened, to one part in sixteen."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as some

from outcry.telemetry import Telemetry, bucket_of, memory_bytes, percentile_ms


@given(some.integers(1, 60_000_000))
def test_a_latency_is_kept_to_one_part_in_sixteen(micros: int) -> None:
    seen = percentile_ms(Counter([bucket_of(micros / 1e6)]), 100) * 1e3
    assert micros * 0.999 - 1 <= seen <= micros * 1.07 + 1


@given(some.lists(some.integers(1, 10_000_000), min_size=2, max_size=50))
def test_buckets_keep_the_order_of_latencies(micros: list[int]) -> None:
    assert [bucket_of(m / 1e6) for m in sorted(micros)] == sorted(bucket_of(m / 1e6) for m in micros)


def test_percentiles_split_the_counted_latencies() -> None:
    latencies = Counter([bucket_of(n / 1000) for n in range(1, 101)])
    assert 48 <= percentile_ms(latencies, 50) <= 54
    assert 95 <= percentile_ms(latencies, 99) <= 106
    assert percentile_ms(Counter(), 99) == 0.0


def test_figures_count_orders_trades_and_money() -> None:
    telemetry = Telemetry()
    for _ in range(10):
        telemetry.note_order(0.002)
    telemetry.note_order(0.002, refused=True)
    telemetry.note_trades("BTCUSD", 3, 150_000_000)
    figures = telemetry.figures()
    assert figures["orders_per_sec"] == 11.0
    assert figures["trades_per_sec"] == 3.0
    assert figures["volume_per_sec"] == 1.5
    assert figures["error_rate"] == round(1 / 11, 4)
    assert 1.9 <= figures["p50_latency"] <= 2.2


def test_the_exposition_names_every_metric() -> None:
    telemetry = Telemetry()
    telemetry.note_request("GET", "/api/v3/time", 200, 0.001)
    telemetry.note_order(0.001)
    telemetry.exposition()
    telemetry.note_order(0.001)
    text = telemetry.exposition().decode()
    assert "outcry_orders_total 2.0" in text
    assert 'outcry_http_requests_total{method="GET",route="/api/v3/time",status="200"} 1.0' in text
    assert "outcry_memory_bytes" in text


def test_the_process_knows_its_memory() -> None:
    assert memory_bytes() > 1_000_000
