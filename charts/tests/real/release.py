"""A release of the chart on a real cluster, as a person with kubectl and helm has it. KUBECONFIG says which cluster."""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

CHART = Path(__file__).resolve().parents[2] / "outcry"
READY_SECONDS = 300
GONE_SECONDS = 60  # for what goes with the release in the background
NODE = os.environ.get("OUTCRY_TEST_NODE", "127.0.0.1")  # where node ports are reached
TAG = os.environ.get("OUTCRY_TEST_TAG", "dev")  # of both images, which the nodes must have
HOLDS = "Every invariant"  # `that was checked` where the streams could not be followed
PORTS = {"api": 30080, "stream": 30090}

Json = Any


class Kube:
    """kubectl and helm in one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """What kubectl prints. Fails the test with what it complained of."""
        return _run(["kubectl", "--namespace", self.namespace, *words], stdin)

    def get(self, kind: str, *words: str) -> Json:
        """Objects as kubectl gives them in JSON; one where a name follows, else a list."""
        found = json.loads(self.kubectl("get", kind, *words, "--output", "json"))
        return found["items"] if found.get("kind") == "List" else found

    def helm(self, *words: str) -> str:
        return _run(["helm", "--namespace", self.namespace, *words], None)


class Release(Kube):
    """One release called ``outcry`` in a namespace of its own."""

    def __init__(self, namespace: str, values: Sequence[str]) -> None:
        super().__init__(namespace)
        self._values = values
        self.seconds_to_ready = 0.0  # of the first installation
        self.url = f"http://{NODE}:{PORTS['api']}"
        self.stream_url = f"ws://{NODE}:{PORTS['stream']}"

    def install(self, *words: str) -> float:
        """Installs or upgrades it and waits until all is ready; returns the seconds that took."""
        began = time.monotonic()
        files = [word for name in self._values for word in ("--values", str(CHART / f"values-{name}.yaml"))]
        fixed = {
            "image.tag": TAG, "operator.image.tag": TAG,
            "api.service.type": "NodePort", "api.service.nodePort": str(PORTS["api"]),
            "stream.service.type": "NodePort", "stream.service.nodePort": str(PORTS["stream"]),
            "setup.env.SIMULATION_HISTORY_HOURS": "24",  # bots ask for 200 candles of five minutes
        }  # fmt: skip
        sets = [word for name, value in fixed.items() for word in ("--set", f"{name}={value}")]
        try:
            self.helm(
                "upgrade", "--install", "outcry", str(CHART), "--create-namespace", *files, *sets, *words,
                "--wait", "--timeout", f"{READY_SECONDS}s",
            )  # fmt: skip
        except AssertionError as failed:
            raise AssertionError(f"{failed}\n{self.state()}") from None
        return time.monotonic() - began

    def api_keys(self) -> list[tuple[str, str]]:
        """API key and secret of the two demo accounts."""
        data = self.get("secret", "outcry-demo-keys")["data"]["keys.json"]
        keys = json.loads(base64.b64decode(data))
        return [tuple(keys[account]) for account in ("1001", "1002")]

    def pods(self, component: str) -> list[Json]:
        """The pods of a role that are not on their way out."""
        found = self.get("pods", "--selector", f"app.kubernetes.io/component={component}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def is_ready(self, component: str, count: int) -> bool:
        """Whether a role has just so many pods, all ready."""
        return len(self.pods(component)) == self.ready(component) == count

    def ready(self, component: str) -> int:
        """How many pods of a role are ready, those on their way out left aside."""
        return sum(_ready(pod) for pod in self.pods(component))

    def verify(self) -> str:
        """Runs `outcry verify` in the cluster; returns what it says. Fails the test where an invariant is broken."""
        (pod, *_) = self.pods("api")
        name, streams = pod["metadata"]["name"], "OUTCRY_STREAM_URL=ws://outcry-stream:8090"
        said = self.kubectl("exec", name, "--container", "api", "--", "env", streams, "outcry", "verify")
        assert HOLDS in said, said
        return said

    def state(self) -> str:
        """What a person would look at when something is wrong."""
        lines = [self.kubectl("get", "pods,sp,canary", "--output", "wide")]
        for pod in self.get("pods"):
            if not _ready(pod) and pod["status"].get("phase") != "Succeeded":
                with contextlib.suppress(AssertionError):
                    lines.append(self.kubectl("logs", pod["metadata"]["name"], "--all-containers", "--tail", "15"))
        return "\n".join(lines)

    def events(self, reason: str) -> list[str]:
        """What events of this reason say."""
        return [each["message"] for each in self.get("events", "--field-selector", f"reason={reason}")]


async def until(what: Callable[[], bool], seconds: float, release: Release, why: str) -> float:
    """Waits for something to become true; returns the seconds. Fails the test with the state of the release."""
    began = time.monotonic()
    while not await asyncio.to_thread(what):
        assert time.monotonic() - began < seconds, f"{why}: not within {seconds:g} s\n{release.state()}"
        await asyncio.sleep(0.5)
    return time.monotonic() - began


@contextlib.contextmanager
def installed(namespace: str, *words: str, values: Sequence[str] = ("kind",)) -> Iterator[Release]:
    """A release for as long as a test needs it; afterwards nothing is left of it but the CRDs."""
    _require_cluster()
    release = Release(namespace, values)
    try:
        release.seconds_to_ready = release.install(*words)
        yield release
        release.helm("uninstall", "outcry", "--wait", "--timeout", "120s")
        deadline = time.monotonic() + GONE_SECONDS
        while left := _left(release):
            assert time.monotonic() < deadline, f"helm uninstall leaves {left}"
            time.sleep(1)
    finally:
        subprocess.run(
            ["kubectl", "delete", "namespace", namespace, "--wait=true", "--timeout=120s"],
            check=False,
            capture_output=True,
        )
    gone = subprocess.run(["kubectl", "get", "namespace", namespace], check=False, capture_output=True)
    assert gone.returncode, f"the namespace {namespace} does not end"


def _left(release: Release) -> list[str]:
    """What is still there of a release, in its namespace and of the cluster, but for the CRDs."""
    kinds = "all,configmap,secret,pvc,serviceaccount,role,rolebinding,networkpolicy,pdb,lease,scalepolicy,canaryrelease"
    of_cluster = "clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding"
    selector = "app.kubernetes.io/instance=outcry"
    found = release.kubectl("get", kinds, "--output", "name").split()
    of_all = release.kubectl("get", of_cluster, "--selector", selector, "--output", "name").split()
    found += [name for name in of_all if f"/{release.namespace}-" in name]
    standing = ("configmap/kube-root-ca.crt", "serviceaccount/default")  # of every namespace
    return [name for name in found if name not in standing and not name.startswith("pod/")]


def _require_cluster() -> None:
    missing = [tool for tool in ("kubectl", "helm") if shutil.which(tool) is None]
    if not os.environ.get("KUBECONFIG") or missing:
        reason = f"no cluster: {' and '.join(missing) or 'KUBECONFIG'} is missing; docs/how-to/test-cluster.md"
        pytest.skip(reason)


def _ready(pod: Json) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))


def _run(command: Sequence[str], stdin: str | None) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=READY_SECONDS + 60)
    assert done.returncode == 0, f"{' '.join(command[:8])} ... failed:\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout
