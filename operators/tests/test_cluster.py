"""The operator against a real API server: what it refuses, what the Role must allow, and that nothing is left behind.

Needs a cluster in KUBECONFIG, in which it installs the resource definitions and works in a namespace of its own.
"""

import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from kubernetes import client, config

from outcry_operator import cli, kube
from outcry_operator.kube import Cluster, Conflict, Forbidden, Invalid, NotFound, Object, Paths
from outcry_operator.running import Operator
from outcry_operator.settings import read_settings
from outcry_operator.watching import Wake, Watch
from tests.world.door import Door

CRDS = Path(__file__).resolve().parents[2] / "charts/outcry/crds"

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.skipif("KUBECONFIG" not in os.environ, reason="KUBECONFIG names no cluster"),
]

# What the operator may do; the chart's Role says the same.
RULES: list[Object] = [
    {"apiGroups": ["outcry.dev"], "resources": ["scalepolicies", "canaryreleases"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["outcry.dev"], "resources": ["scalepolicies/status", "canaryreleases/status"], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "patch"]},
    {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": ["get", "list", "watch"]},
    {
        "apiGroups": ["apps"], "resources": ["deployments/scale"], "resourceNames": ["api", "api-canary"],
        "verbs": ["patch"],
    },
    {"apiGroups": ["apps"], "resources": ["statefulsets/scale"], "resourceNames": ["engine"], "verbs": ["patch"]},
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
    {
        "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["operator"],
        "verbs": ["get", "update"],
    },
    {"apiGroups": ["metrics.k8s.io"], "resources": ["pods"], "verbs": ["get", "list"]},
]  # fmt: skip


LAGGING = {"targetPerReplica": 1, "limitToLagging": True}


@pytest.fixture(scope="module")
def admin() -> Cluster:
    cluster = kube.connect()
    for crd in cli.crds_of(CRDS):
        cli.apply_crd(cluster, crd)
    return cluster


@pytest.fixture
def namespace(admin: Cluster) -> Iterator[str]:
    name = f"outcry-operator-{uuid.uuid4().hex[:8]}"
    admin.create("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    admin._call("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def paths(namespace: str) -> Paths:
    return Paths(namespace)


def once(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.2)


def policy(**spec: Any) -> Object:
    whole = {
        "targetRef": {"kind": "StatefulSet", "name": "engine"}, "mode": "PartitionOwner", "maxReplicas": 5,
        "triggers": [{"queueDepth": {"targetPerReplica": 100}}], **spec,
    }  # fmt: skip
    return {"apiVersion": "outcry.dev/v1alpha1", "kind": "ScalePolicy", "metadata": {"name": "engine"}, "spec": whole}


def canary(**spec: Any) -> Object:
    refs = {name: {"kind": "Deployment", "name": name} for name in ("api", "api-canary")}
    whole = {"component": "api", "stableRef": refs["api"], "canaryRef": refs["api-canary"], **spec}
    return {"apiVersion": "outcry.dev/v1alpha1", "kind": "CanaryRelease", "metadata": {"name": "api"}, "spec": whole}


def workload(kind: str, name: str, replicas: int, revision: str = "r1") -> Object:
    """Its pods wait for a node that there is not."""
    labels = {"app": name}
    container = {"name": "main", "image": "none", "resources": {"requests": {"cpu": "10m"}}}
    template = {
        "metadata": {"labels": labels, "annotations": {"outcry.dev/revision": revision}},
        "spec": {"containers": [container], "nodeSelector": {"outcry.dev/none": "here"}},
    }
    spec: Object = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    if kind == "StatefulSet":
        spec |= {"podManagementPolicy": "Parallel", "serviceName": name}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"minReplicas": 6}, "minReplicas must not be above maxReplicas"),
        ({"minReplicas": 0}, "minReplicas"),
        ({"maxReplicas": None}, "maxReplicas"),
        ({"targetRef": {"kind": "Deployment", "name": "engine"}}, "needs a StatefulSet"),
        ({"targetRef": {"kind": "DaemonSet", "name": "engine"}}, "kind"),
        ({"triggers": []}, "triggers"),
        ({"triggers": [{}]}, "exactly one of"),
        ({"triggers": [{"cpu": {}, "memory": {}}]}, "exactly one of"),
        ({"triggers": [{"cpu": {"targetUtilizationPercent": 0}}]}, "targetUtilizationPercent"),
        ({"triggers": [{"queueDepth": {}}]}, "targetPerReplica"),
        ({"triggers": [{"prometheus": {"address": "ftp://x", "query": "q", "targetPerReplica": 1}}]}, "address"),
        ({"mode": "Stateless", "triggers": [{"queueDepth": LAGGING}]}, "limitToLagging"),
        ({"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 0, "periodSeconds": 1}]}}}, "value"),
        ({"fallback": {"behavior": "panic"}}, "behavior"),
        ({"replicas": -1}, "replicas"),
    ],
)  # fmt: skip
def test_a_policy_that_makes_no_sense_is_refused(admin: Cluster, paths: Paths, spec: Object, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        admin.create(paths.outcry("scalepolicies"), policy(**spec))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"canaryRef": {"kind": "Deployment", "name": "api"}}, "two workloads"),
        ({"component": "engine"}, "engines are StatefulSets"),
        ({"component": "dashboard"}, "component"),
        ({"traffic": {"provider": "gatewayAPI"}}, "routeTemplate"),
        ({"steps": [{"weight": 50}]}, "last step must have weight 100"),
        ({"steps": [{"weight": 101}]}, "weight"),
        ({"analysis": {"source": "prometheus"}}, "prometheus.address"),
        ({"metrics": [{"name": "happiness"}]}, "name"),
    ],
)
def test_a_release_that_makes_no_sense_is_refused(admin: Cluster, paths: Paths, spec: Object, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        admin.create(paths.outcry("canaryreleases"), canary(**spec))


def test_the_defaults_are_those_that_the_operator_reads(admin: Cluster, paths: Paths) -> None:
    from outcry_operator.canary.spec import canary_of
    from outcry_operator.resource import spec_of

    for plural, made, read in (("scalepolicies", policy(), spec_of), ("canaryreleases", canary(), canary_of)):
        kept = admin.create(paths.outcry(plural), made)
        assert read(kept) == read(made)


def test_a_policy_has_a_scale_of_its_own_and_a_target_for_good(admin: Cluster, paths: Paths) -> None:
    admin.create(paths.outcry("scalepolicies"), policy())
    path = paths.outcry("scalepolicies", "engine")
    assert admin.get(f"{path}/scale")["spec"].get("replicas", 0) == 0
    admin.patch(f"{path}/scale", {"spec": {"replicas": 3}})
    assert admin.get(path)["spec"]["replicas"] == 3
    with pytest.raises(Invalid, match="immutable"):
        admin.patch(path, {"spec": {"targetRef": {"name": "other"}}})


def test_a_scale_based_on_an_old_version_is_a_conflict(admin: Cluster, paths: Paths) -> None:
    made = admin.create(paths.workload("Deployment"), workload("Deployment", "api", 1))
    old = made["metadata"]["resourceVersion"]
    path = paths.workload("Deployment", "api", "scale")
    admin.patch(path, {"spec": {"replicas": 2}})
    with pytest.raises(Conflict):
        admin.patch(path, {"metadata": {"resourceVersion": old}, "spec": {"replicas": 3}})


def test_a_watch_goes_on_after_the_server_has_ended_it(
    admin: Cluster, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kube, "WATCH_SECONDS", 1)
    wake = Wake()
    watch = Watch(admin, paths.outcry("scalepolicies"), "", wake)
    watch.start()
    try:
        time.sleep(5)
        wake.clear()
        admin.create(paths.outcry("scalepolicies"), policy())
        assert wake.wait(10)
        wake.clear()
        admin.patch(paths.outcry("scalepolicies", "engine", "status"), {"status": {"replicas": 1}})
        assert not wake.wait(4)
    finally:
        watch.stop()


def restricted(
    admin: Cluster, paths: Paths, namespace: str, rules: list[Object], *, by_way_of: Door | None = None
) -> Cluster:
    """A cluster as a service account with these rules sees it."""
    admin.create(paths.core("serviceaccounts"), {"metadata": {"name": "operator"}})
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    admin.create(f"{rbac}/roles", {"metadata": {"name": "operator"}, "rules": rules})
    account = {"kind": "ServiceAccount", "name": "operator", "namespace": namespace}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"}
    admin.create(f"{rbac}/rolebindings", {"metadata": {"name": "operator"}, "roleRef": ref, "subjects": [account]})
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = admin.create(paths.core("serviceaccounts", "operator", "token"), asked)["status"]["token"]
    full = server()
    own = client.Configuration(host=full.host, ssl_ca_cert=full.ssl_ca_cert, ca_cert_data=full.ca_cert_data)
    own.verify_ssl = full.verify_ssl
    if by_way_of is not None:
        own.tls_server_name = full.tls_server_name or urlsplit(full.host).hostname
        own.host = f"https://127.0.0.1:{by_way_of.port}"
    own.api_key = {"authorization": f"Bearer {token}"}
    return Cluster(own)


def server() -> client.Configuration:
    """Where the API server is and how it is trusted, as KUBECONFIG has it."""
    full = client.Configuration()
    config.load_kube_config(client_configuration=full)
    return full


@pytest.fixture
def door() -> Iterator[Door]:
    """The way to the API server for one operator."""
    address = urlsplit(server().host)
    made = Door(address.hostname or "", address.port or 443)
    yield made
    made.stop()


def started(cluster: Cluster, namespace: str) -> Operator:
    settings = read_settings(
        {"OPERATOR_NAMESPACE": namespace, "OPERATOR_LISTEN": "127.0.0.1:0", "OPERATOR_LEASE": "operator"}
    )
    operator = Operator(cluster, settings)
    operator.start()
    return operator


def test_the_role_is_enough_and_nothing_is_left_behind(
    admin: Cluster, paths: Paths, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for name, replicas, revision in (("api", 1, "r1"), ("api-canary", 1, "r1")):
        admin.create(paths.workload("Deployment"), workload("Deployment", name, replicas, revision))
    admin.create(paths.workload("StatefulSet"), workload("StatefulSet", "engine", 1))
    admin.create(paths.outcry("scalepolicies"), policy(minReplicas=2))
    stateless = policy(
        targetRef={"kind": "Deployment", "name": "api"}, mode="Stateless", minReplicas=3,
        triggers=[{"cpu": {}}, {"connections": {}}],
    )  # fmt: skip
    admin.create(paths.outcry("scalepolicies"), {**stateless, "metadata": {"name": "api"}})
    admin.create(paths.outcry("canaryreleases"), canary())
    operator = started(restricted(admin, paths, namespace, RULES), namespace)

    def replicas(kind: str, name: str) -> int:
        return int(admin.get(paths.workload(kind, name))["spec"]["replicas"])

    try:
        once(lambda: replicas("StatefulSet", "engine") == 2 and replicas("Deployment", "api") == 3)
        once(lambda: replicas("Deployment", "api-canary") == 0)
        admin.patch(paths.outcry("scalepolicies", "engine", "scale"), {"spec": {"replicas": 4}})
        once(lambda: replicas("StatefulSet", "engine") == 4)
        status = admin.get(paths.outcry("scalepolicies", "engine"))["status"]
        assert status["manual"]["replicas"] == 4 and status["applied"][-1] == 4
        once(lambda: "status" in admin.get(paths.outcry("canaryreleases", "api")))
        assert admin.get(paths.outcry("canaryreleases", "api"))["status"]["phase"] == "Idle"
        events = admin.items(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")
        assert {"Rescaled", "ManualHold"} <= {each["reason"] for each in events}
        assert operator.loop.why_not_ready() == ""
    finally:
        operator.stop()
    assert admin.get(paths.lease("operator"))["spec"].get("holderIdentity", "") == ""
    assert "403" not in caplog.text
    for plural in ("scalepolicies", "canaryreleases"):
        assert all("finalizers" not in each["metadata"] for each in admin.items(paths.outcry(plural)))


@pytest.mark.parametrize("outage", [Door.lock, Door.muffle], ids=["refuses", "is silent"])
def test_an_outage_of_the_api_server_costs_time_and_changes_nothing_twice(
    admin: Cluster, paths: Paths, namespace: str, door: Door, outage: Callable[[Door], None]
) -> None:
    admin.create(paths.workload("StatefulSet"), workload("StatefulSet", "engine", 1))
    admin.create(paths.outcry("scalepolicies"), policy(minReplicas=2))
    operator = started(restricted(admin, paths, namespace, RULES, by_way_of=door), namespace)
    engine = paths.workload("StatefulSet", "engine")

    def rescaled() -> list[str]:
        events = admin.items(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")
        return [each["note"] for each in events if each["reason"] == "Rescaled"]

    try:
        once(lambda: admin.get(engine)["spec"]["replicas"] == 2 and len(rescaled()) == 1)
        outage(door)
        admin.patch(paths.outcry("scalepolicies", "engine"), {"spec": {"minReplicas": 4}})
        once(lambda: operator.loop.why_not_ready() != "" and not operator.loop.leader.leads)
        assert operator.loop.why_not_alive() == "", "a restart would help nobody"
        assert admin.get(engine)["spec"]["replicas"] == 2
        door.open()
        once(lambda: operator.loop.why_not_ready() == "" and admin.get(engine)["spec"]["replicas"] == 4)
        once(lambda: len(rescaled()) == 2)
        time.sleep(3)  # for what might be done again
        assert admin.get(engine)["metadata"]["generation"] == 3, "one change of the scale before and one after"
        assert len(rescaled()) == 2, rescaled()
    finally:
        operator.stop()


def test_an_operator_that_follows_another_changes_nothing(admin: Cluster, paths: Paths, namespace: str) -> None:
    admin.create(paths.workload("StatefulSet"), workload("StatefulSet", "engine", 1))
    admin.create(paths.outcry("scalepolicies"), policy(minReplicas=2))
    cluster, engine = restricted(admin, paths, namespace, RULES), paths.workload("StatefulSet", "engine")
    for _ in range(3):
        operator = started(cluster, namespace)
        try:
            once(lambda: admin.get(engine)["spec"]["replicas"] == 2)
            once(lambda: operator.loop.leader.leads and operator.loop.why_not_ready() == "")  # noqa: B023
            time.sleep(2)
        finally:
            operator.stop()
    assert admin.get(engine)["metadata"]["generation"] == 2, "the scale was changed once"


def test_what_the_role_does_not_allow_is_told_by_the_object(admin: Cluster, paths: Paths, namespace: str) -> None:
    admin.create(paths.workload("StatefulSet"), workload("StatefulSet", "engine", 1))
    admin.create(paths.outcry("scalepolicies"), policy(minReplicas=2))
    without_scale = [each for each in RULES if "statefulsets/scale" not in each["resources"]]
    cluster = restricted(admin, paths, namespace, without_scale)
    operator = started(cluster, namespace)

    def ready() -> Object:
        status = admin.get(paths.outcry("scalepolicies", "engine")).get("status") or {}
        return next((each for each in status.get("conditions") or [] if each["type"] == "Ready"), {})

    try:
        once(lambda: ready().get("reason") == "Forbidden")
        assert "statefulsets" in ready()["message"]
    finally:
        operator.stop()
    with pytest.raises(Forbidden):
        cluster.get("/api/v1/namespaces/default/pods/x")
    with pytest.raises(NotFound):
        admin.get(paths.core("pods", "x"))
