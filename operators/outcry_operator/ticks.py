"""One look at one ScalePolicy: observe, plan, act. Trouble stays with its object, as its condition Ready=False."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from outcry_operator import act, conditions
from outcry_operator.act import NORMAL, WARNING, Note, Subject
from outcry_operator.conditions import Condition, merged, status_of
from outcry_operator.depth import Waiting, waiting
from outcry_operator.guard import Guard, subject_of
from outcry_operator.handover import Patience
from outcry_operator.kube import Object, Trouble
from outcry_operator.memory import memory_of
from outcry_operator.notes import Notes
from outcry_operator.observation import Observation
from outcry_operator.observe import NO_RELEASE, Release, World, observe
from outcry_operator.plan import Asked, Decision, plan
from outcry_operator.pools import pool_told
from outcry_operator.reading import annotations_of, name_of
from outcry_operator.resource import Malformed, PolicySpec, pauses_of, spec_of
from outcry_operator.telemetry import Telemetry

log = logging.getLogger(__name__)

KIND: Final = "ScalePolicy"
PLURAL: Final = "scalepolicies"

# Conditions of which a person is told when they begin: (type, sort of the event).
TOLD: Final = (
    (conditions.FALLBACK, WARNING), (conditions.PAUSED, NORMAL), (conditions.BLOCKED, WARNING),
    (conditions.MANUAL, NORMAL), (conditions.HOT, WARNING), (conditions.STALLED, WARNING),
)  # fmt: skip


@dataclass
class PolicyTicks:
    """Looks at policies. ``pools`` has the last look at each, for whoever asks the operator's port."""

    world: World
    telemetry: Telemetry
    lease_ms: int
    may_act: Callable[[], bool]
    pools: dict[str, Any] = field(default_factory=dict)
    _notes: dict[str, Notes] = field(default_factory=dict)

    def tick(self, found: Object, release: Release = NO_RELEASE) -> Decision | None:
        """Looks, decides and acts; None where the Lease was lost on the way. Raises Trouble, Malformed."""
        subject = subject_of(found, KIND, PLURAL)
        spec, status = spec_of(found), found.get("status") or {}
        memory, notes = memory_of(status), self._notes.setdefault(subject.uid, Notes())
        seen = observe(self.world, spec, memory, notes, release=release)
        if spec.owns_partitions and not seen.target.parallel:
            raise Malformed(f"StatefulSet {seen.target.name} needs podManagementPolicy: Parallel")
        now_ms = self.world.clock()
        asked = Asked(spec, pauses_of(annotations_of(found)))
        patience = Patience(self.lease_ms, spec.drain.timeout_seconds * 1000)
        decision = plan(asked, memory, seen, now_ms, patience=patience)
        depth = _depth(spec, seen)
        self._note(subject.name, decision, seen, now_ms)
        if not self.may_act():
            return None
        told = conditions.conditions_of(decision, seen, depth)
        new = status_of(decision, seen, depth, now_ms, dry_run=spec.dry_run)
        self._write(subject, status, new, told)
        if not spec.dry_run:
            self._act(subject, decision, seen, status)
        return decision

    def supervise_tick(self, found: Object, release: Release = NO_RELEASE) -> Decision | None:
        """A tick whose trouble ends with it: it is told in the object's status, and the next look tries again."""
        guard = Guard(self.world, self.telemetry, self.may_act)
        return guard.supervise(subject_of(found, KIND, PLURAL), found, lambda: self.tick(found, release))

    def forget(self, found: Sequence[Object]) -> None:
        """Forgets the policies that are no more."""
        uids = {str(each["metadata"].get("uid", "")) for each in found}
        self._notes = {uid: notes for uid, notes in self._notes.items() if uid in uids}
        gone = set(self.pools) - {name_of(each) for each in found}
        for name in gone:
            del self.pools[name]
        self.telemetry.forget(gone)

    def _act(self, subject: Subject, decision: Decision, seen: Observation, before: Mapping[str, Any]) -> None:
        try:
            notes = act.carry_out(self.world, decision, seen)
        except Trouble:
            # What was noted as changed was not: the rates must not count it.
            act.write_status(self.world, subject, {"scaleEvents": before.get("scaleEvents") or []})
            raise
        for note in notes:
            act.say(self.world, subject, note)
        replicas = decision.steps.replicas
        if replicas is not None:
            direction = "out" if replicas > seen.target.replicas else "in"
            self.telemetry.changes.labels(subject.name, direction).inc()
            for pod in seen.pods:
                told = seen.told.get(pod.name)
                if pod.ordinal >= replicas and told is not None and told.draining_since_ms:
                    seconds = (self.world.clock() - told.draining_since_ms) / 1000
                    self.telemetry.drains.labels(subject.name).observe(seconds)

    def _write(
        self, subject: Subject, before: Mapping[str, Any], status: Mapping[str, Any], told: Sequence[Condition]
    ) -> None:
        known = before.get("conditions") or []
        now_ms = self.world.clock()
        act.write_status(self.world, subject, {**status, "conditions": merged(known, told, now_ms)})
        held = {each["type"] for each in known if each.get("status") == "True"}
        sorts = dict(TOLD)
        for each in told:
            self.telemetry.conditions.labels(subject.name, each.type).set(each.holds)
            if each.holds and each.type in sorts and each.type not in held:
                text = f"{each.reason}: {each.message}" if each.message else each.reason
                act.say(self.world, subject, Note(sorts[each.type], each.type, text))

    def _note(self, name: str, decision: Decision, seen: Observation, now_ms: int) -> None:
        self.pools[name] = pool_told(decision, seen, now_ms)
        telemetry = self.telemetry
        telemetry.replicas.labels(name).set(decision.current)
        telemetry.desired.labels(name).set(decision.want)
        telemetry.unowned.labels(name).set(seen.unowned_ms / 1000)
        for vote in decision.votes:
            telemetry.missing.labels(name, vote.trigger).set(bool(vote.missing))
            if not vote.missing:
                telemetry.values.labels(name, vote.trigger).set(vote.value)


def _depth(spec: PolicySpec, seen: Observation) -> Waiting | None:
    trigger = next((each.queue_depth for each in spec.triggers if each.queue_depth is not None), None)
    return waiting(trigger, seen) if trigger is not None and spec.owns_partitions else None
