"""A price that nobody sets and everybody trades around: a seeded random walk in whole numbers."""

from math import isqrt
from random import Random
from typing import Final

VOLATILITY_PPM: Final = 150  # standard deviation over one second; about 4 % over a day
MAX_STEP_MS: Final = 60_000  # a longer pause counts as one minute
DAY_MS: Final = 86_400_000
FRACTION: Final = 1 << 16  # a price is kept in 1/65,536 ticks
BELL_BITS: Final = 256  # the ones among 256 fair bits deviate by 8 on average
BELL_DEVIATION: Final = 8


def bell(rng: Random) -> int:
    """A whole number around 0 with standard deviation 8: the ones among 256 coin flips, less half."""
    return rng.getrandbits(BELL_BITS).bit_count() - BELL_BITS // 2


def step_of(price: int, span_ms: int, rng: Random) -> int:
    """How far ``price`` wanders in ``span_ms`` milliseconds, in its own unit, rounded to the nearest."""
    root = isqrt(span_ms * 1_000)  # square root of the seconds, times 1,000
    whole = BELL_DEVIATION * 1_000 * 1_000_000
    return (price * VOLATILITY_PPM * root * bell(rng) + whole // 2) // whole


class Drift:
    """The fair price of one symbol in ticks; it wanders and is slowly drawn to where it began."""

    def __init__(self, ticks: int, now_ms: int, rng: Random) -> None:
        self._anchor = ticks * FRACTION
        self._price = ticks * FRACTION
        self._at_ms = now_ms
        self._rng = rng

    @property
    def ticks(self) -> int:
        """The fair price, at least one tick."""
        return max(self._price // FRACTION, 1)

    def advance(self, now_ms: int) -> int:
        """The fair price at ``now_ms``; time that went back changes nothing."""
        span = min(now_ms - self._at_ms, MAX_STEP_MS)
        if span > 0:
            self._at_ms = now_ms
            pull = (self._anchor - self._price) * span // DAY_MS
            self._price = max(self._price + pull + step_of(self._price, span, self._rng), FRACTION)
        return self.ticks

    def lean(self, last: int) -> None:
        """Follows the last trade a little, so that a large client moves the market."""
        seen = last * FRACTION
        if seen and abs(seen - self._price) * 10 < self._price:
            self._price += (seen - self._price) // 64
