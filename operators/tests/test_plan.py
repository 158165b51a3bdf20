"""What a policy decides: where Outcry's autoscaler differs from HPA and KEDA, and who has the last word."""

import pytest

from outcry_operator.memory import Manual, Memory, memory_of, remembered
from outcry_operator.observation import CANARY, Lease, Partition, Total
from outcry_operator.plan import Asked
from tests.world.pools import MINUTE_MS, NOW_MS, busy, decide, engines, engines_policy, pod, policy

NOW = {"behavior": {"scaleUp": {"stabilizationWindowSeconds": 0}, "scaleDown": {"stabilizationWindowSeconds": 0}}}
FAST = {
    "behavior": {
        way: {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 100, "periodSeconds": 1}]}
        for way in ("scaleUp", "scaleDown")
    }
}


def spread(partitions: int, engine_count: int, depth: int) -> list[dict[int, int]]:
    """Partitions of equal depth, dealt to engines."""
    return [{part: depth for part in range(partitions) if part % engine_count == e} for e in range(engine_count)]


def test_a_load_above_the_target_asks_for_more_pods_and_one_below_for_fewer() -> None:
    assert decide(policy(**FAST), busy(100, 100)).want == 3
    assert decide(policy(**FAST), busy(20, 20, 20)).want == 1
    assert decide(policy(**FAST), busy(70, 75)).want == 2


def test_without_a_tolerance_a_trigger_means_what_it_says() -> None:
    strict = policy(**FAST, tolerance={"up": 0, "down": 0.1})
    assert decide(strict, busy(71, 71)).want == 3
    assert decide(strict, busy(70, 70)).want == 2
    assert decide(strict, busy(64, 64)).want == 2


@pytest.mark.parametrize("partitions", [12, 16, 32, 60, 63, 64])
def test_an_endless_backlog_reaches_the_cap_whatever_the_tolerance(partitions: int) -> None:
    """KEDA cuts the sum to partitions × target, and then HPA's 10 % holds just below the cap."""
    asked = engines_policy(1000, maxReplicas=100, **FAST)
    seen = engines(spread(partitions, partitions - 1, 1_000_000))
    assert decide(asked, seen).want == partitions
    exact = engines(spread(partitions, partitions - 1, 1000))
    assert decide(asked, exact).want == partitions


def test_more_engines_than_partitions_are_never_asked_for() -> None:
    assert decide(engines_policy(10, maxReplicas=100, **FAST), engines(spread(4, 2, 1000))).want == 4
    assert decide(engines_policy(10, maxReplicas=3, **FAST), engines(spread(4, 2, 1000))).want == 3
    assert decide(engines_policy(10, minReplicas=5, **FAST), engines(spread(4, 5, 1000))).want == 5


def test_only_lagging_partitions_count_where_that_is_asked_for() -> None:
    seen = engines([{0: 5000, 1: 0}, {2: 9000, 3: 0}, {4: 8000, 5: 0}, {6: 0, 7: 0}])
    asked = engines_policy(1000, maxReplicas=8, depth={"limitToLagging": True}, **FAST)
    assert decide(asked, seen).want == 3
    assert decide(engines_policy(1000, maxReplicas=8, **FAST), seen).want == 8


def test_a_total_up_to_the_activation_asks_for_the_least() -> None:
    asked = engines_policy(150, depth={"activation": 500}, **FAST)
    assert decide(asked, engines(spread(4, 2, 125))).want == 1
    assert decide(asked, engines(spread(4, 2, 126))).want == 4


def test_a_stalled_partition_is_out_of_the_total_once_its_time_is_over() -> None:
    asked = engines_policy(1000, depth={"stallSeconds": 60}, **FAST)
    moving, standing = engines([{0: 400, 1: 9000}, {2: 400}], unmoved_ms=59_999), engines([{0: 400, 1: 9000}, {2: 400}])
    assert decide(asked, moving).want == 3
    rows = {part: row._replace(unmoved_ms=60_000) for part, row in standing.partitions().items() if part == 1}
    told = {
        name: each._replace(owned=[rows.get(row.part, row) for row in each.owned])
        for name, each in standing.told.items()
    }
    assert decide(asked, standing._replace(told=told)).want == 1


def test_an_idle_partition_never_stalls() -> None:
    seen = engines([{0: 0, 1: 1500}, {2: 400}], unmoved_ms=0)
    told = seen.told["engine-0"]
    idle = told._replace(owned=[told.owned[0]._replace(unmoved_ms=9_000_000), *told.owned[1:]])
    assert decide(engines_policy(1000, **FAST), seen._replace(told={**seen.told, "engine-0": idle})).want == 2


