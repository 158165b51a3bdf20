"""Pods follow the load: engines what waits, apis their CPU; calm makes fewer of them, and no order notices."""

import json
from collections.abc import Iterator

import pytest

from real.crowd import Crowd, trading
from real.release import Release, installed, until

MORE_SECONDS, FEWER_SECONDS = 400, 600
ORDERS_PER_BATCH = 50
BATCHES_PER_SECOND = 40
CUSTOMERS = 16
REQUESTS_PER_SECOND = 80.0
CALM = 2.0  # requests a second
METRICS = "v1beta1.metrics.k8s.io"
# Small engines, so that one node can keep three of them busy; the shape of the rules is that of the presets.
SMALL = {
    "engine.resources.limits.cpu": "70m", "engine.resources.requests.cpu": "70m",
    "engine.autoscaling.triggers[0].queueDepth.targetPerReplica": "50",
    "engine.autoscaling.behavior.scaleUp.stabilizationWindowSeconds": "0",
    "engine.autoscaling.behavior.scaleDown.stabilizationWindowSeconds": "90",
    "api.resources.requests.cpu": "160m",  # at rest an api uses half of it
    "api.autoscaling.triggers[1].cpu.targetUtilizationPercent": "70",
    "api.autoscaling.triggers[1].cpu.source": "metricsAPI",
    "api.autoscaling.behavior.scaleUp.stabilizationWindowSeconds": "0",
    "api.autoscaling.behavior.scaleDown.stabilizationWindowSeconds": "60",
}  # fmt: skip

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def release() -> Iterator[Release]:
    with installed(
        "outcry-scaling", *(word for each in SMALL.items() for word in ("--set", "=".join(each)))
    ) as running:
        yield running


async def test_engines_go_from_one_to_three_and_back_by_what_waits(release: Release) -> None:
    size = (ORDERS_PER_BATCH, ORDERS_PER_BATCH)
    async with trading(release, BATCHES_PER_SECOND, customers=CUSTOMERS, batches=1.0, batch=size) as crowd:
        await up_and_down(release, crowd, "engine", 3)
    explained(release, "engine", "queueDepth")
    release.verify()


async def test_apis_go_from_one_to_two_and_back_by_their_cpu(release: Release) -> None:
    """As metrics-server has it."""
    known = json.loads(release.kubectl("get", "apiservices", "--output", "json"))["items"]
    if not any(each["metadata"]["name"] == METRICS for each in known):
        pytest.skip("the cluster has no metrics-server")
    await until(lambda: release.is_ready("api", 1), FEWER_SECONDS, release, "one api")
    async with trading(release, REQUESTS_PER_SECOND, customers=CUSTOMERS) as crowd:
        await up_and_down(release, crowd, "api", 2)
    explained(release, "api", "cpu")
    release.verify()


async def up_and_down(release: Release, crowd: Crowd, component: str, most: int) -> None:
    """Under load there come to be ``most`` pods of a role, in calm there is one again; no order is lost or doubled."""
    for count, seconds in ((most, MORE_SECONDS), (1, FEWER_SECONDS)):
        reached = lambda count=count: release.is_ready(component, count)  # noqa: E731
        took = await until(reached, seconds, release, f"{count} of {component}")
        print(f"{count} of {component} after {took:.0f} s, longest pause {crowd.longest:.2f} s")
        await crowd.end()
        if count == most:
            crowd.batches = 0.0  # two of them at once would be more than a small engine's target
            crowd.begin(CALM)
    assert await crowd.judge() == []


def explained(release: Release, component: str, trigger: str) -> None:
    """Events tell of the way up and down; the trigger is what decided on the way up."""
    events = release.get("events", "--field-selector", f"reason=Rescaled,involvedObject.name=outcry-{component}")
    told = [each["message"] for each in events]
    print("\n".join(told))
    assert len(told) >= 2 and any(trigger in each for each in told), told
