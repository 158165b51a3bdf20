"""Ports seen through: the adapter behind keeps its promise, and what an engine asks of it is timed, counted, traced.

Engine and keeper know nothing of this. An order's stages there follow from what they ask: a record that was
read is matched when a commit begins that covers it, and it is told once the publication after that commit is out.
"""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar, cast

from outcry.codec import traceparent_of
from outcry.leases import Lease
from outcry.ports import (
    EngineLedger,
    Housekeeping,
    IntakeMissing,
    Journal,
    OutcomeUnknown,
    OutOfService,
    Publication,
    Publisher,
)
from outcry.rows import PartBatch, PartitionRow, Record
from outcry.telemetry import Telemetry, names
from outcry.telemetry.instruments import SIZES
from outcry.telemetry.traces import Tracer, is_sampled

MAX_ARRIVALS: Final = 4_096  # records of a partition that were read and not committed; older ones are not timed


J = TypeVar("J", bound=Journal)
E = TypeVar("E", bound=EngineLedger)
K = TypeVar("K", bound=Housekeeping)
L = TypeVar("L", bound=Lease)
P = TypeVar("P", bound=Publisher)


class Arrival(NamedTuple):
    """A record that was read, when, when the log says that it came, and the trace with it ("" for none)."""

    offset: int
    at: float
    logged_ms: int
    traceparent: str


class Seen:
    """An adapter of which some methods are replaced; everything else is the adapter's own."""

    def __init__(self, adapter: object, **replaced: Any) -> None:
        self._adapter = adapter
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)


