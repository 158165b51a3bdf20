"""A cluster of processes whose every link runs through a proxy, and the faults that can strike it."""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
import redis

from tests.support.links import Link

ROOT: Final = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "infra" / "local"))
import cluster as local  # noqa: E402
import components  # noqa: E402

ROLES: Final = ("api", "engine", "stream")
STORES: Final = {
    "kafka": "OUTCRY_KAFKA", "postgres": "OUTCRY_POSTGRES", "fanout": "OUTCRY_REDIS_FANOUT",
    "state": "OUTCRY_REDIS_STATE",
}  # fmt: skip
LOOK_SECONDS: Final = 0.1
READY_SECONDS: Final = 90.0
RESTARTS: Final = 20  # attempts to start a component again: a killed PostgreSQL leaves children that have to end first
PAUSE_SECONDS: Final = (2.0, 8.0)
DOWN_SECONDS: Final = (0.0, 3.0)
HARD_SECONDS: Final = (2.0, 5.0)  # of a link in trouble
LATENCY_SECONDS: Final = (0.02, 0.2)
SLICE_BYTES: Final = (1, 64)


@dataclass(frozen=True)
class Fault:
    """What strikes, in words, and the deed, which ends when the trouble does."""

    name: str
    strike: Callable[[], Awaitable[Any]]

    @property
    def kind(self) -> str:
        return self.name.split()[0]

    @property
    def is_outage(self) -> bool:
        """Whether nothing can recover before the trouble ends: a component or a link is away."""
        return self.kind not in ("kill", "pause", "backends", "flush", "half-open")


