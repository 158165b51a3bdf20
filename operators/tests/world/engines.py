"""Engines that keep the promises of their admin port: leases that run out, drains, reservations, shadows; one model.

All of them listen on one port, each at an address 127.0.0.x of its own, as pods do. Time is moved by hand.
"""

from dataclasses import dataclass, field
from typing import Any

from tests.world.quickserver import JsonCall, QuickServer

LEASE_MS = 6_000
RESERVED_MS = 3_000
MOVED_AT_ONCE = 2
TOKEN = "secret"


@dataclass
class Row:
    """One lease."""

    owner: str | None = None  # pod/incarnation, or a bare pod while reserved
    epoch: int = 0
    expires_ms: int = 0
    halted: bool = False

    @property
    def pod(self) -> str:
        return (self.owner or "").partition("/")[0]


@dataclass
class Engine:
    """One process."""

    pod: str
    life: int = 1
    claim: str = "share"
    answers: bool = True
    draining_since_ms: int = 0
    for_good: bool = False  # a signal began the drain
    depth: dict[int, int] = field(default_factory=dict)
    shadowed: list[int] = field(default_factory=list)
    hashes: dict[int, list[Any]] = field(default_factory=dict)
    connections: int = 0
    metrics: str = ""

    @property
    def owner(self) -> str:
        return f"{self.pod}/{self.life}"


