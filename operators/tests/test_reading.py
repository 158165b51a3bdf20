"""Objects of the API server become values: pods with their troubles, workloads with their state, quantities."""

from decimal import Decimal
from typing import Any

import pytest

from outcry_operator.quantity import milli_cores, quantity, whole_bytes
from outcry_operator.reading import pod_of, selector_text, usage_of, workload_of
from outcry_operator.resource import Malformed


def a_pod(name: str = "engine-3", owner: str = "StatefulSet", **status: Any) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-30T03:00:00Z"}
    containers = [
        {
            "resources": {"requests": {"cpu": "100m", "memory": "160Mi"}},
            "ports": [{"name": "admin", "containerPort": 9200}],
        },
        {"resources": {"requests": {"cpu": "0.5"}}},
    ]
    meta = {"name": name, "uid": "u", "ownerReferences": [{"kind": owner}], "labels": {"outcry.dev/track": "canary"}}
    return {
        "metadata": meta,
        "spec": {"containers": containers},
        "status": {"conditions": [ready], "podIP": "10.0.0.7"} | status,
    }


def test_a_pod_is_read() -> None:
    pod = pod_of(a_pod())
    assert (pod.ordinal, pod.track, pod.ip, pod.admin_port) == (3, "canary", "10.0.0.7", 9200)
    assert pod.ready and pod.ready_since_ms == 1_796_007_600_000
    assert pod.requests == {"cpu": 600}  # one container requests no memory
    assert pod_of(a_pod("api-69f46d5fd9-12345", "ReplicaSet")).ordinal == -1
    leaving = a_pod()
    leaving["metadata"]["deletionTimestamp"] = "2026-11-30T03:00:00Z"
    assert pod_of(leaving).leaving and pod_of(a_pod(phase="Failed")).ended


def test_a_container_that_crashes_is_seen_also_the_first_one() -> None:
    loops = {"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    killed = {"restartCount": 1, "state": {"running": {}}, "lastState": {"terminated": {"reason": "OOMKilled"}}}
    fine = {"restartCount": 0, "state": {"running": {}}}
    assert (pod_of(a_pod(containerStatuses=[fine, loops])).trouble, pod_of(a_pod()).trouble) == ("CrashLoopBackOff", "")
    first = pod_of(a_pod(initContainerStatuses=[loops], containerStatuses=[fine]))
    assert (first.trouble, first.restarts) == ("CrashLoopBackOff", 3)
    assert pod_of(a_pod(containerStatuses=[killed])).trouble == "OOMKilled"


def test_a_pod_that_makes_no_sense_is_malformed() -> None:
    odd = a_pod()
    odd["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "lots"
    with pytest.raises(Malformed, match="lots"):
        pod_of(odd)


@pytest.mark.parametrize(
    ("status", "settled"), [({}, False), ({"observedGeneration": 1}, False), ({"replicas": 3}, False)]
)
def test_a_workload_is_settled_once_its_roll_out_is_done(status: dict[str, Any], settled: bool) -> None:
    done = {"observedGeneration": 2, "updatedReplicas": 2, "readyReplicas": 2, "replicas": 2}
    template = {"metadata": {"annotations": {"outcry.dev/revision": "r7"}}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "x"}}, "template": template}
    found = {"kind": "StatefulSet", "metadata": {"name": "e", "generation": 2, "resourceVersion": "5"}, "spec": spec}
    workload = workload_of({**found, "status": done})
    assert workload.settled and (workload.revision, workload.selector, workload.parallel) == ("r7", "app=x", False)
    assert workload_of({**found, "status": {**done, **status} if status else {}}).settled == settled


def test_selectors_are_written_as_queries_want_them() -> None:
    expressions = [
        {"key": "a", "operator": "In", "values": ["1", "2"]}, {"key": "b", "operator": "DoesNotExist"},
        {"key": "c", "operator": "NotIn", "values": ["3"]}, {"key": "d", "operator": "Exists"},
    ]  # fmt: skip
    found = selector_text({"matchLabels": {"z": "1", "y": "2"}, "matchExpressions": expressions})
    assert found == "y=2,z=1,a in (1,2),!b,c notin (3),d"


def test_quantities_are_whole_numbers_rounded_up() -> None:
    assert [milli_cores(text) for text in ("250m", "0.5", "2", "1500000n", "1u")] == [250, 500, 2000, 2, 1]
    assert [whole_bytes(text) for text in ("1Ki", "1.5Gi", "128M", "1e3", "7")] == [
        1024,
        1610612736,
        128000000,
        1000,
        7,
    ]
    assert quantity("2Ei") == Decimal(2**61)
    for text in ("", "Gi", "12Q", "m", "0x10", "--1"):
        with pytest.raises(ValueError, match="quantity"):
            quantity(text)


def test_usage_is_summed_over_the_containers_of_a_pod() -> None:
    containers = [{"usage": {"cpu": "1500000n", "memory": "10Mi"}}, {"usage": {"cpu": "3m", "memory": "1Ki"}}]
    item = {"metadata": {"name": "api-0"}, "timestamp": "2026-11-30T03:00:00Z", "containers": containers}
    found = usage_of([item])
    assert (found["cpu"]["api-0"].used, found["memory"]["api-0"].used) == (5, 10 * 1024 * 1024 + 1024)
