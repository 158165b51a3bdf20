"""Puts the operator together: one cluster, one loop, its watches, its Lease and its port."""

import threading
import time
from typing import Final

import urllib3

from outcry_operator.adminport import AdminPorts
from outcry_operator.canary import ticks as canary_ticks
from outcry_operator.canary.ticks import CanaryTicks
from outcry_operator.kube import Cluster, Paths
from outcry_operator.leader import Leader
from outcry_operator.loop import Loop
from outcry_operator.observe import World
from outcry_operator.rounds import Rounds
from outcry_operator.serving import Port
from outcry_operator.settings import Settings
from outcry_operator.telemetry import Telemetry
from outcry_operator.ticks import PLURAL, PolicyTicks
from outcry_operator.watching import Wake, Watch

STOP_SECONDS: Final = 10.0  # for the look that is under way


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Operator:
    """All of it; ``start``, ``stop``."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        paths = Paths(settings.namespace)
        ports = AdminPorts(settings.admin_token_file, now_ms)
        world = World(cluster, paths, ports, urllib3.PoolManager(retries=False), now_ms)
        self._wake = Wake()
        self.telemetry = Telemetry(lambda: self.loop.age_seconds())
        self._leader = Leader(world, settings.lease, settings.pod, steady_ms)
        policies = PolicyTicks(world, self.telemetry, settings.engine_lease_seconds * 1000, lambda: self._leader.leads)
        canaries = CanaryTicks(world, self.telemetry, lambda: self._leader.leads)
        rounds = Rounds(world, policies, canaries, settings.release)
        self.loop = Loop(rounds, self._leader, self._wake)
        self.telemetry.leads.set_function(lambda: self._leader.leads)
        own = [(paths.outcry(plural), rounds.selector) for plural in (PLURAL, canary_ticks.PLURAL)]
        others = ((paths.core("pods"), rounds.selector), *((paths.workload(kind), rounds.selector) for kind in KINDS))
        self._watches = [Watch(cluster, path, selector, self._wake) for path, selector in (*own, *others)]
        self.port = Port(
            (settings.listen_host, settings.listen_port),
            is_alive=self.loop.why_not_alive,
            is_ready=self.loop.why_not_ready,
            exposition=self.telemetry.exposition,
            pools=policies.pools,
        )
        self._loop_thread = threading.Thread(target=self.loop.run, name="loop", daemon=True)

    @property
    def runs(self) -> bool:
        return self._loop_thread.is_alive()

    def start(self) -> None:
        self.port.start()
        threading.Thread(target=self._leader.supervise, name="lease", daemon=True).start()
        for watch in self._watches:
            watch.start()
        self._loop_thread.start()

    def stop(self) -> None:
        """Ends the look that is under way, gives the Lease back and stops serving."""
        self.loop.stop()
        for watch in self._watches:
            watch.stop()
        self._loop_thread.join(STOP_SECONDS)
        self._leader.stop()
        self.port.shutdown()
        self.port.server_close()


KINDS: Final = ("Deployment", "StatefulSet")