def test_a_halted_partition_is_out_of_the_total_at_once() -> None:
    seen = engines([{0: 9000}, {1: 100}])
    told = seen.told["engine-0"]._replace(owned=[Partition(0, "engine-0", depth=9000, end_offset=1, state="halted")])
    assert decide(engines_policy(1000, **FAST), seen._replace(told={**seen.told, "engine-0": told})).want == 1


def test_a_hot_partition_alone_on_its_engine_counts_as_one_target() -> None:
    """No second engine can take half of a partition."""
    assert decide(engines_policy(1000, **FAST), engines([{0: 50_000}, {1: 100, 2: 100}])).want == 2
    assert decide(engines_policy(1000, **FAST), engines([{0: 50_000, 3: 0}, {1: 100, 2: 100}])).want == 4


def test_an_unknown_partition_may_raise_and_never_lower() -> None:
    asked = engines_policy(1000, **FAST)
    for depth, wanted in ((10, 3), (9000, 4)):
        seen = engines([{0: depth}, {1: depth, 3: depth}, {2: depth}])
        silent = {name: told for name, told in seen.told.items() if name != "engine-2"}
        assert decide(asked, seen._replace(told=silent)).want == wanted
    loading = engines([{0: 10}, {1: 10}, {2: 10}], state="loading")
    assert decide(asked, loading).want == 3


def test_the_highest_vote_wins_and_a_trigger_without_an_answer_never_lowers() -> None:
    both = policy(triggers=[{"cpu": {}}, {"connections": {"targetPerReplica": 100}}], **FAST)
    seen = busy(20, 20)
    assert decide(both, seen).want == 2  # no pod answers, so nothing may be lowered
    connected = engines([{}, {}]).told
    told = {pod.name: each._replace(connections=50) for pod, each in zip(seen.pods, connected.values(), strict=True)}
    assert decide(both, seen._replace(told=told)).want == 1
    many = {name: each._replace(connections=400) for name, each in told.items()}
    assert decide(both, seen._replace(told=many)).want == 8


def test_nothing_changes_without_any_answer_until_the_fallback_which_never_shrinks() -> None:
    asked = policy(fallback={"failureThreshold": 2, "replicas": 5}, **FAST)
    seen = busy(None, None, None)
    first = decide(asked, seen)
    second = decide(asked, seen, first.memory, now_ms=NOW_MS + 15_000)
    early = decide(asked, seen, second.memory, now_ms=NOW_MS + 16_000)  # a change woke the loop
    third = decide(asked, seen, early.memory, now_ms=NOW_MS + 30_000)
    assert [each.want for each in (first, second, early, third)] == [3, 3, 3, 5]
    assert third.in_fallback
    many = busy(*[None] * 8)
    for behavior in ("currentReplicasIfHigher", "currentReplicas", "static"):
        fallback = {"failureThreshold": 0, "replicas": 5, "behavior": behavior}
        assert decide(policy(fallback=fallback, **FAST), many).want == 8, behavior
    assert decide(asked, busy(70, 70, 70), third.memory).memory.failures == 0


def test_a_query_without_a_fresh_answer_is_missing() -> None:
    asked = policy(triggers=[{"prometheus": {"address": "http://p", "query": "q", "targetPerReplica": 2.5}}], **FAST)
    seen = busy(50, 50)
    assert decide(asked, seen._replace(totals={0: Total(20.0, NOW_MS)})).want == 8
    assert decide(asked, seen._replace(totals={0: Total(20.0, NOW_MS - 61_000)})).want == 2
    assert decide(asked, seen._replace(totals={0: Total(None, NOW_MS, "it is down")})).votes[0].missing == "it is down"


def test_a_pod_without_a_request_is_an_error_and_changes_nothing() -> None:
    seen = busy(100, 100)
    found = decide(policy(**FAST), seen._replace(pods=[seen.pods[0], pod("api-1", requests={})]))
    assert (found.want, found.votes[0].missing) == (2, "pod api-1 requests no cpu")


def test_an_old_sample_is_a_missing_one() -> None:
    seen = busy(100, 100, now_ms=NOW_MS - 61_000)
    assert decide(policy(**FAST), seen).votes[0].missing == "no ready pod has a sample of cpu"


