"""The last look at each policy's workload, as ``GET /v1/pools/<name>`` tells it: which engine has which partition."""

from typing import Any

from outcry_operator.observation import Observation
from outcry_operator.plan import Decision


def pool_told(decision: Decision, seen: Observation, now_ms: int) -> dict[str, Any]:
    """One pool: its pods, and its partitions with owner and depth."""
    rows = seen.partitions()
    leases, leases_at_ms = seen.lease_table()
    return {
        "workload": {"kind": seen.target.kind, "name": seen.target.name},
        "replicas": decision.current,
        "desired": decision.want,
        "reason": decision.reason,
        "looked_at_ms": now_ms,
        "leases_at_ms": leases_at_ms,
        "pods": [
            {
                "pod": pod.name,
                "track": pod.track,
                "ready": pod.ready,
                "leaving": pod.leaving,
                "answers": pod.name in seen.told,
                "draining_since_ms": (seen.told[pod.name].draining_since_ms or None) if pod.name in seen.told else None,
            }
            for pod in [*seen.pods, *seen.canary_pods]
        ],
        "partitions": [
            {
                "partition": lease.part,
                "owner": lease.owner,
                "epoch": lease.epoch,
                "state": rows[lease.part].state if lease.part in rows else ("halted" if lease.halted else "unknown"),
                "depth": rows[lease.part].depth if lease.part in rows else None,
                "lag_ms": rows[lease.part].lag_ms if lease.part in rows else None,
            }
            for lease in sorted(leases)
        ],
    }
