"""One look at one CanaryRelease: observe, decide, act; the shell around phases.py."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from outcry_operator import act
from outcry_operator.act import NORMAL, WARNING, Note, Subject
from outcry_operator.adminport import NoAnswer
from outcry_operator.canary import shadowing
from outcry_operator.canary.judge import PASS, Verdict
from outcry_operator.canary.look import CanaryNotes, View, look
from outcry_operator.canary.phases import Turn, tick_canary
from outcry_operator.canary.route import owned, route_of, weighed, weight_in, without
from outcry_operator.canary.sizes import share, split_for
from outcry_operator.canary.spec import API, GATEWAY, CanarySpec, canary_of
from outcry_operator.canary.state import (
    HOLDING,
    LIVE,
    PHASES,
    PROGRESSING,
    PROMOTED,
    ROLLED_BACK,
    ROLLING_BACK,
    State,
    state_of,
    status_of,
)
from outcry_operator.conditions import READY, Condition, merged
from outcry_operator.guard import Guard, subject_of
from outcry_operator.kube import NotFound, Object, Trouble
from outcry_operator.observation import Workload
from outcry_operator.observe import Release, World
from outcry_operator.reading import annotations_of
from outcry_operator.telemetry import Telemetry

log = logging.getLogger(__name__)

KIND: Final = "CanaryRelease"
PLURAL: Final = "canaryreleases"
MAX_ATTEMPTS: Final = 3  # to move a partition, before a pause
MOVE_PAUSE_MS: Final = 60_000


def release_of(found: Object) -> Release:
    """What the policy of the component has to know. Raises Malformed."""
    spec, state = canary_of(found), state_of(found.get("status") or {})
    return Release(state.phase in LIVE, spec.canary_ref, state.replicas if spec.divides else 0)


@dataclass
class CanaryTicks:
    """Looks at releases."""

    world: World
    telemetry: Telemetry
    may_act: Callable[[], bool]
    _notes: dict[str, CanaryNotes] = field(default_factory=dict)
    _routed: dict[str, CanarySpec] = field(default_factory=dict)  # releases that have a route, by uid

    def tick(self, found: Object, policy: Mapping[str, Any]) -> Turn | None:
        """Looks, decides and acts; None where the Lease was lost on the way. Raises Trouble, Malformed."""
        subject = subject_of(found, KIND, PLURAL)
        spec, status = canary_of(found), found.get("status") or {}
        state, notes = state_of(status), self._notes.setdefault(subject.uid, CanaryNotes())
        annotations = annotations_of(found)
        view = look(self.world, spec, state, notes, name=subject.name, annotations=annotations, policy=policy)
        turn = tick_canary(spec, state, view.sight, self.world.clock())
        if not self.may_act():
            return None
        self._write(subject, status, turn, view)
        self._say(subject, state, turn)
        self._route(spec, turn, view, subject.uid)
        self._ask(subject, spec, turn, view, notes=notes)
        self._scale(spec, turn, view)
        self._note(subject.name, turn, view)
        return turn

    def supervise_tick(self, found: Object, policy: Mapping[str, Any]) -> Turn | None:
        """A tick whose trouble ends with it: it is told in the object's status, and the next look tries again."""
        guard = Guard(self.world, self.telemetry, self.may_act)
        return guard.supervise(subject_of(found, KIND, PLURAL), found, lambda: self.tick(found, policy))

    def forget(self, uids: set[str]) -> None:
        """Forgets the releases that are no more. A route that one of them has left goes back to stable."""
        self._notes = {uid: notes for uid, notes in self._notes.items() if uid in uids}
        for uid in self._routed.keys() - uids:
            if self.may_act():
                self._give_back(self._routed.pop(uid))

    def _give_back(self, spec: CanarySpec) -> None:
        path = self.world.paths.route(spec.stable_ref.name)
        try:
            found = self.world.cluster.get(path)
            rules = found["spec"].get("rules") or []
            if spec.canary_ref.name in {each.get("name") for rule in rules for each in rule.get("backendRefs") or []}:
                self.world.cluster.apply(path, without(found, spec.canary_ref.name))
                log.info("Route %s goes back to stable", spec.stable_ref.name)
        except NotFound:
            return
        except Trouble as trouble:
            log.warning("Route %s could not be given back: %s", spec.stable_ref.name, trouble)

    def _write(self, subject: Subject, before: Mapping[str, Any], turn: Turn, view: View) -> None:
        shadow = {
            "partitions": list(view.shadowed), "offsets": view.sight.offsets, "mismatches": view.sight.mismatches,
        }  # fmt: skip
        told = status_of(turn.state, turn.verdicts, view.sight.served_percent)
        if not turn.verdicts and turn.state.phase in (ROLLING_BACK, ROLLED_BACK):
            del told["verdicts"]  # the last ones say why
        conditions = merged(before.get("conditions") or [], _conditions(turn.state), self.world.clock())
        act.write_status(self.world, subject, {**told, "shadow": shadow, "conditions": conditions})

    def _say(self, subject: Subject, before: State, turn: Turn) -> None:
        """An event for each change of phase, step and reason of a hold."""
        now = turn.state
        if (before.phase, before.step) == (now.phase, now.step) and (
            now.phase != HOLDING or before.reason == now.reason
        ):
            return
        sort = WARNING if now.phase in (ROLLING_BACK, ROLLED_BACK, HOLDING) else NORMAL
        reason = "ShadowMismatch" if now.reason == "ShadowMismatch" and now.phase == ROLLING_BACK else now.phase
        text = f"{before.phase} -> {now.phase}: {now.reason} (revision {now.canary_revision}, {now.weight} %)"
        text += "".join(
            f"; {_told(each)}" for each in turn.verdicts if each.verdict != PASS and now.phase != PROGRESSING
        )
        act.say(self.world, subject, Note(sort, reason, text, "Release"))

    def _route(self, spec: CanarySpec, turn: Turn, view: View, uid: str) -> None:
        """Applies the route with its weight. More comes only once the pods for it are ready, less at once."""
        if spec.traffic.provider != GATEWAY:
            return
        found = self.world.cluster.get(self.world.paths.core("configmaps", spec.traffic.route_template))
        route, weight = route_of(found), turn.state.weight
        present = weight_in(view.route or {}, spec.canary_ref.name)
        needed = split_for(spec, view.sight.want, weight).canary
        if weight > present and view.sight.tracks.canary.ready_replicas < needed:
            weight = present
        kind, name = spec.stable_ref.kind, spec.stable_ref.name
        body = weighed(route, name, spec.canary_ref.name, weight)
        body = owned(body, kind, self.world.cluster.get(self.world.paths.workload(kind, name)))
        self.world.cluster.apply(self.world.paths.route(route["metadata"]["name"]), body)
        self._routed[uid] = spec

    def _ask(self, subject: Subject, spec: CanarySpec, turn: Turn, view: View, *, notes: CanaryNotes) -> None:
        """Drains a canary that leaves; of an engine canary, its shadows and its share."""
        closes = spec.is_engine or (spec.rollback.close_sockets and spec.component != API)
        if turn.drain_canary and closes:
            for pod in view.canary_pods:
                told = view.told.get(pod.name)
                if told is not None and not told.draining_since_ms:
                    _try(lambda pod=pod: self.world.ports.drain(pod))  # type: ignore[misc]
            return
        if spec.is_engine and turn.state.phase in LIVE:
            self._shadow(view)
            self._move(subject, turn, view, notes)

    def _shadow(self, view: View) -> None:
        pods = [pod for pod in view.canary_pods if pod.ready]
        for name, parts in shadowing.dealt(view.shadowed, pods).items():
            pod = next(each for each in pods if each.name == name)
            _try(lambda pod=pod, parts=parts: self.world.ports.shadow(pod, parts))  # type: ignore[misc]

    def _move(self, subject: Subject, turn: Turn, view: View, notes: CanaryNotes) -> None:
        now_ms, names = self.world.clock(), {pod.name: pod for pod in view.stable_pods}
        canary = {pod.name for pod in view.canary_pods}
        for row in view.leases:
            if row.pod in canary and row.part in notes.begun and "/" in (row.owner or ""):
                self.telemetry.moves.labels(subject.name).observe((now_ms - notes.begun.pop(row.part)) / 1000)
                notes.moves.pop(row.part, None)
        wanted = share(view.order, turn.state.weight)
        for move in shadowing.moves(wanted, view.leases, view.canary_pods, view.told):
            attempts, last_ms = notes.moves.get(move.part, (0, 0))
            if attempts >= MAX_ATTEMPTS and now_ms - last_ms < MOVE_PAUSE_MS:
                continue
            if attempts == MAX_ATTEMPTS:
                text = f"partition {move.part} does not go from {move.owner} to {move.to}"
                act.say(self.world, subject, Note(WARNING, "MoveFailing", text, "Release"))
            notes.begun.setdefault(move.part, now_ms)
            notes.moves[move.part] = (1 if attempts >= MAX_ATTEMPTS else attempts + 1, now_ms)
            if move.owner in names:
                _try(lambda move=move: self.world.ports.release(names[move.owner], move.part, move.to))  # type: ignore[misc]

    def _scale(self, spec: CanarySpec, turn: Turn, view: View) -> None:
        """Writes the sizes; the track that grows first."""
        stable, canary = view.sight.tracks
        changes: list[tuple[Workload, int]] = [(stable, turn.split.stable), (canary, turn.split.canary)]
        for target, replicas in sorted(changes, key=lambda each: each[0].replicas - each[1]):
            if replicas != target.replicas:
                act.write_replicas(self.world, target, replicas)

    def _note(self, name: str, turn: Turn, view: View) -> None:
        for phase in PHASES:
            self.telemetry.phases.labels(name, phase).set(phase == turn.state.phase)
        self.telemetry.weights.labels(name, "target").set(turn.state.weight)
        self.telemetry.weights.labels(name, "actual").set(view.sight.served_percent)
        for each in turn.verdicts:
            self.telemetry.verdicts.labels(name, each.metric, each.verdict).inc()


def _conditions(state: State) -> list[Condition]:
    reason = state.reason.split(" ")[0].strip("%") or state.phase
    reason = reason if reason[:1].isalpha() else state.phase
    return [
        Condition(READY, True, "Looked", "both workloads were found and looked at"),
        Condition(
            "Progressing", state.phase in LIVE and state.phase not in (HOLDING, ROLLING_BACK), reason, state.reason
        ),
        Condition("Holding", state.phase == HOLDING, reason if state.phase == HOLDING else "NotHeld", state.reason),
        Condition("Promoted", state.phase == PROMOTED, "Promoted" if state.phase == PROMOTED else "NotPromoted"),
        Condition("RolledBack", state.phase in (ROLLING_BACK, ROLLED_BACK), reason, state.reason),
    ]


def _told(verdict: Verdict) -> str:
    canary, stable = ("no figure" if each is None else f"{each:.4g}" for each in (verdict.canary, verdict.stable))
    return f"{verdict.metric} is {verdict.verdict}: canary {canary} of {verdict.samples} samples, stable {stable}"


def _try(ask: Callable[[], None]) -> None:
    """Who does not answer is asked again at the next look."""
    try:
        ask()
    except NoAnswer as trouble:
        log.warning("%s", trouble)
