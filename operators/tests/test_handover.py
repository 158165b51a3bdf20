"""Who of the engines goes, and when: only from the top, only who owns nothing, and never by force."""

from typing import Any

from outcry_operator.observation import Lease, Observation
from outcry_operator.plan import Decision
from tests.world.pools import NOW_MS, decide, engines, engines_policy

DOWN = {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}


def two_less(seen: Observation, now_ms: int = NOW_MS, **fields: Any) -> Decision:
    """A decision to go from four engines to two."""
    asked = engines_policy(annotations={"paused-replicas": "2"}, **fields)
    return decide(asked, seen, now_ms=now_ms)


def four(*, drained: tuple[int, ...] = (), owners: dict[int, str] | None = None) -> Observation:
    """Four engines; those that are drained own nothing, and the table of leases says who has their partitions."""
    seen = engines([{} if place in drained else {place: 10} for place in range(4)])
    leases = [Lease(part, f"{(owners or {}).get(part, f'engine-{part}')}/1", 1, 5_000) for part in range(4)]
    told = {
        name: each._replace(leases=leases, draining_since_ms=NOW_MS - 5_000 if int(name[-1]) in drained else 0)
        for name, each in seen.told.items()
    }
    return seen._replace(told=told)


def names(decision: Decision) -> tuple[list[str], list[str], int | None]:
    steps = decision.steps
    return [pod.name for pod in steps.drain], [pod.name for pod in steps.stay], steps.replicas


def test_whoever_has_to_go_is_asked_to_drain_and_nobody_is_removed_before() -> None:
    assert names(two_less(four())) == (["engine-2", "engine-3"], [], None)


def test_a_drained_tail_goes_and_partial_progress_is_fine() -> None:
    moved = {2: "engine-0", 3: "engine-1"}
    assert names(two_less(four(drained=(2, 3), owners=moved)))[2] == 2
    assert names(two_less(four(drained=(3,), owners={3: "engine-0"})))[2] == 3


def test_nobody_goes_below_what_is_wanted_however_free() -> None:
    seen = four(drained=(1, 2, 3), owners={1: "engine-0", 2: "engine-0", 3: "engine-0"})
    assert names(two_less(seen)) == (["engine-2", "engine-3"], ["engine-1"], 2)


def test_a_free_engine_below_one_that_owns_waits() -> None:
    assert names(two_less(four(drained=(2,), owners={2: "engine-0"})))[2] is None


def test_an_engine_that_says_it_owns_nothing_is_not_believed_against_the_table() -> None:
    assert names(two_less(four(drained=(3,))))[2] is None


def test_a_partition_that_is_reserved_for_an_engine_is_its_own() -> None:
    seen = four(drained=(3,), owners={3: "engine-0"})
    told = {
        name: each._replace(leases=[*each.leases[:2], Lease(2, "engine-3", 2, 2_000), each.leases[3]])
        for name, each in seen.told.items()
    }
    assert names(two_less(seen._replace(told=told)))[2] is None


def test_an_old_table_or_one_of_a_leaving_engine_proves_nothing() -> None:
    seen = four(drained=(3,), owners={3: "engine-0"})
    old = {name: each._replace(leases_at_ms=NOW_MS - 5_000) for name, each in seen.told.items()}
    assert names(two_less(seen._replace(told=old)))[2] is None
    only_leaving = {name: each for name, each in seen.told.items() if name in ("engine-2", "engine-3")}
    assert names(two_less(seen._replace(told=only_leaving)))[2] is None


def test_a_halted_partition_keeps_nobody() -> None:
    seen = four(drained=(3,))
    told = {
        name: each._replace(leases=[row._replace(halted=row.part == 3) for row in each.leases])
        for name, each in seen.told.items()
    }
    assert names(two_less(seen._replace(told=told)))[2] == 3


def test_the_dead_are_not_waited_for_once_their_lease_and_ten_seconds_are_over() -> None:
    seen = four(owners={3: "engine-0"})
    alive = {name: each for name, each in seen.told.items() if name != "engine-3"}
    for silent_ms, replicas in ((15_999, None), (16_000, 3)):
        dead = seen._replace(told=alive, silent_since_ms={"engine-3": NOW_MS - silent_ms})
        assert names(two_less(dead))[2] == replicas
    owning = four()._replace(silent_since_ms={"engine-3": NOW_MS - 99_000})
    assert names(two_less(owning._replace(told={n: t for n, t in owning.told.items() if n != "engine-3"})))[2] is None


def test_a_drain_that_takes_too_long_is_told_with_pod_and_partition_and_goes_on() -> None:
    seen = four()
    told = {**seen.told, "engine-3": seen.told["engine-3"]._replace(draining_since_ms=NOW_MS - 60_001)}
    steps = two_less(seen._replace(told=told)).steps
    assert steps.blocked == "engine-3 still owns partition 3"
    assert [pod.name for pod in steps.drain] == ["engine-2", "engine-3"]
    told["engine-3"] = told["engine-3"]._replace(draining_since_ms=NOW_MS - 60_000)
    assert two_less(seen._replace(told=told)).steps.blocked == ""


def test_an_engine_that_stays_is_told_to_stay_and_growth_cancels_every_drain() -> None:
    seen = four(drained=(1, 3), owners={1: "engine-0", 3: "engine-0"})
    assert names(two_less(seen)) == (["engine-2", "engine-3"], ["engine-1"], 3)
    grown = decide(engines_policy(annotations={"paused-replicas": "5"}), seen)
    assert names(grown) == ([], ["engine-1", "engine-3"], 5)
    kept = decide(engines_policy(annotations={"paused-replicas": "4"}), seen)
    assert names(kept) == ([], ["engine-1", "engine-3"], None)


def test_a_pod_that_is_being_deleted_is_neither_drained_nor_kept() -> None:
    seen = four(drained=(1,), owners={1: "engine-0"})
    pods = [pod._replace(leaving=pod.name in ("engine-1", "engine-3")) for pod in seen.pods]
    assert names(two_less(seen._replace(pods=pods))) == (["engine-2"], [], None)


def test_an_engine_that_could_still_claim_or_says_that_it_owns_is_not_free() -> None:
    moved = {3: "engine-0"}
    seen = four(drained=(3,), owners=moved)
    not_draining = {**seen.told, "engine-3": seen.told["engine-3"]._replace(draining_since_ms=0)}
    assert names(two_less(seen._replace(told=not_draining)))[2] is None
    owning = four(owners=moved).told["engine-3"]._replace(draining_since_ms=NOW_MS - 5_000)
    assert owning.owned
    assert names(two_less(seen._replace(told={**seen.told, "engine-3": owning})))[2] is None
