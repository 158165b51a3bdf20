"""What the desk notes of its orders: how long each stage took, how many share a micro-batch, what came of them.

Stages that all of a micro-batch share are noted once for all, from the oldest order on, so that it costs each of
them next to nothing.
"""

import time
from collections.abc import Sequence
from typing import Final

from outcry.roles.api.errors import UNKNOWN_OUTCOME
from outcry.roles.api.framing import Parcel
from outcry.roles.api.journeys import begun
from outcry.roles.api.tickets import Answer, Request, Ticket
from outcry.telemetry import Telemetry
from outcry.telemetry.traces import Tracer, is_sampled

NO_ANSWER: Final = "nobody waits for the answer"


class DeskNotes:
    """All moments are of the steady clock."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.micro_batch = telemetry.micro_batch
        self._minute = telemetry.minute
        self._unknown = telemetry.unknown
        stage = telemetry.stages.labels
        self._admit, self._hold = stage("admit"), stage("hold")
        self._journal, self._answer = stage("journal"), stage("answer")

    def held(self, tickets: Sequence[Ticket]) -> float:
        """The tickets' holds are there, and their commands go to the journal; returns when that is."""
        now = time.monotonic()
        self._hold.observe(now - tickets[0].since, len(tickets))
        return now

    def journaled(self, parcels: Sequence[Parcel], held: float) -> None:
        """The frames are in the journal."""
        now = time.monotonic()
        for parcel in parcels:
            self._journal.observe(now - held, len(parcel.tickets))
            if parcel.trace is not None:
                parcel.trace.stage("journal", held, now)

    def refused(self, request: Request, answer: Answer) -> None:
        """A command of the request came to nothing, or nobody knows to what."""
        request.refused += 1
        if answer.code == UNKNOWN_OUTCOME:
            self._unknown.inc()

    def settled(self, request: Request, since: float) -> None:
        """The last command of a request has its answer; each of them took as long as the request."""
        if request.commands:
            at = request.settled
            self._minute.note_orders(at, at - since, request.commands, request.refused)

    def answered(self, request: Request, since: float, tracer: Tracer | None) -> None:
        """Who asked has all answers, or waits no longer. A trace that was asked for ends here in any case."""
        now = time.monotonic()
        count = len(request.answers)
        if request.began:
            self._admit.observe(since - request.began, count)
        if request.settled:
            self._answer.observe(now - request.settled, count)
        trace = request.trace
        if trace is None and tracer is not None and is_sampled(request.traceparent):
            trace = begun(request, since, tracer)
        if trace is not None:
            if request.settled:
                trace.stage("answer", request.settled, now)
            trace.end(now, "" if request.settled else NO_ANSWER)
