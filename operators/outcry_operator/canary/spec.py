"""The resource CanaryRelease as values, with the defaults of its schema.

Source of the fields: Argo Rollouts (steps, limits) and Flagger (weights, deadlines), as docs/operator.md says of each.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from outcry_operator.resource import Malformed, WorkloadRef

API: Final = "api"
STREAM: Final = "stream"
AGENT: Final = "agent"
ENGINE: Final = "engine"

REPLICA_RATIO: Final = "replicaRatio"
GATEWAY: Final = "gatewayAPI"

ERROR_RATE: Final = "errorRate"
LATENCY: Final = "latencyP99Ms"
LAG: Final = "lagMs"
COMMIT_LATENCY: Final = "commitLatencyP99Ms"

FOR_EVER: Final = -1  # holdSeconds: until a person says so


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of a resource; unknown fields are those of a later version."""


class Traffic(_Part, frozen=True, kw_only=True):
    """Who divides the traffic."""

    provider: str = REPLICA_RATIO
    route_template: str = ""
    max_surge: int = 1


class Step(_Part, frozen=True, kw_only=True):
    """So many percent for so long."""

    weight: int
    hold_seconds: int = 120


class PrometheusAt(_Part, frozen=True, kw_only=True):
    """Where Prometheus is."""

    address: str


class NoDataRule(_Part, frozen=True, kw_only=True):
    """How long a canary without enough samples is held before it is taken back."""

    action: str = "Hold"
    max_hold_seconds: int = 900


class Analysis(_Part, frozen=True, kw_only=True):
    """How a canary is judged."""

    source: str = "pods"
    prometheus: PrometheusAt | None = None
    interval_seconds: int = 15
    window_seconds: int = 60
    failure_limit: int = 0
    consecutive_error_limit: int = 4
    min_samples: int = 50
    no_data: NoDataRule = NoDataRule()


class Bounds(_Part, frozen=True, kw_only=True):
    """What a figure of the canary may be, by itself and against the stable track's."""

    name: str
    max: float | None = None
    max_ratio_to_stable: float | None = None
    noise_floor: float | None = None


class Shadow(_Part, frozen=True, kw_only=True):
    """How long an engine canary must agree with the owners before it owns anything."""

    enabled: bool = True
    window_offsets: int = 100
    min_offsets: int = 1000
    max_mismatches: int = 0


class Rollback(_Part, frozen=True, kw_only=True):
    """What happens when a canary is taken back."""

    automatic: bool = True
    scale_down_delay_seconds: int = 30
    close_sockets: bool = True


_STEPS: Final = tuple(Step(weight=weight) for weight in (5, 25, 50, 100))


class CanarySpec(_Part, frozen=True, kw_only=True):
    """The spec of a CanaryRelease."""

    component: str
    stable_ref: WorkloadRef
    canary_ref: WorkloadRef
    traffic: Traffic = Traffic()
    steps: tuple[Step, ...] = _STEPS
    resume: int = -1
    analysis: Analysis = Analysis()
    metrics: tuple[Bounds, ...] = ()
    shadow: Shadow = Shadow()
    progress_deadline_seconds: int = 600
    rollback: Rollback = Rollback()
    suspend: bool = False
    skip_analysis: bool = False

    @property
    def is_engine(self) -> bool:
        return self.component == ENGINE

    @property
    def divides(self) -> bool:
        """Whether the pods of both tracks together are what is wanted."""
        return not self.is_engine and self.traffic.provider == REPLICA_RATIO


# What a figure may be where the release does not say: (max, ratio to stable).
_DEFAULTS: Final[Mapping[str, tuple[float, float]]] = {
    ERROR_RATE: (0.01, 2.0),
    LATENCY: (250.0, 1.5),
    LAG: (1000.0, 2.0),
    COMMIT_LATENCY: (250.0, 1.5),
}
_OF_COMPONENT: Final[Mapping[str, Sequence[str]]] = {
    API: (ERROR_RATE, LATENCY),
    STREAM: (ERROR_RATE,),
    AGENT: (ERROR_RATE,),
    ENGINE: (LAG, COMMIT_LATENCY),
}


def bounds_of(spec: CanarySpec) -> list[Bounds]:
    """The bounds of a release with nothing left open."""
    given = spec.metrics or tuple(Bounds(name=name) for name in _OF_COMPONENT[spec.component])
    return [_with_defaults(each) for each in given]


def _with_defaults(given: Bounds) -> Bounds:
    most, ratio = _DEFAULTS[given.name]
    most = given.max if given.max is not None else most
    return Bounds(
        name=given.name,
        max=most,
        max_ratio_to_stable=given.max_ratio_to_stable or ratio,
        noise_floor=given.noise_floor if given.noise_floor is not None else most / 4,
    )


def canary_of(found: Mapping[str, Any]) -> CanarySpec:
    """The spec of a CanaryRelease as the API server gives it. Raises Malformed."""
    try:
        return msgspec.convert(found.get("spec"), CanarySpec)
    except msgspec.ValidationError as wrong:
        raise Malformed(f"the spec cannot be read: {wrong}") from None
