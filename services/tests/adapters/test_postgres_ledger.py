"""What the ledger on PostgreSQL promises to several processes: one wins, none is lied to, no money is made."""

import asyncio
import contextlib
import time
from collections import Counter
from random import Random
from typing import Any

import psycopg
import pytest

from outcry.adapters.postgres import PgStore, swift
from outcry.adapters.postgres.days import DAY_MS
from outcry.adapters.postgres.turns import KEPT_KEYS
from outcry.claims import DUPLICATE, HELD, KEY_IN_PROGRESS, KEY_LOST, SHORT, KeyClaim
from outcry.market.terms import CANCELED
from outcry.ports import IntakeMissing, OutcomeUnknown, OutOfService
from outcry.rows import DeadLetter
from tests.support.postgres import NAP, DatabaseClock, ask, empty_database, killed, migrated_database, own, process
from tests.support.relay import relay
from tests.support.storage import (
    ALICE,
    BOB,
    MONEY,
    START_MS,
    USD,
    Storage,
    fund,
    mark,
    order_row,
    posting,
    request,
    trade_row,
)

LEASE_MS = 6_000
DEAD = DeadLetter(0, 0, "why", b"x")


async def test_a_zombie_that_lost_its_partition_commits_nothing(one: Storage, other: Storage) -> None:
    await own(one, "a/1")
    late = one.batch(postings=[posting(ALICE, 5, 0, offset=0)])
    one.clock.ms += LEASE_MS + 1
    await own(other, "b/1")
    assert await one.ledger.commit([late]) == set()
    assert await other.commit(other.batch(postings=[posting(ALICE, 7, 0, offset=0)])) == {0}
    assert await one.ledger.commit([late]) == set()
    assert await one.money(ALICE) == (MONEY + 7, 0)


async def test_two_engines_that_commit_the_same_record_at_once_write_it_once(one: Storage, other: Storage) -> None:
    await own(one, "a/1")
    other.partitions[0] = one.partitions[0]  # as after a failover to a standby that lags: both hold the epoch
    for offset in range(10):
        batches = [each.batch(postings=[posting(ALICE, 1, 0, offset=offset)]) for each in (one, other)]
        named = await asyncio.gather(one.ledger.commit([batches[0]]), other.ledger.commit([batches[1]]))
        assert sorted(named, key=len) == [set(), {0}]
        for each in (one, other):
            each.partitions[0] = each.partitions[0]._replace(next_offset=offset + 1)
    assert await one.money(ALICE) == (MONEY + 10, 0)


async def test_a_halted_partition_takes_no_commit_though_epoch_and_offset_fit(one: Storage) -> None:
    await own(one, "a/1")
    await one.lease.halt(0, one.partitions[0].epoch, "a person said so")
    assert await one.ledger.commit([one.batch()]) == set()


async def test_partitions_that_are_still_ours_are_named_and_commit_again(one: Storage, other: Storage) -> None:
    for part in range(3):
        await own(one, "a/1", part)
    batches = [one.batch(part) for part in range(3)]
    one.clock.ms += LEASE_MS + 1
    await own(other, "b/1", 1)
    assert await one.ledger.commit(batches) == {0, 2}
    assert [row.next_offset for row in await one.ledger.partitions()] == [0, 0, 0]
    assert await one.ledger.commit([batches[0], batches[2]]) == {0, 2}
    assert [row.next_offset for row in await one.ledger.partitions()] == [1, 0, 1]


async def test_a_backend_killed_within_a_batch_leaves_nothing_and_says_so(one: Storage, database: str) -> None:
    await own(one, "a/1")
    ask(database, NAP)
    ask(database, "CREATE TRIGGER nap BEFORE INSERT ON dead_letter EXECUTE FUNCTION nap()")
    batch = one.batch(postings=[posting(ALICE, 5, 0, offset=0)], dead_letters=[DEAD])
    commit = asyncio.create_task(one.ledger.commit([batch]))
    await killed(database, "wait_event = 'PgSleep'")
    with pytest.raises(OutOfService):
        await commit
    ask(database, "DROP FUNCTION nap CASCADE")
    assert await one.money(ALICE) == (MONEY, 0)
    assert await one.ledger.commit([batch]) == {0}
    assert await one.money(ALICE) == (MONEY + 5, 0)