def test_a_young_pod_is_unready_for_cpu_but_not_for_memory() -> None:
    young = pod("api-1", ready_since_ms=NOW_MS - 29_000)
    seen = busy(100, 100)
    assert decide(policy(**FAST), seen._replace(pods=[seen.pods[0], young])).want == 2
    used = {"memory": {name: each._replace(used=1 << 30) for name, each in seen.usage["cpu"].items()}}
    by_memory = policy(triggers=[{"memory": {}}], **FAST)
    assert decide(by_memory, seen._replace(pods=[seen.pods[0], young], usage=used)).want == 3


def test_going_down_waits_for_the_highest_wish_of_the_window_also_after_a_restart() -> None:
    asked = policy()
    high = decide(asked, busy(70, 70, 70, 70))
    again = memory_of(remembered(high.memory))
    low = decide(asked, busy(10, 10, 10, 10, now_ms=NOW_MS + 299_000), again, now_ms=NOW_MS + 299_000)
    assert low.want == 4
    later = busy(10, 10, 10, 10, now_ms=NOW_MS + 300_000)
    assert decide(asked, later, low.memory, now_ms=NOW_MS + 300_000).want == 2  # 50 % a minute


def test_going_up_waits_for_the_lowest_wish_of_the_window() -> None:
    asked = policy(behavior={"scaleUp": {"stabilizationWindowSeconds": 30}})
    calm = decide(asked, busy(70, 70))
    assert decide(asked, busy(140, 140), calm.memory, now_ms=NOW_MS + 29_000).want == 2
    assert decide(asked, busy(140, 140), calm.memory, now_ms=NOW_MS + 30_000).want == 4


def test_engines_come_two_a_minute() -> None:
    asked = engines_policy(100, maxReplicas=8, **NOW)
    seen = engines(spread(8, 2, 5000))
    first = decide(asked, seen)
    assert first.want == 4 and first.steps.replicas == 4
    grown = engines(spread(8, 4, 5000))
    assert decide(asked, grown, first.memory, now_ms=NOW_MS + 59_000).want == 4
    later = engines(spread(8, 4, 5000), now_ms=NOW_MS + MINUTE_MS)
    assert decide(asked, later, first.memory, now_ms=NOW_MS + MINUTE_MS).want == 6


def test_a_number_outside_the_range_is_corrected_without_metrics() -> None:
    assert decide(policy(minReplicas=3), busy(None)).want == 3
    assert decide(policy(maxReplicas=2), busy(None, None, None)).want == 2


def test_a_paused_policy_does_nothing_and_forgets_no_number() -> None:
    for annotations in ({"paused": "true"}, {"paused": "yes please"}, {"paused-replicas": "many"}):
        found = decide(policy(annotations=annotations), busy(200, 200))
        assert (found.want, found.holds) == (2, True)
    assert decide(policy(annotations={"paused": "false"}, **FAST), busy(200, 200)).want > 2
    changed = decide(policy(annotations={"paused": "true"}), busy(200, 200), Memory(applied=(5,)))
    assert changed.memory.manual is None and 2 in changed.memory.applied


def test_a_paused_number_is_reached_and_kept() -> None:
    assert decide(policy(annotations={"paused-replicas": "7"}), busy(10, 10)).want == 7
    assert decide(policy(annotations={"paused-replicas": "0"}), busy(10, 10)).want == 0
    draining = decide(engines_policy(annotations={"paused-replicas": "0"}), engines(spread(4, 2, 0)))
    assert draining.want == 1 and [each.name for each in draining.steps.drain] == ["engine-1"]


def test_one_direction_can_be_paused() -> None:
    assert decide(policy(annotations={"paused-scale-in": "true"}, **FAST), busy(10, 10)).want == 2
    assert decide(policy(annotations={"paused-scale-in": "true"}, **FAST), busy(200, 200)).want == 6
    assert decide(policy(annotations={"paused-scale-out": "true"}, **FAST), busy(200, 200)).want == 2
    assert decide(policy(annotations={"paused-scale-out": "true"}, **FAST), busy(10, 10)).want == 1


def test_a_number_set_on_the_target_holds_for_its_time_and_is_then_taken_back() -> None:
    asked = policy(**FAST)
    by_hand = decide(asked, busy(*[10] * 6), Memory(applied=(2, 3)))
    assert (by_hand.want, by_hand.reason) == (6, "ManualHold")
    held = decide(asked, busy(*[10] * 6), by_hand.memory, now_ms=NOW_MS + 30_000)
    assert (held.want, held.memory.manual) == (6, Manual(6, NOW_MS + 300_000))
    over = busy(*[10] * 6, now_ms=NOW_MS + 300_000)
    assert decide(asked, over, held.memory, now_ms=NOW_MS + 300_000).want == 1


