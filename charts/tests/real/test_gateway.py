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
TRACKS = ("stable", "canary")
FIRST_WEIGHT, REQUESTS, TOLERANCE = 5, 2_000, 0.02
A_FEW = 100
SEEN_SECONDS = 2.0  # until the Gateway has read a route
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
    release.install(*fixed, *(word for each in words for word in ("--set", each)))


async def answers(count: int, **headers: str) -> bool:
    """Whether the Gateway passes so many requests on, all of them with success."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def ask(session: aiohttp.ClientSession) -> bool:
        async with turns, session.get(URL + ASKED) as answer:
            return answer.status == 200

    async with aiohttp.ClientSession(headers=headers) as session:
        return all(await asyncio.gather(*(ask(session) for _ in range(count))))


async def parts(release: Release, count: int, **headers: str) -> tuple[float, float]:
    """How many of so many requests each track answers: stable, canary."""
    before = [await asyncio.to_thread(served, release, track) for track in TRACKS]
    assert await answers(count, **headers)
    stable, canary = [
        await asyncio.to_thread(served, release, track) - then for track, then in zip(TRACKS, before, strict=True)
    ]
    assert stable + canary == count
    return stable, canary


def served(release: Release, track: str) -> float:
    """The requests for ``ASKED`` that all pods of a track have answered."""
    total = 0.0
    for pod in release.get("pods", "--selector", f"app.kubernetes.io/component=api,outcry.dev/track={track}"):
        name = pod["metadata"]["name"]
        path = f"/api/v1/namespaces/{release.namespace}/pods/{name}:9100/proxy/metrics"
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
    await asyncio.to_thread(upgrade, release, f"canary.api.{NEW}")
    async with trading(release, rate=30.0) as crowd:
        begun = lambda: weight(release) == FIRST_WEIGHT  # noqa: E731
        await until(begun, PROMOTED_SECONDS, release, f"{FIRST_WEIGHT} % at the new version")
        await asyncio.sleep(SEEN_SECONDS)
        _, canary = await parts(release, REQUESTS)
        assert weight(release) == FIRST_WEIGHT, "the step ended while requests were counted"
        print(f"{canary:.0f} of {REQUESTS} requests went to the new version")
        assert abs(canary / REQUESTS - FIRST_WEIGHT / 100) <= TOLERANCE
        took = await until(lambda: weight(release) == 100, PROMOTED_SECONDS, release, "everybody has it")
        print(f"all requests go to the new version after {took:.0f} s more")
        await asyncio.to_thread(upgrade, release, f"canary.api.{NEW}", f"api.{NEW}")
        await until(lambda: phase(release) == "Promoted", PROMOTED_SECONDS, release, "promoted")
        await crowd.end()
        assert await crowd.judge() == []
    release.verify()


async def test_green_stands_beside_blue_takes_over_at_once_and_gives_back_at_once(release: Release) -> None:
    """As docs/how-to/blue-green.md has it; the version before is blue."""
    green = [f"api.{NEW}", "canary.api.env.OUTCRY_LOG_LEVEL=error", "canary.api.steps={100}"]
    await asyncio.to_thread(upgrade, release, *green, "canary.api.suspend=true")
    async with trading(release, rate=30.0) as crowd:
        beside = lambda: phase(release) == "Holding" and release.is_ready("api", 2)  # noqa: E731
        await until(beside, READY_SECONDS, release, "green waits beside blue")
        assert await parts(release, A_FEW) == (A_FEW, 0)
        assert await parts(release, A_FEW, **{"x-outcry-track": "canary"}) == (0, A_FEW)
        await asyncio.to_thread(upgrade, release, *green, "canary.api.suspend=false")
        took = await until(lambda: weight(release) == 100, READY_SECONDS, release, "green serves")
        await asyncio.sleep(SEEN_SECONDS)
        assert await parts(release, A_FEW) == (0, A_FEW)
        await asyncio.to_thread(release.kubectl, "annotate", "canary/outcry-api", "outcry.dev/abort=true")
        back = await until(lambda: weight(release) == 0, READY_SECONDS, release, "blue serves again")
        await asyncio.sleep(SEEN_SECONDS)
        assert await parts(release, A_FEW) == (A_FEW, 0)
        print(f"green serves {took:.1f} s after the upgrade, blue again {back:.1f} s after the annotation")
        await crowd.end()
        assert await crowd.judge() == []
    release.verify()
