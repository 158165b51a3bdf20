"""The arithmetic of scaling: utilization, totals, windows, rates and the split between two tracks.

Source: Kubernetes 1.37 ``pkg/controller/podautoscaler`` (what HPA answers) and Argo Rollouts ``utils/replicaset``
(the split); the expected values of both are in the tests. Everything is computed in whole numbers where they are whole.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from outcry_operator.resource import DISABLED, MIN, PERCENT_RATE, Limits, Rate, Tolerance

WITHIN: Final = "DesiredWithinRange"
TOO_MANY: Final = "TooManyReplicas"
TOO_FEW: Final = "TooFewReplicas"
UP_LIMIT: Final = "ScaleUpLimit"
DOWN_LIMIT: Final = "ScaleDownLimit"


class Load(NamedTuple):
    """One pod's use of a resource; ``used`` is None without a sample."""

    request: int
    used: int | None
    ready: bool = True


class Used(NamedTuple):
    """How many pods a utilization asks for, and the utilization in whole percent of the requests."""

    replicas: int
    percent: int


class Past(NamedTuple):
    """A recommendation, or a change by so many replicas, and how long ago it was."""

    age_ms: int
    replicas: int


def within(ratio: float, tolerance: Tolerance) -> bool:
    return 1 - tolerance.down <= ratio <= 1 + tolerance.up


def utilization(loads: Sequence[Load], current: int, target_percent: int, tolerance: Tolerance) -> Used:
    """The pods for which utilization meets its target. At least one ready pod must have a sample, and all a request."""
    measured = [(load.request, load.used) for load in loads if load.used is not None and load.ready]
    missing = [load for load in loads if load.used is None]
    unready = [load for load in loads if load.used is not None and not load.ready]
    percent = _percent(measured)
    ratio = percent / target_percent
    if not missing and not (unready and ratio > 1):
        if within(ratio, tolerance):
            return Used(current, percent)
        return Used(_ceil(percent * len(measured), target_percent), percent)
    filled = [*measured]
    if ratio < 1:
        filled += [(load.request, load.request * max(100, target_percent) // 100) for load in missing]
    elif ratio > 1:
        filled += [(load.request, 0) for load in [*missing, *unready]]
    again = _percent(filled)
    answer = _ceil(again * len(filled), target_percent)
    new_ratio = again / target_percent
    crossed = (ratio < 1 < new_ratio) or (new_ratio < 1 < ratio)
    against = (new_ratio < 1 and answer > current) or (new_ratio > 1 and answer < current)
    return Used(current if within(new_ratio, tolerance) or crossed or against else answer, percent)


def _percent(pairs: Sequence[tuple[int, int]]) -> int:
    return 100 * sum(used for _, used in pairs) // sum(request for request, _ in pairs)


def _ceil(amount: float, per: float) -> int:
    return int(-(-amount // per))


def for_total(total: float, target: float, current: int, tolerance: Tolerance) -> int:
    """The pods for a total of which each may have ``target``."""
    if current and within(total / (target * current), tolerance):
        return current
    return pods_for(total, target)


def pods_for(total: float, target: float) -> int:
    """The pods for a total, without any tolerance."""
    return _ceil(total, target)


def stabilize(current: int, desired: int, past: Sequence[Past], windows_ms: tuple[int, int]) -> int:
    """Up at most to the lowest, down at least to the highest of what was recommended within the (up, down) windows."""
    up_ms, down_ms = windows_ms
    lowest = min([desired, *(each.replicas for each in past if each.age_ms < up_ms)])
    highest = max([desired, *(each.replicas for each in past if each.age_ms < down_ms)])
    return min(max(current, lowest), highest)


class Range(NamedTuple):
    """From how many to how many pods."""

    low: int
    high: int

    def clamp(self, replicas: int) -> int:
        return min(max(replicas, self.low), self.high)


class Limited(NamedTuple):
    """What is left of a wish, and what limited it, as HPA names it."""

    replicas: int
    reason: str = WITHIN


def rate_limit(
    current: int, desired: int, bounds: Range, *,
    up: Limits, down: Limits, added: Sequence[Past], removed: Sequence[Past],
) -> Limited:  # fmt: skip
    """What may be reached now, after what was ``added`` and ``removed`` before."""
    if desired > current:
        fastest = max(_furthest(current, up, _Changes(added, removed), 1), current)
        most, reason = (fastest, UP_LIMIT) if fastest < bounds.high else (bounds.high, TOO_MANY)
        return Limited(most, reason) if desired > most else Limited(desired)
    if desired < current:
        fastest = min(_furthest(current, down, _Changes(added, removed), -1), current)
        least, reason = (fastest, DOWN_LIMIT) if fastest > bounds.low else (bounds.low, TOO_FEW)
        return Limited(least, reason) if desired < least else Limited(desired)
    return Limited(desired)


class _Changes(NamedTuple):
    added: Sequence[Past]
    removed: Sequence[Past]

    def start(self, current: int, period_seconds: int) -> int:
        """How many pods there were when the period began."""

        def within_period(past: Sequence[Past]) -> int:
            return sum(each.replicas for each in past if each.age_ms < period_seconds * 1000)

        return current - within_period(self.added) + within_period(self.removed)


def _furthest(current: int, limits: Limits, changes: _Changes, sign: int) -> int:
    if limits.select == DISABLED:
        return current
    reached = [_reached(rate, changes.start(current, rate.period_seconds), sign) for rate in limits.rates]
    # The largest change is the highest number going up, the lowest going down.
    return max(reached) if (limits.select == MIN) == (sign < 0) else min(reached)


def _reached(rate: Rate, start: int, sign: int) -> int:
    if rate.type != PERCENT_RATE:
        return start + sign * rate.value
    if sign > 0:
        return _ceil(start * (100 + rate.value), 100)
    return start * (100 - rate.value) // 100


class Split(NamedTuple):
    """The pods of the two tracks."""

    canary: int
    stable: int


def replica_ratio(replicas: int, weight_percent: int, max_surge: int) -> Split:
    """The split nearest to the weight over ``replicas`` pods, or with surge one more; a tie goes to the canary.

    From two pods on, or with surge, both tracks keep one unless the weight is 0 or 100.
    """
    if replicas == 0 or weight_percent == 0:
        return Split(0, replicas)
    if weight_percent == 100:
        return Split(replicas, 0)
    keeps_both = replicas > 1 or max_surge > 0
    totals = [replicas, *([replicas + 1] if max_surge else [])]
    splits = [
        Split(canary, total - canary)
        for total in totals
        for canary in range(total + 1)
        if not keeps_both or 0 < canary < total
    ]

    def error(split: Split) -> tuple[int, int, int]:
        total = split.canary + split.stable
        # Compared over both totals' common multiple, so that nothing is rounded.
        return abs(100 * split.canary - weight_percent * total) * (math.prod(totals) // total), total, -split.canary

    return min(splits, key=error)
