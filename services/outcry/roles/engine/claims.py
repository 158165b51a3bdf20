"""Which partitions an engine takes, offers and copies: decided from the table of leases and members alone."""

from collections.abc import Collection, Iterable, Sequence
from hashlib import blake2b
from typing import Final

from outcry.leases import FREED_MS, HALT, RUN, Leased, Member, Table, pod_of

MAX_FAREWELLS: Final = 2  # partitions that a draining engine hands over at a time


def completed(table: Table, partitions: Iterable[int], me: Member) -> Table:
    """The table with a free lease for partitions that nobody ever took, and with oneself as one is now."""
    known = {row.part: row for row in table.leases}
    leases = tuple(known.get(part, Leased(part, None, 0, FREED_MS, RUN, None, 0)) for part in partitions)
    others = [member for member in table.members if member.owner != me.owner]
    return Table(leases, tuple(sorted([*others, me])))


def halts(table: Table) -> dict[int, str]:
    """Partitions that wait for a person, and why."""
    return {row.part: row.halt_reason or "halted by an operator" for row in table.leases if row.status == HALT}


def owned(table: Table) -> dict[str, int]:
    """How many partitions each sharing pod has, those reserved for it included."""
    counts = {member.pod: 0 for member in table.members if member.shares}
    for row in _running(table):
        pod = pod_of(row.owner or "")
        if pod in counts:
            counts[pod] += 1
    return counts


def free(table: Table) -> list[int]:
    """Partitions that anyone may take."""
    return [row.part for row in _running(table) if row.owner is None or row.expires_in_ms < 0]


def claimed(table: Table, me: Member, held: Collection[int], overdue: Collection[int]) -> list[int]:
    """Partitions to take over now, beside the ``held``: one's own, those reserved for one, and one's share of the free.

    ``overdue`` ones have been free for so long that a full share is no reason to leave them.
    """
    own = [row.part for row in _running(table) if row.part not in held and _is_for(row, me)]
    if not me.shares:
        return own
    counts = owned(table)
    share = -(-len(_running(table)) // len(counts))
    room = max(0, share - counts[me.pod])
    strays = [part for part in _in_turn(free(table), me.pod) if part not in held and part not in own]
    return own + strays[:room] + [part for part in strays[room:] if part in overdue]


def surplus(table: Table, me: Member, movable: Collection[int]) -> tuple[int, str] | None:
    """A partition to hand over, and the pod that has the fewest, if that has at least two less."""
    counts = owned(table)
    if not movable or me.pod not in counts:
        return None
    poorest = min(counts, key=lambda pod: (counts[pod], pod))
    return (max(movable), poorest) if counts[me.pod] >= counts[poorest] + 2 else None


def farewells(table: Table, me: Member, movable: Collection[int]) -> list[tuple[int, str]]:
    """What a draining engine hands over next, each partition to the ready engine that then has the fewest."""
    counts = owned(table)
    ready = {member.pod for member in table.members if member.shares and member.ready and member.pod != me.pod}
    for _, pod in me.offers:
        if pod in counts:
            counts[pod] += 1
    found = []
    for part in sorted(movable)[: MAX_FAREWELLS - len(me.offers)]:
        if not ready:
            break
        poorest = min(ready, key=lambda pod: (counts[pod], pod))
        counts[poorest] += 1
        found.append((part, poorest))
    return found


def offered(table: Table, me: Member) -> set[int]:
    """Partitions that others would hand over to this pod."""
    return {part for member in table.members for part, pod in member.offers if pod == me.pod and member is not me}


def takes(table: Table, pod: str) -> bool:
    """Whether a pod takes its part of the partitions, and so may be offered one by its peers."""
    return any(member.pod == pod and member.shares for member in table.members)


def accepts(table: Table, pod: str, part: int) -> bool | None:
    """Whether a pod has its copy of what was offered to it; None when it is not there any more."""
    members = [member for member in table.members if member.pod == pod]
    return any(part in member.copies for member in members) if members else None


def _running(table: Table) -> Sequence[Leased]:
    return [row for row in table.leases if row.status == RUN]


def _is_for(row: Leased, me: Member) -> bool:
    """Whether it is one's own, or reserved for one.

    Who drains takes that as well, and hands it on: it was decided before the drain was known, and nobody else may
    have it for seconds.
    """
    return row.owner in (me.owner, me.pod)


def _in_turn(parts: Sequence[int], pod: str) -> list[int]:
    """The partitions from a place of the pod's own on, so that engines that start together seldom meet."""
    if not parts:
        return []
    start = blake2b(pod.encode(), digest_size=8).digest()[0] % len(parts)
    return [*parts[start:], *parts[:start]]