def test_a_number_set_on_the_policy_holds_for_its_time() -> None:
    by_hand = decide(policy(replicas=4, **FAST), busy(10, 10))
    assert (by_hand.want, by_hand.memory.spec_replicas) == (4, 4)
    over = decide(policy(replicas=4, **FAST), busy(*[10] * 4), by_hand.memory, now_ms=NOW_MS + 300_000)
    assert over.memory.manual is None
    later = busy(*[10] * 4, now_ms=NOW_MS + 301_000)
    again = decide(policy(replicas=5, **FAST), later, over.memory, now_ms=NOW_MS + 301_000)
    assert again.want == 5
    grown = busy(*[10] * 5, now_ms=NOW_MS + 303_000)
    assert decide(policy(replicas=0, **FAST), grown, again.memory, now_ms=NOW_MS + 303_000).want == 1
    assert decide(policy(replicas=99, **FAST), busy(10, 10)).want == 10


def test_a_manual_number_may_hold_for_good_or_be_ignored() -> None:
    for_good = policy(replicas=4, manualHoldSeconds=-1, **FAST)
    held = decide(for_good, busy(10, 10))
    assert decide(for_good, busy(*[10] * 4), held.memory, now_ms=NOW_MS + 10**9).want == 4
    assert decide(policy(replicas=0, manualHoldSeconds=-1, **FAST), busy(10, 10), held.memory).want == 1
    assert decide(policy(replicas=4, manualHoldSeconds=0, **FAST), busy(10, 10)).want == 1


def test_a_crash_between_status_and_patch_is_no_manual_change() -> None:
    asked = policy(**FAST)
    before = decide(asked, busy(100, 100))
    assert before.steps.replicas == 3 and before.memory.applied == (2, 3)
    after_crash = decide(asked, busy(100, 100), memory_of(remembered(before.memory)), now_ms=NOW_MS + 15_000)
    assert after_crash.memory.manual is None


@pytest.mark.parametrize("asked", [policy(**FAST), engines_policy(**FAST)])
def test_nothing_is_removed_while_a_pod_that_would_stay_is_not_ready(asked: Asked) -> None:
    seen = engines(spread(4, 3, 10)) if asked.spec.owns_partitions else busy(10, 10, 10)
    pods = [seen.pods[0]._replace(ready=False), *seen.pods[1:]]
    if not asked.spec.owns_partitions:
        assert (
            decide(asked, seen._replace(pods=pods)).want == 1
        )  # the controller removes those that are not ready first
        pods = [each._replace(ready=False) for each in pods]
        used = {"cpu": {**seen.usage["cpu"]}}
        found = decide(
            policy(**FAST, triggers=[{"memory": {}}]), seen._replace(pods=pods, usage={"memory": used["cpu"]})
        )
        assert (found.want, found.guarded) == (3, "PodNotReady")
    else:
        assert decide(asked, seen._replace(pods=pods)).guarded == "PodNotReady"


def test_nothing_is_removed_while_a_release_is_under_way_or_a_partition_has_no_owner() -> None:
    asked = engines_policy(**FAST)
    seen = engines(spread(4, 3, 10))
    assert decide(asked, seen).want == 1
    assert decide(asked, seen._replace(canary_live=True)).guarded == "CanaryLive"
    assert decide(asked, seen._replace(unowned_ms=10_001)).guarded == "PartitionUnowned"
    assert decide(asked, seen._replace(unowned_ms=10_000)).want == 1


def test_a_dry_run_notes_nothing_as_written() -> None:
    found = decide(policy(dryRun=True, **FAST), busy(100, 100))
    assert (found.want, found.memory.applied, found.memory.scale_events) == (3, (2,), ())


def test_the_more_loaded_track_decides() -> None:
    seen = busy(50, 50, 50)
    slow = pod("api-canary-x", track=CANARY)
    usage = {"cpu": {**seen.usage["cpu"], slow.name: seen.usage["cpu"]["api-0"]._replace(used=1400)}}
    live = seen._replace(canary_live=True, canary_pods=[slow], usage=usage)
    assert decide(policy(**FAST), live).want == 6
    together = live._replace(together=4)
    assert decide(policy(**FAST), together).want == 8
    assert decide(policy(**FAST), together).steps.replicas is None


def test_halted_rows_of_the_table_are_known_partitions() -> None:
    seen = engines([{0: 10}, {1: 10}])
    told = {
        name: each._replace(leases=[*each.leases, Lease(2, "engine-7/9", 3, None, halted=True)])
        for name, each in seen.told.items()
    }
    assert decide(engines_policy(1000, **FAST), seen._replace(told=told)).want == 1