async def test_a_backend_killed_within_commit_leaves_the_outcome_unknown_until_it_is_read(
    one: Storage, database: str
) -> None:
    await own(one, "a/1")
    ask(database, NAP)
    ask(
        database,
        "CREATE CONSTRAINT TRIGGER nap AFTER INSERT ON dead_letter DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
        " EXECUTE FUNCTION nap()",
    )
    batch = one.batch(dead_letters=[DEAD])
    commit = asyncio.create_task(one.ledger.commit([batch]))
    await killed(database, "wait_event = 'PgSleep'")
    with pytest.raises(OutcomeUnknown):
        await commit
    ask(database, "DROP FUNCTION nap CASCADE")
    await own(one, "a/1")
    assert one.partitions[0].next_offset == 0
    assert await one.commit(one.batch(dead_letters=[DEAD])) == {0}


@pytest.mark.parametrize(("most_rows", "trigger"), [(swift.MAX_ROWS, b"all that was told"), (0, b"COMMIT")])
async def test_a_commit_whose_answer_was_lost_is_found_done(
    one: Storage, database: str, clock: DatabaseClock, monkeypatch: pytest.MonkeyPatch, most_rows: int, trigger: bytes
) -> None:
    monkeypatch.setattr(swift, "MAX_ROWS", most_rows)
    async with relay(database) as (line, url), process(url, clock) as far:
        await own(far, "a/1")
        batch = far.batch(postings=[posting(ALICE, 5, 0, offset=0)], told=b"all that was told")
        line.arm(trigger)
        with pytest.raises(OutcomeUnknown):
            await far.ledger.commit([batch])
    await own(one, "a/1")
    assert one.partitions[0].next_offset == 1
    assert await one.ledger.commit([batch]) == set()
    assert await one.money(ALICE) == (MONEY + 5, 0)


async def test_a_hold_whose_answer_was_lost_is_unknown(one: Storage, database: str, clock: DatabaseClock) -> None:
    async with relay(database) as (line, url), process(url, clock) as far:
        assert (await far.hold("first")).status == HELD
        line.arm(b"second")
        with pytest.raises(OutcomeUnknown):
            await far.hold("second")
    assert await one.money(ALICE) == (MONEY - 200, 200)


async def test_a_server_that_is_gone_is_out_of_service_and_nothing_was_written(clock: DatabaseClock) -> None:
    with migrated_database() as url:
        gone = PgStore(url)
        await gone.open()
    try:
        storage = Storage(None, gone.ledger, gone.lease, clock)  # type: ignore[arg-type]
        with pytest.raises((OutOfService, OutcomeUnknown)):
            await storage.hold("a")
        with pytest.raises(OutOfService):
            await storage.hold("a")
        with pytest.raises(OutOfService):
            await gone.ledger.load(0)
    finally:
        await gone.close()


async def test_a_row_that_is_refused_stops_its_partition_alone(one: Storage) -> None:
    for part in (0, 1):
        await own(one, "a/1", part)
    stranger = order_row(4711, "x", part=1)
    good, bad = one.batch(0), one.batch(1, new_orders=[stranger, stranger])
    with pytest.raises(IntakeMissing, match="refuses a row"):
        await one.ledger.commit([good, bad])
    assert await one.ledger.commit([good]) == {0}
    with pytest.raises(IntakeMissing):
        await one.ledger.commit([bad])
    assert [row.next_offset for row in await one.ledger.partitions()] == [1, 0]
    assert await one.lease.renew({0: one.partitions[0].epoch}) == {0}


