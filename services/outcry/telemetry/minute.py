"""The figures of the last minute, second by second, and of all time: orders, trades, money, latencies."""

import time
from collections import Counter as Tally
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from outcry.telemetry.process import memory_bytes

MAX_RETENTION_SECONDS: Final = 86_400
SUB_BUCKETS: Final = 16  # a latency is kept to 1 part in 16


@dataclass(slots=True)
class Second:
    """What happened within one second of the steady clock; ``latencies`` counts by ``bucket_of``."""

    at: int
    orders: int = 0
    refused: int = 0
    trades: int = 0
    volume: int = 0  # quote minor units
    latencies: Tally[int] = field(default_factory=Tally)
    cpu_seconds: float = 0.0  # of the process, since its start


class LastMinute:
    """Seconds in which something happened. Every method that notes is cheap: it runs beside the orders."""

    def __init__(self, window_seconds: int, retention_seconds: int) -> None:
        self.window_seconds = window_seconds
        self._seconds: deque[Second] = deque(maxlen=min(retention_seconds, MAX_RETENTION_SECONDS))
        self._started = int(time.monotonic())
        self._past_orders = 0  # before the newest second
        self._past_latencies: Tally[int] = Tally()

    def note_orders(self, now: float, seconds: float, count: int = 1, refused: int = 0) -> None:
        """At ``now`` of the steady clock order commands got their outcomes, ``seconds`` after they were asked for."""
        second = self._second(int(now))
        second.orders += count
        second.refused += refused
        second.latencies[bucket_of(seconds)] += count

    def note_trades(self, count: int, amount: int) -> None:
        """``count`` trades for ``amount`` quote minor units were committed."""
        second = self._second(int(time.monotonic()))
        second.trades += count
        second.volume += amount

    @property
    def orders(self) -> int:
        """Since the start."""
        return self._past_orders + (self._seconds[-1].orders if self._seconds else 0)

    @property
    def latencies(self) -> Tally[int]:
        """Since the start, by ``bucket_of``."""
        return self._past_latencies + self._seconds[-1].latencies if self._seconds else Tally()

    def figures(self) -> dict[str, float]:
        """The figures of GET /api/metrics over the last window; latencies in milliseconds, volume in USD."""
        now = int(time.monotonic())
        recent = list(self._recent(now))
        span = max(min(self.window_seconds, now - self._started), 1)
        latencies: Tally[int] = Tally()
        for second in recent:
            latencies.update(second.latencies)
        orders = sum(second.orders for second in recent)
        return {
            "orders_per_sec": round(orders / span, 2),
            "trades_per_sec": round(sum(second.trades for second in recent) / span, 2),
            "volume_per_sec": round(sum(second.volume for second in recent) / span / 1e8, 2),
            "error_rate": round(sum(second.refused for second in recent) / orders, 4) if orders else 0.0,
            "avg_latency": _average_ms(latencies),
            "p50_latency": percentile_ms(latencies, 50),
            "p95_latency": percentile_ms(latencies, 95),
            "p99_latency": percentile_ms(latencies, 99),
            "cpu_percent": _cpu_percent(recent, now),
            "memory_mb": round(memory_bytes() / 1e6, 1),
            "uptime_seconds": now - self._started,
            "window_seconds": span,
        }

    def series(self) -> list[dict[str, Any]]:
        """One row per retained second in which something happened, oldest first."""
        now = int(time.monotonic())
        return [
            {
                "seconds_ago": now - each.at,
                "orders": each.orders,
                "trades": each.trades,
                "p99_latency": percentile_ms(each.latencies, 99),
            }
            for each in self._seconds
        ]

    def _second(self, at: int) -> Second:
        if not self._seconds or self._seconds[-1].at != at:
            if self._seconds:
                self._past_orders += self._seconds[-1].orders
                self._past_latencies.update(self._seconds[-1].latencies)
            self._seconds.append(Second(at, cpu_seconds=time.process_time()))
        return self._seconds[-1]

    def _recent(self, now: int) -> Iterator[Second]:
        for second in reversed(self._seconds):
            if second.at < now - self.window_seconds:
                return
            yield second


def bucket_of(seconds: float) -> int:
    """The bucket of a latency: powers of two of a microsecond, each cut into ``SUB_BUCKETS``."""
    micros = int(seconds * 1e6)
    if micros < 2 * SUB_BUCKETS:
        return micros if micros > 0 else 1
    power = micros.bit_length() - 5
    return power * SUB_BUCKETS + (micros >> power)


def percentile_ms(latencies: Tally[int], percent: int) -> float:
    """The latency in milliseconds that ``percent`` of the counted ones do not exceed; 0 without any."""
    left = -(-latencies.total() * percent // 100)
    for bucket in sorted(latencies):
        left -= latencies[bucket]
        if left <= 0:
            return round(_micros_of(bucket) / 1e3, 3)
    return 0.0


def by_bounds(latencies: Tally[int], bounds: tuple[float, ...]) -> tuple[list[int], float]:
    """How many latencies lie above each bound's predecessor and not above it, those above all last; and their sum.

    A bucket counts as its upper end, in seconds.
    """
    counts, total = [0] * (len(bounds) + 1), 0.0
    for bucket, count in latencies.items():
        seconds = _micros_of(bucket) / 1e6
        counts[sum(bound < seconds for bound in bounds)] += count
        total += seconds * count
    return counts, total


def _micros_of(bucket: int) -> int:
    """The upper end of a bucket in microseconds. Above 31 µs a bucket's low part lies in 16..31."""
    if bucket < 2 * SUB_BUCKETS:
        return bucket
    power = bucket // SUB_BUCKETS - 1
    return (bucket - power * SUB_BUCKETS + 1 << power) - 1


def _average_ms(latencies: Tally[int]) -> float:
    total = latencies.total()
    return round(sum(_micros_of(bucket) * n for bucket, n in latencies.items()) / total / 1e3, 3) if total else 0.0


def _cpu_percent(recent: list[Second], now: int) -> float:
    if not recent or recent[-1].at == now:
        return 0.0
    return round(100 * (time.process_time() - recent[-1].cpu_seconds) / (now - recent[-1].at), 1)
