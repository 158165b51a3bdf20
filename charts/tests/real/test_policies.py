"""Network policies where the cluster's network keeps them: what is drawn passes, and nothing else does."""

import json
import textwrap
from collections.abc import Iterator

import pytest

from real.release import TAG, Release, installed

STRANGER = "stranger"  # a pod of the same namespace that is no part of the release
STRANGER_PORT = 8000
STORES = {"kafka", "postgresql", "redis-fanout", "redis-state"}
EDGE = {"api", "stream"}
REACHES = {
    "api": STORES | {"stream"},
    "engine": STORES,
    "stream": STORES,
    "simulate": EDGE,
    "operator": {"an engine's admin port", "the API server"},
    STRANGER: EDGE | {"the API server"},
}
ITSELF = {"api": "api", "stream": "stream", "engine": "an engine's admin port", STRANGER: STRANGER}  # asks no network
TRIES = textwrap.dedent("""
    import concurrent.futures, json, socket, sys
    def reaches(address):
        try:
            socket.create_connection(address, timeout=3).close()
        except OSError:
            return False
        return True
    addresses = json.loads(sys.argv[1])
    with concurrent.futures.ThreadPoolExecutor(len(addresses)) as pool:
        found = pool.map(reaches, map(tuple, addresses.values()))
    print(json.dumps([name for name, reached in zip(addresses, found) if reached]))
""")

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def release() -> Iterator[Release]:
    objects = {"apiVersion": "v1", "kind": "List", "items": [nobody_in(), stranger()]}
    with installed("outcry-policies") as running:
        running.kubectl("apply", "--filename", "-", stdin=json.dumps(objects))
        running.kubectl("wait", f"pod/{STRANGER}", "--for=condition=Ready", "--timeout=60s")
        if STRANGER in reached(running, "api"):
            pytest.skip("the network of this cluster keeps no policies")
        yield running
        running.kubectl("delete", "--filename", "-", stdin=json.dumps(objects))


def stranger() -> dict[str, object]:
    serves = ["python", "-m", "http.server", str(STRANGER_PORT)]
    container = {"name": STRANGER, "image": f"outcry:{TAG}", "command": serves}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": STRANGER, "labels": {"app": STRANGER}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }  # fmt: skip


def nobody_in() -> dict[str, object]:
    """Nobody may reach the stranger: whoever does shows that policies are not kept."""
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": STRANGER},
        "spec": {"podSelector": {"matchLabels": {"app": STRANGER}}, "policyTypes": ["Ingress"]},
    }  # fmt: skip


def reached(release: Release, source: str) -> set[str]:
    """What a pod of a role, or the stranger, gets a connection to, itself left aside."""
    pod = STRANGER if source == STRANGER else release.pods(source)[0]["metadata"]["name"]
    addresses = {
        "kafka": ("outcry-kafka", 9092),
        "postgresql": ("outcry-postgresql", 5432),
        "redis-fanout": ("outcry-redis-fanout", 6379),
        "redis-state": ("outcry-redis-state", 6379),
        "api": ("outcry-api", 8080),
        "stream": ("outcry-stream", 8090),
        "an engine's admin port": (release.pods("engine")[0]["status"]["podIP"], 9100),
        "the API server": ("kubernetes.default", 443),
        STRANGER: (release.get("pod", STRANGER)["status"]["podIP"], STRANGER_PORT),
    }
    addresses.pop(ITSELF.get(source, ""), None)
    return set(json.loads(release.kubectl("exec", pod, "--", "python", "-c", TRIES, json.dumps(addresses))))


@pytest.mark.parametrize("source", REACHES)
def test_a_pod_reaches_what_is_drawn_and_nothing_else(release: Release, source: str) -> None:
    assert reached(release, source) == REACHES[source]


def test_the_release_trades_under_its_policies(release: Release) -> None:
    assert "Phase:          Succeeded" in release.helm("test", "outcry", "--timeout", "120s")
    assert "Every invariant holds" in release.verify()  # the streams too
