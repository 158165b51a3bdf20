"""Several engines on one store, as several processes would be: started, killed, hung, and under load."""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from outcry.leases import Lease, Leased, Member, Table, pod_of
from outcry.ports import Outcome
from outcry.roles.engine.engine import Engine
from outcry.rows import PartBatch, PartitionRow
from tests.support.engine_room import ANN, BEN, EngineRoom, engine_room

RENEWED_MS = 1_000  # engines renew as if leases were so short; those of the store may be longer


class Hanging:
    """An engine's way to ledger and leases, which stands still while the process is stopped."""

    def __init__(self, ledger: Any, lease: Lease) -> None:
        self._ledger = ledger
        self._lease = lease
        self.runs = asyncio.Event()
        self.runs.set()
        self.refused = 0  # commits that named fewer partitions than were given

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger if hasattr(self._ledger, name) else self._lease, name)

    async def commit(self, parts: Sequence[PartBatch]) -> set[int]:
        await self.runs.wait()
        named: set[int] = await self._ledger.commit(parts)
        self.refused += len(named) < len(parts)
        return named

    async def renew(self, epochs: Mapping[int, int]) -> set[int]:
        await self.runs.wait()
        return await self._lease.renew(epochs)

    async def look(self) -> Table:
        await self.runs.wait()
        return await self._lease.look()

    async def join(self, member: Member) -> None:
        await self.runs.wait()
        await self._lease.join(member)

    async def takeover(self, part: int, owner: str) -> PartitionRow | None:
        await self.runs.wait()
        return await self._lease.takeover(part, owner)


class Fleet:
    """Engines by pod; ``told`` counts how often each command was answered."""

    def __init__(self, room: EngineRoom) -> None:
        self.room = room
        self.engines: dict[str, Engine] = {}
        self.ways: dict[str, Hanging] = {}
        self.told: Counter[int] = Counter()
        self.pauses: dict[int, float] = {}  # the longest time without an outcome, by partition
        self._at: dict[int, float] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        room.feed.on_outcome(self._note)

    def _note(self, outcome: Outcome) -> None:
        now = asyncio.get_running_loop().time()
        self.told[outcome.command_id] += 1
        before = self._at.get(outcome.part, now)
        self.pauses[outcome.part] = max(self.pauses.get(outcome.part, 0.0), now - before)
        self._at[outcome.part] = now

    async def launch(self, pod: str, **more: Any) -> Engine:
        """Starts one more engine."""
        store = await self.room.process()
        way = self.ways[pod] = Hanging(store.ledger, store.lease)
        parts = {"ledger": way, "lease": way, "owner": f"{pod}/1", "lease_ms": RENEWED_MS} | more
        engine = self.engines[pod] = self.room.new_engine(**parts)
        await engine.start()
        self._running[pod] = asyncio.create_task(engine.run())
        return engine

    async def kill(self, pod: str) -> None:
        """Ends an engine without a word."""
        self.ways[pod].runs.clear()
        running = self._running.pop(pod)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await self.engines.pop(pod).copies.close()

    async def depart(self, pod: str, seconds: float = 10.0) -> bool:
        """Lets an engine hand everything over, and stops it."""
        engine = self.engines.pop(pod)
        gone = await engine.depart(seconds)
        await engine.stop()
        await self._running.pop(pod)
        return gone

    async def leases(self) -> dict[int, Leased]:
        return {row.part: row for row in (await self.room.store.lease.look()).leases}

    async def owned(self) -> dict[str, int]:
        """How many partitions each pod works on."""
        counts = Counter(pod_of(row.owner or "") for row in (await self.leases()).values())
        return {pod: counts[pod] for pod in self.engines}

    async def until_owned(self, seconds: float = 60.0, **wanted: int) -> None:
        """Waits until the engines have so many partitions each, loaded and working."""
        async with asyncio.timeout(seconds):
            while {pod: len(engine.sessions) for pod, engine in self.engines.items()} != wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def load(self, seconds: float) -> list[int]:
        """Orders in every partition for a while; returns their command ids."""
        async with self.loaded() as sent:
            await asyncio.sleep(seconds)
        return sent

    @contextlib.asynccontextmanager
    async def loaded(self) -> AsyncIterator[list[int]]:
        """Orders in every partition while the block lasts, the first before it and the last behind it; their ids."""
        sent: list[int] = []
        ends = asyncio.Event()
        sending = asyncio.create_task(self._send(sent, ends))
        try:
            await self.room.until(lambda: bool(sent) or sending.done())
            yield sent
        finally:
            ends.set()
            await sending

    async def _send(self, sent: list[int], ends: asyncio.Event) -> None:
        for n in itertools.count():
            side, account = ("buy", ANN) if n % 2 else ("sell", BEN)
            orders = [self.room.order(f"{side} 1@{1000 + n % 5}", account, part) for part in self.room.partitions]
            placed = await self.room.hold(*orders)
            await self.room.journal(placed)
            sent += [order.command_id for order in placed]
            if ends.is_set():
                return
            await asyncio.sleep(0.005)

    async def mend(self, part: int) -> None:
        """Two people have the first command of the record passed over at which a partition stands, and it goes on."""
        ledger = self.room.store.ledger
        row = next(row for row in await ledger.partitions() if row.part == part)
        for person in ("ann", "ben"):
            await ledger.approve_skip((part, row.next_offset, 0), "a stranger", person)
        assert await ledger.resume_partition(part, "ann")

    async def assert_answered(self, commands: Sequence[int]) -> None:
        """Each command was answered exactly once."""
        await self.room.caught_up()
        await self.room.until(lambda: all(command in self.told for command in commands))
        assert [command for command in commands if self.told[command] != 1] == []


@contextlib.asynccontextmanager
async def fleet(folder: Path, partitions: int = 4, kind: type[EngineRoom] = EngineRoom) -> AsyncIterator[Fleet]:
    """A founded room whose own engine has stopped; at the end everything in it is sound."""
    async with engine_room(folder, partitions=partitions, started=False, kind=kind) as room:
        made = Fleet(room)
        try:
            yield made
        finally:
            for way in made.ways.values():
                way.runs.set()
            for pod in list(made.engines):
                await made.engines[pod].stop()
                await asyncio.gather(made._running[pod], return_exceptions=True)
