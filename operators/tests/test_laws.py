"""What always holds of a decision, whatever the load, and how the circuit of policy and pods behaves."""

import math
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from outcry_operator.memory import Manual, Memory, Noted, memory_of, remembered
from outcry_operator.resource import DEFAULTS
from outcry_operator.scaling import Past, Range, Split, rate_limit, replica_ratio, stabilize
from tests.world.circuit import run
from tests.world.pools import NOW_MS, busy, decide, engines, engines_policy, policy

PERCENTS = st.lists(st.one_of(st.none(), st.integers(0, 400)), min_size=1, max_size=12)
NOTED = st.builds(Noted, st.integers(NOW_MS - 400_000, NOW_MS), st.integers(1, 20))
CHANGED = st.builds(Noted, st.integers(NOW_MS - 400_000, NOW_MS), st.integers(-5, 5).filter(bool))
MEMORIES = st.builds(
    Memory,
    applied=st.just(()),
    recommendations=st.lists(NOTED, max_size=40).map(tuple),
    scale_events=st.lists(CHANGED, max_size=40).map(tuple),
    failures=st.integers(0, 9),
    failing_ms=st.just(0),
    manual=st.one_of(
        st.none(), st.builds(Manual, st.integers(1, 9), st.one_of(st.none(), st.integers(NOW_MS, NOW_MS + 9)))
    ),
    spec_replicas=st.integers(0, 9),
    partitions=st.just(0),
    stalls=st.just(()),
)
LAW = settings(max_examples=60)
FAST: dict[str, Any] = {
    "behavior": {
        way: {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 1000, "periodSeconds": 1}]}
        for way in ("scaleUp", "scaleDown")
    }
}


@LAW
@given(PERCENTS, MEMORIES, st.integers(1, 6), st.integers(0, 6))
def test_a_decision_keeps_the_bounds_and_equal_observations_give_equal_decisions(
    percents: list[int | None], memory: Memory, low: int, more: int
) -> None:
    asked = policy(minReplicas=low, maxReplicas=low + more)
    decision = decide(asked, busy(*percents), memory)
    if not decision.guarded:
        assert low <= decision.want <= low + more
    assert decide(asked, busy(*percents), memory) == decision


def test_a_window_is_kept_however_often_the_loop_looks() -> None:
    memory = Memory().remember(NOW_MS, 9)
    for look in range(1, 250):
        memory = memory.remember(NOW_MS + look * 1000, 3 + look % 5)
    assert max(each.replicas for each in memory.wished(NOW_MS + 250_000)) == 9
    assert len(memory.recommendations) == 6


@LAW
@given(MEMORIES)
def test_a_status_remembers_all_of_it(memory: Memory) -> None:
    assert memory_of(remembered(memory)) == memory


@LAW
@given(st.lists(st.integers(1, 400), min_size=1, max_size=8), st.integers(0, 300))
def test_more_load_never_asks_for_fewer_pods(percents: list[int], more: int) -> None:
    asked = policy(maxReplicas=100, **FAST)
    assert decide(asked, busy(*percents)).want <= decide(asked, busy(*(each + more for each in percents))).want


@LAW
@given(st.lists(st.integers(0, 5_000), min_size=2, max_size=12), st.integers(0, 5_000))
def test_more_that_waits_never_asks_for_fewer_engines(depths: list[int], more: int) -> None:
    asked = engines_policy(1000, maxReplicas=100, **FAST)
    pairs = [{2 * place: depth, 2 * place + 1: depth} for place, depth in enumerate(depths)]
    longer = [{part: depth + more for part, depth in parts.items()} for parts in pairs]
    assert decide(asked, engines(pairs)).want <= decide(asked, engines(longer)).want


@LAW
@given(st.integers(1, 10), st.data())
def test_noise_within_the_tolerance_changes_nothing(pods: int, data: st.DataObject) -> None:
    percents = data.draw(st.lists(st.integers(64, 77), min_size=pods, max_size=pods))
    assert decide(policy(maxReplicas=100, **FAST), busy(*percents)).want == pods


@LAW
@given(st.integers(1, 20), st.integers(1, 20), st.lists(st.builds(Past, st.integers(0, 400_000), st.integers(1, 20))))
def test_windows_never_answer_what_nobody_wished(current: int, desired: int, past: list[Past]) -> None:
    found = stabilize(current, desired, past, (30_000, 300_000))
    assert found in {current, desired, *(each.replicas for each in past)}
    assert min(current, desired) <= found or found in {each.replicas for each in past}


@LAW
@given(st.integers(1, 30), st.integers(1, 30), MEMORIES)
def test_a_rate_never_turns_a_wish_around(current: int, desired: int, memory: Memory) -> None:
    for up, down in DEFAULTS.values():
        found = rate_limit(
            current, desired, Range(1, 30), up=up, down=down, added=memory.added(NOW_MS), removed=memory.removed(NOW_MS)
        )
        assert min(current, desired) <= found.replicas <= max(current, desired)


@LAW
@given(st.integers(0, 60), st.integers(0, 100), st.integers(0, 1))
def test_a_split_is_as_near_to_its_weight_as_any_other(replicas: int, weight: int, surge: int) -> None:
    split = replica_ratio(replicas, weight, surge)
    total = split.canary + split.stable
    assert replicas <= total <= replicas + surge
    if weight in (0, 100) or total < 2:
        return

    def error(each: Split) -> float:
        return abs(100 * each.canary / (each.canary + each.stable) - weight)

    others = [Split(n, every - n) for every in range(replicas, replicas + surge + 1) if every for n in range(1, every)]
    assert error(split) <= min(error(each) for each in others) + 1e-9


@LAW
@given(st.floats(0.2, 6.5))
def test_the_circuit_settles_near_the_load_and_overshoots_by_a_pod_at_most(cores: float) -> None:
    points = run(policy(), lambda _: cores, seconds=900)
    settled = points[-1].replicas
    assert len({point.replicas for point in points[-20:]}) == 1
    assert math.ceil(cores / 0.78 - 1e-3) <= settled <= max(1, math.ceil(cores / 0.7 + 1e-3) + 1)
    assert max(point.replicas for point in points) <= math.ceil(cores / 0.7 + 1e-3) + 1


def test_the_circuit_follows_a_load_that_comes_and_goes() -> None:
    points = run(policy(), lambda second: 5.0 if second < 900 else 0.5, seconds=2400)
    assert points[890 // 15].replicas in (7, 8)
    assert all(point.replicas >= 7 for point in points[600 // 15 : 1190 // 15])  # the window of 300 s
    assert points[-1].replicas == 1


def test_a_load_that_trembles_does_not_shake_the_pods() -> None:
    points = run(policy(), lambda second: 3.0 + 0.6 * math.sin(second), seconds=1800)
    changes = sum(a.replicas != b.replicas for a, b in pairwise(points[20:]))
    assert changes <= 1
