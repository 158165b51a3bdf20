"""Policies, pods and engines as the tests write them: short, and with everything ordinary left out."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from outcry_operator.handover import Patience
from outcry_operator.memory import Memory
from outcry_operator.observation import Lease, Observation, Partition, Pod, Sample, Told, Workload
from outcry_operator.plan import Asked, Decision, plan
from outcry_operator.resource import PolicySpec, pauses_of

NOW_MS = 1_800_000_000_000
MINUTE_MS = 60_000
PATIENCE = Patience(lease_ms=6_000, drain_ms=60_000)


def policy(**fields: Any) -> Asked:
    """A policy for 1 to 10 pods at 70 % CPU; fields are those of the resource, ``annotations`` without the prefix."""
    annotations = {f"outcry.dev/{name}": text for name, text in fields.pop("annotations", {}).items()}
    spec = {
        "targetRef": {"kind": "Deployment", "name": "api"},
        "minReplicas": 1,
        "maxReplicas": 10,
        "triggers": [{"cpu": {}}],
        **fields,
    }
    return Asked(msgspec.convert(spec, PolicySpec), pauses_of(annotations))


def engines_policy(target: int = 1000, **fields: Any) -> Asked:
    """A policy for engines of which each may have ``target`` commands waiting."""
    depth = {"targetPerReplica": target, **fields.pop("depth", {})}
    target_ref = {"kind": "StatefulSet", "name": "engine"}
    return policy(targetRef=target_ref, mode="PartitionOwner", triggers=[{"queueDepth": depth}], **fields)


def pod(name: str, **fields: Any) -> Pod:
    """A pod that has been ready for long and requests one core."""
    ordinal = int(name.rsplit("-", 1)[1]) if name.rsplit("-", 1)[-1].isdigit() else -1
    ready = {"ready": True, "ready_since_ms": 1} | fields
    return Pod(name, uid=f"uid-{name}", ordinal=ordinal, **({"requests": {"cpu": 1000, "memory": 1 << 30}} | ready))


def busy(*percents: int | None, now_ms: int = NOW_MS) -> Observation:
    """A Deployment whose pods use so many percent of the CPU they request; None: no sample."""
    pods = [pod(f"api-{place}") for place in range(len(percents))]
    used = {
        each.name: Sample(10 * percent, now_ms)
        for each, percent in zip(pods, percents, strict=True)
        if percent is not None
    }
    return Observation(workload("api", len(pods)), pods, usage={"cpu": used})


def workload(name: str, replicas: int, kind: str = "Deployment") -> Workload:
    return Workload(kind, name, replicas, ready_replicas=replicas, resource_version="1", selector=f"app={name}")


def engines(owned: Sequence[Mapping[int, int]], *, now_ms: int = NOW_MS, **rows: Any) -> Observation:
    """Engines 0, 1, …: each with its partitions and what waits in them. ``rows`` are further fields of partitions."""
    pods = [pod(f"engine-{place}") for place in range(len(owned))]
    leases = [
        Lease(part, f"{each.name}/1", 1, 5_000) for each, parts in zip(pods, owned, strict=True) for part in parts
    ]
    leases.sort()
    told = {
        each.name: Told(
            now_ms,
            owned=[
                Partition(part, each.name, depth=depth, end_offset=depth + 1, **rows) for part, depth in parts.items()
            ],
            leases=leases,
            leases_at_ms=now_ms - 500,
        )
        for each, parts in zip(pods, owned, strict=True)
    }
    return Observation(workload("engine", len(pods), "StatefulSet"), pods, told)


def decide(asked: Asked, seen: Observation, memory: Memory | None = None, *, now_ms: int = NOW_MS) -> Decision:
    """One look; without a memory the present number is known as the operator's own."""
    before = memory if memory is not None else Memory(applied=(seen.current,), spec_replicas=0)
    return plan(asked, before, seen, now_ms, patience=PATIENCE)
