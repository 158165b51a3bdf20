"""A release in a namespace: pods, routes, shadows and partitions move, and move back."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from outcry_operator.canary.figures import Counts, Readings, counts_of, figure, percentile_ms, proven, queries
from outcry_operator.canary.route import weight_in
from outcry_operator.kube import Conflict
from outcry_operator.observation import Partition, Told
from tests.world.pools import pod
from tests.world.venue import PATHS, Venue

ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api}
spec:
  rules:
    - matches: [{headers: [{name: x-outcry-track, value: canary}]}]
      backendRefs: [{name: api-canary, port: 8080}]
    - backendRefs:
        - {name: api, port: 8080, weight: 100}
        - {name: api-canary, port: 8080, weight: 0}
"""


class Release:
    """One component with two tracks; pods answer ``good`` and ``bad`` requests per look."""

    def __init__(self, venue: Venue, component: str, replicas: int, **spec: Any) -> None:
        self.venue, self.component = venue, component
        self.kind = "StatefulSet" if component == "engine" else "Deployment"
        self.canary = f"{component}-canary"
        self.totals: dict[str, tuple[int, int]] = {}
        self.revision(component, replicas, "r1")
        self.revision(self.canary, 0, "r2")
        refs = {"stableRef": self.ref(component), "canaryRef": self.ref(self.canary)}
        whole = {"component": component, **refs, "steps": [{"weight": 25, "holdSeconds": 30}, {"weight": 100}], **spec}
        venue.api.put(PATHS.outcry("canaryreleases", component), {"kind": "CanaryRelease", "spec": whole})

    def ref(self, name: str) -> dict[str, str]:
        return {"kind": self.kind, "name": name}

    def revision(self, name: str, replicas: int, revision: str) -> None:
        template = {"metadata": {"annotations": {"outcry.dev/revision": revision}}}
        self.venue.workload(self.kind, name, replicas, template=template)

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.venue.api.objects[PATHS.outcry("canaryreleases", self.component)]["status"])

    def look(self, looks: int = 1, *, good: int = 100, bad: int = 0) -> dict[str, Any]:
        """Looks, every 15 s; each pod has answered so much in between."""
        for _ in range(looks):
            for engine in self.venue.room.engines.values():
                was = self.totals.get(engine.pod, (0, 0))
                is_canary = "canary" in engine.pod
                self.totals[engine.pod] = (was[0] + good, was[1] + (bad if is_canary else 0))
                engine.metrics = metrics(*self.totals[engine.pod])
            found = self.venue.api.objects[PATHS.outcry("canaryreleases", self.component)]
            with suppress(Conflict):
                self.venue.canaries.supervise_tick(found, {})
            for name in (self.component, self.canary):
                self.venue.settle(self.kind, name)
            self.venue.room.advance(15_000)
        return self.status

    def pods(self) -> tuple[int, int]:
        """(stable, canary)."""
        return self.venue.replicas(self.kind, self.component), self.venue.replicas(self.kind, self.canary)


def metrics(good: int, bad: int) -> str:
    return f"""
outcry_http_requests_total{{method="POST",route="/api/v3/order",status="200"}} {good}
outcry_http_requests_total{{method="POST",route="/api/v3/order",status="504"}} {bad}
outcry_http_requests_total{{method="POST",route="/api/v3/order",status="429"}} 7
outcry_http_request_seconds_bucket{{route="/api/v3/order",le="0.01"}} {good}
outcry_http_request_seconds_bucket{{route="/api/v3/order",le="+Inf"}} {good + bad}
outcry_engine_commands_total {good}
outcry_engine_frame_seconds_bucket{{le="0.01"}} {good}
outcry_engine_frame_seconds_bucket{{le="+Inf"}} {good}
"""


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Venue]:
    made = Venue(tmp_path)
    yield made
    made.stop()


def test_pods_divide_the_traffic_step_by_step_and_the_release_is_finished(venue: Venue) -> None:
    release = Release(venue, "api", 4)
    assert release.look()["phase"] == "Initializing"
    assert release.pods() == (4, 1)
    assert release.look()["phase"] == "Progressing"
    release.look(2)
    assert release.pods() == (3, 1) and release.status["weight"] == {"target": 25, "actual": 25.0}
    release.look(8)
    assert release.status["step"] == 1 and release.pods() == (0, 4)
    assert {each["verdict"] for each in release.status["verdicts"]} == {"Pass"}
    release.revision("api", 0, "r2")
    assert release.look()["phase"] == "Finalizing"
    release.look(3)
    assert (release.status["phase"], release.pods()) == ("Promoted", (4, 0))


