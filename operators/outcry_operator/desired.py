"""How many pods each trigger of a policy asks for."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from outcry_operator.depth import waiting
from outcry_operator.observation import CPU, MEMORY, Observation, Pod
from outcry_operator.resource import Connections, PolicySpec, QueueDepth, Trigger, Utilization
from outcry_operator.scaling import Load, Range, for_total, pods_for, utilization


class Vote(NamedTuple):
    """A trigger's answer, or why it has none. A ``partial`` one may raise, never lower; ``value`` is what was seen."""

    trigger: str
    replicas: int | None = None
    value: float = 0
    partial: bool = False
    missing: str = ""


class Question(NamedTuple):
    """What every trigger is asked: the policy, what was seen, when, and the pods that the mode allows."""

    spec: PolicySpec
    seen: Observation
    now_ms: int
    bounds: Range


def votes_of(question: Question) -> list[Vote]:
    """One vote for each trigger, in their order."""
    return [_vote(question, place, trigger) for place, trigger in enumerate(question.spec.triggers)]


def _vote(question: Question, place: int, trigger: Trigger) -> Vote:
    if trigger.cpu is not None:
        return _by_use(question, CPU, trigger.cpu)
    if trigger.memory is not None:
        return _by_use(question, MEMORY, trigger.memory)
    if trigger.queue_depth is not None:
        return _by_depth(question, trigger.queue_depth)
    if trigger.connections is not None:
        return _by_connections(question, trigger.connections)
    return _by_query(question, place, trigger)


def _by_use(question: Question, resource: str, trigger: Utilization) -> Vote:
    """The track that is more loaded decides: a canary that is too small or too slow raises the whole."""
    seen = question.seen
    stable = _use(question, resource, trigger, _serving(seen.pods), current=seen.target.replicas)
    canary = _serving(seen.canary_pods)
    if not (seen.canary_live and canary) or stable.replicas is None:
        return stable
    pods = len(_serving(seen.pods))
    if seen.together:  # both tracks stand behind one Service: what a part needs, the whole needs in proportion
        stable = stable._replace(replicas=-(-stable.replicas * seen.current // max(pods, 1)))
    other = _use(question, resource, trigger, canary, current=len(canary))
    if other.replicas is None or other.replicas <= len(canary):
        return stable
    raised = -(-other.replicas * seen.current // len(canary))
    return stable if raised <= (stable.replicas or 0) else other._replace(replicas=raised)


def _use(question: Question, resource: str, trigger: Utilization, pods: Sequence[Pod], *, current: int) -> Vote:
    seen, spec = question.seen, question.spec
    without = [pod.name for pod in pods if not pod.requests.get(resource)]
    if without:
        return Vote(resource, missing=f"pod {without[0]} requests no {resource}")
    usage = seen.usage.get(resource, {})
    oldest_ms = question.now_ms - spec.missing.max_age_seconds * 1000
    loads = [
        Load(
            pod.requests[resource],
            usage[pod.name].used if pod.name in usage and usage[pod.name].at_ms >= oldest_ms else None,
            resource != CPU or _is_settled(pod, question),
        )
        for pod in pods
    ]
    if not any(load.used is not None and load.ready for load in loads):
        return Vote(resource, missing=seen.usage_trouble.get(resource) or f"no ready pod has a sample of {resource}")
    used = utilization(loads, current, trigger.target_utilization_percent, spec.tolerance)
    return Vote(resource, used.replicas, used.percent)


def _serving(pods: Sequence[Pod]) -> list[Pod]:
    return [pod for pod in pods if not pod.leaving and not pod.ended]


def _is_settled(pod: Pod, question: Question) -> bool:
    """Ready, and for long enough that its start no longer shows in what it uses."""
    young_ms = question.spec.missing.initialization_seconds * 1000
    return pod.ready and question.now_ms - pod.ready_since_ms >= young_ms


def _by_depth(question: Question, trigger: QueueDepth) -> Vote:
    seen = question.seen
    if not seen.told:
        return Vote("queueDepth", missing="no pod answers on its admin port")
    if not question.spec.owns_partitions:
        found = {name: told.queue_depth for name, told in seen.told.items()}
        return _by_sum(question, "queueDepth", found, trigger)
    depth = waiting(trigger, seen)
    cap = question.bounds.high
    if trigger.limit_to_lagging:
        cap = question.bounds.clamp(depth.lagging)
    vote = _for_total(question, "queueDepth", depth.total, trigger.target_per_replica, cap=cap)
    if depth.total <= trigger.activation:
        vote = vote._replace(replicas=question.bounds.low)
    return vote._replace(partial=not depth.known)


def _by_connections(question: Question, trigger: Connections) -> Vote:
    found = {name: told.connections for name, told in question.seen.told.items()}
    if not found:
        return Vote("connections", missing="no pod answers on its admin port")
    return _by_sum(question, "connections", found, trigger)


def _by_sum(question: Question, name: str, found: Mapping[str, int], trigger: Connections | QueueDepth) -> Vote:
    total = sum(found.values())
    silent = [pod.name for pod in _serving(question.seen.pods) if pod.ready and pod.name not in found]
    vote = _for_total(question, name, total, trigger.target_per_replica, cap=question.bounds.high)
    if isinstance(trigger, QueueDepth) and total <= trigger.activation:
        vote = vote._replace(replicas=question.bounds.low)
    return vote._replace(partial=bool(silent))


def _by_query(question: Question, place: int, trigger: Trigger) -> Vote:
    asked = trigger.prometheus
    assert asked is not None
    total = question.seen.totals.get(place)
    if total is None or total.value is None:
        return Vote("prometheus", missing=total.why if total is not None else "it was not asked")
    if question.now_ms - total.at_ms > question.spec.missing.max_age_seconds * 1000:
        return Vote("prometheus", missing="the answer is too old")
    return _for_total(question, "prometheus", total.value, asked.target_per_replica, cap=question.bounds.high)


def _for_total(question: Question, name: str, total: float, target: float, *, cap: int) -> Vote:
    """A total that needs every pod there may be gets them: at the cap the tolerance is not asked."""
    if pods_for(total, target) >= cap:
        return Vote(name, cap, total)
    return Vote(name, for_total(total, target, question.seen.current, question.spec.tolerance), total)
