"""The port Interventions: what people do to partitions, each act with its audit row."""

from tests.support.storage import Storage

PLACE = (0, 3, 1)


async def acts(storage: Storage) -> list[tuple[str, str, str, str]]:
    """Who did what to which partition, oldest first."""
    rows = [row for row in await storage.ledger.audit_log(10) if row.action.endswith(("partition", "skip"))]
    return [(row.actor, row.action, row.subject, row.detail) for row in reversed(rows)]


async def test_a_halted_partition_commits_nothing_until_it_is_resumed(storage: Storage) -> None:
    row = await storage.own(0)
    assert await storage.ledger.halt_partition(0, "looks odd", "ann")
    assert not await storage.ledger.halt_partition(0, "again", "ann"), "it is halted already"
    assert await storage.commit(storage.batch()) == set()
    assert await storage.lease.renew({0: row.epoch}) == set()
    (stored,) = await storage.ledger.partitions()
    assert (stored.status, stored.halt_reason) == ("HALT", "looks odd")
    assert await storage.ledger.resume_partition(0, "ben")
    assert not await storage.ledger.resume_partition(0, "ben"), "it runs already"
    (stored,) = await storage.ledger.partitions()
    assert (stored.status, stored.halt_reason) == ("RUN", None)
    assert await storage.commit(storage.batch()) == {0}
    assert await acts(storage) == [("ann", "halt partition", "0", "looks odd"), ("ben", "resume partition", "0", "")]


async def test_a_partition_that_is_not_there_is_neither_halted_nor_resumed(storage: Storage) -> None:
    assert not await storage.ledger.halt_partition(9, "why", "ann")
    assert not await storage.ledger.resume_partition(9, "ann")
    assert await acts(storage) == []


async def test_a_command_is_passed_over_when_two_people_approve(storage: Storage) -> None:
    await storage.own(0)
    await storage.ledger.halt_partition(0, "an assertion failed", "ann")
    assert await storage.ledger.approve_skip(PLACE, "a bug of ours", "ann") == ["ann"]
    assert await storage.ledger.approve_skip(PLACE, "once more", "ann") == ["ann"], "one person is one approval"
    assert (await storage.ledger.load(0)).skips == []
    assert await storage.ledger.approve_skip((0, 3, 2), "another command", "ben") == ["ben"]
    assert (await storage.ledger.load(0)).skips == []
    assert await storage.ledger.approve_skip(PLACE, "seen it too", "ben") == ["ann", "ben"]
    assert (await storage.ledger.load(0)).skips == [(3, 1, "seen it too")]
    assert [act[:3] for act in await acts(storage)][1:] == [
        ("ann", "approve skip", "0/3/1"),
        ("ann", "approve skip", "0/3/1"),
        ("ben", "approve skip", "0/3/2"),
        ("ben", "approve skip", "0/3/1"),
    ]


async def test_what_was_applied_or_still_runs_is_never_passed_over(storage: Storage) -> None:
    await storage.own(0)
    await storage.commit(storage.batch(records=4))
    assert await storage.ledger.approve_skip((0, 4, 0), "it runs", "ann") == []
    await storage.ledger.halt_partition(0, "a look", "ann")
    assert await storage.ledger.approve_skip(PLACE, "it was applied", "ann") == []
    assert await storage.ledger.approve_skip((0, 4, 0), "it is next", "ann") == ["ann"]
    assert len(await acts(storage)) == 2
