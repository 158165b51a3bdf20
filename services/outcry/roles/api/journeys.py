"""Which orders are traced: those whose callers ask for it, and a sample of the others; at most one to a frame."""

import random
import time
from collections.abc import Sequence

from outcry.roles.api.tickets import Request, Ticket
from outcry.telemetry.traces import Trace, Tracer, is_sampled


def trace_of(load: Sequence[Ticket], tracer: Tracer) -> Trace | None:
    """The trace that goes with a frame of these commands, begun here unless their request has one already.

    An order's chance to be sampled does not depend on how many share its frame, but for those that would be second.
    """
    chosen = next((ticket for ticket in load if is_sampled(ticket.request.traceparent)), None)
    if chosen is None:
        if random.random() >= 1 - (1 - tracer.sample) ** len(load):
            return None
        chosen = random.choice(load)
        if chosen.request.traceparent:
            return None  # its caller has decided not to trace it
    return begun(chosen.request, chosen.since, tracer)


def begun(request: Request, since: float, tracer: Tracer) -> Trace:
    """The request's trace, with what is over by now: its admission until ``since``, and the hold."""
    if request.trace is None:
        began = request.began or since
        request.trace = tracer.begin("order", began, request.traceparent)
        request.trace.stage("admit", began, since)
        request.trace.stage("hold", since, time.monotonic())
    return request.trace
