"""Keeps the trouble of one object with it: it is told there, and the looks at all others go on."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from outcry_operator import act, conditions
from outcry_operator.act import WARNING, Note, Subject
from outcry_operator.conditions import failed, merged
from outcry_operator.kube import Conflict, Forbidden, NotFound, Object, Trouble
from outcry_operator.observe import World
from outcry_operator.resource import Malformed
from outcry_operator.telemetry import Telemetry

log = logging.getLogger(__name__)

T = TypeVar("T")


def subject_of(found: Object, kind: str, plural: str) -> Subject:
    """Whom events and status are about."""
    meta = found["metadata"]
    return Subject(kind, plural, meta["namespace"], meta["name"], meta.get("uid", ""), meta.get("generation", 0))


def reason_of(trouble: Exception) -> str:
    """A trouble as the reason of a condition."""
    if isinstance(trouble, Malformed):
        return "Malformed"
    if isinstance(trouble, NotFound):
        return "NotFound"
    return "Forbidden" if isinstance(trouble, Forbidden) else "ApiServerTrouble"


@dataclass(frozen=True)
class Guard:
    """Of looks at the objects of one kind; ``may_act`` says whether this operator has the Lease."""

    world: World
    telemetry: Telemetry
    may_act: Callable[[], bool]

    def supervise(self, subject: Subject, found: Object, look: Callable[[], T]) -> T | None:
        """What a look gives; None where it ended in trouble, of which the object's status tells.

        Raises Conflict: somebody else changed the object, and the next look must be soon.
        """
        try:
            with self.telemetry.ticks.labels(subject.kind).time():
                return look()
        except Conflict as changed:
            log.info("%s: %s; the next look is soon", subject.name, changed)
            raise
        except (Trouble, Malformed) as trouble:
            self._tell(subject, found, reason_of(trouble), str(trouble))
        except Exception as bug:
            log.exception("%s: a look failed", subject.name)
            self._tell(subject, found, "InternalError", f"{type(bug).__name__}: {bug}")
        return None

    def _tell(self, subject: Subject, found: Object, reason: str, message: str) -> None:
        log.warning("%s: %s: %s", subject.name, reason, message)
        self.telemetry.failures.labels(subject.kind, subject.name, reason).inc()
        if not self.may_act():
            return
        known = (found.get("status") or {}).get("conditions") or []
        told = failed(reason, message)
        try:
            act.write_status(self.world, subject, {"conditions": merged(known, told, self.world.clock())})
        except Trouble as trouble:
            log.warning("%s: its status could not be written: %s", subject.name, trouble)
            return
        if not any(each["type"] == conditions.READY and each.get("reason") == reason for each in known):
            act.say(self.world, subject, Note(WARNING, reason, message))