class EngineWatch:
    """One per engine; each method returns a port to give to the engine instead of the one it is given."""

    def __init__(self, telemetry: Telemetry, tracer: Tracer | None = None) -> None:
        panel = telemetry.panel
        self._tracer = tracer
        self._match, self._commit, self._publish = (telemetry.stages.labels(name) for name in names.STAGES[3:6])
        self._commit_seconds = panel.histogram(names.COMMIT_SECONDS)
        self._frame_seconds = panel.histogram(names.FRAME_SECONDS)
        self._commit_rows = panel.histogram(names.COMMIT_ROWS, SIZES)
        self._refusals = panel.number(names.CAS_REFUSALS)
        self._failures = panel.numbers(names.COMMIT_TROUBLE)
        self._dead_letters = panel.number(names.DEAD_LETTERS)
        self._takeovers = panel.number(names.TAKEOVERS)
        self._opening = panel.histogram(names.OPENING_SECONDS)
        self._handovers = panel.number(names.HANDOVERS)
        self._handover = panel.histogram(names.HANDOVER_SECONDS)
        self._arrivals: dict[int, deque[Arrival]] = {}
        self._taken_over: dict[int, float] = {}  # when, until the first read of its log
        self._followed: Mapping[int, int] = {}  # the positions of the last read
        self._looked = 0.0  # when it ended
        self._left: dict[int, float] = {}  # when the last read ended of a partition that is not read any more
        self._telling: list[Arrival] = []  # committed, not published yet

    def journal(self, journal: J) -> J:
        async def read(positions: Mapping[int, int], max_records: int, wait_seconds: float) -> list[Record]:
            if wait_seconds <= 0:  # not the engine's way through its partitions, but a look at something
                return await journal.read(positions, max_records, wait_seconds)
            if positions.keys() != self._followed.keys():
                self._note_followed(positions)
            try:
                records = await journal.read(positions, max_records, wait_seconds)
            finally:
                self._looked = time.monotonic()
            self._note_read(records)
            return records

        return cast(J, Seen(journal, read=read))

    def ledger(self, ledger: E) -> E:
        async def commit(parts: Sequence[PartBatch]) -> set[int]:
            began = time.monotonic()
            try:
                named = await ledger.commit(parts)
            except (IntakeMissing, OutcomeUnknown, OutOfService) as trouble:
                self._failures.labels(type(trouble).__name__).inc()
                raise
            if len(named) < len(parts):
                self._refusals.inc(len(parts) - len(named))
            else:
                self._note_commit(parts, began, time.monotonic())
            return named

        return cast(E, Seen(ledger, commit=commit))

    def lease(self, lease: L) -> L:
        async def takeover(part: int, owner: str) -> PartitionRow | None:
            row = await lease.takeover(part, owner)
            if row is not None:
                self._takeovers.inc()
                self._taken_over[part] = time.monotonic()
            return row

        async def reserve(part: int, epoch: int, pod: str) -> None:
            await lease.reserve(part, epoch, pod)
            self._note_handover(part)

        async def share(part: int, epoch: int, pod: str) -> bool:
            shared = await lease.share(part, epoch, pod)
            if shared:
                self._note_handover(part)
            return shared

        return cast(L, Seen(lease, takeover=takeover, reserve=reserve, share=share))

    def publisher(self, publisher: P) -> P:
        async def publish(publication: Publication) -> None:
            began, telling = time.monotonic(), self._telling
            self._telling = []
            await publisher.publish(publication)
            if telling:
                self._note_published(telling, began, time.monotonic())

        return cast(P, Seen(publisher, publish=publish))

    def _note_followed(self, positions: Mapping[int, int]) -> None:
        now = time.monotonic()
        for part in positions.keys() & self._taken_over.keys():
            self._opening.observe(now - self._taken_over.pop(part))
        self._left.update(dict.fromkeys(self._followed.keys() - positions.keys(), self._looked))
        self._followed = dict(positions)

    def _note_read(self, records: Sequence[Record]) -> None:
        now = time.monotonic()
        for record in records:
            arrivals = self._arrivals.get(record.part)
            if arrivals is None:
                arrivals = self._arrivals[record.part] = deque(maxlen=MAX_ARRIVALS)
            elif arrivals and arrivals[-1].offset >= record.offset:
                arrivals.clear()  # what was read before is read again
            traced = traceparent_of(record.frame) if self._tracer is not None else ""
            arrivals.append(Arrival(record.offset, now, record.timestamp_ms, traced if is_sampled(traced) else ""))

    def _note_commit(self, parts: Sequence[PartBatch], began: float, ended: float) -> None:
        self._commit_seconds.observe(ended - began)
        self._commit_rows.observe(sum(map(_rows_of, parts)))
        now = time.time()
        for batch in parts:
            self._dead_letters.inc(len(batch.dead_letters))
            landed = self._take(batch.advance.part, batch.advance.to_offset)
            if landed:
                self._match.observe(began - landed[0].at, len(landed))
                self._commit.observe(ended - began, len(landed))
                self._frame_seconds.observe(max(0.0, now - landed[0].logged_ms / 1000), len(landed))
                self._telling += landed
                self._trace(landed, batch.advance.part, (began, ended))

    def _take(self, part: int, until: int) -> list[Arrival]:
        """The arrivals before an offset, which are arrivals no more."""
        arrivals = self._arrivals.get(part, deque())
        taken = []
        while arrivals and arrivals[0].offset < until:
            taken.append(arrivals.popleft())
        return taken

    def _trace(self, landed: Sequence[Arrival], part: int, committed: tuple[float, float]) -> None:
        if self._tracer is not None:
            for arrival in landed:
                if arrival.traceparent:
                    about = {"partition": part, "offset": arrival.offset}
                    self._tracer.stage(arrival.traceparent, "match", arrival.at, committed[0], **about)
                    self._tracer.stage(arrival.traceparent, "commit", *committed, **about)

    def _note_published(self, told: Sequence[Arrival], began: float, ended: float) -> None:
        self._publish.observe(ended - began, len(told))
        if self._tracer is not None:
            for arrival in told:
                if arrival.traceparent:
                    self._tracer.stage(arrival.traceparent, "publish", began, ended)

    def _note_handover(self, part: int) -> None:
        now = time.monotonic()
        self._handovers.inc()
        self._handover.observe(now - (self._looked if part in self._followed else self._left.pop(part, now)))


def watch_keeper(ledger: K, telemetry: Telemetry) -> K:
    """The ledger to give to a keeper instead of this one."""
    folded, voided = telemetry.panel.number(names.FOLDED), telemetry.panel.number(names.VOIDED)

    async def fold(parts: Sequence[int], max_postings: int = 5000) -> int:
        count = await ledger.fold(parts, max_postings)
        folded.inc(count)
        return count

    async def void(part: int) -> list[int]:
        orders = await ledger.void(part)
        voided.inc(len(orders))
        return orders

    return cast(K, Seen(ledger, fold=fold, void=void))


def _rows_of(batch: PartBatch) -> int:
    """How many rows a batch writes, beside that of its partition."""
    return sum(map(len, cast(tuple[list[object], ...], batch[1:])))
