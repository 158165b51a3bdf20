"""What to do about a release: from its spec, where it stands and what was seen to where it stands next.

A pure function, as plan.py is for policies. A canary is judged in every phase in which it gets traffic, also while it
is held.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from outcry_operator.canary.judge import ERROR, FAILURE, INCONCLUSIVE, NO_DATA, Pair, Verdict, judge, whole
from outcry_operator.canary.sizes import Tracks, split_for, towards
from outcry_operator.canary.spec import FOR_EVER, CanarySpec, bounds_of
from outcry_operator.canary.state import (
    FINALIZING,
    HOLDING,
    IDLE,
    INITIALIZING,
    LIVE,
    PROGRESSING,
    PROMOTED,
    ROLLED_BACK,
    ROLLING_BACK,
    SHADOWING,
    TRYING,
    State,
)
from outcry_operator.scaling import Split

MAX_RESTARTS: Final = 2  # of a canary's container within five minutes
MAX_IDLE_MS: Final = 10_000  # an engine canary that commits nothing for so long, though commands wait
SUSPENDED: Final = "Suspended"  # why a release is held that its owner keeps waiting


class Sight(NamedTuple):
    """What was seen of a release. ``pairs`` are the figures of the last window, by name."""

    tracks: Tracks
    want: int
    pairs: Mapping[str, Pair] = {}
    restarts: int = 0  # of canary containers within the last five minutes
    trouble: str = ""  # CrashLoopBackOff or OOMKilled
    aborted: bool = False
    within_target: bool = True  # both tracks carry their load
    served_percent: float = 0.0
    is_served: bool = True  # the weight that was asked for is what serves
    canary_owned: int = 0  # partitions of an engine canary
    canary_halted: str = ""
    idle_ms: int = 0
    offsets: int = 0  # in which owner and shadow agree
    mismatches: int = 0
    shadow_trouble: str = ""  # why owner and shadow cannot be compared


class Turn(NamedTuple):
    """Where the release stands now, its verdicts, and the sizes that its workloads should have."""

    state: State
    split: Split
    verdicts: Sequence[Verdict] = ()
    drain_canary: bool = False
    moves: bool = False  # partitions are on their way


def tick_canary(spec: CanarySpec, state: State, sight: Sight, now_ms: int) -> Turn:
    """Decides. The turn's state is what the next look must be given."""
    stable, canary = sight.tracks
    state = state._replace(stable_revision=stable.revision)
    verdicts: Sequence[Verdict] = ()
    if not canary.revision or stable.revision == canary.revision:
        state = _without_a_trial(state, sight, now_ms)
    elif canary.revision != state.canary_revision:
        state = _new_revision(state, canary.revision, now_ms)
    elif state.phase == ROLLING_BACK:
        state = _rolled_back(spec, state, sight, now_ms)
    elif state.phase in TRYING:
        verdicts = _verdicts(spec, state, sight)
        state = _tried(spec, state, sight, now_ms, verdicts=verdicts)
    return _turn(spec, state._replace(replicas=sight.want), sight, verdicts, now_ms=now_ms)


def _without_a_trial(state: State, sight: Sight, now_ms: int) -> State:
    """Both tracks are the same: a trial is finished or given up, or there is none."""
    stable = sight.tracks.stable
    if state.phase in TRYING or state.phase == ROLLING_BACK:
        return state.begin(FINALIZING, now_ms, "RevisionsAreEqual")
    if state.phase == ROLLED_BACK:
        state = state.begin(IDLE, now_ms, "NothingToTry")
    if state.phase != FINALIZING:
        return state._replace(weight=0, step=0)
    if not (stable.settled and stable.ready_replicas >= sight.want):
        return state
    state = state._replace(weight=0)
    if sight.tracks.canary.replicas or sight.canary_owned:
        return state
    is_promoted = bool(stable.revision) and stable.revision == state.canary_revision
    ended = state.begin(PROMOTED if is_promoted else IDLE, now_ms, "Promoted" if is_promoted else "GivenUp")
    return ended._replace(step=0)


def _new_revision(state: State, revision: str, now_ms: int) -> State:
    """A revision that was not tried yet begins at nothing; one that failed is not tried again."""
    fresh = state._replace(canary_revision=revision, step=0, weight=0, failures=0, errors=0, judged_ms=0)
    if revision == state.failed_revision:
        return fresh.begin(ROLLED_BACK, now_ms, "FailedBefore")
    return fresh.begin(INITIALIZING, now_ms, "NewRevision")


