"""A round looks at policies and releases together: each knows of the other what it has to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from outcry_operator.rounds import Rounds
from tests.world.venue import PATHS, Venue


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Venue]:
    made = Venue(tmp_path)
    yield made
    made.stop()


def round_of(venue: Venue) -> None:
    rounds = Rounds(venue.world, venue.ticks, venue.canaries)
    for each in rounds.list():
        rounds.supervise_look(each)
    for name in ("api", "api-canary"):
        venue.settle("Deployment", name)
    venue.room.advance(15_000)


def two_tracks(venue: Venue) -> None:
    for name, replicas, revision in (("api", 4, "r1"), ("api-canary", 0, "r2")):
        template = {"metadata": {"annotations": {"outcry.dev/revision": revision}}}
        venue.workload("Deployment", name, replicas, template=template)
    refs = {
        f"{track}Ref": {"kind": "Deployment", "name": name}
        for track, name in (("stable", "api"), ("canary", "api-canary"))
    }
    spec = {"component": "api", **refs, "steps": [{"weight": 50}, {"weight": 100}], "skipAnalysis": True}
    venue.api.put(PATHS.outcry("canaryreleases", "api"), {"kind": "CanaryRelease", "spec": spec})
    target = {"kind": "Deployment", "name": "api"}
    venue.policy("api", targetRef=target, mode="Stateless", triggers=[{"connections": {"targetPerReplica": 100}}])
    for place in range(4):
        venue.room.engines[venue.address("api", place)].connections = 100


def test_one_number_is_divided_between_the_tracks_and_never_lowered_meanwhile(venue: Venue) -> None:
    two_tracks(venue)
    for _ in range(6):
        round_of(venue)
    assert venue.replicas("Deployment", "api") + venue.replicas("Deployment", "api-canary") == 4
    assert venue.replicas("Deployment", "api-canary") == 2
    for engine in venue.room.engines.values():
        engine.connections = 0
    for _ in range(3):
        round_of(venue)
    assert venue.condition("AbleToScale", "api") == ("False", "CanaryLive")
    assert venue.status("api")["desiredReplicas"] == 4 and "manual" not in venue.status("api")
    for engine in venue.room.engines.values():
        engine.connections = 150
    for _ in range(5):
        round_of(venue)
    wanted = venue.status("api")["desiredReplicas"]
    assert wanted >= 5
    assert venue.replicas("Deployment", "api") + venue.replicas("Deployment", "api-canary") in (wanted, wanted + 1)
    assert "manual" not in venue.status("api")


def test_objects_that_are_no_more_are_forgotten(venue: Venue) -> None:
    two_tracks(venue)
    round_of(venue)
    assert venue.ticks.pools.keys() == {"api"}
    venue.api.delete(PATHS.outcry("scalepolicies", "api"))
    venue.api.delete(PATHS.outcry("canaryreleases", "api"))
    round_of(venue)
    assert venue.ticks.pools == {} and 'policy="api"' not in venue.telemetry.exposition().decode()
