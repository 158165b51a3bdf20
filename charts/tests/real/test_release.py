"""The chart on a real cluster: it trades once installed, loses nothing while pods go, and leaves nothing behind."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from real.crowd import trading
from real.release import Release, until
from tests.support.customers import MIDDLES
from tests.support.signed import SignedClient

ROOT = Path(__file__).resolve().parents[3]
FIRST_ORDER_SECONDS = 300
BACK_SECONDS = 120
ROLES = ("api", "engine", "stream", "simulate", "operator")
DRAINED = ("api", "engine", "stream")  # which a release has twice for it


def two_of(*roles: str) -> list[str]:
    """Values of a release that has no single pod of these roles."""
    return [word for role in roles for word in ("--set", f"{role}.autoscaling.minReplicas=2")]


async def test_the_first_order_is_taken_within_five_minutes_of_helm_install(release: Release) -> None:
    began = time.monotonic()
    order = {
        "symbol": "BTCUSD", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "30000",
    }  # fmt: skip
    async with aiohttp.ClientSession() as session:
        client = SignedClient(session, release.url, *release.api_keys()[0])
        status, answer = await client.ask("POST", "/api/v3/order", order)
    assert (status, answer.get("status")) == (200, "NEW"), answer
    took = release.seconds_to_ready + time.monotonic() - began
    print(f"first order {took:.0f} s after helm install")
    assert took < FIRST_ORDER_SECONDS


def test_helm_test_trades(release: Release) -> None:
    assert "Phase:          Succeeded" in release.helm("test", "outcry", "--timeout", "120s")


@pytest.mark.parametrize("how", ["gently", "by force"])
async def test_no_order_is_lost_or_doubled_while_a_pod_of_each_role_is_deleted(release: Release, how: str) -> None:
    words = ["--grace-period=0", "--force"] if how == "by force" else []
    await asyncio.to_thread(release.install, *two_of("api", "engine", "stream"))
    for role in ("api", "engine", "stream"):
        await until(lambda role=role: release.is_ready(role, 2), BACK_SECONDS, release, f"two of {role}")
    async with trading(release) as crowd:
        await asyncio.sleep(3)
        for role in ROLES:
            pods = release.pods(role)
            crowd.longest = 0.0
            name = pods[0]["metadata"]["name"]
            await asyncio.to_thread(release.kubectl, "delete", "pod", name, "--wait=false", *words)
            await asyncio.sleep(2)
            back = await until(
                lambda role=role, pods=pods: release.is_ready(role, len(pods)), BACK_SECONDS, release, role
            )
            await asyncio.sleep(3)
            print(f"{role} deleted {how}: ready again after {back + 2:.0f} s, longest pause {crowd.longest:.2f} s")
        await crowd.end()
        assert crowd.history.answers["200"] > 100, crowd.history.answers
        assert await crowd.judge() == []
    release.verify()


@pytest.mark.long
async def test_a_drained_node_loses_its_pods_one_of_a_role_at_a_time_and_no_order(release: Release) -> None:
    """A single node takes pods again once its drain has begun, for there is no other where they could go."""
    await asyncio.to_thread(release.install, *two_of(*DRAINED))
    for role in DRAINED:
        await until(lambda role=role: release.is_ready(role, 2), BACK_SECONDS, release, f"two of {role}")
    node = release.pods("engine")[0]["spec"]["nodeName"]
    words = (f"--pod-selector=app.kubernetes.io/component in ({','.join(DRAINED)})", "--delete-emptydir-data")
    before = {
        pod["metadata"]["uid"] for role in DRAINED for pod in release.pods(role) if pod["spec"]["nodeName"] == node
    }
    try:
        async with trading(release) as crowd:
            await asyncio.sleep(3)
            crowd.longest = 0.0
            drained = asyncio.create_task(
                asyncio.to_thread(release.kubectl, "drain", node, "--ignore-daemonsets", *words, "--timeout=240s")
            )
            await asyncio.sleep(2)
            if len(release.get("nodes")) == 1:
                await asyncio.to_thread(release.kubectl, "uncordon", node)
            least = await fewest_ready(release, drained)
            for role in DRAINED:
                await until(lambda role=role: release.is_ready(role, 2), BACK_SECONDS, release, f"two of {role}")
            await crowd.end()
            print(f"{len(before)} pods evicted, longest pause {crowd.longest:.2f} s, fewest ready {least}")
            assert await crowd.judge() == []
    finally:
        release.kubectl("uncordon", node)
    assert not before & drainable(release, node), "some did not leave"
    assert all(least.values()), least
    release.verify()


def drainable(release: Release, node: str) -> set[str]:
    """The pods of a node that a drain takes away, by what makes each unique."""
    pods = [pod for role in DRAINED for pod in release.pods(role)]
    return {pod["metadata"]["uid"] for pod in pods if pod["spec"].get("nodeName") == node}


async def fewest_ready(release: Release, until_done: asyncio.Task[str]) -> dict[str, int]:
    """The fewest ready pods that each role had until a task was done. Raises what the task raises."""
    least = dict.fromkeys(DRAINED, 2)
    while not until_done.done():
        for role in DRAINED:
            least[role] = min(least[role], await asyncio.to_thread(release.ready, role))
        await asyncio.sleep(0.5)
    await until_done
    return least


async def test_engines_go_from_one_to_three_and_back_by_kubectl_without_losing_an_order(release: Release) -> None:
    await asyncio.to_thread(release.install)  # with one of each at least
    async with trading(release) as crowd:
        for count in (3, 1):
            await asyncio.to_thread(release.kubectl, "scale", "sp/outcry-engine", f"--replicas={count}")
            took = await until(
                lambda n=count: release.is_ready("engine", n), BACK_SECONDS * 2, release, f"{count} engines"
            )
            await asyncio.sleep(5)
            print(f"{count} engines after {took:.0f} s, longest pause {crowd.longest:.2f} s")
        status = release.get("sp", "outcry-engine")["status"]
        assert status["decision"]["reason"] == "ManualHold", status
        await crowd.end()
        assert await crowd.judge() == []
    release.verify()
    assert release.events("Rescaled"), "no event tells of the change"
    await asyncio.to_thread(release.kubectl, "scale", "sp/outcry-engine", "--replicas=0")


@pytest.mark.timeout(600)
async def test_trading_clients_work_unmodified_through_node_ports(release: Release) -> None:
    key, secret = release.api_keys()[0]
    async with aiohttp.ClientSession() as session:  # they count what they find of their account
        client = SignedClient(session, release.url, key, secret)
        for symbol in MIDDLES:
            await client.ask("DELETE", "/api/v3/openOrders", {"symbol": symbol})
    there = {
        "OUTCRY_TEST_URL": release.url, "OUTCRY_TEST_STREAM_URL": release.stream_url, "OUTCRY_TEST_KEY": key,
        "OUTCRY_TEST_SECRET": secret,
    }  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-q", "-rs", str(ROOT / "services/tests/clients")]
    done = await asyncio.to_thread(
        subprocess.run, command, env={**os.environ, **there}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout[-4000:]
    print(done.stdout.splitlines()[-1])
