"""What one round looks at: every policy and every release of the namespace, each by its own rules."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from outcry_operator.canary import ticks as canary_ticks
from outcry_operator.canary.ticks import CanaryTicks, release_of
from outcry_operator.kube import Object
from outcry_operator.observe import NO_RELEASE, Release, World
from outcry_operator.resource import Malformed
from outcry_operator.ticks import PLURAL, PolicyTicks

INSTANCE: Final = "app.kubernetes.io/instance"


@dataclass
class Rounds:
    """The objects of one release, or of the whole namespace where ``release`` is ""."""

    world: World
    policies: PolicyTicks
    canaries: CanaryTicks
    release: str = ""
    _policies: Sequence[Object] = field(default_factory=list)
    _canaries: Sequence[Object] = field(default_factory=list)

    @property
    def selector(self) -> str:
        return f"{INSTANCE}={self.release}" if self.release else ""

    def list(self) -> list[Object]:
        """All objects, policies first: a release divides what its policy wants. Raises Trouble."""
        self._policies = self.world.cluster.items(self.world.paths.outcry(PLURAL), self.selector)
        self._canaries = self.world.cluster.items(self.world.paths.outcry(canary_ticks.PLURAL), self.selector)
        # Lists leave the kind of their items out.
        objects = [{**each, "kind": "ScalePolicy"} for each in self._policies]
        objects += [{**each, "kind": canary_ticks.KIND} for each in self._canaries]
        self.policies.forget(self._policies)
        self.canaries.forget({str(each["metadata"].get("uid", "")) for each in self._canaries})
        return objects

    def supervise_look(self, found: Object) -> bool:
        """One object; whether something is on its way there. Raises Conflict where it must be looked at again soon."""
        if found["kind"] == canary_ticks.KIND:
            turn = self.canaries.supervise_tick(found, self._policy_status(found))
            return turn is not None and (turn.drain_canary or turn.moves)
        decision = self.policies.supervise_tick(found, self._release(found))
        return decision is not None and bool(decision.steps.drain)

    def _release(self, policy: Object) -> Release:
        """The release of the policy's workload. One that cannot be read is told by its own look."""
        target = (policy.get("spec") or {}).get("targetRef")
        try:
            return next((release_of(each) for each in self._canaries if _stable(each) == target), NO_RELEASE)
        except Malformed:
            return NO_RELEASE

    def _policy_status(self, canary: Object) -> dict[str, Any]:
        """What the policy of the release's stable workload says, as of its last look."""
        for each in self._policies:
            if (each.get("spec") or {}).get("targetRef") == _stable(canary):
                path = self.world.paths.outcry(PLURAL, each["metadata"]["name"])
                return dict(self.world.cluster.get(path).get("status") or {})
        return {}


def _stable(canary: Object) -> Any:
    return (canary.get("spec") or {}).get("stableRef")