def test_a_canary_that_fails_goes_as_stable_pods_come_back_and_stays_away(venue: Venue) -> None:
    release = Release(venue, "api", 4)
    release.look(4)
    assert release.pods() == (3, 1)
    assert release.look(bad=50)["phase"] == "RollingBack"
    release.look(3)
    assert (release.status["phase"], release.status["reason"], release.pods()) == ("RolledBack", "FailedChecks", (4, 0))
    assert release.status["failedRevision"] == "r2"
    assert [each["verdict"] for each in release.status["verdicts"]] == ["Failure", "Pass"]
    told = [note for reason, note in venue.api.events() if reason == "RollingBack"]
    assert "errorRate is Failure: canary 0.1" in told[0]
    release.look(3)
    assert release.pods() == (4, 0)
    assert "RolledBack" in [reason for reason, _ in venue.api.events()]


def test_a_gateway_gets_the_weight_once_the_pods_for_it_are_ready_and_loses_it_at_once(venue: Venue) -> None:
    venue.api.put(PATHS.core("configmaps", "api-route"), {"data": {"route.yaml": ROUTE}})
    venue.api.put(PATHS.route("api"), {"spec": {"rules": []}})
    release = Release(venue, "api", 4, traffic={"provider": "gatewayAPI", "routeTemplate": "api-route"})

    def weight() -> int:
        return weight_in(venue.api.objects[PATHS.route("api")], "api-canary")

    release.look(3)
    assert (weight(), release.pods()) == (25, (4, 1))
    assert len(venue.api.objects[PATHS.route("api")]["spec"]["rules"][0]["backendRefs"]) == 1
    (owner,) = venue.api.objects[PATHS.route("api")]["metadata"]["ownerReferences"]
    stable = venue.api.objects[PATHS.workload("Deployment", "api")]["metadata"]
    assert owner == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api", "uid": stable["uid"]}
    for _ in range(6):
        before = release.pods()[1]
        release.look()
        assert weight() == (100 if before == 4 and release.status["weight"]["target"] == 100 else 25)
    assert weight() == 100
    release.look(bad=50)
    assert (weight(), release.pods()) == (0, (4, 4))
    release.look(4)
    assert release.pods() == (4, 0)


def test_a_route_whose_release_is_deleted_on_the_way_goes_back_to_stable(venue: Venue) -> None:
    venue.api.put(PATHS.core("configmaps", "api-route"), {"data": {"route.yaml": ROUTE}})
    venue.api.put(PATHS.route("api"), {"spec": {"rules": []}})
    release = Release(venue, "api", 4, traffic={"provider": "gatewayAPI", "routeTemplate": "api-route"})
    release.look(3)
    venue.canaries.forget({f"uid-{PATHS.outcry('canaryreleases', 'api')}"})
    assert weight_in(venue.api.objects[PATHS.route("api")], "api-canary") == 25
    venue.canaries.forget(set())
    rules = venue.api.objects[PATHS.route("api")]["spec"]["rules"]
    assert [[each["name"] for each in rule["backendRefs"]] for rule in rules] == [["api"]]
    calls = len(venue.api.calls)
    venue.canaries.forget(set())
    assert len(venue.api.calls) == calls


