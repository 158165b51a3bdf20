"""A new version reaches everybody only by proving itself, and one that is broken is taken back by itself.

The images of broken versions are made of ``broken/Dockerfile`` as ``outcry:broken`` (docs/how-to/test-cluster.md).
"""

import asyncio
import os
from collections.abc import Iterator

import pytest

from real.crowd import Crowd, trading
from real.release import Release, installed, until

BROKEN = os.environ.get("OUTCRY_TEST_BROKEN_TAG", "broken")
TAKEN_BACK_SECONDS = 240
PROMOTED_SECONDS = 420

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def release() -> Iterator[Release]:
    with installed("outcry-canary", *canary("api"), *canary("engine")) as running:
        yield running


def canary(component: str, **image_and_env: str) -> list[str]:
    """Values that try a version quickly; without a tag there is nothing to try."""
    values = {
        "enabled": "true", "holdSeconds": "15", "steps": "{50,100}", "analysis.intervalSeconds": "5",
        "analysis.windowSeconds": "30", "analysis.minSamples": "30", "rollback.scaleDownDelaySeconds": "5",
        **image_and_env,
    }  # fmt: skip
    if component == "engine":
        values["shadow.minOffsets"] = "300"
    return [word for name, value in values.items() for word in ("--set", f"canary.{component}.{name}={value}")]


def phase(release: Release, component: str) -> str:
    return str(release.get("canary", f"outcry-{component}").get("status", {}).get("phase", ""))


async def trades_until(release: Release, component: str, wanted: str, seconds: float) -> Crowd:
    """Customers trade until the release of a component is in a phase; what they were told must stand then."""
    async with trading(release, rate=40.0) as crowd:
        took = await until(lambda: phase(release, component) == wanted, seconds, release, f"{component} {wanted}")
        print(f"{component} {wanted} after {took:.0f} s")
        await crowd.end()
        assert await crowd.judge("500") == []  # a broken version says so while it is tried
    return crowd


async def idle(release: Release, component: str) -> None:
    """Nothing is tried any more."""
    await asyncio.to_thread(release.install, *canary("api"), *canary("engine"))
    gone = f"{component} has nothing to try"
    await until(lambda: phase(release, component) in ("Idle", "Promoted"), TAKEN_BACK_SECONDS, release, gone)


@pytest.mark.parametrize("defect", ["errors", "latency"])
async def test_an_api_that_does_wrong_is_taken_back(release: Release, defect: str) -> None:
    words = canary("api", **{"image.tag": BROKEN, "env.TEST_DEFECT": defect})
    await asyncio.to_thread(release.install, *words, *canary("engine"))
    await trades_until(release, "api", "RolledBack", TAKEN_BACK_SECONDS)
    assert release.pods("api"), "the stable version is gone"
    await idle(release, "api")
    release.verify()


async def test_an_engine_that_matches_differently_is_caught_before_it_owns_anything(release: Release) -> None:
    words = canary("engine", **{"image.tag": BROKEN, "env.TEST_DEFECT": "matching"})
    await asyncio.to_thread(release.install, *canary("api"), *words)
    await trades_until(release, "engine", "RolledBack", TAKEN_BACK_SECONDS)
    assert release.events("ShadowMismatch"), release.kubectl("describe", "canary", "outcry-engine")
    assert release.get("canary", "outcry-engine")["status"]["weight"]["actual"] == 0
    await idle(release, "engine")
    release.verify()


@pytest.mark.parametrize("component", ["api", "engine"])
async def test_a_good_version_reaches_everybody_and_becomes_the_stable_one(release: Release, component: str) -> None:
    new = {"env.OUTCRY_LOG_LEVEL": "warning"}  # another revision of the same image
    others = [word for each in ("api", "engine") if each != component for word in canary(each)]
    await asyncio.to_thread(release.install, *canary(component, **new), *others)
    weight = lambda: release.get("canary", f"outcry-{component}")["status"].get("weight", {})  # noqa: E731
    async with trading(release, rate=40.0) as crowd:
        served = f"{component} serves everybody with the new version"
        took = await until(lambda: weight().get("actual") == 100, PROMOTED_SECONDS, release, served)
        print(f"{served} after {took:.0f} s")
        stable = [word for name, value in new.items() for word in ("--set", f"{component}.{name}={value}")]
        await asyncio.to_thread(release.install, *stable, *canary("api"), *canary("engine"))
        await until(lambda: phase(release, component) in ("Promoted", "Idle"), PROMOTED_SECONDS, release, "promoted")
        await crowd.end()
        assert await crowd.judge() == []
    release.verify()
