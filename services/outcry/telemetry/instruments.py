"""What counts and measures: plain numbers that cost a fraction of a microsecond, told to Prometheus when it asks.

They belong to one event loop's thread; another thread brings its figures by ``call_soon_threadsafe``.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from outcry.telemetry.names import COUNTER, HISTOGRAM, Metric

SECONDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
SIZES: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0, 20_000.0)

Figures = float | Mapping[tuple[str, ...], float]  # one, or one per combination of labels
Told = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class Number:
    """A count or a level."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        self.value += amount

    def dec(self, amount: float = 1.0) -> None:
        self.value -= amount

    def set(self, value: float) -> None:
        self.value = value


class Steps:
    """A histogram: how many observations lie at or below each bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, count: int = 1) -> None:
        """``count`` observations of one value."""
        self.counts[bisect_left(self.bounds, value)] += count
        self.total += value * count


Child = TypeVar("Child", Number, Steps)


class Family(Generic[Child]):
    """The children of one metric, by their labels' values; ``labels`` finds or makes one."""

    def __init__(self, make: Callable[[], Child]) -> None:
        self._make: Callable[[], Child] = make
        self.children: dict[tuple[str, ...], Child] = {}

    def labels(self, *values: str) -> Child:
        child = self.children.get(values)
        if child is None:
            child = self.children[values] = self._make()
        return child


class Panel(Collector):
    """All instruments of one process. A metric is either made here or has a source that is asked when it is told."""

    def __init__(self) -> None:
        self._numbers: dict[Metric, Family[Number]] = {}
        self._steps: dict[Metric, Family[Steps]] = {}
        self._sources: dict[Metric, Callable[[], Figures]] = {}

    def numbers(self, metric: Metric) -> Family[Number]:
        """A counter or gauge with labels."""
        return self._numbers.setdefault(metric, Family(Number))

    def number(self, metric: Metric) -> Number:
        """A counter or gauge without labels."""
        return self.numbers(metric).labels()

    def steps(self, metric: Metric, bounds: tuple[float, ...] = SECONDS) -> Family[Steps]:
        """A histogram with labels."""
        return self._steps.setdefault(metric, Family(lambda: Steps(bounds)))

    def histogram(self, metric: Metric, bounds: tuple[float, ...] = SECONDS) -> Steps:
        """A histogram without labels."""
        return self.steps(metric, bounds).labels()

    def source(self, metric: Metric, figures: Callable[[], Figures]) -> None:
        """Takes a counter or gauge from somewhere else; a later source replaces an earlier one."""
        self._sources[metric] = figures

    def collect(self) -> Iterator[Told]:
        """What prometheus_client asks for an exposition."""
        for metric, numbers in self._numbers.items():
            yield _told(metric, {labels: child.value for labels, child in numbers.children.items()})
        for metric, source in self._sources.items():
            found = source()
            yield _told(metric, found if isinstance(found, Mapping) else {(): found})
        for metric, steps in self._steps.items():
            family = HistogramMetricFamily(metric.name, metric.about, labels=metric.labels)
            for labels, child in steps.children.items():
                family.add_metric(labels, cumulative(child.bounds, child.counts), child.total)
            yield family


def cumulative(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """(upper bound, observations up to it) as Prometheus wants them; ``counts`` has one more, for those above."""
    told, below = [], 0
    for bound, count in zip([*(str(bound) for bound in bounds), "+Inf"], counts, strict=True):
        below += count
        told.append((bound, float(below)))
    return told


def _told(metric: Metric, figures: Mapping[tuple[str, ...], float]) -> Told:
    assert metric.kind != HISTOGRAM, metric.name
    kind = CounterMetricFamily if metric.kind == COUNTER else GaugeMetricFamily
    family = kind(metric.name, metric.about, labels=metric.labels)
    for labels, value in figures.items():
        family.add_metric(labels, value)
    return family
