"""Metric names, the figures of the last minute, and how much of the machine this process uses."""

import resource
import sys
import time
from collections import Counter as Tally
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

MAX_RETENTION_SECONDS: Final = 86_400
SUB_BUCKETS: Final = 16  # a latency is kept to 1 part in 16
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
STATM: Final = Path("/proc/self/statm")
PAGE_BYTES: Final = resource.getpagesize()


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


class Telemetry:
    """Counts what happens. Every method is cheap, for it runs on the event loop beside the orders."""

    def __init__(self, window_seconds: int = 60, retention_seconds: int = 3600) -> None:
        self.window_seconds = window_seconds
        self.registry = CollectorRegistry()
        self._seconds: deque[Second] = deque(maxlen=min(retention_seconds, MAX_RETENTION_SECONDS))
        self._started = int(time.monotonic())
        self.requests = self._counter("outcry_http_requests", "REST requests answered", "method", "route", "status")
        self.request_seconds = Histogram(
            "outcry_http_request_seconds", "Seconds to answer", ("route",), buckets=SECONDS, registry=self.registry
        )
        self.orders = self._counter("outcry_orders", "Order commands that got their outcome from the engine")
        self._untold_orders = 0  # not in the counter yet, whose every step takes a lock
        self.trades = self._counter("outcry_trades", "Trades committed", "symbol")
        self.errors = self._counter("outcry_errors", "Unexpected exceptions, by role", "role")
        self.sockets = self._gauge("outcry_websocket_clients", "Open WebSocket connections", "kind")
        self.slow_closed = self._counter("outcry_websocket_slow_closed", "WebSocket clients closed for being slow")
        self.lag = self._gauge("outcry_engine_lag_records", "Journal records not yet applied")
        self.halted = self._gauge("outcry_engine_halted_partitions", "Partitions in HALT")
        self.memory = self._gauge("outcry_memory_bytes", "Resident memory")
        self.wishes = self._counter("outcry_simulation_requests", "Requests of the simulated crowd", "result")

    def note_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One REST request was answered; ``route`` is a path of the table, never what a client made up."""
        self.requests.labels(method, route, str(status)).inc()
        self.request_seconds.labels(route).observe(seconds)

    def note_order(self, seconds: float, *, refused: bool = False) -> None:
        """An order command got its outcome ``seconds`` after it was asked for."""
        self._untold_orders += 1
        second = self._now()
        second.orders += 1
        second.refused += refused
        second.latencies[bucket_of(seconds)] += 1

    def note_trades(self, symbol: str, count: int, amount: int) -> None:
        """``count`` trades for ``amount`` quote minor units were committed."""
        self.trades.labels(symbol).inc(count)
        second = self._now()
        second.trades += count
        second.volume += amount

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

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        self.orders.inc(self._untold_orders)
        self._untold_orders = 0
        self.memory.set(memory_bytes())
        return generate_latest(self.registry)

    def _now(self) -> Second:
        at = int(time.monotonic())
        if not self._seconds or self._seconds[-1].at != at:
            self._seconds.append(Second(at, cpu_seconds=time.process_time()))
        return self._seconds[-1]

    def _recent(self, now: int) -> Iterator[Second]:
        for second in reversed(self._seconds):
            if second.at < now - self.window_seconds:
                return
            yield second

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)


def bucket_of(seconds: float) -> int:
    """The bucket of a latency: powers of two of a microsecond, each cut into ``SUB_BUCKETS``."""
    micros = max(int(seconds * 1e6), 1)
    power = max(micros.bit_length() - 5, 0)
    return power * SUB_BUCKETS + (micros >> power)


def percentile_ms(latencies: Tally[int], percent: int) -> float:
    """The latency in milliseconds that ``percent`` of the counted ones do not exceed; 0 without any."""
    left = -(-latencies.total() * percent // 100)
    for bucket in sorted(latencies):
        left -= latencies[bucket]
        if left <= 0:
            return round(_micros_of(bucket) / 1e3, 3)
    return 0.0


def memory_bytes() -> int:
    """Resident memory now; where the system does not tell, the most there ever was."""
    if STATM.exists():
        return int(STATM.read_text().split()[1]) * PAGE_BYTES
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


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
