"""The port Lease."""

import pytest

from outcry.ports import Damaged
from tests.support.storage import Storage


async def test_a_takeover_raises_the_epoch(storage: Storage) -> None:
    first = await storage.lease.takeover(0, "pod-a/1")
    again = await storage.lease.takeover(0, "pod-a/1")
    assert first is not None and again is not None
    assert (first.epoch, again.epoch) == (1, 2)


async def test_a_running_lease_keeps_others_out(storage: Storage) -> None:
    await storage.lease.takeover(0, "pod-a/1")
    assert await storage.lease.takeover(0, "pod-b/1") is None
    assert await storage.lease.takeover(0, "pod-a/2") is None


async def test_an_expired_lease_is_free(storage: Storage) -> None:
    await storage.lease.takeover(0, "pod-a/1")
    storage.clock.ms += 6_001
    assert await storage.lease.takeover(0, "pod-b/1") is not None


async def test_renewing_and_committing_keep_a_lease_alive(storage: Storage) -> None:
    await storage.own(0)
    storage.clock.ms += 5_000
    assert await storage.lease.renew({0: 1, 1: 1}) == {0}
    storage.clock.ms += 5_000
    await storage.commit(storage.batch())
    storage.clock.ms += 5_000
    assert await storage.lease.takeover(0, "other/1") is None


async def test_a_stale_epoch_renews_halts_and_releases_nothing(storage: Storage) -> None:
    await storage.lease.takeover(0, "pod-a/1")
    storage.clock.ms += 6_001
    await storage.lease.takeover(0, "pod-b/1")
    assert await storage.lease.renew({0: 1}) == set()
    await storage.lease.halt(0, 1, "old")
    await storage.lease.release(0, 1)
    assert await storage.lease.takeover(0, "pod-a/1") is None
    (row,) = await storage.ledger.partitions()
    assert (row.status, row.epoch) == ("RUN", 2)


async def test_a_released_partition_is_free_at_once(storage: Storage) -> None:
    await storage.lease.takeover(0, "pod-a/1")
    await storage.lease.release(0, 1)
    assert await storage.lease.takeover(0, "pod-b/1") is not None


async def test_a_reservation_fences_the_giver_and_waits_for_its_pod(storage: Storage) -> None:
    await storage.own(0)
    await storage.lease.reserve(0, 1, "pod-b")
    assert await storage.commit(storage.batch()) == set()
    assert await storage.lease.takeover(0, "pod-c/1") is None
    taken = await storage.lease.takeover(0, "pod-b/7")
    assert taken is not None and taken.epoch == 3


async def test_a_halted_partition_is_nobodys(storage: Storage) -> None:
    await storage.own(0)
    await storage.lease.halt(0, 1, "a hole in the log")
    storage.clock.ms += 60_000
    assert await storage.lease.takeover(0, "pod/1") is None
    (row,) = await storage.ledger.partitions()
    assert (row.status, row.halt_reason) == ("HALT", "a hole in the log")
    assert await storage.commit(storage.batch()) == set()


async def test_members_are_the_live_owners(storage: Storage) -> None:
    await storage.lease.takeover(0, "pod-a/1")
    await storage.lease.takeover(1, "pod-a/1")
    storage.clock.ms += 4_000
    await storage.lease.takeover(2, "pod-b/1")
    assert await storage.lease.members() == {"pod-a/1": 2, "pod-b/1": 1}
    storage.clock.ms += 3_000
    assert await storage.lease.members() == {"pod-b/1": 1}


async def test_a_partition_that_nobody_took_cannot_be_loaded(storage: Storage) -> None:
    with pytest.raises(Damaged):
        await storage.ledger.load(9)
