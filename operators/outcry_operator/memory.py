"""What a policy remembers from one look to the next: it stands in the status, so that it survives a restart."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from outcry_operator.moments import millis, rfc3339
from outcry_operator.observation import Partition
from outcry_operator.scaling import Past

MAX_REMEMBERED: Final = 40  # recommendations, and changes; the oldest go first
MAX_APPLIED: Final = 2


class Noted(NamedTuple):
    """A recommendation, or a change by so many replicas (below 0: removed)."""

    at_ms: int
    replicas: int


class Manual(NamedTuple):
    """A number that a person set, and until when it holds; None: until ``replicas`` is 0 again."""

    replicas: int
    until_ms: int | None

    def holds(self, now_ms: int) -> bool:
        return self.until_ms is None or now_ms < self.until_ms


class Stall(NamedTuple):
    """A partition that did not move: at which offset, and since when."""

    part: int
    next_offset: int
    since_ms: int


class Memory(NamedTuple):
    """What was written, wished and changed before."""

    applied: tuple[int, ...] = ()
    recommendations: tuple[Noted, ...] = ()
    scale_events: tuple[Noted, ...] = ()
    failures: int = 0
    failing_ms: int = 0  # since when no trigger has had an answer; 0: some has
    manual: Manual | None = None
    spec_replicas: int = 0
    partitions: int = 0  # as last known; 0: never
    stalls: tuple[Stall, ...] = ()

    def remember(self, now_ms: int, replicas: int) -> "Memory":
        """Windows ask for the highest and lowest within a time, so the last moment of each number is all they need."""
        kept = [noted for noted in self.recommendations if noted.replicas != replicas]
        return self._replace(recommendations=(*kept, Noted(now_ms, replicas))[-MAX_REMEMBERED:])

    def wrote(self, replicas: int) -> "Memory":
        """Notes a number as the operator's own, or as one that it has taken notice of."""
        if self.applied[-1:] == (replicas,):
            return self
        return self._replace(applied=(*self.applied, replicas)[-MAX_APPLIED:])

    def changed(self, now_ms: int, by: int) -> "Memory":
        return self._replace(scale_events=(*self.scale_events, Noted(now_ms, by))[-MAX_REMEMBERED:])

    def failed(self, now_ms: int) -> "Memory":
        """One more look without any answer."""
        return self._replace(failures=self.failures + 1, failing_ms=self.failing_ms or now_ms)

    def wished(self, now_ms: int) -> list[Past]:
        return [Past(now_ms - noted.at_ms, noted.replicas) for noted in self.recommendations]

    def added(self, now_ms: int) -> list[Past]:
        return [Past(now_ms - noted.at_ms, noted.replicas) for noted in self.scale_events if noted.replicas > 0]

    def removed(self, now_ms: int) -> list[Past]:
        return [Past(now_ms - noted.at_ms, -noted.replicas) for noted in self.scale_events if noted.replicas < 0]


def memory_of(status: Mapping[str, Any]) -> Memory:
    """What a status remembers; a part that cannot be read is forgotten, for the next ticks make it anew."""
    manual = status.get("manual") or {}
    partitions = status.get("partitions") or {}
    try:
        return Memory(
            applied=tuple(int(each) for each in status.get("applied") or ()),
            recommendations=_noted(status.get("recommendations")),
            scale_events=_noted(status.get("scaleEvents")),
            failures=int(status.get("failures") or 0),
            failing_ms=millis(status.get("failingSince")),
            manual=Manual(int(manual["replicas"]), millis(manual["until"]) if "until" in manual else None)
            if "replicas" in manual
            else None,
            spec_replicas=int(status.get("specReplicas") or 0),
            partitions=int(partitions.get("total") or 0),
            stalls=tuple(
                Stall(int(row["partition"]), int(row["nextOffset"]), millis(row["since"]))
                for row in partitions.get("stalled") or ()
            ),
        )
    except (ValueError, TypeError, KeyError):
        return Memory()


def _noted(rows: Sequence[Mapping[str, Any]] | None) -> tuple[Noted, ...]:
    return tuple(Noted(millis(row["time"]), int(row["replicas"])) for row in rows or ())


def remembered(memory: Memory) -> dict[str, Any]:
    """The part of a status that ``memory_of`` reads, but for the partitions; a patch takes away what is null."""
    told: dict[str, Any] = {
        "applied": list(memory.applied),
        "recommendations": [_row(noted) for noted in memory.recommendations],
        "scaleEvents": [_row(noted) for noted in memory.scale_events],
        "failures": memory.failures,
        "failingSince": rfc3339(memory.failing_ms) if memory.failing_ms else None,
        "specReplicas": memory.spec_replicas,
        "manual": None,
    }
    if memory.manual is not None:
        told["manual"] = {"replicas": memory.manual.replicas}
        if memory.manual.until_ms is not None:
            told["manual"]["until"] = rfc3339(memory.manual.until_ms)
    return told


def stalls_told(rows: Sequence[Partition], now_ms: int) -> list[dict[str, Any]]:
    """Stalled partitions as a status shows them."""
    return [
        {"partition": row.part, "nextOffset": row.next_offset, "since": rfc3339(now_ms - row.unmoved_ms)}
        for row in rows
    ]


def _row(noted: Noted) -> dict[str, Any]:
    return {"time": rfc3339(noted.at_ms), "replicas": noted.replicas}