async def test_four_holders_of_the_same_accounts_never_overspend_or_stop_each_other(
    database: str, clock: DatabaseClock
) -> None:
    accounts = list(range(1, 21))
    async with contextlib.AsyncExitStack() as stack:
        pods = [await stack.enter_async_context(process(database, clock)) for _ in range(4)]
        await fund(pods[0], accounts)
        held: Counter[int] = Counter()
        await asyncio.gather(*(spend(pod, n, accounts, held) for n, pod in enumerate(pods)))
        for account in accounts:
            assert await pods[0].money(account) == (MONEY - held[account], held[account])
        assert min(held.values()) > MONEY * 9 // 10  # all came to their end
    assert ask(database, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == [(0,)]


async def spend(pod: Storage, seed: int, accounts: list[int], held: Counter[int]) -> None:
    chance = Random(seed)
    for n in range(25):
        requests = [
            request(f"{seed}-{n}-{k}", chance.randrange(1, 10_000), account=chance.choice(accounts), group=k)
            for k in range(60)
        ]
        for each, result in zip(requests, await pod.ledger.hold(requests), strict=True):
            assert result.status in (HELD, SHORT)
            held[each.account_id] += each.amount if result.status == HELD else 0


async def test_of_orders_with_one_name_that_come_at_once_one_is_held(one: Storage, other: Storage) -> None:
    for n in range(10):
        calls = [storage.hold(f"n{n}", 1) for storage in (one, other, one, other)]
        found = [result.status for result in await asyncio.gather(*calls)]
        assert sorted(found) == [DUPLICATE] * 3 + [HELD]
    assert await one.money(ALICE) == (MONEY - 10, 10)


async def test_of_requests_with_one_key_that_come_at_once_one_is_held(one: Storage, other: Storage) -> None:
    for n in range(10):
        claim = KeyClaim(0, ALICE, f"k{n}", b"payload")
        calls = [
            storage.ledger.hold([request(f"{n}-{k}", 1)], [claim]) for k, storage in enumerate((one, other, one, other))
        ]
        found = [result for (result,) in await asyncio.gather(*calls)]
        (first,) = [result for result in found if result.status == HELD]
        assert [r.order_id for r in found if r.status == KEY_IN_PROGRESS] == [first.order_id] * 3
    assert await one.money(ALICE) == (MONEY - 10, 10)


async def test_a_key_is_not_closed_while_its_claimant_may_be_about_to_commit(one: Storage, database: str) -> None:
    """A process that was paused within the transaction that places more under its key."""
    taken = KeyClaim(0, ALICE, "k", b"p", "one")
    await one.ledger.hold([request("a")], [taken])
    one.clock.ms += 10_000
    with psycopg.connect(database) as asleep:
        kept = asleep.execute(KEPT_KEYS.replace("$1", "%s").replace("$2", "%s").replace("$3", "%s").encode(),
                              ([ALICE], ["k"], ["one"])).fetchall()  # fmt: skip
        assert kept == [(ALICE, "k", "one")]
        with pytest.raises(OutOfService):
            await one.ledger.close_key(ALICE, "k", 10_000)
    assert await one.ledger.close_key(ALICE, "k", 10_000)
    assert (await one.ledger.hold([request("b")], [taken._replace(follows=True)]))[0].status == KEY_LOST


async def test_one_request_that_the_database_refuses_spoils_nobody_elses(one: Storage) -> None:
    requests = [request(f"n{n}" if n != 5 else "bad\0name", 10, group=n) for n in range(9)]
    found = [result.status for result in await one.ledger.hold(requests)]
    assert found == [HELD] * 5 + [SHORT] + [HELD] * 3
    assert await one.money(ALICE) == (MONEY - 80, 80)


async def test_folders_side_by_side_count_every_posting_once(one: Storage, other: Storage) -> None:
    await own(one, "a/1")
    for offset in range(20):
        await one.commit(one.batch(postings=[posting(BOB, 1, 0, offset=offset, asset=9)]))
        folds = await asyncio.gather(*(each.ledger.fold([0], 1) for each in (one, other, one, other)))
        assert sum(folds) == 1
    assert await one.money(BOB, 9) == (20, 0)


async def test_folders_of_several_partitions_leave_nothing_and_count_nothing_twice(
    one: Storage, other: Storage
) -> None:
    for part in range(3):
        await own(one, "a/1", part)
    chance = Random(5)
    for offset in range(20):
        for part in range(3):
            legs = [posting(BOB, 1, 0, offset=offset, asset=9, idx=n)._replace(part=part) for n in range(4)]
            await one.commit(one.batch(part, postings=legs))
        calls = [
            each.ledger.fold(chance.sample(range(3), chance.randint(1, 3)), chance.choice((1, 5000)))
            for each in (one, other, one, other)
        ]
        folded = sum(await asyncio.gather(*calls))
        while more := await other.ledger.fold([2, 0, 1], 3):
            folded += more
        assert folded == 12
    assert await one.money(BOB, 9) == (240, 0)


async def test_a_new_name_that_somebody_is_about_to_take_does_not_stop_the_engine(one: Storage, database: str) -> None:
    await own(one, "pod/1")
    row = await one.rest("old")
    with psycopg.connect(database) as rival:
        rival.execute(
            b"INSERT INTO intake SELECT order_id + 1000, part, account_id, symbol_id, asset_id, 0, 'new', body,"
            b" intake_ms, valid_until_ms, NULL, NULL, -1, 1 FROM intake"
        )
        renamed = row._replace(client_order_id="new")
        assert await one.commit(one.batch(touched_orders=[renamed])) == {0}
    assert await one.ledger.orders_by_id([row.order_id]) == [renamed]


async def test_the_dedupe_window_holds_open_and_closed_orders_and_no_voided_one(one: Storage) -> None:
    await own(one, "pod/1")
    await one.hold("voided")
    one.clock.ms += 10_000
    await one.commit(one.batch())
    assert len(await one.ledger.void(0)) == 1
    opened = await one.rest("open")
    held = await one.hold("closed")
    closed = order_row(held.order_id, "closed", status=CANCELED, open=0, held=0, applied_offset=2)
    await one.commit(one.batch(new_orders=[closed], intake_marks=[mark(closed, 100)]))
    assert [order_id for order_id, _ in (await one.ledger.load(0)).applied] == [opened.order_id, held.order_id]


async def test_a_day_without_tables_gets_them_when_log_time_comes_there(one: Storage) -> None:
    await own(one, "pod/1")
    later = START_MS + 400 * DAY_MS
    batch = one.batch(log_time=later, trades=[trade_row(1, time_ms=later)], postings=[posting(ALICE, 1, 0, offset=0)])
    assert await one.commit(batch) == {0}
    assert [row.time_ms for row in await one.ledger.trades(1)] == [later]


async def test_a_day_of_postings_is_dropped_by_the_last_partition_that_is_done_with_it(
    one: Storage, database: str
) -> None:
    for part in (0, 1):
        await own(one, "pod/1", part)
        await one.commit(one.batch(part, postings=[posting(ALICE, 1, 0, offset=0)._replace(part=part)]))
        await one.commit(one.batch(part, log_time=START_MS + 2 * DAY_MS))
        await one.ledger.fold([part])
    before = (START_MS // DAY_MS + 1) * DAY_MS
    leaf = "postings_20231114"
    await one.ledger.retain(0, before, 1)
    assert ask(database, "SELECT to_regclass(%s) IS NULL, (SELECT count(*) FROM postings)", leaf) == [(False, 2)]
    await one.ledger.retain(1, before, 1)
    assert ask(database, "SELECT to_regclass(%s) IS NULL, (SELECT count(*) FROM postings)", leaf) == [(True, 0)]
    assert await one.money(ALICE) == (MONEY + 2, 0)


async def test_the_writer_waits_for_nobody_for_long(one: Storage, database: str) -> None:
    await own(one, "pod/1")
    with psycopg.connect(database) as rival:
        rival.execute(b"SELECT * FROM engine_partition FOR UPDATE")
        begun = time.monotonic()
        with pytest.raises(OutOfService, match="lock timeout"):
            await one.ledger.commit([one.batch()])
        assert time.monotonic() - begun < 20
    assert await one.commit(one.batch()) == {0}


async def test_ids_of_lists_are_minted_per_list(one: Storage) -> None:
    legs = [request(f"{n}", 1 if n % 2 == 0 else 0, group=n // 2, in_list=True) for n in range(6)]
    plain = [request("plain", 1, group=9)]
    found = [result.list_id for result in await one.ledger.hold(plain + legs)]
    assert found[0] == -1
    assert found[1:] == [found[1] + n // 2 for n in range(6)]


async def test_a_store_can_be_closed_before_it_was_opened() -> None:
    with empty_database() as url:
        await PgStore(url).close()


async def test_holds_of_an_account_that_has_too_little_are_decided_in_their_order(one: Storage) -> None:
    amounts = [MONEY // 2, MONEY, MONEY // 4, MONEY // 2, MONEY // 4]
    requests = [request(f"n{n}", amount, group=n) for n, amount in enumerate(amounts)]
    found = [result.status for result in await one.ledger.hold(requests)]
    assert found == [HELD, SHORT, HELD, SHORT, HELD]
    assert await one.money(ALICE, USD) == (0, MONEY)


async def test_half_a_batch_that_is_held_when_the_database_goes_leaves_the_batch_unknown(
    one: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = one.ledger._database
    fetch, calls = database.fetch, 0

    async def lost(*words: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1  # all three are refused; the first half is held; the rest finds nobody
        if calls == 3:
            raise OutOfService("cut")
        return await fetch(*words, **more)

    monkeypatch.setattr(database, "fetch", lost)
    whole = [
        request("a", 100),
        request("b", 100, account=BOB, symbol=1 << 40, group=1),
        request("c", 100, account=BOB, group=2),
    ]
    with pytest.raises(OutcomeUnknown, match="A part of the holds was taken"):
        await one.ledger.hold(whole)
    assert await one.money(ALICE) == (MONEY - 100, 100)