def _rolled_back(spec: CanarySpec, state: State, sight: Sight, now_ms: int) -> State:
    stable, canary = sight.tracks
    if canary.replicas or (spec.divides and stable.ready_replicas < sight.want):
        return state
    return state.begin(ROLLED_BACK, now_ms, state.reason)


def _verdicts(spec: CanarySpec, state: State, sight: Sight) -> list[Verdict]:
    """Of a canary without traffic, and of one that nobody wants judged, there are none."""
    if spec.skip_analysis or state.stage in (INITIALIZING, SHADOWING):
        return []
    asked = [each for each in bounds_of(spec) if each.name in sight.pairs]
    found = [judge(each, sight.pairs[each.name], spec.analysis.min_samples) for each in asked]
    # Nobody is sent to a canary of weight 0; whoever asks for it by the header is judged all the same.
    return [each for each in found if each.verdict != NO_DATA] if state.weight == 0 else found


def _tried(spec: CanarySpec, state: State, sight: Sight, now_ms: int, *, verdicts: Sequence[Verdict]) -> State:
    found = whole(verdicts)
    state = _counted(spec, state, found, now_ms)
    why = _rollback_rule(spec, state, sight, found, now_ms=now_ms)
    if why and (spec.rollback.automatic or sight.aborted):
        return roll_back(state, why, now_ms)
    hold = why or _hold_rule(spec, state, sight, found)
    if hold:
        return _held(state, hold, now_ms)
    if state.phase == HOLDING:
        state = state._replace(phase=state.holding_from or PROGRESSING, holding_ms=0, holding_from="", reason="")
    return _onward(spec, state, sight, now_ms)


def _counted(spec: CanarySpec, state: State, found: str, now_ms: int) -> State:
    """Counts a verdict once an interval."""
    if now_ms - state.judged_ms < spec.analysis.interval_seconds * 1000:
        return state
    return state._replace(
        judged_ms=now_ms,
        failures=state.failures + (found == FAILURE),
        errors=state.errors + 1 if found == ERROR else 0,
    )


def _rollback_rule(spec: CanarySpec, state: State, sight: Sight, found: str, *, now_ms: int) -> str:
    """Why the canary must be taken back now; "" if it need not."""
    limit = spec.analysis
    starting_ms = now_ms - state.since_ms
    held_ms = now_ms - state.holding_ms if state.holding_ms else 0
    rules = (
        (sight.aborted, "Aborted"),
        (state.failures > limit.failure_limit, "FailedChecks"),
        (bool(sight.trouble), sight.trouble),
        (sight.restarts >= (1 if spec.is_engine and sight.canary_owned else MAX_RESTARTS), "Restarts"),
        (starting_ms > spec.progress_deadline_seconds * 1000 and _starts(spec, state, sight), "NotReadyInTime"),
        (sight.mismatches > spec.shadow.max_mismatches, "ShadowMismatch"),
        (bool(sight.canary_halted), "CanaryHalted"),
        (sight.idle_ms > MAX_IDLE_MS, "CommitsNothing"),
        (found == NO_DATA and state.reason == NO_DATA and held_ms > limit.no_data.max_hold_seconds * 1000, "NoData"),
    )
    return next((reason for holds, reason in rules if holds), "")


def _starts(spec: CanarySpec, state: State, sight: Sight) -> bool:
    """Whether it waits for its pods. One whose pods are ready waits for its owner, and for as long as he likes."""
    return state.stage == INITIALIZING and not _is_up(spec, sight)


def _is_up(spec: CanarySpec, sight: Sight) -> bool:
    """Whether all pods of the first step are ready."""
    canary = sight.tracks.canary
    needed = split_for(spec, sight.want, spec.steps[0].weight).canary
    return canary.settled and canary.ready_replicas >= max(needed, 1)


def _hold_rule(spec: CanarySpec, state: State, sight: Sight, found: str) -> str:
    """Why the canary stays where it is; "" if it may go on."""
    if found in (NO_DATA, INCONCLUSIVE):
        return found
    if state.errors > spec.analysis.consecutive_error_limit:
        return "QueriesFail"
    if state.stage == SHADOWING and sight.shadow_trouble:
        return "ShadowNotComparable"
    return SUSPENDED if spec.suspend and not _starts(spec, state, sight) else ""


