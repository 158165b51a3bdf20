"""Engines follow the load: what waits makes more of them, calm makes fewer, and no order notices."""

import asyncio
from collections.abc import Iterator

import pytest

from real.crowd import trading
from real.release import Release, installed, until

HOLDS = "Every invariant"  # `that was checked` where the streams could not be followed
MORE_SECONDS, FEWER_SECONDS = 400, 600
ORDERS_PER_BATCH = 50
BATCHES_PER_SECOND = 40
CUSTOMERS = 16
# Small engines, so that one node can keep three of them busy; the shape of the rules is that of the presets.
SMALL = {
    "engine.resources.limits.cpu": "70m", "engine.resources.requests.cpu": "70m",
    "engine.autoscaling.triggers[0].queueDepth.targetPerReplica": "50",
    "engine.autoscaling.behavior.scaleUp.stabilizationWindowSeconds": "0",
    "engine.autoscaling.behavior.scaleDown.stabilizationWindowSeconds": "90",
}  # fmt: skip

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def release() -> Iterator[Release]:
    with installed(
        "outcry-scaling", *(word for each in SMALL.items() for word in ("--set", "=".join(each)))
    ) as running:
        yield running


async def test_engines_go_from_one_to_three_and_back_by_what_waits(release: Release) -> None:
    assert release.is_ready("engine", 1)
    size = (ORDERS_PER_BATCH, ORDERS_PER_BATCH)
    async with trading(release, BATCHES_PER_SECOND, customers=CUSTOMERS, batches=1.0, batch=size) as crowd:
        took = await until(lambda: release.is_ready("engine", 3), MORE_SECONDS, release, "three engines")
        print(f"three engines after {took:.0f} s, longest pause {crowd.longest:.2f} s")
        await crowd.end()
        crowd.begin(2.0)  # calm
        took = await until(lambda: release.is_ready("engine", 1), FEWER_SECONDS, release, "one engine")
        print(f"one engine after {took:.0f} s, longest pause {crowd.longest:.2f} s")
        await crowd.end()
        assert await crowd.judge() == []
    told = await asyncio.to_thread(release.events, "Rescaled")
    print("\n".join(told))
    assert len(told) >= 2 and all("queueDepth" in each for each in told), told
    assert HOLDS in release.verify()
