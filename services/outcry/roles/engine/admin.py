"""What an engine answers on its admin port: what it owns, who owns the rest, and what an operator may ask of it."""

import time
from collections.abc import Sequence
from typing import Any

from outcry.leases import FREED_MS, HALT, Leased, pod_of
from outcry.ports import Clock
from outcry.roles.admin.port import Asked, Identity, Route, Told, Wrong
from outcry.roles.engine.engine import Engine
from outcry.roles.engine.witness import VERSION, WINDOW

RUNNING, LOADING, HALTED = "running", "loading", "halted"


class EngineAdmin:
    """The calls of one engine; give ``routes`` to an AdminPort."""

    def __init__(self, engine: Engine, identity: Identity, clock: Clock) -> None:
        self._engine = engine
        self._identity = identity
        self._clock = clock

    @property
    def routes(self) -> Sequence[Route]:
        return (
            Route("GET", "/v1/status", self.status),
            Route("POST", "/v1/drain", self.drain),
            Route("DELETE", "/v1/drain", self.stay),
            Route("POST", r"/v1/partitions/(?P<partition>[0-9]+)/release", self.release),
            Route("PUT", "/v1/shadow", self.shadow),
            Route("GET", "/v1/hashes", self.hashes),
        )

    def why_not_alive(self) -> str:
        """Why only a new process can help; "" otherwise."""
        engine = self._engine
        return f"{engine.lag} records wait and none is applied, though ledger and journal answer" * engine.dead

    def why_not_ready(self) -> str:
        """Ready is for good: neither lag nor a later claim takes it back."""
        return "" if self._engine.ready else "the first partitions are not loaded and caught up yet"

    def status(self, asked: Asked) -> Told:
        sharing = self._engine.sharing
        owned = self._owned()
        age_ms = self._age_ms()
        return Told(
            {
                **self._identity._asdict(),
                "ready": self._engine.ready,
                "claim": sharing.me.claim,
                "draining_since_ms": sharing.draining_since_ms or None,
                "connections": 0,
                "queue_depth": sum(row["depth"] for row in owned),
                "owned": owned,
                "leases": [_shown(row, age_ms) for row in sharing.table.leases],
                "leases_age_ms": age_ms,
            }
        )

    def drain(self, asked: Asked) -> Told:
        self._engine.sharing.drain(self._clock.now_ms())
        return self._left()

    def stay(self, asked: Asked) -> Told:
        """A drain for good, as a signal begins it, goes on."""
        self._engine.sharing.stay()
        return self._left()

    def release(self, asked: Asked) -> Told:
        """Offers the partition: it is reserved once its receiver has loaded a copy, or 10 s later without."""
        part, pod = asked.whole("partition"), _field(asked.body, "to", str)
        sharing = self._engine.sharing
        lease = next((row for row in sharing.table.leases if row.part == part), None)
        if lease is None:
            raise Wrong(404, f"there is no partition {part}")
        if lease.owner is not None and pod_of(lease.owner) == pod:
            return Told({"partition": part, "to": pod, "done": True})
        if part not in self._engine.sessions:
            raise Wrong(409, f"partition {part} is not this engine's, or is not running")
        if pod not in {member.pod for member in sharing.table.members}:
            raise Wrong(409, f"there is no engine {pod}")
        sharing.hand_over(part, pod)
        return Told({"partition": part, "to": pod, "done": False}, 202)

    def shadow(self, asked: Asked) -> Told:
        parts = _field(asked.body, "partitions", list)
        known = {row.part for row in self._engine.sharing.table.leases}
        if not all(type(part) is int and part in known for part in parts):
            raise Wrong(400, f"partitions must be a list of numbers from {min(known)} to {max(known)}")
        self._engine.sharing.shadow(parts)
        return Told({"partitions": sorted(set(parts)), "version": VERSION})

    def hashes(self, asked: Asked) -> Told:
        """Of an owned partition from the first time on that they are asked for."""
        part = asked.whole("partition")
        failure = self._engine.copies.failures.get(part, "")
        witness = self._engine.witness(part)
        if witness is None and not failure:
            raise Wrong(404, f"partition {part} is neither owned nor shadowed here")
        return Told(
            {
                "partition": part,
                "version": VERSION,
                "window_offsets": WINDOW,
                "windows": [seen._asdict() for seen in witness.windows] if witness else [],
                "failure": failure,
            }
        )

    def _left(self) -> Told:
        engine = self._engine
        remaining = sorted({*engine.sessions, *engine.loading})
        return Told({"draining_since_ms": engine.sharing.draining_since_ms or None, "remaining": remaining})

    def _age_ms(self) -> int | None:
        """How old the table of leases is; None before it was read."""
        at = self._engine.sharing.looked_at
        return round((time.monotonic() - at) * 1000) if at else None

    def _owned(self) -> list[dict[str, Any]]:
        """Running and loading partitions, and those of its that were halted."""
        engine = self._engine
        found = {part: self._row(part, epoch, LOADING) for part, epoch in engine.loading.items()}
        for lease in engine.sharing.table.leases:
            if lease.owner == engine.sharing.me.owner and lease.status == HALT:
                found[lease.part] = self._row(lease.part, lease.epoch, HALTED, lease.halt_reason or "")
        for part, session in engine.sessions.items():
            found[part] = self._row(part, session.epoch, RUNNING)
        return [found[part] for part in sorted(found)]

    def _row(self, part: int, epoch: int, state: str, reason: str = "") -> dict[str, Any]:
        progress = self._engine.progress
        return {
            "partition": part,
            "epoch": epoch,
            "next_offset": progress.committed.get(part, 0),
            "end_offset": progress.ends.get(part, 0),
            "depth": progress.depth(part),
            "lag_ms": progress.age_ms(part, self._clock.now_ms()),
            "state": state,
            "reason": reason,
        }


def _shown(row: Leased, age_ms: int | None) -> dict[str, Any]:
    left_ms = None if row.expires_in_ms == FREED_MS else row.expires_in_ms - (age_ms or 0)
    halted = row.status == HALT
    return {"partition": row.part, "owner": row.owner, "epoch": row.epoch, "expires_in_ms": left_ms, "halted": halted}


def _field(body: Any, name: str, kind: type) -> Any:
    """A field of a JSON object. Raises Wrong."""
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, kind):
        raise Wrong(400, f'the body must be a JSON object with "{name}", a {kind.__name__}')
    return value
