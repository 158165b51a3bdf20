"""The operator's own figures, told to Prometheus when it asks."""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from outcry_operator import __version__, names
from outcry_operator.names import Metric

SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

Instrument = TypeVar("Instrument", Counter, Gauge, Histogram)


class Telemetry:
    """One registry with every metric of the catalogue."""

    def __init__(self, age_seconds: Callable[[], float]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._gauge(names.BUILD).labels(__version__).set(1)
        self._gauge(names.AGE).set_function(age_seconds)
        self.leads = self._gauge(names.LEADS)
        self.ticks = self._histogram(names.TICK)
        self.failures = self._counter(names.FAILURES)
        self.replicas = self._gauge(names.REPLICAS)
        self.desired = self._gauge(names.DESIRED)
        self.values = self._gauge(names.VALUE)
        self.missing = self._gauge(names.MISSING)
        self.conditions = self._gauge(names.CONDITION)
        self.changes = self._counter(names.CHANGES)
        self.drains = self._histogram(names.DRAIN)
        self.unowned = self._gauge(names.UNOWNED)
        self.phases = self._gauge(names.PHASE)
        self.weights = self._gauge(names.WEIGHT)
        self.verdicts = self._counter(names.VERDICTS)
        self.moves = self._histogram(names.MOVE)

    def exposition(self) -> bytes:
        return generate_latest(self._registry)

    def forget(self, names_of_policies: Iterable[str]) -> None:
        """Takes the figures of policies away that are no more."""
        for gone in names_of_policies:
            for family in (self.replicas, self.desired, self.values, self.missing, self.conditions, self.unowned):
                for labels in [each for each in list(family._metrics) if each[0] == gone]:
                    family.remove(*labels)

    def _counter(self, metric: Metric) -> Counter:
        return Counter(metric.name.removesuffix("_total"), metric.about, metric.labels, registry=self._registry)

    def _gauge(self, metric: Metric) -> Gauge:
        return Gauge(metric.name, metric.about, metric.labels, registry=self._registry)

    def _histogram(self, metric: Metric) -> Histogram:
        return Histogram(metric.name, metric.about, metric.labels, buckets=SECONDS, registry=self._registry)
