"""Looks at a release: both workloads, their pods, what they did in the last window, and how far a shadow agrees."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from outcry_operator.canary import figures, shadowing
from outcry_operator.canary.figures import Readings
from outcry_operator.canary.judge import Pair
from outcry_operator.canary.phases import Sight
from outcry_operator.canary.route import weight_in
from outcry_operator.canary.shadowing import Agreement, agreement
from outcry_operator.canary.sizes import Tracks, ordered, served_percent, share, split_for
from outcry_operator.canary.spec import GATEWAY, CanarySpec
from outcry_operator.canary.state import LIVE, PROGRESSING, SHADOWING, State
from outcry_operator.kube import NotFound
from outcry_operator.observation import HALTED, RUNNING, Lease, Observation, Pod, Told
from outcry_operator.observe import World, pods_of, workload
from outcry_operator.resource import ANNOTATION

RESTARTS_MS: Final = 300_000
MAX_RESTARTS_NOTED: Final = 100


@dataclass
class CanaryNotes:
    """What was noticed of one release between two looks, in memory only."""

    readings: Readings = field(default_factory=Readings)
    moves: dict[int, tuple[int, int]] = field(default_factory=dict)  # partition -> (attempts, last at)
    begun: dict[int, int] = field(default_factory=dict)  # partition -> first attempt at
    _restarts: dict[str, int] = field(default_factory=dict)  # by uid
    _restarted: deque[int] = field(default_factory=lambda: deque(maxlen=MAX_RESTARTS_NOTED))
    _offsets: dict[int, tuple[int, int]] = field(default_factory=dict)  # partition -> (offset, since)

    def restarts(self, pods: Sequence[Pod], now_ms: int) -> int:
        """How often containers of these pods have restarted within five minutes, as far as was seen."""
        for pod in pods:
            before = self._restarts.get(pod.uid, 0)
            self._restarted.extend([now_ms] * (pod.restarts - before))
            self._restarts[pod.uid] = pod.restarts
        return sum(now_ms - at_ms < RESTARTS_MS for at_ms in self._restarted)

    def idle_ms(self, told: Sequence[Told], now_ms: int) -> int:
        """How long the one of these engines' partitions with work that moved least has not moved."""
        longest = 0
        kept: dict[int, tuple[int, int]] = {}
        for row in (row for each in told for row in each.owned if row.state == RUNNING and row.depth):
            offset, since_ms = self._offsets.get(row.part, (row.next_offset, now_ms))
            kept[row.part] = (row.next_offset, since_ms if offset == row.next_offset else now_ms)
            longest = max(longest, now_ms - kept[row.part][1])
        self._offsets = kept
        return longest


class View(NamedTuple):
    """What a look found: the sight to decide by, and what acting on it needs."""

    sight: Sight
    stable_pods: Sequence[Pod]
    canary_pods: Sequence[Pod]
    told: Mapping[str, Told]
    leases: Sequence[Lease]
    order: Sequence[int]
    shadowed: Sequence[int] = ()
    route: Mapping[str, Any] | None = None


def look(
    world: World, spec: CanarySpec, state: State, notes: CanaryNotes, *,
    name: str, annotations: Mapping[str, str], policy: Mapping[str, Any],
) -> View:  # fmt: skip
    """One look; ``policy`` is the status of the component's policy, empty without one. Raises Trouble, Malformed."""
    tracks = Tracks(workload(world, spec.stable_ref), workload(world, spec.canary_ref))
    canary_pods = [pod for pod in pods_of(world, tracks.canary) if not pod.ended]
    apart = {pod.name for pod in canary_pods}
    stable_pods = [pod for pod in pods_of(world, tracks.stable) if not pod.ended and pod.name not in apart]
    told = world.ports.statuses([*stable_pods, *canary_pods])
    now_ms = world.clock()
    leases, _ = Observation(tracks.stable, told=told).lease_table()
    order = ordered(name, tracks.canary.revision, len(leases))
    shadowed = _shadowed(spec, state, order, leases, canary=apart)
    agreed = _agreement(world, spec, leases, shadowed, pods=(stable_pods, canary_pods))
    canary_told = [told[pod.name] for pod in canary_pods if pod.name in told]
    owned = sum(row.pod in apart for row in leases)
    want = _want(spec, state, tracks, policy)
    route = _route(world, spec)
    served = _served(spec, tracks, owned, len(leases), route=route)
    sight = Sight(
        tracks=tracks,
        want=want,
        pairs=_pairs(world, spec, state, notes, pods=(canary_pods, stable_pods), told=told),
        restarts=notes.restarts(canary_pods, now_ms),
        trouble=next((pod.trouble for pod in canary_pods if pod.trouble), ""),
        aborted=ANNOTATION + "abort" in annotations,
        within_target=_within_target(policy),
        served_percent=served,
        is_served=_is_served(spec, state, tracks, want, owned=owned, partitions=len(leases), served=served),
        canary_owned=owned,
        canary_halted=next(
            (f"partition {r.part}" for each in canary_told for r in each.owned if r.state == HALTED), ""
        ),
        idle_ms=notes.idle_ms(canary_told, now_ms),
        offsets=agreed.offsets,
        mismatches=agreed.mismatches,
        shadow_trouble=agreed.trouble,
    )
    return View(sight, stable_pods, canary_pods, told, leases, order, shadowed, route)


