"""What one round looks at: every policy and every release of the namespace, each by its own rules."""

from dataclasses import dataclass
from typing import Final

from outcry_operator.kube import Object
from outcry_operator.observe import World
from outcry_operator.ticks import PLURAL, PolicyTicks

INSTANCE: Final = "app.kubernetes.io/instance"


@dataclass
class Rounds:
    """The objects of one release, or of the whole namespace where ``release`` is ""."""

    world: World
    policies: PolicyTicks
    release: str = ""

    @property
    def selector(self) -> str:
        return f"{INSTANCE}={self.release}" if self.release else ""

    def list(self) -> list[Object]:
        """All objects. Raises Trouble."""
        found = self.world.cluster.items(self.world.paths.outcry(PLURAL), self.selector)
        self.policies.forget(found)
        return found

    def supervise_look(self, found: Object) -> None:
        """One object. Raises Conflict where it must be looked at again soon."""
        self.policies.supervise_tick(found)
