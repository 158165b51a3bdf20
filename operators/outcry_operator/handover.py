"""How engines are removed: those with the highest ordinals are asked to drain, and go once they own nothing.

Nothing is kept between two ticks and every step may be repeated, so an operator may stop and start anywhere.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from outcry_operator.observation import Observation, Pod, Told

TABLE_FRESH_MS: Final = 5_000  # an older table of leases says nothing about who owns nothing
DEAD_AFTER_LEASE_MS: Final = 10_000  # beyond one lease: nobody waits for a pod that is silent longer


class Steps(NamedTuple):
    """What to ask of which pods, and how many replicas to write; None: nothing is written."""

    drain: Sequence[Pod] = ()
    stay: Sequence[Pod] = ()
    replicas: int | None = None
    blocked: str = ""  # why nobody could go although the time for it is over


class Patience(NamedTuple):
    """How long an engine's lease runs, and how long a drain may take; milliseconds."""

    lease_ms: int
    drain_ms: int


def keep(seen: Observation, want: int) -> Steps:
    """Nobody has to go: whoever drains may stay, and what is missing is added."""
    stay = [pod for pod in seen.pods if _drains(seen, pod) and not pod.leaving]
    return Steps(stay=stay, replicas=want if want > seen.target.replicas else None)


def scale_in(seen: Observation, want: int, patience: Patience, now_ms: int) -> Steps:
    """Drains the ordinals from ``want`` on and removes the longest run of free ones from the top."""
    current = seen.target.replicas
    by_ordinal = {pod.ordinal: pod for pod in seen.pods}
    staying = [pod for pod in seen.pods if pod.ordinal < want]
    leaving = [pod for pod in seen.pods if want <= pod.ordinal < current and not pod.leaving]
    stay = [pod for pod in staying if _drains(seen, pod) and not pod.leaving]
    tail = 0
    for ordinal in range(current - 1, want - 1, -1):
        name = by_ordinal[ordinal].name if ordinal in by_ordinal else f"{seen.target.name}-{ordinal}"
        if not _is_free(seen, name, staying, patience, now_ms=now_ms):
            break
        tail += 1
    if tail:
        return Steps(drain=leaving, stay=stay, replicas=current - tail)
    return Steps(drain=leaving, stay=stay, blocked=_blocked(seen, leaving, patience, now_ms))


def _drains(seen: Observation, pod: Pod) -> bool:
    return pod.name in seen.told and bool(seen.told[pod.name].draining_since_ms)


def _is_free(seen: Observation, name: str, staying: Sequence[Pod], patience: Patience, *, now_ms: int) -> bool:
    """Whether a pod can go: somebody who stays has seen lately that it owns nothing, and it says so or is dead."""
    if not any(_table_clears(table, name, now_ms) for table in _tables(seen, staying)):
        return False
    told = seen.told.get(name)
    if told is not None:
        return bool(told.draining_since_ms) and not told.owned
    silent_ms = now_ms - seen.silent_since_ms.get(name, now_ms)
    return silent_ms >= patience.lease_ms + DEAD_AFTER_LEASE_MS


def _tables(seen: Observation, staying: Sequence[Pod]) -> Iterator[Told]:
    return (seen.told[pod.name] for pod in staying if pod.ready and pod.name in seen.told)


def _table_clears(told: Told, name: str, now_ms: int) -> bool:
    is_fresh = bool(told.leases) and now_ms - told.leases_at_ms < TABLE_FRESH_MS
    return is_fresh and not any(row.pod == name and not row.halted for row in told.leases)


def _blocked(seen: Observation, leaving: Sequence[Pod], patience: Patience, now_ms: int) -> str:
    """Why nobody goes, once the oldest drain has taken too long."""
    drains = [(seen.told[pod.name].draining_since_ms, pod) for pod in leaving if _drains(seen, pod)]
    silent = [(seen.silent_since_ms[pod.name], pod) for pod in leaving if pod.name in seen.silent_since_ms]
    since_ms, pod = min([*drains, *silent], key=lambda each: each[0], default=(now_ms, None))
    if pod is None or now_ms - since_ms <= patience.drain_ms:
        return ""
    told = seen.told.get(pod.name)
    if told is None:
        return f"{pod.name} does not answer and still has leases"
    owned = [str(row.part) for row in told.owned]
    if owned:
        return f"{pod.name} still owns partition {', '.join(owned)}"
    return f"{pod.name} owns nothing, but no ready engine that stays has a fresh table of leases that says so"
