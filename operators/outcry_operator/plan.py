"""What to do about one policy: from its spec, its memory and what was seen to a decision, without doing anything.

A look of the loop is observe, plan, act; this is the middle, a pure function of its arguments.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from outcry_operator.desired import Question, Vote, votes_of
from outcry_operator.handover import Patience, Steps, keep, scale_in
from outcry_operator.memory import Manual, Memory
from outcry_operator.observation import Observation
from outcry_operator.resource import (
    CURRENT,
    CURRENT_IF_HIGHER,
    Pauses,
    PolicySpec,
    limits_of,
)
from outcry_operator.scaling import (
    DOWN_LIMIT,
    TOO_FEW,
    TOO_MANY,
    UP_LIMIT,
    WITHIN,
    Limited,
    Range,
    rate_limit,
    stabilize,
)

MAX_UNOWNED_MS: Final = 10_000  # a partition without an owner for longer stops every scale-in

# Why a decision is what it is, where no trigger decided.
PAUSED: Final = "Paused"
PAUSED_REPLICAS: Final = "PausedReplicas"
OUT_OF_RANGE: Final = "OutOfRange"
MANUAL_HOLD: Final = "ManualHold"
FALLBACK: Final = "Fallback"
NO_METRICS: Final = "NoMetrics"
PARTIAL_METRICS: Final = "PartialMetrics"
STEADY: Final = "Steady"
SCALE_OUT_PAUSED: Final = "ScaleOutPaused"
SCALE_IN_PAUSED: Final = "ScaleInPaused"
CANARY_LIVE: Final = "CanaryLive"
POD_NOT_READY: Final = "PodNotReady"
PARTITION_UNOWNED: Final = "PartitionUnowned"


class Asked(NamedTuple):
    """One policy: what its spec and its annotations ask for."""

    spec: PolicySpec
    pauses: Pauses = Pauses()


class Decision(NamedTuple):
    """How many pods are wanted, on which grounds, and the next steps towards it."""

    current: int
    want: int
    memory: Memory
    votes: Sequence[Vote] = ()
    raw: int = 0
    cap: int = 0
    stabilized: int = 0
    limited: Limited = Limited(0)
    reason: str = STEADY
    holds: bool = False  # paused as things stand: nothing at all is done
    in_fallback: bool = False
    guarded: str = ""  # which guard kept the number
    steps: Steps = Steps()


def plan(asked: Asked, memory: Memory, seen: Observation, now_ms: int, *, patience: Patience) -> Decision:
    """Decides. The decision's memory is what the next look must be given."""
    spec, pauses, current = asked.spec, asked.pauses, seen.current
    leases, _ = seen.lease_table()
    memory = memory._replace(partitions=len(leases) or memory.partitions)
    if pauses.hold and pauses.replicas is None:
        return Decision(current, current, _noticed(memory, current, spec), cap=current, reason=PAUSED, holds=True)
    if pauses.replicas is not None:
        want = max(pauses.replicas, 1) if spec.owns_partitions else pauses.replicas
        decision = Decision(current, want, _noticed(memory, current, spec), cap=want, reason=PAUSED_REPLICAS)
    else:
        memory = _manual(memory, spec, current, now_ms)
        bounds = _bounds(spec, memory)
        wished = _wished(asked, memory, seen, now_ms, bounds=bounds)
        decision = _guarded(_held(wished, bounds, now_ms), asked, seen)
    return _stepped(decision, spec, seen, now_ms, patience=patience)


def _noticed(memory: Memory, current: int, spec: PolicySpec) -> Memory:
    """While a policy is paused nobody's number is a manual one."""
    return memory.wrote(current)._replace(spec_replicas=spec.replicas)


def _manual(memory: Memory, spec: PolicySpec, current: int, now_ms: int) -> Memory:
    """Takes notice of numbers that a person set, on the policy or on the target itself."""
    hold = spec.manual_hold_seconds
    until_ms = None if hold < 0 else now_ms + hold * 1000
    if memory.applied and current not in memory.applied:
        memory = memory._replace(manual=Manual(current, until_ms))
    if spec.replicas != memory.spec_replicas:
        memory = memory._replace(manual=Manual(spec.replicas, until_ms) if spec.replicas else None)
    if hold == 0 or (memory.manual is not None and not memory.manual.holds(now_ms)):
        memory = memory._replace(manual=None)
    if current not in memory.applied:
        memory = memory.wrote(current)
    return memory._replace(spec_replicas=spec.replicas)


def _bounds(spec: PolicySpec, memory: Memory) -> Range:
    high = spec.max_replicas
    if spec.owns_partitions and memory.partitions:
        high = max(min(high, memory.partitions), spec.min_replicas)
    return Range(spec.min_replicas, high)


