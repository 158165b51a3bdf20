"""One look at a policy through the API server and the pods' admin ports: what is read, written, and told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from outcry_operator.kube import Conflict
from outcry_operator.moments import rfc3339
from outcry_operator.observe import Release
from outcry_operator.resource import WorkloadRef
from tests.world.pools import NOW_MS
from tests.world.venue import PATHS, Venue


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Venue]:
    made = Venue(tmp_path)
    yield made
    made.stop()


def grown(venue: Venue, replicas: int, **spec: object) -> Venue:
    venue.workload("StatefulSet", "engine", replicas)
    venue.policy(**spec)
    venue.room.advance(3_000)
    return venue


def test_depth_brings_engines_and_the_status_says_why(venue: Venue) -> None:
    grown(venue, 1)
    venue.engine(0).depth = dict.fromkeys(range(6), 400)
    venue.tick()
    assert venue.replicas() == 3
    status = venue.status()
    assert status["desiredReplicas"] == 3 and status["applied"] == [1, 3] and status["observedGeneration"] == 1
    assert status["decision"]["reason"] == "queueDepth 2400 asks for 3"
    assert status["partitions"] == {
        "total": 6,
        "owned": 6,
        "draining": 0,
        "stalled": [],
        "hottest": {"partition": 0, "depth": 400},
    }
    assert status["selector"] == "app=engine"
    assert ("Rescaled", "from 1 to 3 (wanted 3): queueDepth 2400 asks for 3") in venue.api.events()
    assert venue.condition("Ready") == ("True", "Looked")


def test_engines_leave_from_the_top_once_they_own_nothing(venue: Venue) -> None:
    grown(venue, 3)
    venue.tick()
    assert venue.replicas() == 3 and venue.condition("Draining") == ("True", "ScaleIn")
    assert [each.draining_since_ms > 0 for each in map(venue.engine, range(3))] == [False, True, True]
    venue.room.advance(3_000)
    venue.tick()
    assert venue.replicas() == 1
    assert venue.room.owned(venue.engine(0)) == [0, 1, 2, 3, 4, 5]
    assert sorted(reason for reason, _ in venue.api.events()) == ["DrainBegun", "DrainBegun", "Rescaled"]


def test_a_drain_is_taken_back_when_the_load_returns(venue: Venue) -> None:
    grown(venue, 2)
    venue.tick()
    assert venue.engine(1).draining_since_ms
    venue.engine(0).depth = dict.fromkeys(range(6), 900)
    venue.tick()
    assert not venue.engine(1).draining_since_ms and venue.replicas() == 3
    assert ("DrainCanceled", "engine-1 stays") in venue.api.events()


def test_a_scale_in_that_does_not_come_about_is_told_once_and_not_forced(venue: Venue) -> None:
    grown(venue, 2)
    venue.engine(1).claim = "reserved"
    venue.engine(0).claim = "reserved"  # nobody takes what it would hand over
    for _ in range(5):
        venue.tick()
        venue.room.advance(31_000)
    assert venue.replicas() == 2
    assert venue.condition("ScaleInBlocked") == ("True", "DrainTimeout")
    told = [note for reason, note in venue.api.events() if reason == "ScaleInBlocked"]
    assert len(told) == 1 and "engine-1 still owns partition" in told[0]


def test_a_dead_engine_is_not_waited_for(venue: Venue) -> None:
    grown(venue, 2)
    venue.engine(1).answers = False
    venue.tick()
    venue.room.advance(15_000)
    venue.tick()
    assert venue.replicas() == 2
    venue.room.advance(1_000)
    venue.tick()
    assert venue.replicas() == 1


def test_a_manual_number_on_the_target_is_kept_and_told(venue: Venue) -> None:
    grown(venue, 1)
    venue.tick()
    venue.workload("StatefulSet", "engine", 4)
    venue.room.advance(2_000)
    venue.tick()
    assert venue.replicas() == 4 and venue.condition("ManualHold") == ("True", "SetByHand")
    assert venue.status()["manual"]["replicas"] == 4
    venue.room.advance(300_000)
    for _ in range(4):
        venue.tick()
        venue.room.advance(3_000)
    assert venue.replicas() == 1 and "manual" not in venue.status()


def test_a_conflict_is_nobodys_fault_and_is_looked_at_again(venue: Venue) -> None:
    grown(venue, 1)
    venue.engine(0).depth = dict.fromkeys(range(6), 400)
    path = PATHS.workload("StatefulSet", "engine")

    def somebody_was_quicker(method: str, called: str) -> None:
        if called.endswith("/scale"):
            venue.api.put(path, venue.api.objects[path])

    venue.api.on_call = somebody_was_quicker
    with pytest.raises(Conflict):
        venue.tick()
    assert venue.replicas() == 1 and venue.status()["scaleEvents"] == []
    venue.api.on_call = lambda method, called: None
    venue.tick()
    assert venue.replicas() == 3


def test_trouble_is_told_by_the_object_it_belongs_to(venue: Venue) -> None:
    venue.policy(targetRef={"kind": "StatefulSet", "name": "nobody"})
    venue.tick()
    assert venue.condition("Ready") == ("False", "NotFound")
    venue.workload("StatefulSet", "engine", 1, podManagementPolicy="OrderedReady")
    venue.policy()
    venue.tick()
    assert venue.condition("Ready") == ("False", "Malformed")
    venue.policy(maxReplicas="many")
    venue.tick()
    assert venue.condition("Ready") == ("False", "Malformed")
    venue.policy()
    venue.api.refused[PATHS.workload("StatefulSet", "engine")] = 403
    venue.tick()
    venue.tick()
    assert venue.condition("Ready") == ("False", "Forbidden")
    assert [reason for reason, _ in venue.api.events()].count("Forbidden") == 1


def test_nothing_is_changed_in_a_dry_run_or_without_the_lease(venue: Venue) -> None:
    grown(venue, 1, dryRun=True)
    venue.engine(0).depth = dict.fromkeys(range(6), 400)
    venue.tick()
    assert (venue.replicas(), venue.status()["desiredReplicas"], venue.status().get("applied")) == (1, 3, None)
    venue.policy()
    venue.leads = False
    before = len(venue.api.calls)
    venue.tick()
    assert {method for method, _ in venue.api.calls[before:]} == {"GET"}


def test_pods_without_a_token_cannot_be_drained_and_that_is_no_crash(venue: Venue) -> None:
    grown(venue, 2)
    venue.token.write_text("wrong")
    venue.tick()
    assert not venue.engine(1).draining_since_ms and venue.condition("Ready")[0] == "True"


def test_of_a_deployment_the_pods_with_the_least_to_lose_go_first(venue: Venue) -> None:
    venue.workload("Deployment", "api", 3)
    for place, connections in enumerate((500, 0, 40)):
        venue.room.engines[venue.address("api", place)].connections = connections
    venue.policy(
        "api", targetRef={"kind": "Deployment", "name": "api"}, mode="Stateless",
        triggers=[{"connections": {"targetPerReplica": 1000}}],
    )  # fmt: skip
    venue.tick("api")
    assert venue.replicas("Deployment", "api") == 1
    costs = [venue.api.objects[PATHS.core("pods", f"api-{place}")]["metadata"]["annotations"] for place in (0, 2)]
    assert [each["controller.kubernetes.io/pod-deletion-cost"] for each in costs] == ["500", "40"]


def test_cpu_is_read_from_the_metrics_api_or_else_from_the_pods(venue: Venue) -> None:
    venue.workload("Deployment", "api", 1)
    triggers = [{"cpu": {}}]
    venue.policy("api", targetRef={"kind": "Deployment", "name": "api"}, mode="Stateless", triggers=triggers)
    engine = venue.room.engines[venue.address("api", 0)]
    engine.metrics = "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 10.0\n"
    venue.api.refused[PATHS.usage()] = 404
    venue.tick("api")
    assert venue.status("api")["decision"]["votes"][0]["missing"] == "no ready pod has a sample of cpu"
    venue.room.advance(10_000)
    engine.metrics = "process_cpu_seconds_total 13.5\n"
    venue.tick("api")  # 350m of 250m
    assert venue.replicas("Deployment", "api") == 2
    del venue.api.refused[PATHS.usage()]
    usage = [{"name": "api", "usage": {"cpu": "500000000n", "memory": "100Mi"}}]
    labels = {"labels": {"app": "api"}}
    venue.settle("Deployment", "api")
    for place in range(2):
        pod = {"metadata": labels, "timestamp": rfc3339(venue.room.now_ms), "containers": usage}
        venue.api.put(f"{PATHS.usage()}/api-{place}", pod)
    venue.tick("api")
    assert venue.replicas("Deployment", "api") == 5 and venue.status("api")["decision"]["votes"][0]["value"] == 200


def test_a_busy_canary_raises_what_both_tracks_need(venue: Venue) -> None:
    venue.workload("Deployment", "api", 2)
    venue.workload("Deployment", "api-canary", 1)
    for name, cpu in (("api-0", "100m"), ("api-1", "100m"), ("api-canary-0", "450m")):
        usage = [{"name": "api", "usage": {"cpu": cpu, "memory": "1Mi"}}]
        meta = {"labels": {"app": name.rsplit("-", 1)[0]}}
        found = {"metadata": meta, "timestamp": rfc3339(venue.room.now_ms), "containers": usage}
        venue.api.put(f"{PATHS.usage()}/{name}", found)
    target = {"kind": "Deployment", "name": "api"}
    venue.policy("api", targetRef=target, mode="Stateless", triggers=[{"cpu": {}}], maxReplicas=9)
    release = Release(live=True, canary=WorkloadRef(kind="Deployment", name="api-canary"))
    venue.ticks.supervise_tick(venue.found("api"), release)
    assert venue.replicas("Deployment", "api") == 6
    venue.ticks.supervise_tick(venue.found("api"), release._replace(divides=3))
    status = venue.status("api")
    assert (status["replicas"], venue.replicas("Deployment", "api")) == (3, 6)  # the release divides them


def test_the_pool_is_told_on_the_operators_port(venue: Venue) -> None:
    grown(venue, 2)
    venue.engine(0).depth = {0: 7}
    venue.tick()
    pool = venue.ticks.pools["engine"]
    assert [row["owner"] for row in pool["partitions"]] == [
        "engine-0/1", "engine-0/1", "engine-0/1", "engine-1/1", "engine-1/1", "engine-1/1",
    ]  # fmt: skip
    assert pool["partitions"][0]["depth"] == 7
    venue.ticks.forget([])
    assert venue.ticks.pools == {}


def test_a_stall_is_known_again_after_a_restart(venue: Venue) -> None:
    grown(venue, 1)
    venue.engine(0).depth = {2: 5000}
    venue.tick()
    venue.room.advance(60_000)
    venue.tick()
    assert venue.condition("StalledPartition") == ("True", "NoProgress")
    since = venue.status()["partitions"]["stalled"]
    venue.start_operator()
    venue.tick()
    assert venue.status()["partitions"]["stalled"] == since
    assert since[0]["since"] == rfc3339(NOW_MS + 3_000)
