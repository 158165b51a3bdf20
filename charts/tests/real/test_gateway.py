"""A new version reaches its customers by the weights of a Gateway, to the request.

Needs a Gateway API implementation; OUTCRY_TEST_GATEWAY_CLASS names its class and OUTCRY_TEST_GATEWAY_URL where its
listener on the URL's port is reached from here.
"""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from urllib.parse import urlsplit

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from real.crowd import trading
from real.release import Release, installed, until

URL = os.environ.get("OUTCRY_TEST_GATEWAY_URL", "http://127.0.0.1:8081")
CLASS = os.environ.get("OUTCRY_TEST_GATEWAY_CLASS", "traefik")
HOLDS = "Every invariant"  # `that was checked` where the streams could not be followed
FIRST_WEIGHT, REQUESTS, TOLERANCE = 5, 2_000, 0.02
ASKED = "/api/v3/ping"  # which nobody else asks for meanwhile
AT_ONCE = 16
READY_SECONDS, PROMOTED_SECONDS = 120, 420
CANARY = {
    "holdSeconds": "40", "steps": f"{{{FIRST_WEIGHT},100}}", "analysis.intervalSeconds": "5",
    "analysis.windowSeconds": "30", "analysis.minSamples": "20", "rollback.scaleDownDelaySeconds": "5",
}  # fmt: skip
NEW = "env.OUTCRY_LOG_LEVEL=warning"  # another revision of the same image

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def release() -> Iterator[Release]:
    known = subprocess.run(["kubectl", "get", "gatewayclass", CLASS], check=False, capture_output=True)
    if known.returncode:
        pytest.skip(f"the cluster has no GatewayClass {CLASS}")
    with installed("outcry-gateway", values=("kind", "gateway")) as running:
        running.kubectl("apply", "--filename", "-", stdin=json.dumps(gateway()))
        running.url = URL
        yield running


def gateway() -> dict[str, object]:
    listener = {"name": "web", "protocol": "HTTP", "port": urlsplit(URL).port or 80}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "outcry"},
        "spec": {"gatewayClassName": CLASS, "listeners": [listener]},
    }  # fmt: skip


def upgrade(release: Release, *words: str) -> None:
    fixed = [word for each in CANARY.items() for word in ("--set", f"canary.api.{each[0]}={each[1]}")]
    release.install(*fixed, *words)


async def answers(count: int) -> bool:
    """Whether the Gateway passes so many requests on, all of them with success."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def ask(session: aiohttp.ClientSession) -> bool:
        async with turns, session.get(URL + ASKED) as answer:
            return answer.status == 200

    async with aiohttp.ClientSession() as session:
        return all(await asyncio.gather(*(ask(session) for _ in range(count))))


def served(release: Release, track: str) -> float:
    """The requests for ``ASKED`` that all pods of a track have answered."""
    total = 0.0
    for pod in release.get("pods", "--selector", f"app.kubernetes.io/component=api,outcry.dev/track={track}"):
        name = pod["metadata"]["name"]
        path = f"/api/v1/namespaces/{release.namespace}/pods/{name}:9090/proxy/metrics"
        for family in text_string_to_metric_families(release.kubectl("get", "--raw", path)):
            total += sum(
                each.value
                for each in family.samples
                if each.name == "outcry_http_requests_total" and each.labels["route"] == ASKED
            )
    return total


def weight(release: Release) -> int:
    """The percentage that the route gives to the canary now."""
    return int(release.get("canary", "outcry-api").get("status", {}).get("weight", {}).get("actual", 0))


def phase(release: Release) -> str:
    return str(release.get("canary", "outcry-api").get("status", {}).get("phase", ""))


async def test_a_good_version_gets_its_percentage_of_the_requests_and_reaches_everybody(release: Release) -> None:
    passed = lambda: asyncio.run(answers(1))  # noqa: E731
    await until(passed, READY_SECONDS, release, "the Gateway passes requests on")
    await asyncio.to_thread(upgrade, release, "--set", f"canary.api.{NEW}")
    async with trading(release, rate=30.0) as crowd:
        begun = lambda: weight(release) == FIRST_WEIGHT  # noqa: E731
        await until(begun, PROMOTED_SECONDS, release, f"{FIRST_WEIGHT} % at the new version")
        await asyncio.sleep(2)  # until the Gateway has read the route
        before = [await asyncio.to_thread(served, release, track) for track in ("stable", "canary")]
        assert await answers(REQUESTS)
        after = [await asyncio.to_thread(served, release, track) for track in ("stable", "canary")]
        assert weight(release) == FIRST_WEIGHT, "the step ended while requests were counted"
        stable, canary = (now - then for now, then in zip(after, before, strict=True))
        print(f"{canary:.0f} of {stable + canary:.0f} requests went to the new version")
        assert stable + canary == REQUESTS
        assert abs(canary / REQUESTS - FIRST_WEIGHT / 100) <= TOLERANCE
        took = await until(lambda: weight(release) == 100, PROMOTED_SECONDS, release, "everybody has it")
        print(f"all requests go to the new version after {took:.0f} s more")
        await asyncio.to_thread(upgrade, release, "--set", f"canary.api.{NEW}", "--set", f"api.{NEW}")
        await until(lambda: phase(release) == "Promoted", PROMOTED_SECONDS, release, "promoted")
        await crowd.end()
        assert await crowd.judge() == []
    assert HOLDS in release.verify()