class EngineRoom:
    """The table of leases and the engines that live."""

    def __init__(self, partitions: int, now_ms: int) -> None:
        self.now_ms = now_ms
        self.rows = {part: Row() for part in range(partitions)}
        self.engines: dict[str, Engine] = {}  # by address
        self.calls: list[tuple[str, str, str]] = []
        self._server = QuickServer("0.0.0.0", _Call, self)

    @property
    def port(self) -> int:
        return self._server.server_port

    def stop(self) -> None:
        self._server.stop()

    def owned(self, engine: Engine) -> list[int]:
        return [part for part, row in self.rows.items() if row.owner == engine.owner]

    def advance(self, ms: int) -> None:
        """Lets time pass in steps of a second: renew, hand over, claim."""
        for _ in range(max(ms // 1000, 1)):
            self.now_ms += min(ms, 1000)
            for engine in self._living():
                self._renew(engine)
            for engine in self._living():
                self._hand_over(engine)
            for engine in self._living():
                self._claim(engine)

    def _living(self) -> list[Engine]:
        return sorted((each for each in self.engines.values() if each.answers), key=lambda each: each.pod)

    def _renew(self, engine: Engine) -> None:
        for part in self.owned(engine):
            if not self.rows[part].halted:
                self.rows[part].expires_ms = self.now_ms + LEASE_MS

    def _sharing(self) -> list[Engine]:
        return [each for each in self._living() if each.claim == "share" and not each.draining_since_ms]

    def _hand_over(self, engine: Engine) -> None:
        if not engine.draining_since_ms or not self._sharing():
            return
        mine = [part for part in self.owned(engine) if not self.rows[part].halted]
        for part in mine[:MOVED_AT_ONCE]:
            to = min(self._sharing(), key=lambda each: (len(self.owned(each)), each.pod))
            self.rows[part] = Row(to.pod, self.rows[part].epoch + 1, self.now_ms + RESERVED_MS)

    def _claim(self, engine: Engine) -> None:
        if engine.draining_since_ms:
            return
        share = -(-len(self.rows) // max(len(self._sharing()), 1))
        for part, row in self.rows.items():
            is_reserved = "/" not in (row.owner or "/") and row.expires_ms > self.now_ms
            is_free = not row.halted and row.expires_ms <= self.now_ms
            may_share = engine.claim == "share" and len(self.owned(engine)) < share
            if (row.owner == engine.pod and is_reserved) or (is_free and may_share):
                self._take(engine, part)

    def _take(self, engine: Engine, part: int) -> None:
        self.rows[part] = Row(engine.owner, self.rows[part].epoch + 1, self.now_ms + LEASE_MS)

    def status(self, engine: Engine) -> dict[str, Any]:
        owned = [self._row(engine, part) for part in self.owned(engine)]
        leases = [
            {
                "partition": part, "owner": row.owner, "epoch": row.epoch,
                "expires_in_ms": row.expires_ms - self.now_ms if row.owner else None, "halted": row.halted,
            }
            for part, row in self.rows.items()
        ]  # fmt: skip
        return {
            "pod": engine.pod, "uid": engine.pod, "track": "stable", "revision": "r1", "ready": True,
            "claim": engine.claim, "draining_since_ms": engine.draining_since_ms or None,
            "connections": engine.connections, "queue_depth": sum(engine.depth.values()),
            "owned": owned, "leases": leases, "leases_age_ms": 100,
        }  # fmt: skip

    def _row(self, engine: Engine, part: int) -> dict[str, Any]:
        depth, row = engine.depth.get(part, 0), self.rows[part]
        return {
            "partition": part, "epoch": row.epoch, "next_offset": 100, "end_offset": 100 + depth, "depth": depth,
            "lag_ms": 0, "state": "halted" if row.halted else "running", "reason": "",
        }  # fmt: skip

    def answer(self, address: str, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Status and body; status 0 where nobody answers."""
        engine = self.engines.get(address)
        if engine is None or not engine.answers:
            return 0, None
        self.calls.append((method, engine.pod, path))
        if path == "/metrics":
            return 200, engine.metrics
        if (method, path) == ("GET", "/v1/status"):
            return 200, self.status(engine)
        if path.startswith("/v1/hashes?partition="):
            return self._hashes(engine, int(path.partition("=")[2]))
        if path == "/v1/drain":
            return 200, self._drain(engine, method)
        if (method, path) == ("PUT", "/v1/shadow"):
            return self._shadow(engine, body["partitions"])
        if path.endswith("/release"):
            return self._release(engine, int(path.split("/")[3]), body["to"])
        return 404, {"error": "no such call"}

    def _hashes(self, engine: Engine, part: int) -> tuple[int, dict[str, Any]]:
        if part not in {*self.owned(engine), *engine.shadowed}:
            return 404, {"error": f"partition {part} is neither owned nor shadowed here"}
        windows = engine.hashes.get(part, [])
        return 200, {"partition": part, "version": 1, "window_offsets": 100, "windows": windows, "failure": ""}

    def _shadow(self, engine: Engine, parts: list[int]) -> tuple[int, dict[str, Any]]:
        if not {*parts} <= self.rows.keys():
            return 400, {"error": f"partitions must be a list of numbers from 0 to {max(self.rows)}"}
        engine.shadowed = parts
        return 200, {"partitions": parts, "version": 1}

    def _drain(self, engine: Engine, method: str) -> dict[str, Any]:
        if method == "POST":
            engine.draining_since_ms = engine.draining_since_ms or self.now_ms
        elif not engine.for_good:
            engine.draining_since_ms = 0
        return {"draining_since_ms": engine.draining_since_ms or None, "remaining": self.owned(engine)}

    def _release(self, engine: Engine, part: int, to: str) -> tuple[int, dict[str, Any]]:
        if part not in self.rows:
            return 404, {"error": f"there is no partition {part}"}
        if self.rows[part].pod == to:
            return 200, {"partition": part, "to": to, "done": True}
        if part not in self.owned(engine):
            return 409, {"error": f"partition {part} is not this engine's, or is not running"}
        if to not in {each.pod for each in self.engines.values()}:
            return 409, {"error": f"there is no engine {to}"}
        self.rows[part] = Row(to, self.rows[part].epoch + 1, self.now_ms + RESERVED_MS)
        return 202, {"partition": part, "to": to, "done": False}


class _Call(JsonCall):
    def _answer(self) -> None:
        body = self.asked()
        if self.command != "GET" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.told(401, {"error": "the bearer token is missing or wrong"})
        address = self.headers["Host"].partition(":")[0]
        status, found = self.server.keeper.answer(address, self.command, self.path, body)
        if status == 0:
            self.close_connection = True
            return None
        return self.told(status, found)

    do_GET = do_POST = do_PUT = do_DELETE = _answer