def _wished(asked: Asked, memory: Memory, seen: Observation, now_ms: int, *, bounds: Range) -> Decision:
    """What the triggers ask for, within the bounds, the windows and the rates."""
    spec, current = asked.spec, seen.current
    if not spec.min_replicas <= current <= spec.max_replicas:
        want = bounds.clamp(current)
        return Decision(
            current, want, memory, raw=current, cap=bounds.high, stabilized=want,
            limited=Limited(want, TOO_FEW if want > current else TOO_MANY), reason=OUT_OF_RANGE,
        )  # fmt: skip
    votes = votes_of(Question(spec, seen, now_ms, bounds))
    if any(vote.replicas is not None for vote in votes):
        memory = memory._replace(failures=0, failing_ms=0)
    else:
        memory = memory.failed(now_ms)
    raw, reason = _raw(spec, votes, current, _has_failed(spec, memory, now_ms))
    wanted = bounds.clamp(raw)
    up, down = limits_of(spec)
    windows_ms = (up.window_seconds * 1000, down.window_seconds * 1000)
    stabilized = stabilize(current, wanted, memory.wished(now_ms), windows_ms)
    limited = rate_limit(
        current, bounds.clamp(stabilized), bounds,
        up=up, down=down, added=memory.added(now_ms), removed=memory.removed(now_ms),
    )  # fmt: skip
    if limited.reason == WITHIN and wanted != raw:
        limited = limited._replace(reason=TOO_FEW if wanted > raw else TOO_MANY)
    return Decision(
        current, limited.replicas, memory.remember(now_ms, wanted), votes=votes, raw=raw, cap=bounds.high,
        stabilized=stabilized, limited=limited, reason=reason, in_fallback=reason == FALLBACK,
    )  # fmt: skip


def _has_failed(spec: PolicySpec, memory: Memory, now_ms: int) -> bool:
    """More looks than are borne had no answer; looks that a change brings about do not shorten the time for it."""
    limit = spec.fallback.failure_threshold
    return memory.failures > limit and now_ms - memory.failing_ms >= limit * spec.sync_period_seconds * 1000


def _raw(spec: PolicySpec, votes: Sequence[Vote], current: int, has_failed: bool) -> tuple[int, str]:
    """The number before any bound, and why it is that."""
    answers = [vote for vote in votes if vote.replicas is not None]
    if not answers:
        return (_fallback(spec, current), FALLBACK) if has_failed else (current, NO_METRICS)
    best = max(answers, key=lambda vote: vote.replicas or 0)
    raw = best.replicas or 0
    if raw < current and any(vote.partial or vote.missing for vote in votes):
        return current, PARTIAL_METRICS
    return raw, f"{best.trigger} {best.value:g} asks for {raw}"


def _fallback(spec: PolicySpec, current: int) -> int:
    replicas = spec.fallback.replicas or spec.min_replicas
    return {CURRENT: current, CURRENT_IF_HIGHER: max(current, replicas)}.get(spec.fallback.behavior, replicas)


def _held(decision: Decision, bounds: Range, now_ms: int) -> Decision:
    """A person's number stands in for the triggers' as long as it holds."""
    manual = decision.memory.manual
    if manual is None or not manual.holds(now_ms):
        return decision
    return decision._replace(
        want=bounds.clamp(manual.replicas), reason=MANUAL_HOLD, limited=Limited(decision.stabilized)
    )


def _guarded(decision: Decision, asked: Asked, seen: Observation) -> Decision:
    """Keeps the number where a change in its direction must not be."""
    guard = ""
    if decision.want < decision.current:
        guard = _no_less(decision, asked, seen)
    elif decision.want > decision.current and asked.pauses.scale_out:
        guard = SCALE_OUT_PAUSED
    return decision._replace(want=decision.current, reason=guard, guarded=guard) if guard else decision


def _no_less(decision: Decision, asked: Asked, seen: Observation) -> str:
    """Why nothing may be removed now; "" if it may."""
    guards = (
        (asked.pauses.scale_in, SCALE_IN_PAUSED),
        (seen.canary_live, CANARY_LIVE),
        (decision.in_fallback, FALLBACK),
        (_not_ready(asked.spec, seen, decision.want), POD_NOT_READY),
        (seen.unowned_ms > MAX_UNOWNED_MS, PARTITION_UNOWNED),
    )
    return next((reason for holds, reason in guards if holds), "")


def _not_ready(spec: PolicySpec, seen: Observation, want: int) -> bool:
    """Whether fewer would be ready than are wanted: of a StatefulSet it is known who stays."""
    if spec.owns_partitions:
        staying = [pod for pod in seen.pods if pod.ordinal < want]
    else:
        staying = list(seen.pods)
    return sum(pod.ready and not pod.leaving for pod in staying) < want


def _stepped(decision: Decision, spec: PolicySpec, seen: Observation, now_ms: int, *, patience: Patience) -> Decision:
    """Adds the steps of this look, and notes what they will have written."""
    want, target = decision.want, seen.target.replicas
    if seen.together:
        steps = Steps()  # the release divides the pods between its two workloads
    elif not spec.owns_partitions:
        steps = Steps(replicas=want if want != target else None)
    elif want < target:
        steps = scale_in(seen, want, patience, now_ms)
    else:
        steps = keep(seen, want)
    memory = decision.memory
    if seen.together and want != decision.current:
        memory = memory.wrote(want).changed(now_ms, want - decision.current)
    if steps.replicas is not None and not spec.dry_run:
        memory = memory.wrote(steps.replicas).changed(now_ms, steps.replicas - target)
    return decision._replace(steps=steps, memory=memory)


LIMITED: Final = (UP_LIMIT, DOWN_LIMIT, TOO_FEW, TOO_MANY)
