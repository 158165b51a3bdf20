"""Carries out decisions: status, scale, drains, deletion costs and events. Every effect may be repeated."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from outcry_operator.adminport import NoAnswer
from outcry_operator.kube import MANAGER, Object, Trouble
from outcry_operator.moments import micro_time
from outcry_operator.observation import Observation, Pod, Told, Workload
from outcry_operator.observe import World
from outcry_operator.plan import Decision
from outcry_operator.reading import DELETION_COST
from outcry_operator.resource import GROUP, VERSION

log = logging.getLogger(__name__)

NORMAL: Final = "Normal"
WARNING: Final = "Warning"
MAX_NOTE: Final = 1_000  # characters of an event


class Subject(NamedTuple):
    """The object that an event is about."""

    kind: str
    plural: str
    namespace: str
    name: str
    uid: str
    generation: int = 0


class Note(NamedTuple):
    """An event: of which sort, its reason in one word, and what happened."""

    sort: str
    reason: str
    text: str
    action: str = "Scale"


def write_status(world: World, subject: Subject, status: Mapping[str, Any]) -> None:
    """Merges a status into its object. Raises Trouble."""
    path = world.paths.outcry(subject.plural, subject.name, "status")
    world.cluster.patch(path, {"status": {**status, "observedGeneration": subject.generation}})


def write_replicas(world: World, target: Workload, replicas: int) -> None:
    """Scales a workload, if nobody has changed it since it was looked at. Raises Trouble, of it Conflict."""
    body: Object = {"metadata": {"resourceVersion": target.resource_version}, "spec": {"replicas": replicas}}
    world.cluster.patch(world.paths.workload(target.kind, target.name, "scale"), body)


def say(world: World, subject: Subject, note: Note) -> None:
    """Writes an event. One that cannot be written is only logged: the decision does not hang on it."""
    log.log(
        logging.WARNING if note.sort == WARNING else logging.INFO, "%s: %s: %s", subject.name, note.reason, note.text
    )
    now_ms = world.clock()
    event: Object = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": f"{subject.name}-", "namespace": subject.namespace},
        "eventTime": micro_time(now_ms),
        "reportingController": f"{GROUP}/operator",
        "reportingInstance": MANAGER,
        "type": note.sort,
        "reason": note.reason,
        "action": note.action,
        "note": note.text[:MAX_NOTE],
        "regarding": {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": subject.kind,
            "namespace": subject.namespace,
            "name": subject.name,
            "uid": subject.uid,
        },
    }
    try:
        world.cluster.create(f"/apis/events.k8s.io/v1/namespaces/{subject.namespace}/events", event)
    except Trouble as trouble:
        log.warning("%s: the event %s could not be written: %s", subject.name, note.reason, trouble)


def carry_out(world: World, decision: Decision, seen: Observation) -> list[Note]:
    """Takes a decision's steps, and tells what was done. Raises Trouble where the scale could not be written."""
    notes = [*_ask(world, decision, seen)]
    replicas = decision.steps.replicas
    if replicas is None:
        return notes
    if seen.target.kind != "StatefulSet" and replicas < seen.target.replicas:
        _write_costs(world, seen.pods, seen.told)
    write_replicas(world, seen.target, replicas)
    text = f"from {seen.target.replicas} to {replicas} (wanted {decision.want}): {decision.reason}"
    return [*notes, Note(NORMAL, "Rescaled", text)]


def _ask(world: World, decision: Decision, seen: Observation) -> list[Note]:
    """Drains and cancels drains; who does not answer is asked again at the next look."""
    notes = []
    for pod in decision.steps.stay:
        if _done(world.ports.stay, pod):
            notes.append(Note(NORMAL, "DrainCanceled", f"{pod.name} stays"))
    for pod in decision.steps.drain:
        told = seen.told.get(pod.name)
        is_new = told is not None and not told.draining_since_ms
        if _done(world.ports.drain, pod) and is_new:
            notes.append(Note(NORMAL, "DrainBegun", f"{pod.name} hands over its partitions: {decision.reason}"))
    return notes


def _done(ask: Callable[[Pod], None], pod: Pod) -> bool:
    try:
        ask(pod)
    except NoAnswer as trouble:
        log.warning("%s", trouble)
        return False
    return True


def _write_costs(world: World, pods: Sequence[Pod], told: Mapping[str, Told]) -> None:
    """Says to the controller which pods cost least to remove: those with the fewest clients and the least work."""
    for pod in pods:
        said = told.get(pod.name)
        cost = min(said.connections + said.queue_depth, 2_147_483_647) if said is not None else 0
        if cost != pod.deletion_cost:
            try:
                annotations = {DELETION_COST: str(cost)}
                world.cluster.patch(world.paths.core("pods", pod.name), {"metadata": {"annotations": annotations}})
            except Trouble as trouble:
                log.warning("%s: its deletion cost could not be written: %s", pod.name, trouble)