def _want(spec: CanarySpec, state: State, tracks: Tracks, policy: Mapping[str, Any]) -> int:
    """How many pods carry the whole load: the policy's number, or what there was when the release began."""
    if policy.get("desiredReplicas"):
        return int(policy["desiredReplicas"])
    return state.replicas if spec.divides and state.phase in LIVE and state.replicas else tracks.stable.replicas


def _within_target(policy: Mapping[str, Any]) -> bool:
    decision = policy.get("decision") or {}
    return int(decision.get("raw") or 0) <= max(
        int(policy.get("replicas") or 0), int(policy.get("desiredReplicas") or 0)
    )


def _route(world: World, spec: CanarySpec) -> Mapping[str, Any] | None:
    """The route as it stands. It has the name of the stable workload, as its Service has."""
    if spec.traffic.provider != GATEWAY:
        return None
    try:
        return world.cluster.get(world.paths.route(spec.stable_ref.name))
    except NotFound:
        return None


def _served(spec: CanarySpec, tracks: Tracks, owned: int, partitions: int, *, route: Mapping[str, Any] | None) -> float:
    if spec.is_engine:
        return served_percent(owned, partitions)
    if spec.traffic.provider == GATEWAY:
        return float(weight_in(route or {}, spec.canary_ref.name))
    ready = tracks.canary.ready_replicas
    return served_percent(ready, ready + tracks.stable.ready_replicas)


def _is_served(
    spec: CanarySpec, state: State, tracks: Tracks, want: int, *, owned: int, partitions: int, served: float
) -> bool:
    """Whether the weight that was asked for is what serves, and the pods for it are ready."""
    split = split_for(spec, want, state.weight)
    if tracks.canary.ready_replicas < split.canary or not tracks.canary.settled:
        return False
    if spec.is_engine:
        return owned == len(share(range(partitions), state.weight))
    if spec.traffic.provider == GATEWAY:
        return served == state.weight
    return tracks.canary.replicas == split.canary and tracks.stable.ready_replicas == split.stable


def _pairs(
    world: World, spec: CanarySpec, state: State, notes: CanaryNotes, *,
    pods: tuple[Sequence[Pod], Sequence[Pod]], told: Mapping[str, Told],
) -> dict[str, Pair]:  # fmt: skip
    if state.phase not in LIVE:
        return {}
    if spec.analysis.source == "prometheus":
        return figures.pairs_from_prometheus(spec, world.http, pods, world.clock())
    every = [*pods[0], *pods[1]]
    notes.readings.note(every, world.ports.metrics(every), told, world.clock())
    return figures.pairs_from_pods(spec, notes.readings, pods, told, now_ms=world.clock())


def _shadowed(
    spec: CanarySpec, state: State, order: Sequence[int], leases: Sequence[Lease], *, canary: set[str]
) -> list[int]:
    """The partitions of the next step that the canary does not own yet."""
    if not (spec.is_engine and spec.shadow.enabled and not spec.skip_analysis) or state.stage not in (
        SHADOWING,
        PROGRESSING,
    ):
        return []
    step = 0 if state.stage == SHADOWING else min(state.step + 1, len(spec.steps) - 1)
    owned = {row.part for row in leases if row.pod in canary}
    return [part for part in share(order, spec.steps[step].weight) if part not in owned]


def _agreement(
    world: World, spec: CanarySpec, leases: Sequence[Lease], shadowed: Sequence[int],
    *, pods: tuple[Sequence[Pod], Sequence[Pod]],
) -> Agreement:  # fmt: skip
    """Asks the owner and the shadow of each partition for their hashes."""
    stable, canary = pods
    owners = {row.part: row.pod for row in leases}
    by_name = {pod.name: pod for pod in [*stable, *canary]}
    dealt = shadowing.dealt(shadowed, [pod for pod in canary if pod.ready])
    pairs = []
    for name, parts in dealt.items():
        for part in parts:
            asked = [by_name[each] for each in (owners.get(part, ""), name) if each in by_name]
            found = {pod: _seen(windows) for pod, windows in world.ports.windows(asked, part).items()}
            if len(found) == 2:
                pairs.append((part, found[owners[part]], found[name]))
    return agreement(pairs, spec.shadow.window_offsets)


def _seen(windows: Any) -> shadowing.Seen:
    digests = {int(each["from_offset"]): str(each["digest"]) for each in windows.windows}
    return shadowing.Seen(windows.version, digests, windows.failure)
