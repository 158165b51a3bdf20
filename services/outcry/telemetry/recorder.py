"""Counts and times what happens in one process; every part of it reports here, and /metrics is made from it."""

import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from outcry import __version__
from outcry.telemetry import names
from outcry.telemetry.instruments import SECONDS, SIZES, Figures, Panel, cumulative
from outcry.telemetry.minute import LastMinute, by_bounds
from outcry.telemetry.names import Metric
from outcry.telemetry.process import memory_bytes


class Telemetry:
    """One per process. Every method that notes is cheap, for it runs on the event loop beside the orders."""

    def __init__(self, window_seconds: int = 60, retention_seconds: int = 3600) -> None:
        self.minute = LastMinute(window_seconds, retention_seconds)
        panel = self.panel = Panel()
        self.requests = panel.numbers(names.HTTP_REQUESTS)
        self.request_seconds = panel.steps(names.HTTP_SECONDS)
        self.errors = panel.numbers(names.ERRORS)
        self.sockets = panel.numbers(names.SOCKETS)
        self.socket_requests = panel.numbers(names.SOCKET_REQUESTS)
        self.slow_closed = panel.number(names.SLOW_CLOSED)
        self.deliveries = panel.number(names.DELIVERIES)
        self.unknown = panel.number(names.UNKNOWN)
        self.stages = panel.steps(names.STAGE_SECONDS)
        self.micro_batch = panel.histogram(names.MICRO_BATCH, SIZES)
        self.trades = panel.numbers(names.TRADES)
        self.wishes = panel.numbers(names.WISHES)
        self.loop_lag = panel.histogram(names.LOOP_LAG)
        self.gc_pauses = panel.steps(names.GC_PAUSE)
        panel.numbers(names.BUILD).labels(__version__).set(1)
        panel.source(names.MEMORY, memory_bytes)
        panel.source(names.ORDERS, lambda: self.minute.orders)
        self._breakers = panel.numbers(names.BREAKER)
        self._breakers_opened = panel.numbers(names.BREAKER_OPENED)
        self._registry = CollectorRegistry()
        for collector in (panel, _Latencies(self.minute)):
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def note_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One REST request was answered; ``route`` is a path of the table, never what a client made up."""
        self.requests.labels(method, route, str(status)).inc()
        self.request_seconds.labels(route).observe(seconds)

    def note_order(self, seconds: float, *, refused: bool = False) -> None:
        """An order command got its outcome ``seconds`` after it was asked for."""
        self.minute.note_orders(time.monotonic(), seconds, refused=refused)

    def note_trades(self, symbol: str, count: int, amount: int) -> None:
        """``count`` trades for ``amount`` quote minor units were committed."""
        self.trades.labels(symbol).inc(count)
        self.minute.note_trades(count, amount)

    def note_breaker(self, component: str, is_open: bool) -> None:
        """A component's circuit breaker opened or closed."""
        self._breakers.labels(component).set(is_open)
        self._breakers_opened.labels(component).inc(is_open)

    def source(self, metric: Metric, figures: Callable[[], Figures]) -> None:
        """Takes a metric from somewhere else, asked at each exposition."""
        self.panel.source(metric, figures)

    def figures(self) -> dict[str, float]:
        """The figures of GET /api/metrics over the last window; latencies in milliseconds, volume in USD."""
        return self.minute.figures()

    def series(self) -> list[dict[str, Any]]:
        """One row per retained second in which something happened, oldest first."""
        return self.minute.series()

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _Latencies(Collector):
    """The latencies of all orders as a histogram, made from what is kept of them anyway."""

    def __init__(self, minute: LastMinute) -> None:
        self._minute = minute

    def collect(self) -> list[HistogramMetricFamily]:
        counts, total = by_bounds(self._minute.latencies, SECONDS)
        metric = names.ORDER_SECONDS
        return [HistogramMetricFamily(metric.name, metric.about, buckets=cumulative(SECONDS, counts), sum_value=total)]
