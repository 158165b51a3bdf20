"""The resource ScalePolicy as values, with the defaults of its schema, and the annotations that pause it.

Source of the fields: HPA (autoscaling/v2) and KEDA 2.20, as docs/operator.md says of each.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

GROUP: Final = "outcry.dev"
VERSION: Final = "v1alpha1"
STATELESS: Final = "Stateless"
PARTITION_OWNER: Final = "PartitionOwner"
STATEFUL_SET: Final = "StatefulSet"

AUTO: Final = "auto"
METRICS_API: Final = "metricsAPI"
PODS: Final = "pods"

STATIC: Final = "static"
CURRENT: Final = "currentReplicas"
CURRENT_IF_HIGHER: Final = "currentReplicasIfHigher"

MAX: Final = "Max"
MIN: Final = "Min"
DISABLED: Final = "Disabled"
PODS_RATE: Final = "Pods"
PERCENT_RATE: Final = "Percent"

ANNOTATION: Final = "outcry.dev/"


class Malformed(Exception):
    """An object of the cluster that cannot be read as what it should be."""


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of a resource; unknown fields are those of a later version."""


class WorkloadRef(_Part, frozen=True, kw_only=True):
    """A Deployment or StatefulSet of the same namespace."""

    kind: str
    name: str


class Utilization(_Part, frozen=True, kw_only=True):
    """CPU or memory in percent of what the pods request."""

    target_utilization_percent: int = 70
    source: str = AUTO


class QueueDepth(_Part, frozen=True, kw_only=True):
    """Commands that wait (KEDA: activationLagThreshold, excludePersistentLag, limitToPartitionsWithLag)."""

    target_per_replica: int
    activation: int = 0
    stall_seconds: int = 60
    limit_to_lagging: bool = False


class Connections(_Part, frozen=True, kw_only=True):
    """WebSocket connections, summed over the pods."""

    target_per_replica: int = 10_000


class Query(_Part, frozen=True, kw_only=True):
    """A total that Prometheus knows."""

    address: str
    query: str
    target_per_replica: float


class Trigger(_Part, frozen=True, kw_only=True):
    """Exactly one of these."""

    cpu: Utilization | None = None
    memory: Utilization | None = None
    queue_depth: QueueDepth | None = None
    connections: Connections | None = None
    prometheus: Query | None = None

    @property
    def name(self) -> str:
        kinds = ("cpu", "memory", "queue_depth", "connections", "prometheus")
        name = next(kind for kind in kinds if getattr(self, kind) is not None)
        return "queueDepth" if name == "queue_depth" else name


class Tolerance(_Part, frozen=True, kw_only=True):
    """By how much a load may miss its target before anything changes; fractions of the target."""

    up: float = 0.1
    down: float = 0.1


class Missing(_Part, frozen=True, kw_only=True):
    """When a sample does not count."""

    max_age_seconds: int = 60
    initialization_seconds: int = 30


class Fallback(_Part, frozen=True, kw_only=True):
    """What is wanted while no trigger has an answer for more than so many ticks (KEDA)."""

    failure_threshold: int = 4
    behavior: str = CURRENT_IF_HIGHER
    replicas: int | None = None


class Rate(_Part, frozen=True, kw_only=True):
    """How many pods, or percent of them, may change within a period (HPA)."""

    type: str
    value: int
    period_seconds: int


class Rules(_Part, frozen=True, kw_only=True):
    """How fast one direction goes (HPA); what is not given is the mode's."""

    stabilization_window_seconds: int | None = None
    select_policy: str | None = None
    policies: tuple[Rate, ...] | None = None


class Behavior(_Part, frozen=True, kw_only=True):
    """Both directions."""

    scale_up: Rules = Rules()
    scale_down: Rules = Rules()


class Drain(_Part, frozen=True, kw_only=True):
    """How long a drain may take before the policy says that its scale-in is blocked."""

    timeout_seconds: int = 60


class PolicySpec(_Part, frozen=True, kw_only=True):
    """The spec of a ScalePolicy."""

    target_ref: WorkloadRef
    max_replicas: int
    triggers: tuple[Trigger, ...]
    mode: str = STATELESS
    min_replicas: int = 1
    replicas: int = 0
    manual_hold_seconds: int = 300
    sync_period_seconds: int = 15
    tolerance: Tolerance = Tolerance()
    missing: Missing = Missing()
    fallback: Fallback = Fallback()
    behavior: Behavior = Behavior()
    drain: Drain = Drain()
    dry_run: bool = False

    @property
    def owns_partitions(self) -> bool:
        return self.mode == PARTITION_OWNER


class Limits(NamedTuple):
    """One direction's rules with nothing left open."""

    window_seconds: int
    select: str
    rates: Sequence[Rate]


class Pauses(NamedTuple):
    """What the annotations of a policy ask for (KEDA)."""

    hold: bool = False
    replicas: int | None = None
    scale_in: bool = False
    scale_out: bool = False


def _rates(*rates: tuple[str, int, int]) -> tuple[Rate, ...]:
    return tuple(Rate(type=kind, value=value, period_seconds=period) for kind, value, period in rates)


# What a mode does where its policy says nothing: (up, down).
DEFAULTS: Final[Mapping[str, tuple[Limits, Limits]]] = {
    STATELESS: (
        Limits(0, MAX, _rates((PERCENT_RATE, 100, 15), (PODS_RATE, 4, 15))),
        Limits(300, MAX, _rates((PERCENT_RATE, 50, 60))),
    ),
    PARTITION_OWNER: (
        Limits(30, MAX, _rates((PODS_RATE, 2, 60))),
        Limits(300, MAX, _rates((PODS_RATE, 1, 60))),
    ),
}


def limits_of(spec: PolicySpec) -> tuple[Limits, Limits]:
    """The rules of a policy, up and down."""
    up, down = DEFAULTS[spec.mode]
    return _with(up, spec.behavior.scale_up), _with(down, spec.behavior.scale_down)


def _with(default: Limits, given: Rules) -> Limits:
    window = given.stabilization_window_seconds
    return Limits(
        default.window_seconds if window is None else window,
        given.select_policy or default.select,
        default.rates if given.policies is None else given.policies,
    )


def spec_of(found: Mapping[str, Any]) -> PolicySpec:
    """The spec of a ScalePolicy as the API server gives it. Raises Malformed."""
    try:
        return msgspec.convert(found.get("spec"), PolicySpec)
    except msgspec.ValidationError as wrong:
        raise Malformed(f"the spec cannot be read: {wrong}") from None


def pauses_of(annotations: Mapping[str, str]) -> Pauses:
    """A value that is no boolean counts as true; a number of replicas that is none pauses as things stand."""
    number = annotations.get(ANNOTATION + "paused-replicas")
    is_number = number is not None and number.isascii() and number.isdigit() and len(number) <= 4
    return Pauses(
        hold=_is_set(annotations, "paused") or (number is not None and not is_number),
        replicas=int(number) if number is not None and is_number else None,
        scale_in=_is_set(annotations, "paused-scale-in"),
        scale_out=_is_set(annotations, "paused-scale-out"),
    )


def _is_set(annotations: Mapping[str, str], name: str) -> bool:
    value = annotations.get(ANNOTATION + name)
    return value is not None and value.strip().lower() not in ("false", "f", "0")
