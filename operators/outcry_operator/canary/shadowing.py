"""How an engine canary is compared with the owners, window by window, and which partitions move to it next."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from outcry_operator.observation import Lease, Pod, Told

MOVES_AT_ONCE: Final = 2


class Seen(NamedTuple):
    """The hashes that one engine has of one partition: by the first offset of each window."""

    version: int
    digests: Mapping[int, str]
    failure: str = ""


class Agreement(NamedTuple):
    """In how many offsets owner and shadow agree, in how many windows they differ, and why some cannot be compared."""

    offsets: int = 0
    mismatches: int = 0
    trouble: str = ""


def agreement(pairs: Sequence[tuple[int, Seen, Seen]], window_offsets: int) -> Agreement:
    """(partition, owner's, shadow's): only windows that both completed count."""
    offsets = mismatches = 0
    troubles: list[str] = []
    for part, owner, shadow in pairs:
        if owner.failure or shadow.failure:
            troubles.append(f"partition {part}: {owner.failure or shadow.failure}")
        elif owner.version != shadow.version:
            troubles.append(f"partition {part}: the canonical forms have versions {owner.version} and {shadow.version}")
        else:
            both = owner.digests.keys() & shadow.digests.keys()
            differing = sum(owner.digests[each] != shadow.digests[each] for each in both)
            offsets += window_offsets * (len(both) - differing)
            mismatches += differing
    return Agreement(offsets, mismatches, "; ".join(troubles[:3]))


def dealt(partitions: Sequence[int], pods: Sequence[Pod]) -> dict[str, list[int]]:
    """Partitions to shadow, dealt to the canary's pods in turn; a pod without any gets an empty list."""
    found: dict[str, list[int]] = {pod.name: [] for pod in pods}
    for place, part in enumerate(sorted(partitions)):
        if pods:
            found[pods[place % len(pods)].name].append(part)
    return found


class MoveTo(NamedTuple):
    """A partition that its owner should hand to a pod."""

    part: int
    owner: str
    to: str


def moves(
    wanted: Sequence[int], leases: Sequence[Lease], canary: Sequence[Pod], told: Mapping[str, Told]
) -> list[MoveTo]:
    """The next moves: to the canary's ready pod that has fewest, few at once."""
    pods = [pod.name for pod in canary if pod.ready and not pod.leaving and pod.name in told]
    if not pods:
        return []
    by_part = {row.part: row for row in leases}
    in_flight = sum("/" not in (row.owner or "/") for row in leases)
    loads = {name: sum(row.pod == name for row in leases) for name in pods}
    names = {pod.name for pod in canary}
    return list(_moves(wanted, by_part, names, loads))[: max(MOVES_AT_ONCE - in_flight, 0)]


def _moves(
    wanted: Sequence[int], by_part: Mapping[int, Lease], canary: set[str], loads: dict[str, int]
) -> Iterator[MoveTo]:
    for part in wanted:
        row = by_part.get(part)
        if row is None or row.halted or not row.runs or "/" not in (row.owner or "") or row.pod in canary:
            continue
        to = min(loads, key=lambda name: (loads[name], name))
        loads[to] += 1
        yield MoveTo(part, row.pod, to)
