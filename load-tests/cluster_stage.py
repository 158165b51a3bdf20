"""A cluster on this machine to measure on: its processes, its accounts, and the CPU that each part of it uses."""

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "infra/local"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "services"))

import components
from cluster import Cluster
from usage import Usage, look

from outcry.roles.admin.verbs import Admin
from outcry.settings import ClusterSettings, read_settings
from outcry.wiring.backbone import Backbone, vault_of

ROOT = Path(__file__).resolve().parents[1]
TRADERS = 50
ASSETS = ("USD", "BTC", "ETH", "SOL", "ADA")
DEPOSIT = "100000000"
ACTOR = "bench"
FIRST_PORT = 20_000
STRETCH = 50
LAST_PORT = 31_000  # below the range from which the system gives out ports


class Trading(NamedTuple):
    """An account with money and a key."""

    account: int
    key: str
    secret: str


class Stage:
    """A prepared cluster; its roles start when a measurement asks for them."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.pids = {name: int((cluster.folder / name / "pid").read_text()) for name in components.COMPONENTS}
        # As the database's owner: what opens accounts, fills journals and compares is none of the roles.
        self.settings = read_settings(cluster.shared, ClusterSettings, pod="bench")

    def start(self, *names: str) -> None:
        """Starts roles and waits until they are ready."""
        self.launch(*names)
        for name in names:
            _await(self.cluster, name)

    def launch(self, *names: str) -> None:
        """Starts roles and lets them find their own feet."""
        for name in names:
            self.cluster.processes[name].start()
            running = self.cluster.processes[name].running
            assert running is not None
            self.pids[name] = running.pid

    def end(self, *names: str) -> None:
        """Stops roles in order."""
        for name in names:
            running = self.cluster.processes[name].running
            if running is not None and running.poll() is None:
                running.terminate()
                running.wait(30)
            self.pids.pop(name, None)

    def usage(self, **more: int) -> Usage:
        """CPU seconds so far of all that runs here, and of other processes by name."""
        return look({**self.pids, **more})

    @asynccontextmanager
    async def backbone(self) -> AsyncIterator[Backbone]:
        """Ledger and journal in this process."""
        backbone = Backbone(self.settings)
        await backbone.open()
        try:
            yield backbone
        finally:
            await backbone.close()

    async def traders(self) -> list[Trading]:
        """Opens the accounts that trade, with money and keys."""
        made: list[Trading] = []
        async with self.backbone() as backbone:
            seal = vault_of(self.settings).seal
            admin = Admin(backbone.ledger, backbone.journal, backbone.clock, seal)
            for number in range(TRADERS):
                row = await admin.run("accounts.create", {"name": f"bench-{number}", "actor": ACTOR})
                account = row["account"]
                for asset in ASSETS:
                    await admin.run(
                        "accounts.deposit", {"account": account, "asset": asset, "amount": DEPOSIT, "actor": ACTOR}
                    )
                key = await admin.run("keys.create", {"account": account, "actor": ACTOR})
                made.append(Trading(account, key["key"], key["secret"]))
        return made


@contextmanager
def stage(*, apis: int = 1, engines: int = 1, streams: int = 0, partitions: int = 8, **environ: str) -> Iterator[Stage]:
    """A cluster of its own, gone afterwards."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started ends too
    with TemporaryDirectory(prefix="outcry-bench-") as folder:
        more = {
            "OUTCRY_LIMITS": "off", "SIMULATION_ENABLED": "false", "OUTCRY_LOG_LEVEL": "warning",
            "OUTCRY_PARTITIONS": str(partitions), **environ,
        }  # fmt: skip
        cluster = Cluster(Path(folder), apis, engines, streams, _port(), environ=more)
        with contextlib.ExitStack() as undo:
            undo.callback(cluster.stop)
            cluster.prepare()
            yield Stage(cluster)


def _await(cluster: Cluster, name: str) -> None:
    until = time.monotonic() + 60
    while not cluster.processes[name].ready():
        if time.monotonic() > until:
            raise SystemExit(f"{name} does not get ready:\n{cluster.processes[name].log.read_text()[-2000:]}")
        time.sleep(0.05)


def _port() -> int:
    """The first of a stretch of free ports, for roles and admin ports; where it looks depends on the process."""
    stretches = range(FIRST_PORT, LAST_PORT, STRETCH)
    start = os.getpid() % len(stretches)
    for first in (*stretches[start:], *stretches[:start]):
        with contextlib.suppress(OSError), contextlib.ExitStack() as probes:
            for port in range(first, first + STRETCH):
                probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise SystemExit("there is no free stretch of ports")
