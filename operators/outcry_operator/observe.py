"""Looks at one policy's workload: its scale, its pods, what they tell on their admin ports, and what they use."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import urllib3

from outcry_operator import prometheus
from outcry_operator.adminport import AdminPorts
from outcry_operator.kube import Cluster, Forbidden, NotFound, Paths, Trouble, Unreachable
from outcry_operator.memory import Memory
from outcry_operator.notes import Notes
from outcry_operator.observation import CPU, MEMORY, Observation, Pod, Sample, Told, Total, Workload
from outcry_operator.reading import Object, pod_of, usage_of, workload_of
from outcry_operator.resource import METRICS_API, PODS, PolicySpec, Utilization, WorkloadRef

Usage = dict[str, dict[str, Sample]]


class World(NamedTuple):
    """Where everything is looked up: the API server, the pods and Prometheus; ``clock`` tells milliseconds."""

    cluster: Cluster
    paths: Paths
    ports: AdminPorts
    http: urllib3.PoolManager
    clock: Callable[[], int]


class Release(NamedTuple):
    """What a policy has to know of the canary release of its component."""

    live: bool = False
    canary: WorkloadRef | None = None
    divides: int = 0  # so many pods it divides between the two workloads; 0: it leaves the stable one alone


NO_RELEASE: Final = Release()


def workload(world: World, ref: WorkloadRef) -> Workload:
    """A Deployment or StatefulSet. Raises Trouble."""
    return workload_of(world.cluster.get(world.paths.workload(ref.kind, ref.name)))


def pods_of(world: World, found: Workload) -> list[Pod]:
    """The pods that a workload selects. Raises Trouble, Malformed."""
    return [pod_of(each) for each in world.cluster.items(world.paths.core("pods"), found.selector)]


def observe(
    world: World, spec: PolicySpec, memory: Memory, notes: Notes, *, release: Release = NO_RELEASE
) -> Observation:
    """One look at everything a policy decides by. Raises Trouble, Malformed."""
    target = workload(world, spec.target_ref)
    canary = workload(world, release.canary) if release.canary is not None and release.live else None
    every = pods_of(world, target)
    canary_pods = pods_of(world, canary) if canary is not None else []
    apart = {pod.name for pod in canary_pods}
    pods = [pod for pod in every if pod.name not in apart]
    told = _told(world, [*pods, *canary_pods], memory, notes, target=target)
    selectors = [each.selector for each in (target, canary) if each is not None]
    usage, trouble = _usage(world, spec, [*pods, *canary_pods], notes, selectors=selectors)
    return Observation(
        target=target,
        pods=pods,
        told=told,
        silent_since_ms=dict(notes.silent_since_ms),
        usage=usage,
        usage_trouble=trouble,
        totals=_totals(world, spec),
        unowned_ms=notes.unowned_ms(told, world.clock()),
        canary_live=release.live,
        canary_pods=canary_pods,
        together=release.divides if release.live else 0,
    )


def _told(world: World, pods: Sequence[Pod], memory: Memory, notes: Notes, *, target: Workload) -> dict[str, Told]:
    told = world.ports.statuses(pods)
    now_ms = world.clock()
    ordinals = {f"{target.name}-{place}" for place in range(target.replicas)} if target.kind == "StatefulSet" else set()
    notes.silence(ordinals | {pod.name for pod in pods}, told, now_ms)
    return notes.progress(told, memory.stalls, now_ms)


def _usage(
    world: World, spec: PolicySpec, pods: Sequence[Pod], notes: Notes, *, selectors: Sequence[str]
) -> tuple[Usage, dict[str, str]]:
    """What pods use, for each resource that a trigger asks about from where it asks, and why it is not known."""
    asked = {resource: each for resource, each in _resources(spec).items() if each is not None}
    if not asked:
        return {}, {}
    api, why = _from_api(world, selectors) if any(each.source != PODS for each in asked.values()) else ({}, "")
    own: Usage = {}
    if any(each.source == PODS or (each.source != METRICS_API and not api) for each in asked.values()):
        own = notes.usage(pods, world.ports.metrics(pods), world.clock())
    found = {
        resource: (own if each.source == PODS or not api else api).get(resource, {}) for resource, each in asked.items()
    }
    trouble = {resource: why for resource, each in asked.items() if each.source == METRICS_API and why}
    return found, trouble


def _resources(spec: PolicySpec) -> dict[str, Utilization | None]:
    return {
        CPU: next((each.cpu for each in spec.triggers if each.cpu is not None), None),
        MEMORY: next((each.memory for each in spec.triggers if each.memory is not None), None),
    }


def _from_api(world: World, selectors: Sequence[str]) -> tuple[Usage, str]:
    """What metrics.k8s.io knows; nothing and why where it is not served."""
    try:
        return usage_of([each for one in selectors for each in world.cluster.items(world.paths.usage(), one)]), ""
    except (NotFound, Forbidden, Unreachable) as trouble:
        return {}, f"metrics.k8s.io does not answer: {trouble}"
    except ValueError as wrong:
        return {}, f"metrics.k8s.io answers what cannot be read: {wrong}"


def _totals(world: World, spec: PolicySpec) -> dict[int, Total]:
    return {
        place: prometheus.ask(world.http, each.prometheus.address, each.prometheus.query, world.clock())
        for place, each in enumerate(spec.triggers)
        if each.prometheus is not None
    }


__all__ = ["NO_RELEASE", "Object", "Release", "Trouble", "World", "observe", "pods_of", "workload"]