class Stricken:
    """``start``, draw faults, ``stop``. All in one event loop, which also carries the links."""

    def __init__(self, folder: Path, environ: dict[str, str], *, port: int, brief: bool) -> None:
        self.folder = folder
        self.links: dict[tuple[str, str], Link] = {}
        self.cluster = local.Cluster(folder, port=port, environ=environ)
        self._scale = 0.5 if brief else 1.0  # of every duration
        self._keeper: asyncio.Task[None] | None = None
        self.restarts = 0

    async def start(self) -> None:
        """Raises components.Trouble."""
        await asyncio.to_thread(self.folder.mkdir, parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        await self._open_links()
        await asyncio.to_thread(self.cluster.start)
        self._keeper = asyncio.create_task(self._keep())
        await self.ready()

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        for link in self.links.values():
            link.heal()
        for process in self.cluster.processes.values():
            process.tell(signal.SIGCONT)
        await asyncio.to_thread(self.cluster.stop)
        for link in self.links.values():
            await link.close()

    async def ready(self) -> None:
        """Waits until every role says that it is ready. Raises components.Trouble with the end of a log."""
        deadline = time.monotonic() + READY_SECONDS
        for process in self.cluster.processes.values():
            while not await asyncio.to_thread(process.ready):
                if time.monotonic() > deadline:
                    tail = "\n".join(process.log.read_text(errors="replace").splitlines()[-15:])
                    raise components.Trouble(f"{process.name} does not recover; its log ends with:\n{tail}")
                await asyncio.sleep(LOOK_SECONDS)

    def keys(self) -> list[tuple[str, str]]:
        """The keys of the two demo accounts."""
        kept = json.loads((self.folder / "keys.json").read_text())
        return [tuple(kept[account]) for account in ("1001", "1002")]

    def apis(self) -> list[str]:
        return [process.url for process in self.cluster.processes.values() if process.verb == "api"]

    async def verify(self) -> tuple[bool, str]:
        """Whether every invariant holds, and what `outcry verify` said. It reaches the components directly."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "outcry", "verify", "--no-streams", env={**os.environ, **self.cluster.shared},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        return process.returncode == 0, said.decode(errors="replace")

    def faults(self) -> list[Callable[[random.Random], Fault]]:
        """One drawer for each kind of fault."""
        return [
            self._kill, self._kill, self._pause, self._pause, self._backends, self._broker, self._postgres,
            self._flush, self._redis, self._slow, self._slice, self._cut, self._silent, self._half_open,
        ]  # fmt: skip

    async def _keep(self) -> None:
        """Starts again what has ended, as Kubernetes would."""
        while True:
            self.restarts += len(self.cluster.look())
            await asyncio.sleep(LOOK_SECONDS)

    async def _open_links(self) -> None:
        taken: set[int] = set()
        listeners = []
        for role in ROLES:
            for store in STORES:
                listens = _free_port(taken) if store == "kafka" else components.port_of(_made(self.folder / store))
                link = self.links[role, store] = Link(f"{role}-{store}", listens, _free_port(taken))
                await link.open()
                if store == "kafka":
                    listeners.append(f"{role.upper()} {listens} {link.port}\n")
            self.cluster.environ_of[role] = {
                variable: components.COMPONENTS[store].url(self.links[role, store].port)
                for store, variable in STORES.items()
            }
        (_made(self.folder / "kafka") / "listeners").write_text("".join(listeners))

    def _kill(self, dice: random.Random) -> Fault:
        process = self.cluster.processes[dice.choice(sorted(self.cluster.processes))]

        async def strike() -> None:
            process.tell(signal.SIGKILL)

        return Fault(f"kill {process.name}", strike)

    def _pause(self, dice: random.Random) -> Fault:
        process = self.cluster.processes[dice.choice(sorted(self.cluster.processes))]
        seconds = self._some(dice, PAUSE_SECONDS)

        async def strike() -> None:
            process.tell(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            process.tell(signal.SIGCONT)

        return Fault(f"pause {process.name} {seconds:.1f} s", strike)

    def _backends(self, dice: random.Random) -> Fault:
        role = dice.choice(ROLES[:2])

        async def strike() -> None:
            ports = self.links[role, "postgres"].server_side_ports()
            with contextlib.suppress(psycopg.Error):
                await asyncio.to_thread(_end_backends, self.cluster.shared["OUTCRY_POSTGRES"], ports)

        return Fault(f"backends of {role}", strike)

    def _broker(self, dice: random.Random) -> Fault:
        if dice.random() < 0.3:
            return self._freeze(dice, "kafka", "broker paused")
        return self._restart(dice, "kafka", "broker")

    def _postgres(self, dice: random.Random) -> Fault:
        return self._restart(dice, "postgres", "postgres")

    def _redis(self, dice: random.Random) -> Fault:
        store = dice.choice(["fanout", "state"])
        return self._restart(dice, store, f"redis {store}")

    def _restart(self, dice: random.Random, store: str, name: str) -> Fault:
        how, seconds = dice.choice([signal.SIGKILL, None]), self._some(dice, DOWN_SECONDS)

        async def strike() -> None:
            await asyncio.to_thread(components.stop, self.folder, [store], how)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(_start_again, self.folder, store)

        return Fault(f"{name} {'killed' if how else 'stopped'}, down {seconds:.1f} s", strike)

    def _freeze(self, dice: random.Random, store: str, name: str) -> Fault:
        seconds = self._some(dice, HARD_SECONDS)

        async def strike() -> None:
            pid = int((self.folder / store / "pid").read_text())
            _send(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(seconds)
            finally:
                _send(pid, signal.SIGCONT)

        return Fault(f"{name} {seconds:.1f} s", strike)

    def _flush(self, dice: random.Random) -> Fault:
        store = dice.choice(["fanout", "state"])

        async def strike() -> None:
            with contextlib.suppress(redis.RedisError):
                await asyncio.to_thread(_flush_all, self.cluster.shared[STORES[store]])

        return Fault(f"flush {store}", strike)

    def _slow(self, dice: random.Random) -> Fault:
        link, seconds, latency = self._link(dice), self._some(dice, HARD_SECONDS), dice.uniform(*LATENCY_SECONDS)
        change = partial(setattr, link, "latency_seconds", latency)
        return Fault(
            f"latency {link.name} {latency * 1000:.0f} ms for {seconds:.1f} s", self._on(link, seconds, change)
        )

    def _slice(self, dice: random.Random) -> Fault:
        link, seconds, size = self._link(dice), self._some(dice, HARD_SECONDS), dice.randint(*SLICE_BYTES)
        change = partial(setattr, link, "slice_bytes", size)
        return Fault(f"slices {link.name} of {size} bytes for {seconds:.1f} s", self._on(link, seconds, change))

    def _cut(self, dice: random.Random) -> Fault:
        link, seconds = self._link(dice), self._some(dice, DOWN_SECONDS)

        def change() -> None:
            link.is_closed = True
            link.cut()

        return Fault(f"cut {link.name} for {seconds:.1f} s", self._on(link, seconds, change))

    def _silent(self, dice: random.Random) -> Fault:
        link, seconds = self._link(dice), self._some(dice, HARD_SECONDS)
        change = partial(setattr, link, "is_silent", True)
        return Fault(f"silence {link.name} for {seconds:.1f} s", self._on(link, seconds, change))

    def _half_open(self, dice: random.Random) -> Fault:
        link = self._link(dice)
        return Fault(f"half-open {link.name}", self._on(link, 0.0, link.lose_servers))

    def _link(self, dice: random.Random) -> Link:
        role = dice.choice(["api", "api", "engine", "engine", "stream"])
        return self.links[role, dice.choice(sorted(STORES))]

    def _on(self, link: Link, seconds: float, change: Callable[[], Any]) -> Callable[[], Awaitable[None]]:
        async def strike() -> None:
            change()
            await asyncio.sleep(seconds)
            link.heal()

        return strike

    def _some(self, dice: random.Random, bounds: tuple[float, float]) -> float:
        return dice.uniform(*bounds) * self._scale


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _free_port(taken: set[int]) -> int:
    port = next(
        p for p in iter(lambda: random.randrange(10_000, 30_000), 0) if p not in taken and components.is_free(p)
    )
    taken.add(port)
    return port


def _start_again(folder: Path, store: str) -> None:
    for attempt in range(RESTARTS):
        try:
            components.start(folder, [store])
        except components.Trouble:
            if attempt + 1 == RESTARTS:
                raise
        else:
            return


def _send(pid: int, how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)


def _end_backends(url: str, ports: Sequence[int]) -> None:
    with psycopg.connect(url, autocommit=True, connect_timeout=2) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_port = ANY(%s)", (list(ports),)
        )


def _flush_all(url: str) -> None:
    parts = urlsplit(url)
    with redis.Redis(host=parts.hostname or "", port=parts.port or 0, socket_timeout=2) as server:
        server.flushall()
