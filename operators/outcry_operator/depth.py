"""How much of what waits in the partitions more engines could take: stalled, halted and hot ones count for less."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from outcry_operator.observation import HALTED, LOADING, Observation, Partition
from outcry_operator.resource import QueueDepth


class Waiting(NamedTuple):
    """``total`` commands that more engines could take; ``lagging`` partitions have more than the activation.

    ``known`` is False where some partition's depth is not known.
    """

    total: int
    lagging: int
    known: bool
    stalled: Sequence[Partition] = ()
    hot: Sequence[Partition] = ()
    hottest: Partition | None = None


def waiting(trigger: QueueDepth, seen: Observation) -> Waiting:
    """What waits in all partitions.

    A partition whose offset has not moved for ``stall_seconds``, or that is halted, waits for a person, not for an
    engine. One that alone keeps its engine busy beyond the target is as fast as it gets: it counts as one target.
    """
    rows = seen.partitions()
    leases, _ = seen.lease_table()
    halted = {row.part for row in leases if row.halted} | {row.part for row in rows.values() if row.state == HALTED}
    unknown = [row.part for row in leases if row.part not in rows and row.part not in halted]
    loading = [row for row in rows.values() if row.state == LOADING]
    stalled = [row for row in rows.values() if _is_stalled(row, trigger)]
    moving = [row for row in rows.values() if row not in stalled]
    alone = {pod for pod, owned in Counter(row.pod for row in rows.values()).items() if owned == 1}
    hot = [row for row in moving if row.depth > trigger.target_per_replica and row.pod in alone]
    total = sum(min(row.depth, trigger.target_per_replica) if row in hot else row.depth for row in moving)
    return Waiting(
        total=total,
        lagging=sum(row.depth > trigger.activation for row in moving),
        known=bool(leases) and not unknown and not loading,
        stalled=stalled,
        hot=hot,
        hottest=max(rows.values(), key=lambda row: row.depth, default=None),
    )


def _is_stalled(row: Partition, trigger: QueueDepth) -> bool:
    waits = row.depth > 0 and row.end_offset > 0
    return row.state == HALTED or (waits and row.state != LOADING and row.unmoved_ms >= trigger.stall_seconds * 1000)
