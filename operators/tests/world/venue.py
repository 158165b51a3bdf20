"""A namespace with workloads, pods and an operator in it; the controllers that make pods are played by the test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import urllib3

from outcry_operator.adminport import AdminPorts
from outcry_operator.canary.ticks import CanaryTicks
from outcry_operator.kube import Paths
from outcry_operator.moments import rfc3339
from outcry_operator.observe import World
from outcry_operator.telemetry import Telemetry
from outcry_operator.ticks import PolicyTicks
from tests.world.apiserver import ApiServer, Object
from tests.world.engines import LEASE_MS, TOKEN, Engine, EngineRoom
from tests.world.pools import NOW_MS

NAMESPACE = "venue"
PATHS = Paths(NAMESPACE)


class Venue:
    """``engine`` is a StatefulSet, ``api`` a Deployment; policies are put in by ``policy``."""

    def __init__(self, folder: Path, *, partitions: int = 6) -> None:
        self.api = ApiServer()
        self.room = EngineRoom(partitions, NOW_MS)
        self.token = folder / "token"
        self.token.write_text(TOKEN)
        self.leads = True
        self.start_operator()

    def start_operator(self) -> None:
        """A new operator process, which remembers nothing."""
        ports = AdminPorts(str(self.token), lambda: self.room.now_ms)
        self.world = World(self.api.cluster, PATHS, ports, urllib3.PoolManager(), lambda: self.room.now_ms)
        self.telemetry = Telemetry(lambda: 0.0)
        self.canaries = CanaryTicks(self.world, self.telemetry, lambda: self.leads)
        self.ticks = PolicyTicks(self.world, self.telemetry, LEASE_MS, lambda: self.leads)

    def stop(self) -> None:
        self.api.stop()
        self.room.stop()

    def workload(self, kind: str, name: str, replicas: int, **spec: Any) -> None:
        labels = {"app": name}
        whole = {"replicas": replicas, "selector": {"matchLabels": labels}, **spec}
        if kind == "StatefulSet":
            whole.setdefault("podManagementPolicy", "Parallel")
        self.api.put(PATHS.workload(kind, name), {"kind": kind, "spec": whole, "status": {}})
        self.settle(kind, name)

    def settle(self, kind: str, name: str) -> None:
        """What the controllers do: as many pods as are wanted, all of them ready."""
        path = PATHS.workload(kind, name)
        found = self.api.objects[path]
        replicas = found["spec"]["replicas"]
        for pod in [each for each in self.pods(name) if int(each.rsplit("-", 1)[1]) >= replicas]:
            self.remove_pod(pod)
        for place in range(replicas):
            if f"{name}-{place}" not in self.pods(name):
                self.add_pod(kind, name, place)
        status = {
            "replicas": replicas,
            "readyReplicas": replicas,
            "updatedReplicas": replicas,
            "observedGeneration": 99,
        }
        self.api.put(path, {**found, "status": status})

    def pods(self, name: str) -> list[str]:
        found = [path.rsplit("/", 1)[1] for path in self.api.objects if path.startswith(PATHS.core("pods"))]
        return [each for each in found if each.rsplit("-", 1)[0] == name]

    def add_pod(self, kind: str, name: str, place: int) -> None:
        pod, address = f"{name}-{place}", self.address(name, place)
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": rfc3339(NOW_MS - 600_000)}
        owner = {"kind": kind if kind == "StatefulSet" else "ReplicaSet", "name": name}
        container = {
            "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}},
            "ports": [{"name": "admin", "containerPort": self.room.port}],
        }
        meta = {"labels": {"app": name}, "ownerReferences": [owner], "uid": f"{pod}-{self.room.now_ms}"}
        status = {"podIP": address, "conditions": [ready], "phase": "Running"}
        self.api.put(
            PATHS.core("pods", pod),
            {"kind": "Pod", "metadata": meta, "spec": {"containers": [container]}, "status": status},
        )
        life = 1 + sum(each.pod == pod for each in self.room.engines.values())
        claims = {"engine": "share", "engine-canary": "reserved"}
        self.room.engines[address] = Engine(pod, life, claim=claims.get(name, "none"))

    def remove_pod(self, pod: str) -> None:
        self.api.delete(PATHS.core("pods", pod))
        for address in [where for where, each in self.room.engines.items() if each.pod == pod]:
            del self.room.engines[address]

    @staticmethod
    def address(name: str, place: int) -> str:
        net = {"engine": 1, "api": 2, "engine-canary": 3, "api-canary": 4}[name]
        return f"127.0.{net}.{place + 1}"

    def engine(self, place: int) -> Engine:
        return self.room.engines[self.address("engine", place)]

    def policy(self, name: str = "engine", *, annotations: Mapping[str, str] | None = None, **spec: Any) -> None:
        path = PATHS.outcry("scalepolicies", name)
        before = self.api.objects.get(path, {})
        meta = {"annotations": {f"outcry.dev/{key}": text for key, text in (annotations or {}).items()}}
        whole = {
            "targetRef": {"kind": "StatefulSet", "name": "engine"},
            "mode": "PartitionOwner",
            "minReplicas": 1,
            "maxReplicas": 5,
            "triggers": [{"queueDepth": {"targetPerReplica": 1000}}],
            "behavior": {
                way: {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 9, "periodSeconds": 1}]}
                for way in ("scaleUp", "scaleDown")
            },
            **spec,
        }
        self.api.put(path, {"kind": "ScalePolicy", "metadata": meta, "spec": whole, "status": before.get("status", {})})

    def found(self, name: str = "engine") -> Object:
        return self.api.objects[PATHS.outcry("scalepolicies", name)]

    def status(self, name: str = "engine") -> Object:
        return dict(self.found(name).get("status") or {})

    def condition(self, kind: str, name: str = "engine") -> tuple[str, str]:
        """The status and reason of a condition."""
        found = {each["type"]: each for each in self.status(name)["conditions"]}
        return found[kind]["status"], found[kind]["reason"]

    def tick(self, name: str = "engine") -> None:
        self.ticks.supervise_tick(self.found(name))

    def replicas(self, kind: str = "StatefulSet", name: str = "engine") -> int:
        return int(self.api.objects[PATHS.workload(kind, name)]["spec"]["replicas"])

    def pass_time(self, ms: int = 1_000) -> None:
        self.room.advance(ms)
        self.settle("StatefulSet", "engine")
