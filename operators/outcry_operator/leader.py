"""One operator at a time: a Lease of coordination.k8s.io that its holder renews.

Two at once would cost time, never an order; the Lease only keeps them from undoing each other's work.
Source of the times and of the rule that only the local clock counts: client-go ``tools/leaderelection``.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, Final

from outcry_operator.kube import Conflict, NotFound, Object, Trouble
from outcry_operator.moments import micro_time
from outcry_operator.observe import World

log = logging.getLogger(__name__)

LEASE_MS: Final = 15_000
RENEW_MS: Final = 10_000  # without a renewal for so long the holder stops
RETRY_SECONDS: Final = 2.0


class Leader:
    """Holds the Lease, or waits for it. ``leads`` is asked before everything that changes the cluster."""

    def __init__(self, world: World, name: str, holder: str, steady: Callable[[], int]) -> None:
        self._world = world
        self._steady = steady  # milliseconds of a clock that never jumps
        self._name = name
        self._holder = holder
        self._renewed_ms: int | None = None
        self._seen: tuple[str, str] = ("", "")  # holder and renewTime as last read
        self._seen_ms = 0
        self._stopped = threading.Event()
        self._one = threading.Lock()  # one write of the Lease at a time

    @property
    def leads(self) -> bool:
        return self._renewed_ms is not None and self._steady() - self._renewed_ms < RENEW_MS

    def supervise(self) -> None:
        """Goes on until stopped; whatever goes wrong is tried again."""
        while not self._stopped.is_set():
            try:
                self.step()
            except Trouble as trouble:
                log.warning("The Lease %s could not be renewed: %s", self._name, trouble)
            except Exception:
                log.exception("The Lease %s could not be renewed", self._name)
            self._stopped.wait(RETRY_SECONDS)

    def step(self) -> None:
        """Takes the Lease where it is free, renews it where it is ours; nothing once stopped. Raises Trouble."""
        with self._one:
            if not self._stopped.is_set():
                self._step()

    def _step(self) -> None:
        led = self.leads
        try:
            found = self._world.cluster.get(self._world.paths.lease(self._name))
        except NotFound:
            self._create()
        else:
            self._claim(found)
        if self.leads and not led:
            log.info("%s leads", self._holder)

    def stop(self) -> None:
        """Gives the Lease back, so that the next operator need not wait for its end."""
        self._stopped.set()
        with self._one:
            if self.leads:
                self._renewed_ms = None
                self._give_back()

    def _give_back(self) -> None:
        try:
            found = self._world.cluster.get(self._world.paths.lease(self._name))
            if found["spec"].get("holderIdentity") == self._holder:
                self._write(found, {**found["spec"], "holderIdentity": "", "leaseDurationSeconds": 1})
        except Trouble as trouble:
            log.warning("The Lease %s could not be given back: %s", self._name, trouble)

    def _claim(self, found: Object) -> None:
        spec = found.get("spec") or {}
        now_ms = self._steady()
        seen = (spec.get("holderIdentity") or "", spec.get("renewTime") or "")
        if seen != self._seen:
            self._seen, self._seen_ms = seen, now_ms
        is_ours = seen[0] == self._holder
        duration_ms = int(spec.get("leaseDurationSeconds") or 0) * 1000
        if not is_ours and seen[0] and now_ms - self._seen_ms < duration_ms:
            return
        transitions = int(spec.get("leaseTransitions") or 0) + (not is_ours)
        fields = {"acquireTime": spec["acquireTime"]} if is_ours and "acquireTime" in spec else {}
        try:
            self._write(found, {**self._spec(), **fields, "leaseTransitions": transitions})
        except Conflict:
            return  # another one was quicker
        self._renewed_ms = now_ms

    def _create(self) -> None:
        now_ms = self._steady()
        meta = {"name": self._name}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": self._spec()}
        try:
            self._world.cluster.create(self._world.paths.lease(), body)
        except Conflict:
            return
        self._renewed_ms = now_ms

    def _write(self, found: Object, spec: Object) -> None:
        self._world.cluster.replace(self._world.paths.lease(self._name), {**found, "spec": spec})

    def _spec(self) -> dict[str, Any]:
        now = micro_time(self._world.clock())
        return {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": LEASE_MS // 1000,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": 0,
        }
