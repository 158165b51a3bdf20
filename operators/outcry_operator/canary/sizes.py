"""How many pods each track has, and which partitions an engine canary gets."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from outcry_operator.canary.spec import CanarySpec
from outcry_operator.observation import Workload
from outcry_operator.scaling import Split, replica_ratio


class Tracks(NamedTuple):
    """The two workloads of a release as they are."""

    stable: Workload
    canary: Workload


def split_for(spec: CanarySpec, want: int, weight: int) -> Split:
    """The pods of a canary that gets ``weight`` percent. Unless pods divide the traffic, stable keeps all it needs.

    So a rollback by weights needs no start-up.
    """
    if spec.divides:
        return replica_ratio(want, weight, spec.traffic.max_surge)
    return Split(max(1, -(-want * weight // 100)), want)


def towards(spec: CanarySpec, split: Split, tracks: Tracks) -> Split:
    """The next sizes on the way to a split: where pods divide the traffic, one track shrinks as the other is ready."""
    if not spec.divides:
        return split
    stable, canary = tracks
    total = split.canary + split.stable
    return Split(
        max(split.canary, min(canary.replicas, total - stable.ready_replicas)),
        max(split.stable, min(stable.replicas, total - canary.ready_replicas)),
    )


def ordered(release: str, revision: str, partitions: int) -> list[int]:
    """The fixed order in which a revision gets partitions; the share of a step contains that of the step before."""

    def place(part: int) -> bytes:
        return hashlib.sha256(f"{release}/{revision}/{part}".encode()).digest()

    return sorted(range(partitions), key=place)


def share(order: Sequence[int], weight: int) -> list[int]:
    """The partitions of a step: at least one, none at weight 0."""
    if not weight or not order:
        return []
    return list(order[: max(1, (2 * weight * len(order) + 100) // 200)])


def served_percent(canary: int, everything: int) -> float:
    """Which part of the whole the canary really serves, to a tenth of a percent."""
    return round(100 * canary / everything, 1) if everything else 0.0
