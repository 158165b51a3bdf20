"""A closed circuit: a load, pods that need 20 s to start, and a policy that looks at them every 15 s."""

from collections.abc import Callable
from typing import Final, NamedTuple

from outcry_operator.memory import Memory, memory_of, remembered
from outcry_operator.observation import Observation, Pod, Sample
from outcry_operator.plan import Asked, plan
from tests.world.pools import NOW_MS, PATIENCE, pod, workload

START_MS: Final = 20_000
PERIOD_MS: Final = 15_000


class Point(NamedTuple):
    """One look: when, how many pods there were, how many are wanted."""

    at_ms: int
    replicas: int
    want: int


def run(asked: Asked, cores: Callable[[int], float], *, seconds: int, replicas: int = 1) -> list[Point]:
    """The course of a Deployment whose pods share so many cores of work; ``cores`` gets the seconds since the start.

    What the policy remembers passes through its status each time, as if the operator restarted at every look.
    """
    memory, pods, points = Memory(), [pod(f"api-{place}") for place in range(replicas)], []
    for at_ms in range(NOW_MS, NOW_MS + seconds * 1000, PERIOD_MS):
        pods = [_started(each, at_ms) for each in pods]
        seen = _seen(pods, cores((at_ms - NOW_MS) // 1000), at_ms)
        decision = plan(asked, memory, seen, at_ms, patience=PATIENCE)
        points.append(Point(at_ms - NOW_MS, len(pods), decision.want))
        memory = memory_of(remembered(decision.memory))
        if decision.steps.replicas is not None:
            born = [
                pod(f"api-{at_ms}-{n}", ready=False, ready_since_ms=at_ms) for n in range(decision.want - len(pods))
            ]
            pods = [*pods, *born][: decision.want]
    return points


def _started(each: Pod, at_ms: int) -> Pod:
    """While a pod is not ready, ``ready_since_ms`` is when it was created."""
    if each.ready or at_ms < each.ready_since_ms + START_MS:
        return each
    return each._replace(ready=True, ready_since_ms=each.ready_since_ms + START_MS)


def _seen(pods: list[Pod], cores: float, at_ms: int) -> Observation:
    ready = [each for each in pods if each.ready]
    each_uses = round(1000 * cores / max(len(ready), 1))
    used = {each.name: Sample(each_uses if each.ready else 0, at_ms) for each in pods}
    return Observation(workload("api", len(pods)), pods, usage={"cpu": used})