def _held(state: State, reason: str, now_ms: int) -> State:
    """Held, for each reason on a clock of its own."""
    begins = state.phase != HOLDING or reason != state.reason
    was_up = reason == SUSPENDED and state.stage == INITIALIZING  # from now on its pods have their time again
    return state._replace(
        since_ms=now_ms if was_up else state.since_ms,
        phase=HOLDING,
        holding_from=state.stage,
        holding_ms=now_ms if begins else state.holding_ms,
        reason=reason,
        passing_ms=0,
    )


def roll_back(state: State, reason: str, now_ms: int) -> State:
    """Takes the weight away at once; the pods go later."""
    failed = state._replace(weight=0, failed_revision=state.canary_revision)
    return failed.begin(ROLLING_BACK, now_ms, reason)


def _onward(spec: CanarySpec, state: State, sight: Sight, now_ms: int) -> State:
    if state.phase == INITIALIZING:
        if _is_up(spec, sight):
            if spec.is_engine and spec.shadow.enabled and not spec.skip_analysis:
                return state.begin(SHADOWING, now_ms, "ComparingWithOwners")
            return _at_step(spec, state, 0, now_ms)
        return state
    if state.phase == SHADOWING:
        return _at_step(spec, state, 0, now_ms) if sight.offsets >= spec.shadow.min_offsets else state
    return _next_step(spec, state, sight, now_ms)


def _at_step(spec: CanarySpec, state: State, step: int, now_ms: int) -> State:
    weight = spec.steps[step].weight
    return state.begin(PROGRESSING, now_ms, f"{weight} %")._replace(step=step, weight=weight, failures=0, errors=0)


def _next_step(spec: CanarySpec, state: State, sight: Sight, now_ms: int) -> State:
    """The next step, once this one has passed for its time with its weight really served and its load carried."""
    state = state._replace(step=min(state.step, len(spec.steps) - 1))
    here = spec.steps[state.step]
    if state.weight != here.weight:  # the steps were changed on the way
        return _at_step(spec, state, state.step, now_ms)
    if not sight.is_served:
        return state._replace(passing_ms=0, reason=f"{here.weight} % is not served yet")
    if not state.passing_ms:
        state = state._replace(passing_ms=now_ms, reason=f"{here.weight} %")
    if state.step == len(spec.steps) - 1:
        return state
    if here.hold_seconds == FOR_EVER:
        may_go = spec.resume >= state.step
    else:
        may_go = now_ms - state.passing_ms >= here.hold_seconds * 1000
    return _at_step(spec, state, state.step + 1, now_ms) if may_go and sight.within_target else state


def _turn(spec: CanarySpec, state: State, sight: Sight, verdicts: Sequence[Verdict], *, now_ms: int) -> Turn:
    """The sizes that go with a state. Unless pods divide the traffic, the stable track's size is its policy's alone."""
    stable, canary = sight.tracks
    split = _split(spec, state, sight, now_ms)
    if not (spec.divides and state.phase in LIVE):
        split = split._replace(stable=stable.replicas)
    leaves = state.phase == ROLLING_BACK or (state.phase == FINALIZING and not state.weight)
    moves = spec.is_engine and state.phase == PROGRESSING and not sight.is_served
    return Turn(state, split, verdicts, drain_canary=leaves and canary.replicas > 0, moves=moves)


def _split(spec: CanarySpec, state: State, sight: Sight, now_ms: int) -> Split:
    want, (stable, canary) = sight.want, sight.tracks
    if state.phase in TRYING:
        begins = state.stage in (INITIALIZING, SHADOWING) or (spec.divides and not state.weight)
        # Pods that stand behind the Service serve: there is no pod without traffic.
        weight = spec.steps[0].weight if begins else state.weight
        return towards(spec, split_for(spec, want, weight), sight.tracks)
    if state.phase == FINALIZING and state.weight:
        return Split(canary.replicas, want)
    if state.phase not in (ROLLING_BACK, FINALIZING):
        return Split(0, want)
    if spec.divides:  # the canary shrinks only as stable pods become ready
        return Split(max(0, min(canary.replicas, want - stable.ready_replicas)), want)
    delay_ms = spec.rollback.scale_down_delay_seconds * 1000 if state.phase == ROLLING_BACK else 0
    is_due = now_ms - state.since_ms >= delay_ms and not sight.canary_owned
    return Split(0 if is_due else canary.replicas, want)
