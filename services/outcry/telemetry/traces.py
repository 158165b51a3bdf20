"""Traces of orders from request to answer: what a trace is to the roles that write it, and which orders get one.

A trace travels as a W3C ``traceparent`` (https://www.w3.org/TR/trace-context/). Nothing here costs anything where
``tracer`` is None; who exports traces is in ``otel``. All times are of the steady clock, ``time.monotonic``.
"""

import re
from typing import Final, Protocol

TRACEPARENT: Final = re.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class Trace(Protocol):
    """One order's trace, open until ``end``."""

    @property
    def traceparent(self) -> str:
        """What goes with the order, so that others can add their stages."""

    def stage(self, name: str, began: float, ended: float) -> None:
        """A stage that is over."""

    def end(self, ended: float, trouble: str = "") -> None:
        """The order has its answer; ``trouble`` says why that is none."""


class Tracer(Protocol):
    """Writes traces; its queue is bounded, and what does not fit is dropped."""

    sample: float  # share of the orders that are traced without having been asked for
    begun: int  # traces so far

    def begin(self, name: str, began: float, traceparent: str = "") -> Trace:
        """A new trace, or a part of the caller's."""

    def stage(self, traceparent: str, name: str, began: float, ended: float, **about: int) -> None:
        """A stage of a trace that began elsewhere."""

    def close(self) -> None:
        """Exports what waits, within a bound. Blocks."""


def is_sampled(traceparent: str) -> bool:
    """Whether the caller wants this trace written; False for what is no traceparent."""
    parsed = TRACEPARENT.fullmatch(traceparent)
    return parsed is not None and bool(int(parsed[3], 16) & 1)


def trace_id_of(traceparent: str) -> str:
    """The id of the trace; "" for what is no traceparent."""
    parsed = TRACEPARENT.fullmatch(traceparent)
    return parsed[1] if parsed else ""
