"""Watches that only wake the loop: nothing is decided by an event, so none that was missed can do harm.

A watch asks for what there is and then for what changes; when it ends or its place in the history is gone, it begins
anew.
"""

import logging
import threading
from typing import Final

from outcry_operator.kube import Cluster, NotFound, Object, Trouble

log = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 2.0  # before a watch begins anew
MAX_KNOWN: Final = 10_000  # objects of one watch; beyond that everything wakes


class Wake:
    """Something may have changed. Whoever waits takes all of it at once."""

    def __init__(self) -> None:
        self._changed = threading.Event()

    def up(self) -> None:
        self._changed.set()

    def wait(self, seconds: float) -> bool:
        """Whether something changed within so many seconds."""
        return self._changed.wait(max(seconds, 0.0))

    def clear(self) -> None:
        self._changed.clear()


class Watch:
    """One kind of objects."""

    def __init__(self, cluster: Cluster, path: str, selector: str, wake: Wake) -> None:
        self._cluster = cluster
        self._path = path
        self._selector = selector
        self._wake = wake
        self._known: dict[str, str] = {}
        self._stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self.supervise, name=f"watch {self._path}", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def supervise(self) -> None:
        """Watches until stopped."""
        while not self._stopped.is_set():
            try:
                for event in self._cluster.watch(self._path, self._selector):
                    self.note(event)
                    if self._stopped.is_set():
                        return
            except NotFound as trouble:
                log.debug("%s", trouble)
            except Trouble as trouble:
                log.info("A watch begins anew: %s", trouble)
            except Exception:
                log.exception("A watch begins anew")
            self._stopped.wait(PAUSE_SECONDS)

    def note(self, event: Object) -> None:
        """Wakes the loop if the event says something that a decision depends on."""
        found = event.get("object") or {}
        if event.get("type") == "ERROR":
            log.info("A watch of %s ended: %s", self._path, found.get("message"))
            self._known.clear()
            return
        meta = found.get("metadata") or {}
        uid, print_ = str(meta.get("uid")), fingerprint(found)
        if event.get("type") == "DELETED":
            self._known.pop(uid, None)
            self._wake.up()
        elif self._known.get(uid) != print_:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[uid] = print_
            self._wake.up()


def fingerprint(found: Object) -> str:
    """What of an object can change a decision: what the operator itself writes (status, times) must not wake it."""
    meta, status = found.get("metadata") or {}, found.get("status") or {}
    annotations = {
        name: text for name, text in (meta.get("annotations") or {}).items() if name.startswith("outcry.dev/")
    }
    counts = [status.get(name) for name in ("replicas", "readyReplicas", "updatedReplicas", "phase", "podIP")]
    if found.get("kind") in ("ScalePolicy", "CanaryRelease"):
        counts = []
    ready = [each.get("status") for each in status.get("conditions") or () if each.get("type") == "Ready"]
    if found.get("kind") != "Pod":
        ready = []
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    restarts = [each.get("restartCount") for each in containers]
    generation, leaving = meta.get("generation"), meta.get("deletionTimestamp")
    return repr((generation, leaving, sorted(annotations.items()), counts, ready, restarts))
