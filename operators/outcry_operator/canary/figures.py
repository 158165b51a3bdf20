"""What both tracks did within the last window: from the pods' own metrics, or from Prometheus.

Errors are answers 5xx (an unknown outcome is one, 429 is none) and WebSocket clients closed for being slow,
among all answers and messages delivered. Latencies are the 99th percentile of a histogram, of a canary as far as its
few samples prove it; a lag counts as far as it lasted the whole window, for a hand-over has a short one.
"""

import math
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import urllib3

from outcry_operator import prometheus
from outcry_operator.canary.judge import Figure, Pair
from outcry_operator.canary.spec import COMMIT_LATENCY, ERROR_RATE, LAG, LATENCY, CanarySpec, bounds_of
from outcry_operator.observation import Pod, Told

MAX_READINGS: Final = 400  # of one pod; older ones go
PERCENTILE: Final = 0.99
ERRORS: Final = 3.0  # standard errors that a canary's percentile is given

_SAMPLE: Final = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
_ANSWERS: Final = ("outcry_http_requests_total", "outcry_websocket_requests_total")  # by status
_DELIVERIES: Final = "outcry_stream_deliveries_total"
_SLOW: Final = "outcry_websocket_slow_closed_total"
_TIMES: Final = {LATENCY: "outcry_http_request_seconds", COMMIT_LATENCY: "outcry_engine_frame_seconds"}
_COMMANDS: Final = "outcry_engine_commands_total"


class Counts(NamedTuple):
    """Counters of one pod at one moment; ``times`` are cumulative counts by upper bound in seconds."""

    answers: float = 0
    errors: float = 0
    commands: float = 0
    times: Mapping[str, Mapping[float, float]] = {}


def counts_of(text: str) -> Counts:
    """The counters of an exposition, summed over their labels."""
    answers = errors = commands = 0.0
    times: dict[str, dict[float, float]] = {name: {} for name in _TIMES}
    buckets = {f"{metric}_bucket": times[name] for name, metric in _TIMES.items()}
    for name, labels, value in _SAMPLE.findall(text):
        if name in _ANSWERS:
            answers += float(value)
            if dict(_LABEL.findall(labels)).get("status", "").startswith("5"):
                errors += float(value)
        elif name in (_DELIVERIES, _SLOW):
            answers += float(value)
            errors += float(value) if name == _SLOW else 0.0
        elif name in buckets:
            bound = float(dict(_LABEL.findall(labels))["le"])
            buckets[name][bound] = buckets[name].get(bound, 0.0) + float(value)
        elif name == _COMMANDS:
            commands += float(value)
    return Counts(answers, errors, commands, times)


class Reading(NamedTuple):
    """What a pod's counters were, and the largest lag of its partitions; None without any."""

    at_ms: int
    counts: Counts
    lag_ms: int | None = None


@dataclass
class Readings:
    """The readings of all pods of a release, as far back as the window needs."""

    _of: dict[str, deque[Reading]] = field(default_factory=dict)  # by uid

    def note(self, pods: Sequence[Pod], texts: Mapping[str, str], told: Mapping[str, Told], now_ms: int) -> None:
        for pod in pods:
            if pod.name not in texts:
                continue
            counts = counts_of(texts[pod.name])
            readings = self._of.setdefault(pod.uid, deque(maxlen=MAX_READINGS))
            if readings and (counts.answers, counts.commands) < (
                readings[-1].counts.answers,
                readings[-1].counts.commands,
            ):
                readings.clear()  # the container is a new one
            lags = [row.lag_ms for row in told[pod.name].owned] if pod.name in told else []
            readings.append(Reading(now_ms, counts, max(lags, default=None)))
        uids = {pod.uid for pod in pods}
        self._of = {uid: readings for uid, readings in self._of.items() if uid in uids}

    def within(self, pod: Pod, window_ms: int, now_ms: int) -> Counts:
        """What was added within the window, or since the pod is known."""
        readings = self._of.get(pod.uid)
        if not readings:
            return Counts()
        first = next((each for each in readings if each.at_ms >= now_ms - window_ms), readings[-1])
        return _added(first.counts, readings[-1].counts)

    def lag_ms(self, pod: Pod, window_ms: int, now_ms: int) -> int | None:
        """The lag that lasted: the lowest of those read within the window; None of a pod that owns nothing now."""
        recent = [each.lag_ms for each in self._of.get(pod.uid, ()) if each.at_ms >= now_ms - window_ms]
        lags = [lag_ms for lag_ms in recent if lag_ms is not None]
        return min(lags) if lags and recent[-1] is not None else None


def _added(before: Counts, after: Counts) -> Counts:
    times = {
        name: {bound: count - before.times.get(name, {}).get(bound, 0.0) for bound, count in bounds.items()}
        for name, bounds in after.times.items()
    }
    return Counts(after.answers - before.answers, after.errors - before.errors, after.commands - before.commands, times)


