"""Objects of the API server as values: pods, workloads, and how much pods use."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from outcry_operator.moments import millis
from outcry_operator.observation import CPU, MEMORY, STABLE, Pod, Sample, Workload
from outcry_operator.quantity import milli_cores, whole_bytes
from outcry_operator.resource import ANNOTATION, Malformed

TRACK_LABEL: Final = ANNOTATION + "track"
REVISION: Final = ANNOTATION + "revision"
DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
ADMIN_PORT: Final = "admin"
CRASH_LOOP: Final = "CrashLoopBackOff"
OOM: Final = "OOMKilled"

Object = Mapping[str, Any]


def name_of(found: Object) -> str:
    return str(found["metadata"]["name"])


def annotations_of(found: Object) -> Mapping[str, str]:
    return found["metadata"].get("annotations") or {}


def pod_of(found: Object) -> Pod:
    """A pod. Raises Malformed."""
    meta, status = found["metadata"], found.get("status") or {}
    annotations = annotations_of(found)
    labels = meta.get("labels") or {}
    ready: Object = next((each for each in status.get("conditions") or () if each.get("type") == "Ready"), {})
    containers = found["spec"].get("containers") or ()
    try:
        return Pod(
            name=meta["name"],
            uid=meta.get("uid", ""),
            ip=status.get("podIP", ""),
            ordinal=_ordinal(meta),
            track=labels.get(TRACK_LABEL, STABLE),
            revision=annotations.get(REVISION, ""),
            ready=ready.get("status") == "True",
            ready_since_ms=millis(ready.get("lastTransitionTime")),
            leaving="deletionTimestamp" in meta,
            ended=status.get("phase") in ("Failed", "Succeeded"),
            requests=_requests(containers),
            restarts=sum(each.get("restartCount", 0) for each in _containers(status)),
            trouble=_trouble(_containers(status)),
            deletion_cost=_whole(annotations.get(DELETION_COST, "0")),
            admin_port=_admin_port(containers),
        )
    except ValueError as wrong:
        raise Malformed(f"pod {meta['name']} cannot be read: {wrong}") from None


def _ordinal(meta: Object) -> int:
    """The ordinal of a StatefulSet's pod; -1 of any other."""
    owners = [each.get("kind") for each in meta.get("ownerReferences") or ()]
    number = meta["name"].rpartition("-")[2]
    return int(number) if "StatefulSet" in owners and number.isascii() and number.isdigit() else -1


def _requests(containers: Sequence[Object]) -> dict[str, int]:
    """What all containers request together; a resource that one of them does not request is left out, as in HPA."""
    found: dict[str, int] = {}
    for resource, read in ((CPU, milli_cores), (MEMORY, whole_bytes)):
        asked = [((each.get("resources") or {}).get("requests") or {}).get(resource) for each in containers]
        if asked and all(asked):
            found[resource] = sum(read(str(each)) for each in asked)
    return found


def _containers(status: Object) -> Sequence[Object]:
    """The states of all containers; one that fails may be the first to start."""
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _trouble(containers: Sequence[Object]) -> str:
    for each in containers:
        waiting = ((each.get("state") or {}).get("waiting") or {}).get("reason")
        ended = [((each.get(state) or {}).get("terminated") or {}).get("reason") for state in ("state", "lastState")]
        if waiting == CRASH_LOOP:
            return CRASH_LOOP
        if OOM in ended:
            return OOM
    return ""


def _admin_port(containers: Sequence[Object]) -> int:
    ports = [port for each in containers for port in each.get("ports") or ()]
    return next((int(port["containerPort"]) for port in ports if port.get("name") == ADMIN_PORT), 9100)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 0


def workload_of(found: Object) -> Workload:
    """A Deployment or StatefulSet."""
    meta, spec, status = found["metadata"], found["spec"], found.get("status") or {}
    replicas = int(spec.get("replicas", 1))
    updated = int(status.get("updatedReplicas", 0))
    has_seen = status.get("observedGeneration", 0) >= meta.get("generation", 0)
    ready = int(status.get("readyReplicas", 0))
    template = (spec.get("template") or {}).get("metadata") or {}
    return Workload(
        kind=found["kind"],
        name=meta["name"],
        replicas=replicas,
        ready_replicas=ready,
        updated_replicas=updated,
        settled=has_seen and updated >= replicas and ready >= replicas and status.get("replicas", 0) <= replicas,
        selector=selector_text(spec.get("selector") or {}),
        revision=(template.get("annotations") or {}).get(REVISION, ""),
        resource_version=meta.get("resourceVersion", ""),
        parallel=spec.get("podManagementPolicy", "OrderedReady") == "Parallel",
    )


def selector_text(selector: Object) -> str:
    """A label selector as queries write it."""
    parts = [f"{name}={value}" for name, value in sorted((selector.get("matchLabels") or {}).items())]
    for each in selector.get("matchExpressions") or ():
        key, operator, values = each["key"], each["operator"], ",".join(each.get("values") or ())
        shape = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }
        parts.append(shape[operator])
    return ",".join(parts)


def usage_of(items: Sequence[Object]) -> dict[str, dict[str, Sample]]:
    """PodMetrics of metrics.k8s.io: by resource and pod. Raises ValueError."""
    found: dict[str, dict[str, Sample]] = {CPU: {}, MEMORY: {}}
    for each in items:
        at_ms = millis(each.get("timestamp"))
        for resource, read in ((CPU, milli_cores), (MEMORY, whole_bytes)):
            used = [(container.get("usage") or {}).get(resource) for container in each.get("containers") or ()]
            if used and all(used):
                found[resource][name_of(each)] = Sample(sum(read(str(amount)) for amount in used), at_ms)
    return found
