"""An engine that stood still while another took its partitions over: of what it had in hand, nothing counts."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import psycopg
import pytest

from tests.support.cluster import RunningCluster, running_cluster
from tests.support.customers import MIDDLES, Customer
from tests.support.histories import History, check
from tests.support.signed import SignedClient

LEASE_SECONDS = 1.0
STOPS = 2
PATIENCE_SECONDS = 90.0
RATE = 60.0
CUSTOMERS = 6
AFTER_SECONDS = 1.5  # for a zombie to try what it had in hand


def owners(cluster: RunningCluster) -> dict[int, str]:
    """The pod that owns each partition."""
    with psycopg.connect(cluster.environ["OUTCRY_POSTGRES"]) as database:
        rows = database.execute(
            "SELECT part, coalesce(owner, '') FROM engine_partition WHERE topic = %s",
            (cluster.environ["OUTCRY_TOPIC"],),
        )
        return {part: owner.partition("/")[0] for part, owner in rows}


async def until_owned(cluster: RunningCluster, pods: set[str]) -> None:
    """Waits until these pods, and no others, own all partitions."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while set((await asyncio.to_thread(owners, cluster)).values()) != pods:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def stand_still_and_go_on(cluster: RunningCluster, pod: str, other: str) -> None:
    """Stops a process until its partitions are another's, and lets it go on with what it had in hand."""
    await until_owned(cluster, {pod, other})
    await asyncio.sleep(AFTER_SECONDS)
    process = cluster.processes.processes[pod]
    process.tell(signal.SIGSTOP)
    try:
        await until_owned(cluster, {other})
        await asyncio.sleep(AFTER_SECONDS)
    finally:
        process.tell(signal.SIGCONT)
    await asyncio.sleep(AFTER_SECONDS)


def verified(cluster: RunningCluster) -> str:
    """What `outcry verify` finds; empty where every invariant holds."""
    done = subprocess.run(
        [sys.executable, "-m", "outcry", "verify", "--no-streams"], env={**os.environ, **cluster.processes.shared},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.timeout(600)
async def test_an_engine_that_stood_still_beyond_its_lease_writes_nothing_when_it_goes_on(tmp_path: Path) -> None:
    settings = {"OUTCRY_LEASE_SECONDS": f"{LEASE_SECONDS}", "SIMULATION_ENABLED": "false", "OUTCRY_LIMITS": "off"}
    with running_cluster(tmp_path, engines=2, apis=1, **settings) as cluster:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            client, history = SignedClient(session, cluster.url, *cluster.key(1001)), History()
            began = asyncio.get_running_loop().time()
            customers = [Customer(history, 0, [client], seed=n, began=began) for n in range(CUSTOMERS)]
            trading = [asyncio.create_task(each.trade(CUSTOMERS / RATE)) for each in customers]
            for pod, other in itertools.islice(
                itertools.cycle([("engine-0", "engine-1"), ("engine-1", "engine-0")]), STOPS
            ):
                await stand_still_and_go_on(cluster, pod, other)
            for each in customers:
                each.end()
            await asyncio.gather(*trading)
            asked, rows = [sent for symbol in MIDDLES for sent in history.known((0, symbol))], []
            for symbol in MIDDLES:
                status, page = await client.ask("GET", "/api/v3/allOrders", {"symbol": symbol, "limit": 1000})
                assert status == 200 and len(page) < 1000
                rows += page
        found = check(history, asked, rows)
        assert (found.lost, found.doubled) == ([], [])
        assert sum(sent.told is not None for sent in asked) > STOPS * 50
        assert verified(cluster) == ""
