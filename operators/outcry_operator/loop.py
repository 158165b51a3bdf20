"""The loop: woken by a change or by the time, it looks at every object that is due, one after the other.

Nothing that goes wrong with one object stops the others, and a look that hangs shows in ``/livez``.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from outcry_operator.kube import Conflict, Object, Trouble
from outcry_operator.leader import Leader
from outcry_operator.reading import name_of
from outcry_operator.rounds import Rounds
from outcry_operator.watching import Wake

log = logging.getLogger(__name__)

DEBOUNCE_SECONDS: Final = 1.0  # changes come in swarms
IDLE_SECONDS: Final = 2.0  # between two looks whether the Lease is held
AGAIN_SECONDS: Final = 1.0  # after a conflict
UNDERWAY_SECONDS: Final = 3.0  # while engines hand over: no watch tells when they are done
TROUBLE_SECONDS: Final = 5.0  # after a list that failed
DEAD_PERIODS: Final = 4  # without a finished round for so many periods the process is not alive
MIN_PERIOD: Final = 15


@dataclass
class Loop:
    """Runs rounds until stopped. ``steady`` tells seconds of a clock that never jumps."""

    rounds: Rounds
    leader: Leader
    wake: Wake
    steady: Callable[[], float] = time.monotonic
    period_seconds: int = MIN_PERIOD
    _due: dict[str, float] = field(default_factory=dict)  # by uid
    _finished: float = 0.0
    _looked: bool = False
    _trouble: str = ""
    _stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until stopped."""
        self._finished = self.steady()
        pause = 0.0
        while not self._stopped.is_set():
            if self.wake.wait(pause):
                self._stopped.wait(DEBOUNCE_SECONDS)
                self.wake.clear()
                self._due.clear()
            if self._stopped.is_set():
                return
            pause = self.supervise_round() if self.leader.leads else IDLE_SECONDS
            self._finished = self.steady()

    def stop(self) -> None:
        self._stopped.set()
        self.wake.up()

    def age_seconds(self) -> float:
        """Since the last round was finished."""
        return self.steady() - self._finished if self._finished else 0.0

    def why_not_alive(self) -> str:
        limit = DEAD_PERIODS * self.period_seconds
        age = self.age_seconds()
        return f"no round was finished for {age:.0f} s" if age > limit else ""

    def why_not_ready(self) -> str:
        """Ready is who reaches the API server; one that waits for the Lease is too."""
        return self._trouble if self._looked or not self.leader.leads else "no round was finished yet"

    def supervise_round(self) -> float:
        """One round; how many seconds the next one may wait."""
        try:
            return self._round()
        except Trouble as trouble:
            self._trouble = f"the objects could not be listed: {trouble}"
            log.warning("A round failed: %s", self._trouble)
        except Exception:
            log.exception("A round failed")
        return TROUBLE_SECONDS

    def _round(self) -> float:
        objects = self.rounds.list()
        self._trouble, self._looked = "", True
        known = {_key(each) for each in objects}
        self._due = {key: at for key, at in self._due.items() if key in known}
        self.period_seconds = max([MIN_PERIOD, *(_period(each) for each in objects)])
        for each in objects:
            if self._due.get(_key(each), 0.0) <= self.steady() and self.leader.leads:
                self._look(each)
        return min(self._due.values(), default=self.steady() + MIN_PERIOD) - self.steady()

    def _look(self, found: Object) -> None:
        try:
            is_underway = self.rounds.supervise_look(found)
            pause = min(UNDERWAY_SECONDS, _period(found)) if is_underway else float(_period(found))
        except Conflict:
            pause = AGAIN_SECONDS
        self._due[_key(found)] = self.steady() + pause


def _key(found: Object) -> str:
    return str(found["metadata"].get("uid") or name_of(found))


def _period(found: Object) -> int:
    spec = found.get("spec") or {}
    analysis = spec.get("analysis") or {}
    return int(spec.get("syncPeriodSeconds") or analysis.get("intervalSeconds") or MIN_PERIOD)
