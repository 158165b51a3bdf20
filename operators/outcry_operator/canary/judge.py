"""Whether a canary is good: each figure against its bound and against the stable track's, in the same window."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from outcry_operator.canary.spec import Bounds

PASS: Final = "Pass"
FAILURE: Final = "Failure"
INCONCLUSIVE: Final = "Inconclusive"
NO_DATA: Final = "NoData"
ERROR: Final = "Error"

# The verdict on the whole is the first of these that some figure has.
_WORST_FIRST: Final = (FAILURE, ERROR, NO_DATA, INCONCLUSIVE)


class Figure(NamedTuple):
    """One figure of one track; ``trouble`` says why the question failed, None why there is no answer."""

    value: float | None = None
    samples: int = 0
    trouble: str = ""


class Pair(NamedTuple):
    """The same figure of both tracks."""

    canary: Figure
    stable: Figure


class Verdict(NamedTuple):
    """What was found of one figure."""

    metric: str
    verdict: str
    canary: float | None = None
    stable: float | None = None
    samples: int = 0


def judge(bounds: Bounds, pair: Pair, min_samples: int) -> Verdict:
    """One figure. Without a stable one only the absolute limit counts."""
    assert bounds.max is not None and bounds.max_ratio_to_stable is not None and bounds.noise_floor is not None
    canary, stable = pair

    def found(verdict: str) -> Verdict:
        return Verdict(bounds.name, verdict, canary.value, stable.value, canary.samples)

    if canary.trouble or stable.trouble:
        return found(ERROR)
    if canary.value is None or canary.samples < max(min_samples, 1):
        return found(NO_DATA)
    if stable.value is None or stable.samples == 0:
        return found(FAILURE if canary.value > bounds.max else PASS)
    if canary.value > bounds.max and stable.value <= bounds.max:
        return found(FAILURE)
    if canary.value > bounds.max_ratio_to_stable * stable.value and canary.value > bounds.noise_floor:
        return found(FAILURE)
    return found(INCONCLUSIVE if canary.value > bounds.max else PASS)


def whole(verdicts: Sequence[Verdict]) -> str:
    """The verdict on all figures together."""
    found = {each.verdict for each in verdicts}
    return next((verdict for verdict in _WORST_FIRST if verdict in found), PASS)
