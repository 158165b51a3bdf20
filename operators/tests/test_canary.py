"""A release: its phases, its verdicts, and everything for which a canary is taken back at once."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outcry_operator.canary.judge import ERROR, FAILURE, INCONCLUSIVE, NO_DATA, PASS, Figure, Pair, judge, whole
from outcry_operator.canary.phases import Sight, Turn, tick_canary
from outcry_operator.canary.sizes import Tracks, ordered, share, split_for, towards
from outcry_operator.canary.spec import Bounds, CanarySpec, bounds_of
from outcry_operator.canary.state import TRYING, State, state_of, status_of
from outcry_operator.observation import Workload
from outcry_operator.scaling import Split
from tests.world.pools import NOW_MS

GOOD = {
    "errorRate": Pair(Figure(0.001, 500), Figure(0.001, 5000)),
    "latencyP99Ms": Pair(Figure(50, 500), Figure(45, 5000)),
}
BAD = {**GOOD, "errorRate": Pair(Figure(0.2, 500), Figure(0.001, 5000))}
QUIET = {**GOOD, "errorRate": Pair(Figure(None, 0), Figure(0.001, 5000))}
ILL = {**GOOD, "errorRate": Pair(Figure(0.02, 500), Figure(0.02, 5000))}
BROKEN = {**GOOD, "errorRate": Pair(Figure(trouble="it is down"), Figure(trouble="it is down"))}


def release(component: str = "api", **fields: Any) -> CanarySpec:
    kind = "StatefulSet" if component == "engine" else "Deployment"
    refs = {"stableRef": {"kind": kind, "name": component}, "canaryRef": {"kind": kind, "name": f"{component}-canary"}}
    return msgspec.convert({"component": component, **refs, **fields}, CanarySpec)


def tracks(stable: int, canary: int, *, old: str = "r1", new: str = "r2", **fields: Any) -> Tracks:
    def track(name: str, replicas: int, revision: str) -> Workload:
        ready = fields.get("ready", replicas) if name == "canary" else fields.get("stable_ready", replicas)
        return Workload("Deployment", name, replicas, ready, revision=revision, settled=fields.get("settled", True))

    return Tracks(track("stable", stable, old), track("canary", canary, new))


def sight(stable: int = 4, canary: int = 1, **fields: Any) -> Sight:
    own = {name: fields.pop(name) for name in ("old", "new", "ready", "stable_ready", "settled") if name in fields}
    return Sight(tracks(stable, canary, **own), want=fields.pop("want", 4), **({"pairs": GOOD} | fields))


def look(spec: CanarySpec, state: State, seen: Sight, seconds: int = 0) -> Turn:
    return tick_canary(spec, state, seen, NOW_MS + seconds * 1000)


def at_step(spec: CanarySpec, step: int = 0) -> State:
    """A release that has just come to a step."""
    return State(
        "Progressing", "", step, spec.steps[step].weight, 4, "r1", "r2", since_ms=NOW_MS, judged_ms=0, passing_ms=NOW_MS
    )  # fmt: skip


GATEWAY = {"provider": "gatewayAPI", "routeTemplate": "route"}


def test_a_good_canary_goes_through_all_steps_and_holds_at_the_last() -> None:
    spec = release(traffic=GATEWAY)
    turn, phases, at = look(spec, State(), sight(canary=0)), [], 0
    assert turn.state.phase == "Initializing" and turn.split == Split(1, 4)
    for at in range(15, 1200, 15):
        turn = look(spec, turn.state, sight(canary=turn.split.canary), at)
        phases.append((turn.state.phase, turn.state.weight))
    assert list(dict.fromkeys(phases)) == [("Progressing", weight) for weight in (5, 25, 50, 100)]
    assert turn.split == Split(4, 4)
    starts = [phases.index(("Progressing", weight)) for weight in (5, 25, 50, 100)]
    assert [b - a for a, b in pairwise(starts)] == [9, 9, 9]  # 120 s each from the first pass on


def test_a_release_is_finished_once_stable_serves_the_tried_revision() -> None:
    spec = release(traffic=GATEWAY)
    state = at_step(spec, 3)
    rolling = sight(canary=4, old="r2", settled=False)
    turn = look(spec, state, rolling, 10)
    assert (turn.state.phase, turn.state.weight, turn.split.canary) == ("Finalizing", 100, 4)
    turn = look(spec, turn.state, sight(canary=4, old="r2"), 25)
    assert (turn.state.weight, turn.split.canary) == (0, 0)
    turn = look(spec, turn.state, sight(canary=0, old="r2"), 40)
    assert turn.state.phase == "Promoted"


def test_a_release_that_is_given_up_ends_as_nothing() -> None:
    spec = release(traffic=GATEWAY)
    turn = look(spec, at_step(spec, 1), sight(canary=1, new="r1"), 10)
    for at in (20, 30):
        turn = look(spec, turn.state, sight(canary=turn.split.canary, new="r1"), at)
    assert turn.state.phase == "Idle"
    assert (
        look(spec, State("RolledBack", canary_revision="r2", failed_revision="r2"), sight(new="r1")).state.phase
        == "Idle"
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"pairs": BAD}, "FailedChecks"),
        ({"restarts": 2}, "Restarts"),
        ({"trouble": "CrashLoopBackOff"}, "CrashLoopBackOff"),
        ({"trouble": "OOMKilled"}, "OOMKilled"),
        ({"mismatches": 1}, "ShadowMismatch"),
        ({"canary_halted": "partition 3"}, "CanaryHalted"),
        ({"idle_ms": 10_001}, "CommitsNothing"),
        ({"aborted": True}, "Aborted"),
    ],
)
@pytest.mark.parametrize("phase", ["Initializing", "Shadowing", "Progressing", "Holding", "Suspended"])
def test_a_rollback_rule_holds_in_every_phase(phase: str, fields: dict[str, Any], reason: str) -> None:
    spec = release(traffic=GATEWAY, suspend=phase == "Suspended")
    state = at_step(spec)
    if phase == "Holding":
        state = state._replace(phase="Holding", holding_from="Progressing", holding_ms=NOW_MS, reason="NoData")
    elif phase != "Suspended":
        state = state._replace(phase=phase)
    turn = look(spec, state, sight(**fields), 20)
    if reason == "FailedChecks" and phase in ("Initializing", "Shadowing"):
        assert turn.state.phase != "RollingBack"  # it has no traffic that could be judged
        return
    assert (turn.state.phase, turn.state.reason, turn.state.weight) == ("RollingBack", reason, 0)
    assert turn.state.failed_revision == "r2" and turn.drain_canary
    by_hand = release(traffic=GATEWAY, rollback={"automatic": False})
    kept = look(by_hand, state, sight(**fields), 20)
    assert kept.state.phase == ("RollingBack" if reason == "Aborted" else "Holding")


def test_a_canary_that_is_not_ready_by_its_deadline_is_taken_back() -> None:
    spec = release(progressDeadlineSeconds=600)
    state = look(spec, State(), sight(canary=0)).state
    assert look(spec, state, sight(ready=0), 600).state.phase == "Initializing"
    assert look(spec, state, sight(ready=0), 601).state.reason == "NotReadyInTime"


def test_green_waits_beside_blue_for_as_long_as_its_owner_likes_and_takes_over_at_once() -> None:
    steps: list[dict[str, Any]] = [{"weight": 100}]
    waiting, going = (release(traffic=GATEWAY, steps=steps, suspend=suspend) for suspend in (True, False))
    state = look(waiting, State(), sight(canary=0), 0).state
    assert look(waiting, state, sight(canary=4, ready=3), 600).state.phase == "Initializing"
    assert look(waiting, state, sight(canary=4, ready=3), 601).state.reason == "NotReadyInTime"
    turn = look(waiting, state, sight(canary=4, ready=4), 100_000)
    assert (turn.state.phase, turn.state.reason, turn.state.weight) == ("Holding", "Suspended", 0)
    assert turn.split == Split(4, 4)
    restarts = look(waiting, turn.state, sight(canary=4, ready=3), 100_600)
    assert restarts.state.phase == "Initializing", "a pod that starts again has its time for it"
    assert look(waiting, restarts.state, sight(canary=4, ready=3), 100_601).state.reason == "NotReadyInTime"
    onward = look(going, turn.state, sight(canary=4, ready=4), 100_015)
    assert (onward.state.phase, onward.state.weight, onward.split) == ("Progressing", 100, Split(4, 4))
    back = look(going, onward.state, sight(canary=4, ready=4, aborted=True), 100_030)
    assert (back.state.phase, back.state.weight, back.split) == ("RollingBack", 0, Split(4, 4))


def test_a_canary_without_traffic_is_held_and_only_then_taken_back() -> None:
    spec = release(traffic=GATEWAY)
    turn = look(spec, at_step(spec), sight(pairs=QUIET), 15)
    assert (turn.state.phase, turn.state.reason) == ("Holding", "NoData")
    held = look(spec, turn.state, sight(pairs=QUIET), 915)
    assert held.state.phase == "Holding"
    assert look(spec, held.state, sight(pairs=QUIET), 916).state.phase == "RollingBack"
    back = look(spec, held.state, sight(), 916)
    assert (back.state.phase, back.state.weight) == ("Progressing", 5)
    again = look(spec, back.state, sight(pairs=QUIET), 930)
    assert look(spec, again.state, sight(pairs=QUIET), 1800).state.phase == "Holding"  # its clock began anew


def test_an_ill_venue_is_not_the_canarys_fault() -> None:
    spec = release(traffic=GATEWAY)
    turn = look(spec, at_step(spec), sight(pairs=ILL), 15)
    assert (turn.state.phase, turn.state.reason, turn.state.failures) == ("Holding", "Inconclusive", 0)
    assert look(spec, turn.state, sight(pairs=ILL), 100_000).state.phase == "Holding"


def test_queries_that_fail_hold_and_never_roll_back() -> None:
    spec = release(traffic=GATEWAY)
    state = at_step(spec)
    for check in range(1, 40):
        state = look(spec, state, sight(pairs=BROKEN), 15 * check).state
        assert state.phase == ("Progressing" if check <= 4 else "Holding")
    assert look(spec, state, sight(), 800).state.errors == 0


def test_failed_checks_may_be_allowed_and_count_once_an_interval() -> None:
    spec = release(traffic=GATEWAY, analysis={"failureLimit": 2})
    state = at_step(spec)
    for seconds, failures in ((15, 1), (20, 1), (30, 2)):
        state = look(spec, state, sight(pairs=BAD), seconds).state
        assert (state.phase, state.failures) == ("Progressing", failures)
    assert look(spec, state, sight(pairs=BAD), 45).state.phase == "RollingBack"


def test_a_step_waits_for_its_weight_its_load_and_a_person() -> None:
    spec = release(traffic=GATEWAY, steps=[{"weight": 5}, {"weight": 50, "holdSeconds": -1}, {"weight": 100}])
    assert look(spec, at_step(spec), sight(is_served=False), 900).state.step == 0
    assert look(spec, at_step(spec), sight(within_target=False), 900).state.step == 0
    assert look(spec, at_step(spec), sight(), 119).state.step == 0
    assert look(spec, at_step(spec), sight(), 120).state.step == 1
    waits = at_step(spec, 1)
    assert look(spec, waits, sight(), 10_000).state.step == 1
    resumed = msgspec.structs.replace(spec, resume=1)
    assert look(resumed, waits, sight(), 10_000).state.step == 2


def test_suspend_stops_progress() -> None:
    spec = release(traffic=GATEWAY, suspend=True)
    turn = look(spec, at_step(spec), sight(), 10_000)
    assert (turn.state.phase, turn.state.reason, turn.state.weight) == ("Holding", "Suspended", 5)
    onward = look(release(traffic=GATEWAY), turn.state, sight(), 10_015)
    assert (onward.state.phase, onward.state.step) == ("Progressing", 0)


def test_rolling_back_keeps_the_pods_for_a_while_and_a_failed_revision_is_not_tried_again() -> None:
    spec = release(traffic=GATEWAY)
    turn = look(spec, at_step(spec, 1), sight(pairs=BAD), 15)
    assert turn.split == Split(1, 4)
    assert look(spec, turn.state, sight(), 44).split.canary == 1
    assert look(spec, turn.state, sight(), 45).split.canary == 0
    done = look(spec, turn.state, sight(canary=0), 60)
    assert done.state.phase == "RolledBack"
    assert look(spec, done.state, sight(), 100).state.phase == "RolledBack"
    third = look(spec, done.state, sight(new="r3"), 100)
    assert third.state.phase == "Initializing"
    assert look(spec, third.state, sight(new="r2"), 200).state.reason == "FailedBefore"


def test_a_changed_canary_begins_at_nothing() -> None:
    spec = release(traffic=GATEWAY)
    turn = look(spec, at_step(spec, 2), sight(new="r9"), 50)
    assert (turn.state.phase, turn.state.step, turn.state.weight) == ("Initializing", 0, 0)


def test_where_pods_divide_the_traffic_neither_track_shrinks_before_the_other_is_ready() -> None:
    spec = release(traffic={"maxSurge": 0})
    begun = look(spec, State(), sight(stable=4, canary=0))
    assert begun.split == Split(1, 4)
    ready = look(spec, begun.state, sight(stable=4, canary=1), 15)
    assert ready.split == Split(1, 3)
    back = look(spec, at_step(spec, 2), sight(stable=2, canary=2, pairs=BAD), 15)
    assert back.split == Split(2, 4)
    assert look(spec, back.state, sight(stable=4, canary=2, stable_ready=3), 20).split == Split(1, 4)
    assert look(spec, back.state, sight(stable=4, canary=1, stable_ready=4), 25).split == Split(0, 4)


def test_an_engine_canary_agrees_with_the_owners_before_it_owns_anything() -> None:
    spec = release("engine")
    pairs = {"lagMs": Pair(Figure(5, 500), Figure(5, 500)), "commitLatencyP99Ms": Pair(Figure(9, 500), Figure(9, 500))}
    turn = look(spec, State(), sight(canary=0, pairs=pairs))
    turn = look(spec, turn.state, sight(canary=1, pairs=pairs), 15)
    assert (turn.state.phase, turn.state.weight) == ("Shadowing", 0)
    assert look(spec, turn.state, sight(pairs=pairs, offsets=999), 500).state.phase == "Shadowing"
    held = look(spec, turn.state, sight(pairs=pairs, shadow_trouble="versions 1 and 2"), 30).state
    assert (held.phase, held.reason) == ("Holding", "ShadowNotComparable")
    after = look(spec, turn.state, sight(pairs=pairs, offsets=1000), 500)
    assert (after.state.phase, after.state.weight) == ("Progressing", 5)
    assert look(spec, after.state, sight(pairs=pairs, restarts=1, canary_owned=1), 515).state.reason == "Restarts"
    leaving = look(spec, after.state._replace(phase="RollingBack", since_ms=NOW_MS), sight(canary_owned=1), 600)
    assert leaving.split.canary == 1 and leaving.drain_canary  # it goes once it owns nothing


def test_the_stable_size_is_written_only_where_pods_divide_the_traffic() -> None:
    for spec in (release(traffic=GATEWAY), release("engine")):
        assert look(spec, at_step(spec), sight(stable=7, want=4), 15).split.stable == 7
    assert look(release(), State(), sight(stable=7, canary=0, new="r1")).split == Split(0, 7)


@pytest.mark.parametrize(
    ("canary", "stable", "verdict"),
    [
        (Figure(0.001, 60), Figure(0.001, 60), PASS),
        (Figure(0.02, 60), Figure(0.001, 60), FAILURE),
        (Figure(0.004, 60), Figure(0.001, 60), FAILURE),
        (Figure(0.0024, 60), Figure(0.0001, 60), PASS),
        (Figure(0.02, 60), Figure(0.015, 60), INCONCLUSIVE),
        (Figure(0.02, 60), Figure(0.009, 60), FAILURE),
        (Figure(0.02, 60), Figure(None, 0), FAILURE),
        (Figure(0.009, 60), Figure(None, 0), PASS),
        (Figure(0.02, 49), Figure(0.001, 60), NO_DATA),
        (Figure(None, 0), Figure(0.001, 60), NO_DATA),
        (Figure(trouble="down"), Figure(0.001, 60), ERROR),
        (Figure(0.0, 60), Figure(0.0, 60), PASS),
    ],
)
def test_a_figure_is_judged_by_its_bound_and_against_stable(canary: Figure, stable: Figure, verdict: str) -> None:
    bounds = bounds_of(release())[0]
    assert bounds == Bounds(name="errorRate", max=0.01, max_ratio_to_stable=2.0, noise_floor=0.0025)
    assert judge(bounds, Pair(canary, stable), 50).verdict == verdict


def test_the_worst_verdict_is_the_whole_one() -> None:
    bounds = bounds_of(release())[0]
    found = [judge(bounds, pairs["errorRate"], 50) for pairs in (GOOD, ILL, QUIET, BROKEN, BAD)]
    assert [whole(found[:n]) for n in range(6)] == [PASS, PASS, INCONCLUSIVE, NO_DATA, ERROR, FAILURE]


@settings(max_examples=60)
@given(st.integers(1, 64), st.text("ab", min_size=1, max_size=3))
def test_the_shares_of_the_steps_nest_and_are_never_empty(partitions: int, revision: str) -> None:
    order = ordered("venue", revision, partitions)
    assert sorted(order) == list(range(partitions))
    shares = [share(order, weight) for weight in (0, 5, 25, 50, 100)]
    assert shares[0] == [] and len(shares[-1]) == partitions and all(shares[1:])
    assert all(set(small) <= set(large) for small, large in pairwise(shares))


def test_sixteen_partitions_give_six_twenty_five_fifty_and_all() -> None:
    order = ordered("venue", "r2", 16)
    assert [len(share(order, weight)) for weight in (5, 25, 50, 100)] == [1, 4, 8, 16]


@settings(max_examples=100)
@given(st.integers(1, 12), st.integers(0, 100), st.integers(0, 12), st.integers(0, 12), st.data())
def test_pods_that_are_ready_never_fall_below_what_is_wanted(
    want: int, weight: int, stable: int, canary: int, data: st.DataObject
) -> None:
    spec = release()
    ready = (data.draw(st.integers(0, stable)), data.draw(st.integers(0, canary)))
    now = tracks(stable, canary, ready=ready[1], stable_ready=ready[0])
    after = towards(spec, split_for(spec, want, weight), now)
    kept = min(ready[0], after.stable) + min(ready[1], after.canary)
    assert kept >= min(sum(ready), want)


def test_what_a_release_remembers_stands_in_its_status() -> None:
    spec = release(traffic=GATEWAY)
    state = look(spec, at_step(spec), sight(pairs=QUIET), 15).state
    assert state_of(status_of(state, [], 5.0)) == state
    assert state.phase in TRYING and state_of({"phase": "Nonsense", "step": "x"}) == State()
