"""What the operator has noticed about pods and partitions between two looks, and how long each of it has lasted.

It is kept in memory only: whoever starts anew waits a little longer, which is the careful side.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from outcry_operator.memory import Stall
from outcry_operator.observation import CPU, MEMORY, Partition, Pod, Sample, Told

MIN_RATE_MS: Final = 5_000  # between two readings of a counter of CPU seconds
_METRIC: Final = re.compile(r"^(process_cpu_seconds_total|process_resident_memory_bytes) (\S+)$", re.MULTILINE)


class _Counted(NamedTuple):
    at_ms: int
    seconds: float


@dataclass
class Notes:
    """Of one workload."""

    silent_since_ms: dict[str, int] = field(default_factory=dict)
    _moved: dict[int, tuple[int, int]] = field(default_factory=dict)  # partition -> (offset, since)
    _unowned_since_ms: dict[int, int] = field(default_factory=dict)
    _counted: dict[str, _Counted] = field(default_factory=dict)  # by the uid of a pod
    _cpu: dict[str, Sample] = field(default_factory=dict)

    def silence(self, names: Collection[str], told: Collection[str], now_ms: int) -> None:
        """Who of ``names`` did not answer, since when."""
        self.silent_since_ms = {name: self.silent_since_ms.get(name, now_ms) for name in names if name not in told}

    def progress(self, told: Mapping[str, Told], stalls: Sequence[Stall], now_ms: int) -> dict[str, Told]:
        """The same, with how long each partition's offset has not moved; ``stalls`` are those of an earlier life."""
        earlier = {stall.part: (stall.next_offset, stall.since_ms) for stall in stalls}

        def timed(row: Partition) -> Partition:
            offset, since_ms = self._moved.get(row.part) or earlier.get(row.part) or (-1, now_ms)
            if offset != row.next_offset:
                since_ms = now_ms
            # What is done with its work has not stood still until the next look with some.
            self._moved[row.part] = (row.next_offset if row.depth else -1, since_ms)
            return row._replace(unmoved_ms=now_ms - since_ms)

        return {name: each._replace(owned=tuple(timed(row) for row in each.owned)) for name, each in told.items()}

    def unowned_ms(self, told: Mapping[str, Told], now_ms: int) -> int:
        """How long the partition that has been without an owner for longest has been; halted ones do not count."""
        tables = [each for each in told.values() if each.leases_at_ms]
        if not tables:
            return 0
        rows = max(tables, key=lambda each: each.leases_at_ms).leases
        halted = {row.part for each in told.values() for row in each.owned if row.state == "halted"}
        free = [row.part for row in rows if not row.runs and not row.halted and row.part not in halted]
        self._unowned_since_ms = {part: self._unowned_since_ms.get(part, now_ms) for part in free}
        return now_ms - min(self._unowned_since_ms.values(), default=now_ms)

    def usage(self, pods: Sequence[Pod], texts: Mapping[str, str], now_ms: int) -> dict[str, dict[str, Sample]]:
        """What pods use by their own metrics; CPU is known from the second reading on."""
        memory: dict[str, Sample] = {}
        for pod in pods:
            found = {name: float(value) for name, value in _METRIC.findall(texts.get(pod.name, ""))}
            if "process_resident_memory_bytes" in found:
                memory[pod.name] = Sample(round(found["process_resident_memory_bytes"]), now_ms)
            if "process_cpu_seconds_total" in found:
                self._count(pod, found["process_cpu_seconds_total"], now_ms)
        uids = {pod.uid for pod in pods}
        self._counted = {uid: each for uid, each in self._counted.items() if uid in uids}
        self._cpu = {uid: each for uid, each in self._cpu.items() if uid in uids}
        return {CPU: {pod.name: self._cpu[pod.uid] for pod in pods if pod.uid in self._cpu}, MEMORY: memory}

    def _count(self, pod: Pod, seconds: float, now_ms: int) -> None:
        before = self._counted.get(pod.uid)
        if before is None or seconds < before.seconds:  # the first reading, or the container is a new one
            self._counted[pod.uid] = _Counted(now_ms, seconds)
        elif now_ms - before.at_ms >= MIN_RATE_MS:
            used = round((seconds - before.seconds) * 1_000_000 / (now_ms - before.at_ms))
            self._cpu[pod.uid] = Sample(used, now_ms)
            self._counted[pod.uid] = _Counted(now_ms, seconds)
