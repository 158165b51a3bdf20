"""A policy's status: its conditions, named and reasoned as HPA and KEDA do, and what its memory and decision show.

Source of names and reasons: Kubernetes 1.37 ``pkg/controller/podautoscaler/horizontal.go``, KEDA 2.20 ``ScaledObject``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from outcry_operator.depth import Waiting
from outcry_operator.memory import remembered, stalls_told
from outcry_operator.moments import rfc3339
from outcry_operator.observation import Observation
from outcry_operator.plan import LIMITED, PAUSED_REPLICAS, Decision
from outcry_operator.scaling import WITHIN

MAX_MESSAGE: Final = 1_000  # characters of a condition

READY: Final = "Ready"
ABLE: Final = "AbleToScale"
ACTIVE: Final = "ScalingActive"
LIMITED_BY: Final = "ScalingLimited"
FALLBACK: Final = "Fallback"
PAUSED: Final = "Paused"
DRAINING: Final = "Draining"
BLOCKED: Final = "ScaleInBlocked"
MANUAL: Final = "ManualHold"
HOT: Final = "HotPartition"
STALLED: Final = "StalledPartition"
CONDITIONS: Final = (READY, ABLE, ACTIVE, LIMITED_BY, FALLBACK, PAUSED, DRAINING, BLOCKED, MANUAL, HOT, STALLED)


class Condition(NamedTuple):
    """One condition; ``message`` says more than the reason can."""

    type: str
    holds: bool
    reason: str
    message: str = ""


def conditions_of(decision: Decision, seen: Observation, depth: Waiting | None) -> list[Condition]:
    """All conditions of a policy that could be looked at."""
    missing = [f"{vote.trigger}: {vote.missing}" for vote in decision.votes if vote.missing]
    answers = [vote for vote in decision.votes if vote.replicas is not None]
    draining = [pod.name for pod in decision.steps.drain]
    manual = decision.memory.manual
    paused = decision.holds or decision.reason == PAUSED_REPLICAS
    limited = decision.limited.reason
    hot = [f"{row.part} ({row.depth} commands at {row.pod})" for row in (depth.hot if depth else ())]
    stalled = [f"{row.part} ({row.reason or 'no offset moves'})" for row in (depth.stalled if depth else ())]
    return [
        Condition(READY, True, "Looked", "the target was found and looked at"),
        Condition(ABLE, not decision.guarded, decision.guarded or _able(decision)),
        Condition(
            ACTIVE, bool(answers) or paused or manual is not None, _active(decision, missing), "; ".join(missing)
        ),
        Condition(LIMITED_BY, limited in LIMITED, limited if limited in LIMITED else WITHIN),
        Condition(FALLBACK, decision.in_fallback, "NoTriggerAnswers" if decision.in_fallback else "TriggersAnswer"),
        Condition(PAUSED, paused, decision.reason if paused else "NotPaused"),
        Condition(DRAINING, bool(draining), "ScaleIn" if draining else "NobodyDrains", ", ".join(draining)),
        Condition(BLOCKED, bool(decision.steps.blocked), *_blocked(decision)),
        Condition(MANUAL, manual is not None, "SetByHand" if manual else "Automatic", _until(decision)),
        Condition(HOT, bool(hot), "OneEngineIsNotEnough" if hot else "NoHotPartition", ", ".join(hot)),
        Condition(STALLED, bool(stalled), "NoProgress" if stalled else "NoStalledPartition", ", ".join(stalled)),
    ]


def failed(reason: str, message: str) -> list[Condition]:
    """The one condition of a policy that could not be looked at; the others stay as they were."""
    return [Condition(READY, False, reason, message)]


def _able(decision: Decision) -> str:
    if decision.stabilized < decision.current and decision.stabilized > decision.raw:
        return "ScaleDownStabilized"
    if decision.stabilized > decision.current and decision.stabilized < decision.raw:
        return "ScaleUpStabilized"
    return "ReadyForNewScale" if decision.want == decision.current else "SucceededRescale"


def _active(decision: Decision, missing: Sequence[str]) -> str:
    if not missing:
        return "ValidMetricFound"
    return "SomeTriggersMissing" if len(missing) < len(decision.votes) else "FailedGetMetric"


def _blocked(decision: Decision) -> tuple[str, str]:
    return ("DrainTimeout", decision.steps.blocked) if decision.steps.blocked else ("NotBlocked", "")


def _until(decision: Decision) -> str:
    manual = decision.memory.manual
    if manual is None:
        return ""
    until = "replicas is 0 again" if manual.until_ms is None else rfc3339(manual.until_ms)
    return f"{manual.replicas} until {until}"


def merged(before: Sequence[Mapping[str, Any]], now: Sequence[Condition], now_ms: int) -> list[dict[str, Any]]:
    """The conditions of a status: the time of a transition stays while the status does."""
    known = {str(each.get("type")): each for each in before}
    told = {name: dict(each) for name, each in known.items()}
    for condition in now:
        status = "True" if condition.holds else "False"
        old = known.get(condition.type, {})
        since = old.get("lastTransitionTime") if old.get("status") == status else None
        told[condition.type] = {
            "type": condition.type,
            "status": status,
            "lastTransitionTime": since or rfc3339(now_ms)[:19] + "Z",
            "reason": condition.reason,
            "message": condition.message[:MAX_MESSAGE],
        }
    return list(told.values())


def status_of(
    decision: Decision, seen: Observation, depth: Waiting | None, now_ms: int, *, dry_run: bool
) -> dict[str, Any]:
    """The status of a policy but for its conditions and generation; with ``dry_run`` nothing is noted as written."""
    told: dict[str, Any] = remembered(decision.memory)
    if dry_run:
        told.pop("applied")
    told |= {
        "replicas": seen.current,
        "readyReplicas": seen.target.ready_replicas,
        "selector": seen.target.selector,
        "desiredReplicas": decision.want,
        "decision": {
            "votes": [_vote(vote._asdict()) for vote in decision.votes],
            "raw": decision.raw,
            "cap": decision.cap,
            "stabilized": decision.stabilized,
            "limited": decision.limited.replicas,
            "reason": decision.reason,
        },
    }
    partitions = _partitions(seen, depth, now_ms)
    return told | ({"partitions": partitions} if partitions else {})


def _vote(vote: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in vote.items() if value not in (None, "", False)}


def _partitions(seen: Observation, depth: Waiting | None, now_ms: int) -> dict[str, Any]:
    leases, _ = seen.lease_table()
    if not leases or depth is None:
        return {}
    draining = {name for name, told in seen.told.items() if told.draining_since_ms}
    told: dict[str, Any] = {
        "total": len(leases),
        "owned": sum(row.runs for row in leases),
        "draining": sum(row.pod in draining for row in leases),
        "stalled": stalls_told(depth.stalled, now_ms),
        "hottest": None,
    }
    if depth.hottest is not None:
        told["hottest"] = {"partition": depth.hottest.part, "depth": depth.hottest.depth}
    return told
