"""The operator as a program: its loop, its Lease, its watches, its port and its command line."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from outcry_operator import cli, names
from outcry_operator.kube import Conflict, Forbidden, Invalid, NotFound, Trouble, Unreachable
from outcry_operator.leader import LEASE_MS, RENEW_MS, Leader
from outcry_operator.loop import Loop
from outcry_operator.rounds import Rounds
from outcry_operator.running import Operator
from outcry_operator.settings import SettingsError, read_settings
from outcry_operator.watching import Wake, Watch, fingerprint
from tests.world.apiserver import ApiServer
from tests.world.venue import PATHS, Venue


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Venue]:
    made = Venue(tmp_path)
    yield made
    made.stop()


def once(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.02)


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


class Clock:
    ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


def test_one_operator_leads_and_the_next_takes_over_when_it_is_silent(venue: Venue) -> None:
    clock = Clock()
    first, second = Leader(venue.world, "op", "a", clock), Leader(venue.world, "op", "b", clock)
    first.step()
    second.step()
    assert (first.leads, second.leads) == (True, False)
    clock.ms += RENEW_MS - 1
    assert first.leads
    clock.ms += 1
    assert not first.leads
    clock.ms += LEASE_MS - RENEW_MS
    second.step()
    assert second.leads
    first.step()
    assert not first.leads
    lease = venue.api.objects[PATHS.lease("op")]["spec"]
    assert (lease["holderIdentity"], lease["leaseTransitions"]) == ("b", 1)


def test_a_lease_that_is_given_back_is_free_at_once(venue: Venue) -> None:
    clock = Clock()
    first, second = Leader(venue.world, "op", "a", clock), Leader(venue.world, "op", "b", clock)
    first.step()
    first.stop()
    first.step()
    assert not first.leads  # a renewal that was on its way does not take it again
    second.step()
    assert second.leads and not first.leads


def test_a_renewal_that_fails_ends_the_lead_in_time(venue: Venue) -> None:
    clock = Clock()
    leader = Leader(venue.world, "op", "a", clock)
    leader.step()
    venue.api.budget = 0
    with pytest.raises(Unreachable):
        leader.step()
    assert leader.leads
    clock.ms += RENEW_MS
    assert not leader.leads


def test_a_failing_policy_does_not_stop_the_others_and_a_round_tells_when_it_hangs(venue: Venue) -> None:
    for name in ("a-broken", "engine"):
        venue.policy(name)
    venue.workload("StatefulSet", "engine", 1)
    venue.policy("a-broken", targetRef={"kind": "StatefulSet", "name": "nobody"})
    venue.room.advance(2_000)
    clock = Clock()
    leader = Leader(venue.world, "op", "a", clock)
    leader.step()
    now = [100.0]
    loop = Loop(Rounds(venue.world, venue.ticks, venue.canaries), leader, Wake(), steady=lambda: now[0])
    assert loop.why_not_ready() == "no round was finished yet"
    assert loop.supervise_round() == pytest.approx(15.0)
    assert venue.condition("Ready", "a-broken")[0] == "False" and venue.condition("Ready")[0] == "True"
    assert loop.why_not_ready() == ""
    looks = len(venue.api.calls)
    loop.supervise_round()
    assert len(venue.api.calls) == looks + 2  # nothing was due: two lists
    loop._finished = now[0]
    now[0] += 60.5
    assert loop.why_not_alive() == "no round was finished for 60 s"
    venue.api.budget = 0
    loop.supervise_round()
    assert "could not be listed" in loop.why_not_ready()


def test_the_loop_looks_soon_again_while_engines_hand_over_and_after_a_conflict(venue: Venue) -> None:
    venue.workload("StatefulSet", "engine", 2)
    venue.policy()
    venue.room.advance(3_000)
    leader = Leader(venue.world, "op", "a", Clock())
    leader.step()
    loop = Loop(Rounds(venue.world, venue.ticks, venue.canaries), leader, Wake(), steady=lambda: 100.0)
    assert loop.supervise_round() == pytest.approx(3.0)
    venue.room.advance(3_000)
    loop._due.clear()

    def somebody_was_quicker(method: str, called: str) -> None:
        if called.endswith("/scale"):
            path = PATHS.workload("StatefulSet", "engine")
            venue.api.put(path, venue.api.objects[path])

    venue.api.on_call = somebody_was_quicker
    assert loop.supervise_round() == pytest.approx(1.0)
    venue.api.on_call = lambda method, called: None
    loop._due.clear()
    loop.supervise_round()
    assert venue.replicas() == 1
    venue.settle("StatefulSet", "engine")
    loop._due.clear()
    assert loop.supervise_round() == pytest.approx(15.0)


def test_errors_of_the_api_server_are_told_apart(venue: Venue) -> None:
    path = PATHS.core("pods", "x")
    meanings = {
        401: Forbidden,
        403: Forbidden,
        404: NotFound,
        409: Conflict,
        422: Invalid,
        500: Unreachable,
        429: Unreachable,
    }
    for status, meaning in meanings.items():
        venue.api.refused[path] = status
        with pytest.raises(Trouble) as caught:
            venue.world.cluster.get(path)
        assert type(caught.value) is meaning
    away = ApiServer()
    cluster = away.cluster
    away.stop()
    with pytest.raises(Unreachable):
        cluster.get(path)


def test_a_watch_wakes_the_loop_for_what_can_change_a_decision_and_begins_anew_when_it_ends(venue: Venue) -> None:
    wake = Wake()
    watch = Watch(venue.world.cluster, PATHS.outcry("scalepolicies"), "", wake)
    venue.policy()
    first = {"type": "ADDED", "object": venue.found()}
    watch.note(first)
    assert wake.wait(0)
    wake.clear()
    changed = {**venue.found(), "status": {"replicas": 9}}
    watch.note({"type": "MODIFIED", "object": changed})
    assert not wake.wait(0)  # the operator's own status
    watch.note({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old resource version"}})
    watch.note(first)
    assert wake.wait(0)


def test_a_pod_wakes_by_readiness_and_a_policy_by_its_annotations() -> None:
    pod: dict[str, Any] = {
        "kind": "Pod",
        "metadata": {},
        "status": {"conditions": [{"type": "Ready", "status": "False"}]},
    }
    ready = {**pod, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert fingerprint(pod) != fingerprint(ready)
    beat = {**pod, "status": {"conditions": [*pod["status"]["conditions"], {"type": "Other", "status": "x"}]}}
    assert fingerprint(pod) == fingerprint(beat)
    policy: dict[str, Any] = {"kind": "ScalePolicy", "metadata": {"annotations": {"outcry.dev/paused": "true"}}}
    assert fingerprint(policy) != fingerprint({"kind": "ScalePolicy", "metadata": {}})


def test_the_whole_operator_scales_by_itself_answers_on_its_port_and_ends(venue: Venue) -> None:
    venue.workload("StatefulSet", "engine", 1)
    settings = read_settings(
        {
            "OPERATOR_NAMESPACE": "venue", "OPERATOR_LISTEN": "127.0.0.1:0", "OPERATOR_LEASE": "op",
            "OPERATOR_POD": "me", "OPERATOR_ADMIN_TOKEN_FILE": str(venue.token),
        }
    )  # fmt: skip
    operator = Operator(venue.api.cluster, settings)
    operator.start()
    try:
        venue.room.advance(2_000)
        venue.engine(0).depth = dict.fromkeys(range(6), 400)
        venue.policy()  # wakes it
        once(lambda: venue.replicas() == 3)
        port = operator.port.server_port
        assert get(port, "/livez") == (200, "ok")
        assert get(port, "/readyz") == (200, "ok")
        assert json.loads(get(port, "/v1/pools/engine")[1])["desired"] == 3
        assert get(port, "/v1/pools/nobody")[0] == 404
        text = get(port, "/metrics")[1]
        assert 'outcry_operator_desired_replicas{policy="engine"} 3.0' in text
        for metric in names.METRICS:
            assert f"# TYPE {metric.name.removesuffix('_total')}" in text
            assert metric.name.startswith("outcry_operator_")
    finally:
        operator.stop()
    assert venue.api.objects[PATHS.lease("op")]["spec"]["holderIdentity"] == ""
    assert not any("finalizers" in each["metadata"] for each in venue.api.objects.values())
    assert not any(thread.name == "loop" for thread in threading.enumerate())


def test_wrong_settings_are_told_all_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(
            {"OPERATOR_LISTEN": "nowhere", "OPERATOR_ENGINE_LEASE_SECONDS": "0", "OPERATOR_LOG_FORMAT": "loud"}
        )
    told = str(caught.value)
    assert all(name in told for name in ("OPERATOR_LISTEN", "ENGINE_LEASE_SECONDS", "LOG_FORMAT", "OPERATOR_NAMESPACE"))


def test_the_command_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [each.name for each in cli.VARIABLES]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert cli.main([]) == cli.MISUSED and "OPERATOR_NAMESPACE" in capsys.readouterr().err
    monkeypatch.setenv("OPERATOR_NAMESPACE", "venue")
    assert cli.main(["run"]) == cli.FAILED and "no cluster" in capsys.readouterr().err
    assert cli.main(["apply-crds", str(tmp_path)]) == cli.MISUSED and str(tmp_path) in capsys.readouterr().err
    (tmp_path / "a.yaml").write_text("kind: Pod\n")
    assert cli.main(["apply-crds", str(tmp_path)]) == cli.MISUSED and "a.yaml" in capsys.readouterr().err
    assert cli.main(["version"]) == cli.OK


def test_the_charts_resources_are_read_and_applied(venue: Venue) -> None:
    folder = Path(__file__).resolve().parents[2] / "charts/outcry/crds"
    found = {each["metadata"]["name"]: each for each in cli.crds_of(folder)}
    assert sorted(found) == ["canaryreleases.outcry.dev", "scalepolicies.outcry.dev"]
    for name, crd in found.items():
        served = {"conditions": [{"type": "Established", "status": "True"}]}
        venue.api.put(f"{cli.CRD_PATH}/{name}", {"status": served})
        cli.apply_crd(venue.world.cluster, crd)
        assert venue.api.objects[f"{cli.CRD_PATH}/{name}"]["spec"] == crd["spec"]


KEYWORDS = {
    "type", "format", "description", "properties", "required", "items", "default", "enum", "minimum", "maximum",
    "exclusiveMinimum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "x-kubernetes-validations",
    "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
}  # fmt: skip


def unknown_keywords(schema: dict[str, Any]) -> set[str]:
    """Words of a schema that are none: what a slip in YAML makes of a comma."""
    parts = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    return (set(schema) - KEYWORDS).union(*(unknown_keywords(each) for each in parts))


def test_the_resources_schemas_have_no_word_that_is_none() -> None:
    for crd in cli.crds_of(Path(__file__).resolve().parents[2] / "charts/outcry/crds"):
        assert unknown_keywords(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]) == set()