def figure(name: str, counts: Sequence[Counts], lags: Sequence[int | None], *, is_canary: bool) -> Figure:
    """One figure of one track."""
    if name == ERROR_RATE:
        answers, errors = sum(each.answers for each in counts), sum(each.errors for each in counts)
        return Figure(errors / answers if answers else None, round(answers))
    if name == LAG:
        known = [lag for lag in lags if lag is not None]
        return Figure(max(known, default=None), round(sum(each.commands for each in counts)))
    bounds: dict[float, float] = {}
    for each in counts:
        for bound, count in each.times.get(name, {}).items():
            bounds[bound] = bounds.get(bound, 0.0) + count
    samples = max(bounds.values(), default=0.0)
    if not samples:
        return Figure(None, 0)
    part = proven(PERCENTILE, samples) if is_canary else PERCENTILE
    return Figure(percentile_ms(bounds, part), round(samples))


def proven(part: float, samples: float) -> float:
    """The percentile that so many samples prove: three standard errors below, and at least the median.

    Of 60 samples the slowest is the 99th percentile, whatever the revision; that the slowest three are slow is news.
    """
    return max(part - ERRORS * math.sqrt(part * (1 - part) / samples), 0.5)


def percentile_ms(bounds: Mapping[float, float], part: float = PERCENTILE) -> float:
    """A percentile of a histogram in milliseconds; linear within a bucket, as Prometheus has it."""
    rows = sorted(bounds.items())
    wanted, below, low = rows[-1][1] * part, 0.0, 0.0
    for bound, count in rows:
        if count >= wanted:
            if bound == float("inf"):
                return low * 1000
            inside = (wanted - below) / (count - below) if count > below else 1.0
            return (low + (bound - low) * inside) * 1000
        below, low = count, bound
    return low * 1000


def pairs_from_pods(
    spec: CanarySpec,
    readings: Readings,
    tracks: tuple[Sequence[Pod], Sequence[Pod]],
    told: Mapping[str, Told],
    *,
    now_ms: int,
) -> dict[str, Pair]:
    """The figures of (canary, stable), as far as the pods tell them."""
    window_ms = spec.analysis.window_seconds * 1000

    def of(name: str, pods: Sequence[Pod], is_canary: bool) -> Figure:
        answering = [pod for pod in pods if pod.name in told]
        if pods and not answering:
            return Figure(trouble="no pod answers on its admin port")
        counts = [readings.within(pod, window_ms, now_ms) for pod in answering]
        lags = [readings.lag_ms(pod, window_ms, now_ms) for pod in answering]
        return figure(name, counts, lags, is_canary=is_canary)

    canary, stable = tracks
    return {each.name: Pair(of(each.name, canary, True), of(each.name, stable, False)) for each in bounds_of(spec)}


def pairs_from_prometheus(
    spec: CanarySpec, http: urllib3.PoolManager, tracks: tuple[Sequence[Pod], Sequence[Pod]], now_ms: int
) -> dict[str, Pair]:
    """The figures of (canary, stable) by label ``pod``."""
    assert spec.analysis.prometheus is not None
    address, window = spec.analysis.prometheus.address, f"[{spec.analysis.window_seconds}s]"

    def ask(query: str) -> Figure:
        total = prometheus.ask(http, address, query, now_ms)
        return Figure(total.value, 0, total.why)

    def of(name: str, pods: Sequence[Pod]) -> Figure:
        names = "|".join(pod.name.replace(".", r"\\.") for pod in pods) or "-"  # a regular expression in a string
        value, samples = (ask(query) for query in queries(name, f'pod=~"{names}"', window))
        trouble = value.trouble or samples.trouble
        if trouble and not ("NaN" in trouble or "0 series" in trouble):
            return Figure(trouble=trouble)
        return Figure(value.value, round(samples.value or 0))

    canary, stable = tracks
    return {each.name: Pair(of(each.name, canary), of(each.name, stable)) for each in bounds_of(spec)}


def queries(name: str, pods: str, window: str) -> tuple[str, str]:
    """The queries for a figure and for its number of samples."""
    if name == ERROR_RATE:
        answers = _sum([f"{metric}{{{pods}}}" for metric in (*_ANSWERS, _DELIVERIES, _SLOW)], window)
        refused = [f'{metric}{{{pods},status=~"5.."}}' for metric in _ANSWERS]
        return f"({_sum([*refused, f'{_SLOW}{{{pods}}}'], window)}) / ({answers})", answers
    if name == LAG:
        return f"1000 * max(outcry_engine_lag_seconds{{{pods}}})", f"sum(increase({_COMMANDS}{{{pods}}}{window}))"
    metric = _TIMES[name]
    buckets = f"sum by (le) (rate({metric}_bucket{{{pods}}}{window}))"
    return f"1000 * histogram_quantile({PERCENTILE}, {buckets})", f"sum(increase({metric}_count{{{pods}}}{window}))"


def _sum(series: Sequence[str], window: str) -> str:
    """What all of these counters grew by; those that there are none of count as 0."""
    return " + ".join(f"(sum(increase({each}{window})) or vector(0))" for each in series)
