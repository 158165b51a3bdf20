"""Leases of several processes on one PostgreSQL: who hangs is replaced, and no share flaps."""

import asyncio
import time
from collections.abc import AsyncIterator

import psycopg
import pytest

from outcry.adapters.postgres import PgStore
from outcry.leases import Lease, Member, pod_of
from tests.support.postgres import DatabaseClock, migrated_database

PARTITIONS = 12
PODS = ("pod-a/1", "pod-b/1", "pod-c/1")


class Processes:
    """Three processes on one database, each with connections of its own."""

    def __init__(self, url: str, clock: DatabaseClock) -> None:
        self.url = url
        self.clock = clock
        self.stores = {owner: PgStore(url) for owner in PODS}

    def lease(self, owner: str) -> Lease:
        return self.stores[owner].lease

    async def owned(self) -> dict[str, int]:
        """How many partitions each pod has or will have."""
        counts = dict.fromkeys(map(pod_of, PODS), 0)
        for row in (await self.lease(PODS[0]).look()).leases:
            counts[pod_of(row.owner or "")] += 1
        return counts

    def locked_by(self, owner: str, part: int) -> psycopg.Connection:
        """A connection that has the partition's row locked and passes for the owner's backend."""
        hung = psycopg.connect(self.url)
        pid = hung.info.backend_pid
        with psycopg.connect(self.url, autocommit=True) as other:
            other.execute(
                "UPDATE engine_partition SET owner = %s, owner_pid = %s,"
                " owner_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = %s) WHERE part = %s",
                (owner, pid, pid, part),
            )
        hung.execute("SELECT * FROM engine_partition WHERE part = %s FOR UPDATE", (part,))
        return hung


@pytest.fixture
async def processes() -> AsyncIterator[Processes]:
    with migrated_database() as url:
        clock = DatabaseClock(url)
        three = Processes(url, clock)
        for store in three.stores.values():
            await store.open()
        try:
            yield three
        finally:
            for store in three.stores.values():
                await store.close()
            clock.close()


async def test_an_owner_that_hangs_with_the_row_locked_is_replaced_when_its_lease_is_gone(processes: Processes) -> None:
    await processes.lease("pod-a/1").takeover(0, "pod-a/1")
    hung = processes.locked_by("pod-a/1", 0)
    processes.clock.ms += 6_001
    begin = time.monotonic()
    taken = await processes.lease("pod-b/1").takeover(0, "pod-b/1")
    assert taken is not None and taken.epoch == 2
    assert time.monotonic() - begin < 20
    with pytest.raises(psycopg.OperationalError):
        hung.execute("SELECT 1")
    hung.close()


async def test_an_owner_whose_lease_runs_is_never_ended(processes: Processes) -> None:
    await processes.lease("pod-a/1").takeover(0, "pod-a/1")
    busy = processes.locked_by("pod-a/1", 0)
    assert await processes.lease("pod-b/1").takeover(0, "pod-b/1") is None
    busy.execute("SELECT 1")
    busy.rollback()
    busy.close()
    assert (await processes.lease("pod-b/1").renew({0: 1})) == {0}, "the epoch is the old one still"


async def test_an_owner_ends_the_former_backend_of_its_own_at_once(processes: Processes) -> None:
    await processes.lease("pod-a/1").takeover(0, "pod-a/1")
    hung = processes.locked_by("pod-a/1", 0)
    taken = await processes.lease("pod-a/1").takeover(0, "pod-a/1")
    assert taken is not None and taken.epoch == 2
    hung.close()


async def test_a_new_owner_is_not_ended_by_who_looks_for_the_old_one(processes: Processes) -> None:
    """RELEASE and RESERVE clear the backend, so that nobody takes the former owner for the present one."""
    lease = processes.lease("pod-a/1")
    await lease.takeover(0, "pod-a/1")
    await lease.reserve(0, 1, "pod-b")
    await lease.takeover(1, "pod-a/1")
    await lease.release(1, 1)
    with psycopg.connect(processes.url) as database:
        rows = database.execute("SELECT owner_pid, owner_start FROM engine_partition").fetchall()
    assert rows == [(None, None), (None, None)]


async def test_two_processes_with_one_pod_name_do_not_take_from_each_other(processes: Processes) -> None:
    first, second = processes.lease("pod-a/1"), processes.lease("pod-b/1")
    assert await first.takeover(0, "twin/1") is not None
    for _ in range(3):
        assert await second.takeover(0, "twin/2") is None
        assert await first.renew({0: 1}) == {0}


async def test_a_renewal_names_the_backend_that_replaced_a_lost_one(processes: Processes) -> None:
    lease = processes.lease("pod-a/1")
    await lease.takeover(0, "pod-a/1")
    with psycopg.connect(processes.url, autocommit=True) as database:
        (before,) = database.execute("SELECT owner_pid FROM engine_partition").fetchone() or (None,)
        database.execute("SELECT pg_terminate_backend(%s)", (before,))
        await asyncio.sleep(0.1)
        assert await lease.renew({0: 1}) == {0}
        (after,) = database.execute("SELECT owner_pid FROM engine_partition").fetchone() or (None,)
    assert after not in (None, before)


async def test_three_members_that_share_at_once_come_to_fair_shares_and_stay_there(processes: Processes) -> None:
    for part in range(PARTITIONS):
        await processes.lease("pod-a/1").takeover(part, "pod-a/1")
    for owner in PODS:
        await processes.lease(owner).join(Member(owner))
    moves = 0
    for _ in range(40):
        rounds = await asyncio.gather(*(give_one(processes, owner) for owner in PODS))
        moves += sum(rounds)
        for owner in PODS:
            await take_reserved(processes.lease(owner), owner)
    assert await processes.owned() == {"pod-a": 4, "pod-b": 4, "pod-c": 4}
    assert moves == 8, "nothing was handed to and fro"


async def give_one(processes: Processes, owner: str) -> bool:
    """Hands one partition to whoever seems to have the fewest; everybody decides at the same moment."""
    lease, counts = processes.lease(owner), await processes.owned()
    poorest = min(counts, key=lambda pod: (counts[pod], pod))
    mine = [row for row in (await lease.look()).leases if row.owner == owner]
    if not mine or poorest == pod_of(owner):
        return False
    return await lease.share(mine[0].part, mine[0].epoch, poorest)


async def take_reserved(lease: Lease, owner: str) -> None:
    for row in (await lease.look()).leases:
        if row.owner == pod_of(owner):
            assert await lease.takeover(row.part, owner) is not None
