"""The port Lease."""

import asyncio
import time

import pytest

from outcry.leases import FREED_MS, RESERVED, Member
from outcry.ports import Damaged
from tests.support.leases import Leases
from tests.support.storage import Storage


async def test_a_takeover_raises_the_epoch(leases: Leases) -> None:
    assert [await leases.epoch() for _ in range(2)] == [1, 2]


async def test_a_running_lease_keeps_others_out(leases: Leases) -> None:
    await leases.epoch(0, "pod-a/1")
    assert await leases.lease.takeover(0, "pod-b/1") is None
    assert await leases.lease.takeover(0, "pod-a/2") is None, "another process of the same name is another owner"


async def test_an_expired_lease_is_free(leases: Leases) -> None:
    await leases.epoch(0, "pod-a/1")
    leases.clock.ms += 6_001
    assert await leases.lease.takeover(0, "pod-b/1") is not None


async def test_renewing_keeps_a_lease_alive(leases: Leases) -> None:
    epoch = await leases.epoch(0, "pod-a/1")
    leases.clock.ms += 5_000
    assert await leases.lease.renew({0: epoch, 1: 1}) == {0}
    leases.clock.ms += 5_000
    assert await leases.lease.takeover(0, "pod-b/1") is None


async def test_committing_keeps_a_lease_alive(storage: Storage) -> None:
    await storage.own(0)
    storage.clock.ms += 5_000
    await storage.commit(storage.batch())
    storage.clock.ms += 5_000
    assert await storage.lease.takeover(0, "other/1") is None


async def test_a_stale_epoch_renews_halts_releases_and_gives_nothing(leases: Leases) -> None:
    old = await leases.epoch(0, "pod-a/1")
    leases.clock.ms += 6_001
    new = await leases.epoch(0, "pod-b/1")
    assert await leases.lease.renew({0: old}) == set()
    await leases.lease.halt(0, old, "old")
    await leases.lease.release(0, old)
    await leases.lease.reserve(0, old, "pod-c")
    row = await leases.row()
    assert (row.owner, row.epoch, row.status, row.expires_in_ms) == ("pod-b/1", new, "RUN", 6_000)


async def test_a_released_partition_is_free_at_once(leases: Leases) -> None:
    await leases.lease.release(0, await leases.epoch(0, "pod-a/1"))
    row = await leases.row()
    assert (row.owner, row.expires_in_ms) == (None, FREED_MS)
    assert await leases.lease.takeover(0, "pod-b/1") is not None


async def test_a_reserved_partition_waits_for_its_pod_and_then_for_anyone(leases: Leases) -> None:
    await leases.lease.reserve(0, await leases.epoch(0, "pod-a/1"), "pod-b")
    assert (await leases.row()).owner == "pod-b"
    assert await leases.lease.takeover(0, "pod-c/1") is None
    assert await leases.lease.takeover(0, "pod-a/1") is None
    assert await leases.epoch(0, "pod-b/7") == 3
    await leases.lease.reserve(0, 3, "pod-a")
    leases.clock.ms += 3_001
    assert await leases.lease.takeover(0, "pod-c/1") is not None


async def test_a_reservation_fences_the_giver(storage: Storage) -> None:
    await storage.own(0)
    await storage.lease.reserve(0, 1, "pod-b")
    assert await storage.commit(storage.batch()) == set()


async def test_a_halted_partition_is_nobodys(leases: Leases) -> None:
    epoch = await leases.epoch()
    await leases.lease.halt(0, epoch, "a hole in the log")
    assert await leases.lease.renew({0: epoch}) == set()
    leases.clock.ms += 60_000
    assert await leases.lease.takeover(0, "pod/1") is None
    row = await leases.row()
    assert (row.status, row.halt_reason) == ("HALT", "a hole in the log")
    await leases.lease.halt(0, epoch, "what follows from it")
    assert (await leases.row()).halt_reason == "a hole in the log"


async def test_a_halted_partition_commits_nothing(storage: Storage) -> None:
    await storage.own(0)
    await storage.lease.halt(0, 1, "a hole in the log")
    assert await storage.commit(storage.batch()) == set()


async def test_members_are_known_for_the_time_of_a_lease(leases: Leases) -> None:
    first = Member("pod-a/1", ready=True, offers=((3, "pod-b"), (1, "pod-c")), copies=(7, 2))
    second = Member("pod-b/1", RESERVED, draining=True)
    await leases.lease.join(second)
    leases.clock.ms += 4_000
    await leases.lease.join(first)
    assert (await leases.lease.look()).members == (first, second)
    leases.clock.ms += 3_000
    assert (await leases.lease.look()).members == (first,)
    await leases.lease.join(first._replace(offers=(), copies=()))
    assert (await leases.lease.look()).members == (first._replace(offers=(), copies=()),)
    await leases.lease.leave("pod-a/1")
    assert (await leases.lease.look()).members == ()


async def test_who_owns_two_more_shares_and_who_does_not_keeps(leases: Leases) -> None:
    epochs = {part: await leases.epoch(part, "pod-a/1") for part in range(3)}
    assert not await leases.lease.share(0, epochs[0], "pod-b"), "nobody of this name is there"
    for owner in ("pod-a/1", "pod-b/1"):
        await leases.lease.join(Member(owner))
    assert not await leases.lease.share(0, epochs[0] - 1, "pod-b"), "a stale epoch gives nothing"
    assert await leases.lease.share(0, epochs[0], "pod-b")
    assert (await leases.row(0)).owner == "pod-b"
    assert not await leases.lease.share(1, epochs[1], "pod-b"), "what is reserved counts as the receiver's already"
    assert (await leases.row(1)).owner == "pod-a/1"


@pytest.mark.parametrize("other", [Member("pod-b/1", draining=True), Member("pod-b/1", RESERVED)])
async def test_nothing_is_shared_with_one_who_takes_no_share(leases: Leases, other: Member) -> None:
    epoch = await leases.epoch(0, "pod-a/1")
    await leases.epoch(1, "pod-a/1")
    for member in (Member("pod-a/1"), other):
        await leases.lease.join(member)
    assert not await leases.lease.share(0, epoch, "pod-b")


async def test_halted_partitions_do_not_count_as_a_share(leases: Leases) -> None:
    epochs = {part: await leases.epoch(part, "pod-a/1") for part in range(2)}
    for owner in ("pod-a/1", "pod-b/1"):
        await leases.lease.join(Member(owner))
    await leases.lease.halt(1, epochs[1], "a hole in the log")
    assert not await leases.lease.share(0, epochs[0], "pod-b")


async def test_a_change_of_hands_wakes_those_who_wait_for_it(leases: Leases) -> None:
    epoch = await leases.epoch(0, "pod-a/1")
    await leases.lease.news(0.01)
    begin = time.monotonic()
    waiting = asyncio.create_task(leases.lease.news(20))
    await asyncio.sleep(0.05)
    await leases.lease.reserve(0, epoch, "pod-b")
    await waiting
    assert time.monotonic() - begin < 10


async def test_who_waits_in_vain_looks_after_a_while(leases: Leases) -> None:
    begin = time.monotonic()
    await leases.lease.news(0.05)
    await leases.lease.news(0.05)
    assert time.monotonic() - begin >= 0.05


async def test_a_partition_that_nobody_took_cannot_be_loaded(storage: Storage) -> None:
    with pytest.raises(Damaged):
        await storage.ledger.load(9)
