"""Which adapter keeps which promise, and which parts make a process; no other package knows."""

from outcry.adapters.sqlite import InUse as InUse
from outcry.roles.admin.verbs import Params, Result
from outcry.roles.engine.replay import Replayed
from outcry.roles.engine.verify import Report
from outcry.settings import ClusterSettings, Settings
from outcry.wiring import at_cluster, at_rest
from outcry.wiring.embedded import serve as serve
from outcry.wiring.process import Progress


def administer(settings: Settings, verb: str, params: Params) -> tuple[Result, bool]:
    """Carries out an operator's verb; True when a running exchange did it. Raises Refused."""
    if isinstance(settings, ClusterSettings):
        return at_cluster.administer(settings, verb, params)
    return at_rest.administer(settings, verb, params)


def verify(settings: Settings, progress: Progress, *, streams: bool = True) -> Report:
    """Proves the invariants of an exchange, which may run meanwhile. Raises Refused, Damaged."""
    if isinstance(settings, ClusterSettings):
        return at_cluster.verify(settings, progress, streams=streams)
    return at_rest.verify(settings, progress, streams=streams)


def replay(settings: Settings, partition: int | None, progress: Progress) -> list[Replayed]:
    """Replays one partition or all and says where each stands. Raises Refused, Damaged."""
    if isinstance(settings, ClusterSettings):
        return at_cluster.replay(settings, partition, progress)
    return at_rest.replay(settings, partition, progress)
