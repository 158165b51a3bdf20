"""What a release remembers from one look to the next: it stands in its status, so that it survives a restart."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from outcry_operator.canary.judge import Verdict
from outcry_operator.moments import millis, rfc3339

IDLE: Final = "Idle"
INITIALIZING: Final = "Initializing"
SHADOWING: Final = "Shadowing"
PROGRESSING: Final = "Progressing"
HOLDING: Final = "Holding"
FINALIZING: Final = "Finalizing"
PROMOTED: Final = "Promoted"
ROLLING_BACK: Final = "RollingBack"
ROLLED_BACK: Final = "RolledBack"

PHASES: Final = (
    IDLE, INITIALIZING, SHADOWING, PROGRESSING, HOLDING, FINALIZING, PROMOTED, ROLLING_BACK, ROLLED_BACK,
)  # fmt: skip
TRYING: Final = frozenset((INITIALIZING, SHADOWING, PROGRESSING, HOLDING))
LIVE: Final = TRYING | {FINALIZING, ROLLING_BACK}


class State(NamedTuple):
    """Where a release stands. Times are milliseconds, 0 where they do not run."""

    phase: str = IDLE
    reason: str = ""
    step: int = 0
    weight: int = 0
    replicas: int = 0  # of both tracks together, as the policy wants them
    stable_revision: str = ""
    canary_revision: str = ""
    failed_revision: str = ""
    failures: int = 0
    errors: int = 0
    judged_ms: int = 0
    since_ms: int = 0
    passing_ms: int = 0
    holding_ms: int = 0
    holding_from: str = ""

    @property
    def stage(self) -> str:
        """The phase that goes on once a hold ends."""
        return self.holding_from if self.phase == HOLDING else self.phase

    def begin(self, phase: str, now_ms: int, reason: str = "") -> "State":
        """Another phase; its clocks start anew."""
        return self._replace(phase=phase, reason=reason, since_ms=now_ms, passing_ms=0, holding_ms=0, holding_from="")


def state_of(status: Mapping[str, Any]) -> State:
    """Where a status says that a release stands; one that cannot be read begins anew."""
    try:
        return State(
            phase=status.get("phase") if status.get("phase") in PHASES else IDLE,  # type: ignore[arg-type]
            reason=str(status.get("reason") or ""),
            step=int(status.get("step") or 0),
            weight=int((status.get("weight") or {}).get("target") or 0),
            replicas=int(status.get("replicas") or 0),
            stable_revision=str(status.get("stableRevision") or ""),
            canary_revision=str(status.get("canaryRevision") or ""),
            failed_revision=str(status.get("failedRevision") or ""),
            failures=int(status.get("failures") or 0),
            errors=int(status.get("errors") or 0),
            judged_ms=millis(status.get("judgedAt")),
            since_ms=millis(status.get("since")),
            passing_ms=millis(status.get("passingSince")),
            holding_ms=millis(status.get("holdingSince")),
            holding_from=str(status.get("holdingFrom") or ""),
        )
    except (ValueError, TypeError, AttributeError):
        return State()


def status_of(state: State, verdicts: Sequence[Verdict], actual: float) -> dict[str, Any]:
    """The status of a release, but for its conditions and its shadow."""
    return {
        "phase": state.phase,
        "reason": state.reason,
        "step": state.step,
        "weight": {"target": state.weight, "actual": actual},
        "replicas": state.replicas,
        "stableRevision": state.stable_revision,
        "canaryRevision": state.canary_revision,
        "failedRevision": state.failed_revision,
        "failures": state.failures,
        "errors": state.errors,
        "judgedAt": _time(state.judged_ms),
        "since": _time(state.since_ms),
        "passingSince": _time(state.passing_ms),
        "holdingSince": _time(state.holding_ms),
        "holdingFrom": state.holding_from or None,
        "verdicts": [_row(each) for each in verdicts],
    }


def _time(at_ms: int) -> str | None:
    return rfc3339(at_ms) if at_ms else None


def _row(verdict: Verdict) -> dict[str, Any]:
    return {name: value for name, value in verdict._asdict().items() if value is not None}
