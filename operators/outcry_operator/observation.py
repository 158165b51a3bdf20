"""What was seen of one workload at one moment: values only, each with the time it belongs to."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

STABLE: Final = "stable"
CANARY: Final = "canary"

CPU: Final = "cpu"
MEMORY: Final = "memory"

LOADING: Final = "loading"
RUNNING: Final = "running"
HALTED: Final = "halted"


class Pod(NamedTuple):
    """One pod. ``requests`` are thousandths of a core and bytes; ``ordinal`` is -1 outside a StatefulSet."""

    name: str
    uid: str = ""
    ip: str = ""
    ordinal: int = -1
    track: str = STABLE
    revision: str = ""
    ready: bool = False
    ready_since_ms: int = 0
    leaving: bool = False  # it is being deleted
    ended: bool = False  # its containers are done and stay so
    requests: Mapping[str, int] = {}
    restarts: int = 0
    trouble: str = ""  # CrashLoopBackOff or OOMKilled
    deletion_cost: int = 0
    admin_port: int = 9100


class Sample(NamedTuple):
    """How much a pod uses: thousandths of a core or bytes."""

    used: int
    at_ms: int


class Partition(NamedTuple):
    """A partition as its engine tells of it. ``depth`` counts commands; ``unmoved_ms`` how long no offset has moved."""

    part: int
    pod: str
    epoch: int = 0
    next_offset: int = 0
    end_offset: int = 0
    depth: int = 0
    lag_ms: int = 0
    state: str = RUNNING
    reason: str = ""
    unmoved_ms: int = 0


class Lease(NamedTuple):
    """One row of the table of leases, as an engine read it. ``owner`` is pod/incarnation, a bare pod while reserved."""

    part: int
    owner: str | None
    epoch: int = 0
    expires_in_ms: int | None = None
    halted: bool = False

    @property
    def pod(self) -> str:
        return (self.owner or "").partition("/")[0]

    @property
    def runs(self) -> bool:
        """Whether somebody holds it now."""
        return self.owner is not None and self.expires_in_ms is not None and self.expires_in_ms > 0


class Told(NamedTuple):
    """What a pod answered on its admin port. ``leases_at_ms`` is 0 where it has no table of leases."""

    at_ms: int
    draining_since_ms: int = 0
    connections: int = 0
    queue_depth: int = 0
    ready: bool = True
    claim: str = "share"
    revision: str = ""
    owned: Sequence[Partition] = ()
    leases: Sequence[Lease] = ()
    leases_at_ms: int = 0


class Total(NamedTuple):
    """The answer of a query; ``why`` it has none otherwise."""

    value: float | None
    at_ms: int = 0
    why: str = ""


class Workload(NamedTuple):
    """A Deployment or StatefulSet, its scale and the version that a change of it is based on."""

    kind: str
    name: str
    replicas: int
    ready_replicas: int = 0
    updated_replicas: int = 0
    settled: bool = True  # the controller has seen the newest generation, and its roll-out is done
    selector: str = ""
    revision: str = ""
    resource_version: str = ""
    parallel: bool = True  # podManagementPolicy of a StatefulSet


class Observation(NamedTuple):
    """One workload, its pods, and what they and others tell."""

    target: Workload
    pods: Sequence[Pod] = ()
    told: Mapping[str, Told] = {}  # by pod, of those that answered
    silent_since_ms: Mapping[str, int] = {}  # by pod, of those that did not
    usage: Mapping[str, Mapping[str, Sample]] = {}  # by resource and pod
    usage_trouble: Mapping[str, str] = {}  # by resource: why there is none
    totals: Mapping[int, Total] = {}  # by the trigger's place
    unowned_ms: int = 0  # how long some partition has had no owner, at most
    canary_live: bool = False  # a release is under way
    canary_pods: Sequence[Pod] = ()
    together: int = 0  # pods of both tracks where they share one Service; 0: only the target counts

    @property
    def current(self) -> int:
        """The pods that carry the load."""
        return self.together or self.target.replicas

    def lease_table(self) -> tuple[Sequence[Lease], int]:
        """The newest table of leases that an engine told, and when it was read; no rows and 0 where none did."""
        tables = [(each.leases_at_ms, each.leases) for each in self.told.values() if each.leases_at_ms]
        at_ms, rows = max(tables, key=lambda table: table[0], default=(0, ()))
        return rows, at_ms

    def partitions(self) -> dict[int, Partition]:
        """Each partition as the engine with the highest epoch tells of it."""
        found: dict[int, Partition] = {}
        for told in self.told.values():
            for row in told.owned:
                if row.part not in found or found[row.part].epoch < row.epoch:
                    found[row.part] = row
        return found