def test_a_route_that_names_no_canary_is_told(venue: Venue) -> None:
    venue.api.put(PATHS.core("configmaps", "api-route"), {"data": {"route.yaml": ROUTE.replace("api-canary", "other")}})
    release = Release(venue, "api", 2, traffic={"provider": "gatewayAPI", "routeTemplate": "api-route"})
    release.look()
    ready = next(each for each in release.status["conditions"] if each["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "Malformed")


def agreeing(venue: Venue, digest: str = "same") -> None:
    for engine in venue.room.engines.values():
        mine = digest if "canary" in engine.pod else "same"
        engine.hashes = {
            part: [{"from_offset": 100 * n, "digest": mine if n == 7 else f"{n}"} for n in range(12)]
            for part in range(6)
        }


def test_an_engine_canary_shadows_then_owns_its_share_and_hands_it_back(venue: Venue) -> None:
    release = Release(venue, "engine", 2)
    venue.room.advance(3_000)
    release.look(2)
    assert release.status["phase"] == "Shadowing" and release.pods() == (2, 1)
    release.look()
    canary = venue.room.engines[venue.address("engine-canary", 0)]
    assert len(canary.shadowed) == 2 and venue.room.owned(canary) == []
    agreeing(venue)
    release.look()
    assert (release.status["phase"], release.status["shadow"]["offsets"]) == ("Progressing", 2400)
    release.look()
    assert len(venue.room.owned(canary)) == 2 and set(canary.shadowed) >= {0, 1, 2, 3, 4, 5} - set(
        venue.room.owned(canary)
    )
    assert not {*canary.shadowed} & {*venue.room.owned(canary)}
    release.look(12)
    canaries = [venue.room.engines[venue.address("engine-canary", place)] for place in range(release.pods()[1])]
    assert sum(len(venue.room.owned(each)) for each in canaries) == 6
    release.revision("engine", 2, "r2")
    release.look(8)
    assert (release.status["phase"], release.pods()) == ("Promoted", (2, 0))
    stable = [venue.engine(place) for place in range(2)]
    assert sum(len(venue.room.owned(each)) for each in stable) == 6


def test_an_engine_canary_that_differs_owns_nothing_ever(venue: Venue) -> None:
    release = Release(venue, "engine", 2)
    venue.room.advance(3_000)
    release.look(3)
    agreeing(venue, "different")
    release.look()
    assert (release.status["phase"], release.status["reason"]) == ("RollingBack", "ShadowMismatch")
    release.look(4)
    assert (release.status["phase"], release.pods()) == ("RolledBack", (2, 0))
    assert "ShadowMismatch" in [reason for reason, _ in venue.api.events()]
    assert not any("canary" in row.pod for row in venue.room.rows.values())


def test_a_partition_that_does_not_move_is_tried_thrice_and_then_told(venue: Venue) -> None:
    release = Release(venue, "engine", 2, shadow={"enabled": False})
    venue.room.advance(3_000)
    venue.token.write_text("wrong")
    release.look(7)
    assert [reason for reason, _ in venue.api.events()].count("MoveFailing") == 0
    release.look(4)
    assert [reason for reason, _ in venue.api.events()].count("MoveFailing") == 2  # two partitions


def test_counters_are_read_over_a_window_and_a_new_container_begins_anew() -> None:
    counts = counts_of(metrics(100, 5))
    assert (counts.answers, counts.errors, counts.commands) == (112, 5, 100)
    stream = counts_of("outcry_stream_deliveries_total 900\noutcry_websocket_slow_closed_total 2\n")
    assert (stream.answers, stream.errors) == (902, 2)
    readings, one = Readings(), pod("api-0")
    for at_ms, good in ((0, 100), (30_000, 150), (60_000, 400), (90_000, 500)):
        readings.note([one], {"api-0": metrics(good, 0)}, {}, at_ms)
    assert readings.within(one, 60_000, 90_000).answers == 350
    readings.note([one], {"api-0": metrics(3, 0)}, {}, 95_000)
    assert readings.within(one, 60_000, 95_000).answers == 0
    assert readings.within(pod("api-9"), 60_000, 95_000) == Counts()


def test_a_percentile_lies_within_its_bucket() -> None:
    assert percentile_ms({0.1: 0, 0.2: 100, float("inf"): 100}) == pytest.approx(199.0)
    assert percentile_ms({0.1: 98, 0.2: 98, float("inf"): 100}) == pytest.approx(200.0)


def test_a_canarys_few_samples_prove_little() -> None:
    assert proven(0.99, 60) == pytest.approx(0.9515, abs=1e-4) and proven(0.99, 2) > 0.75 and proven(0.99, 1) > 0.69
    slow = {"latencyP99Ms": {0.05: 58.0, 1.0: 60.0, float("inf"): 60.0}}
    counts = [Counts(60, 0, 0, slow)]
    assert figure("latencyP99Ms", counts, [], is_canary=True).value == pytest.approx(49.2, abs=0.1)
    assert figure("latencyP99Ms", counts, [], is_canary=False).value > 600
    worse = [Counts(60, 0, 0, {"latencyP99Ms": {0.05: 50.0, 1.0: 60.0, float("inf"): 60.0}})]
    assert figure("latencyP99Ms", worse, [], is_canary=True).value > 600


def test_a_lag_counts_as_far_as_it_lasted() -> None:
    readings, one = Readings(), pod("engine-canary-0")
    for at_ms, lag_ms in ((0, 40), (15_000, 900), (30_000, 700), (45_000, 5)):
        told = Told(at_ms, owned=[Partition(0, one.name, lag_ms=lag_ms), Partition(1, one.name, lag_ms=1)])
        readings.note([one], {one.name: metrics(1, 0)}, {one.name: told}, at_ms)
        if at_ms == 30_000:
            assert readings.lag_ms(one, 20_000, at_ms) == 700
    assert readings.lag_ms(one, 60_000, 45_000) == 5
    readings.note([one], {one.name: metrics(1, 0)}, {one.name: Told(60_000)}, 60_000)
    assert readings.lag_ms(one, 60_000, 60_000) is None  # it has given all away
    again = Told(75_000, owned=[Partition(0, one.name, lag_ms=30)])
    readings.note([one], {one.name: metrics(1, 0)}, {one.name: again}, 75_000)
    assert readings.lag_ms(one, 20_000, 75_000) == 30


def test_prometheus_is_asked_for_the_pods_of_one_track() -> None:
    rate, samples = queries("errorRate", 'pod=~"a|b"', "[60s]")
    assert 'status=~"5.."' in rate and rate.count('pod=~"a|b"') == 7 and "[60s]" in samples
    assert queries("latencyP99Ms", "p", "[60s]")[0].startswith("1000 * histogram_quantile(0.99, ")
