"""The feed on a real Redis that loses, forgets, dies and is lied to."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from outcry.adapters.redis import RedisListener, RedisPublisher, scripts
from outcry.adapters.redis.client import connect
from outcry.adapters.redis.keys import Keys
from outcry.adapters.redis.publisher import GIVE_UP_SECONDS
from outcry.ports import WINDOWS_MS
from tests.support.feeds import PATIENCE_SECONDS, Follower, Life, Venue, redis_venue, told, until
from tests.support.lonely import LonelyRedis, lonely_redis

HEAL_SECONDS = 10.0  # on a machine that has other things to do


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    """On the Redis that all tests share."""
    async with redis_venue(tmp_path) as opened:
        yield opened


@pytest.fixture
async def redis() -> AsyncIterator[LonelyRedis]:
    async with lonely_redis() as server:
        yield server


@pytest.fixture
async def fragile(redis: LonelyRedis, tmp_path: Path) -> AsyncIterator[Venue]:
    """On a Redis of its own."""
    async with redis_venue(tmp_path, redis.url) as opened:
        yield opened


def following(listener: RedisListener, life: Life) -> Follower:
    follower = Follower(life)
    follower.follow(listener)
    return follower


async def trade(venue: Venue, publisher: RedisPublisher, life: Life, batches: int) -> None:
    """Publishes batches as an engine does, each kept in the backlog."""
    for n in range(batches):
        side = 1 if n % 2 else -1
        price = 100 - side * (1 + life.seq % 7)
        update = life.batch((side, price, life.seq % 5), events=1 + n % 3)
        await publisher.publish(venue.archive.keep(told(update)))


async def open_market(publisher: RedisPublisher, life: Life, follower: Follower) -> None:
    await publisher.publish(told(life.snapshot()))
    await until(lambda: follower.snapshots and not publisher.behind)


@asynccontextmanager
async def open_feed(
    venue: Venue, life: Life, *, give_up_seconds: float = PATIENCE_SECONDS
) -> AsyncIterator[tuple[RedisListener, RedisPublisher, Follower]]:
    """Both halves of the feed, and a follower of a market that has just opened."""
    async with venue.listener() as listener, venue.publisher(give_up_seconds=give_up_seconds) as publisher:
        follower = following(listener, life)
        await open_market(publisher, life, follower)
        yield listener, publisher, follower


async def let_one_engine_trade(venue: Venue, listener: RedisListener, life: Life, follower: Follower) -> None:
    """An engine opens the market, trades, and is gone."""
    async with venue.publisher() as publisher:
        await open_market(publisher, life, follower)
        await trade(venue, publisher, life, 5)
        await at_the_end(listener, life, follower)


async def at_the_end(
    listener: RedisListener, life: Life, follower: Follower, windows_ms: Sequence[int] = WINDOWS_MS[:1]
) -> None:
    """The follower, its windows and Redis come to where the market is, and nothing wrong was told on the way."""
    await until(lambda: follower.seq == life.seq and follower.is_shown(windows_ms))
    assert follower.wrong == []
    book = await listener.book(life.symbol_id, 100)
    assert book is not None and book.update_id == life.u
    assert (book.bids, book.asks) == life.books[life.u]


async def test_a_redis_that_is_emptied_under_traffic_heals(fragile: Venue, redis: LonelyRedis) -> None:
    life = Life()
    async with open_feed(fragile, life) as (listener, publisher, follower):
        await trade(fragile, publisher, life, 50)
        await at_the_end(listener, life, follower)
        redis.command("FLUSHALL")
        began = time.monotonic()
        await trade(fragile, publisher, life, 50)
        await at_the_end(listener, life, follower)
        assert time.monotonic() - began < HEAL_SECONDS
        assert follower.snapshots == 2


async def test_a_redis_that_is_emptied_in_a_quiet_market_heals(fragile: Venue, redis: LonelyRedis) -> None:
    life = Life()
    async with open_feed(fragile, life) as (listener, publisher, follower):
        await trade(fragile, publisher, life, 5)
        redis.command("FLUSHALL")
        assert await listener.book(1, 5) is None
        await until(lambda: follower.snapshots == 2, HEAL_SECONDS)
        await at_the_end(listener, life, follower)


@pytest.mark.parametrize("down_seconds", [0.0, 0.5])
async def test_a_redis_that_is_killed_stops_no_engine_and_heals(
    fragile: Venue, redis: LonelyRedis, down_seconds: float
) -> None:
    life = Life()
    async with open_feed(fragile, life) as (listener, publisher, follower):
        await trade(fragile, publisher, life, 20)
        redis.kill()
        began = time.monotonic()
        await trade(fragile, publisher, life, 200)
        assert time.monotonic() - began < 100 * GIVE_UP_SECONDS
        assert await listener.book(1, 5) is None
        await asyncio.sleep(down_seconds)
        await asyncio.to_thread(redis.start)
        await trade(fragile, publisher, life, 20)
        await at_the_end(listener, life, follower)
        await trade(fragile, publisher, life, 20)
        await at_the_end(listener, life, follower)


async def test_a_redis_that_hangs_costs_the_engine_one_short_wait(fragile: Venue, redis: LonelyRedis) -> None:
    life = Life()
    async with open_feed(fragile, life, give_up_seconds=GIVE_UP_SECONDS) as (listener, publisher, follower):
        redis.freeze()
        began = time.monotonic()
        await trade(fragile, publisher, life, 100)
        assert time.monotonic() - began < 50 * GIVE_UP_SECONDS
        assert publisher.given_up == 100
        redis.thaw()
        await at_the_end(listener, life, follower)
        assert follower.snapshots == 1
        assert follower.trades == list(range(1, life.trade_id + 1))


async def test_what_redis_lacks_comes_from_the_backlog(venue: Venue) -> None:
    """An engine dies after its commit and before it publishes; the next one brings what is missing."""
    life = Life()
    async with venue.listener() as listener:
        follower = following(listener, life)
        await let_one_engine_trade(venue, listener, life, follower)
        for _ in range(3):
            venue.archive.keep(told(life.batch((1, 50, life.seq))))
        async with venue.publisher() as publisher:
            await publisher.publish(told(life.snapshot()))
            await at_the_end(listener, life, follower)
            assert (follower.snapshots, venue.archive.asked) == (1, 1)
            assert follower.trades == list(range(1, life.trade_id + 1))


async def test_what_nobody_kept_is_a_snapshot_and_a_new_feed_epoch(venue: Venue) -> None:
    life = Life()
    async with venue.listener() as listener:
        follower = following(listener, life)
        await let_one_engine_trade(venue, listener, life, follower)
        for _ in range(3):
            life.batch((1, 50, life.seq))
        async with venue.publisher() as publisher:
            await publisher.publish(told(life.snapshot()))
            await at_the_end(listener, life, follower)
            assert follower.snapshots == 2
            await trade(venue, publisher, life, 5)
            await at_the_end(listener, life, follower)


async def test_a_takeover_alone_is_no_new_feed_epoch(venue: Venue) -> None:
    life = Life()
    async with venue.listener() as listener:
        follower = following(listener, life)
        await let_one_engine_trade(venue, listener, life, follower)
        async with venue.publisher() as publisher:
            await publisher.publish(told(life.snapshot()))
            await trade(venue, publisher, life, 5)
            await at_the_end(listener, life, follower)
    assert follower.snapshots == 1


async def test_a_new_market_is_told_with_its_first_trades_and_status(venue: Venue) -> None:
    life = Life()
    heard = []
    async with venue.listener() as listener, venue.publisher() as publisher:
        listener.on_update(heard.append)
        first = life.batch((1, 99, 5), events=2)
        listing = type(first)(**{name: getattr(first, name) for name in first.__struct_fields__} | {
            "snapshot": True, "status": 1,
        })  # fmt: skip
        await publisher.publish(told(listing))
        await publisher.publish(told(life.batch((1, 99, 6))))
        await until(lambda: len(heard) == 2)
    assert [(update.snapshot, update.status, len(update.trades)) for update in heard] == [(True, 1, 2), (False, 0, 1)]


async def test_a_zombies_late_batch_is_refused(venue: Venue) -> None:
    life = Life()
    async with venue.listener() as listener, venue.publisher() as zombie, venue.publisher() as owner:
        follower = following(listener, life)
        await open_market(zombie, life, follower)
        late = venue.archive.keep(told(life.batch((1, 99, 5))))
        await owner.publish(told(life.snapshot()))
        await until(lambda: not owner.behind)
        await owner.publish(venue.archive.keep(told(life.batch((1, 99, 7)))))
        await at_the_end(listener, life, follower)
        await zombie.publish(late)
        await at_the_end(listener, life, follower)
        await trade(venue, owner, life, 5)
        await at_the_end(listener, life, follower)
    assert (follower.snapshots, follower.trades) == (1, list(range(1, life.trade_id + 1)))


async def test_a_redis_that_fell_back_in_time_is_brought_forward(venue: Venue) -> None:
    """As after a failover to a replica that was behind."""
    life, keys = Life(), Keys(venue.prefix).symbol(1)
    client = connect(venue.url, 1)
    async with open_feed(venue, life) as (listener, publisher, follower):
        await trade(venue, publisher, life, 5)
        dumps = {key: await client.dump(key) for key in keys}
        await trade(venue, publisher, life, 5)
        for key, dumped in dumps.items():
            await client.restore(key, 0, dumped, replace=True)
        await trade(venue, publisher, life, 5)
        await at_the_end(listener, life, follower)
    await client.aclose()
    assert (follower.snapshots, follower.trades) == (1, list(range(1, life.trade_id + 1)))
    assert venue.archive.asked


async def test_a_feed_epoch_never_begins_behind_what_is_told(venue: Venue) -> None:
    life = Life()
    client = connect(venue.url, 1)
    async with open_feed(venue, life) as (listener, publisher, follower):
        await trade(venue, publisher, life, 5)
        late = (life.seq - 1, life.u - 1, 1 << 50, b"\x90", b"\x90", b"")
        keys = Keys(venue.prefix)
        assert await scripts.OPEN.run(client, keys.symbol(1), keys.market, 1, *late) == [0, life.seq]
        await at_the_end(listener, life, follower)
    await client.aclose()
    assert follower.snapshots == 1


async def test_only_who_has_the_lease_begins_a_feed_epoch(fragile: Venue, redis: LonelyRedis) -> None:
    life = Life()
    async with fragile.listener() as listener, fragile.publisher() as zombie:
        follower = following(listener, life)
        await open_market(zombie, life, follower)
        await fragile.lease.release(0, 1)
        assert await fragile.lease.takeover(0, "engine/2") is not None
        redis.command("FLUSHALL")
        await trade(fragile, zombie, life, 3)
        await asyncio.sleep(1.2)
        assert redis.command("KEYS", "*symbol*") == []
        life.epoch = 2
        async with fragile.publisher() as owner:
            await owner.publish(told(life.snapshot()))
            await at_the_end(listener, life, follower)


async def test_a_listener_that_was_cut_off_misses_nothing(fragile: Venue, redis: LonelyRedis) -> None:
    life = Life()
    async with open_feed(fragile, life) as (listener, publisher, follower):
        for _ in range(5):
            redis.command("CLIENT", "KILL", "TYPE", "pubsub")
            await trade(fragile, publisher, life, 30)
            await at_the_end(listener, life, follower)
        assert listener.gaps
    assert follower.snapshots == 1
    assert follower.trades == list(range(1, life.trade_id + 1))


async def test_a_listener_that_was_cut_off_as_the_engine_died_misses_nothing(
    fragile: Venue, redis: LonelyRedis
) -> None:
    life = Life()
    async with fragile.listener() as listener:
        follower = following(listener, life)
        async with fragile.publisher() as publisher:
            await open_market(publisher, life, follower)
            redis.command("CLIENT", "KILL", "TYPE", "pubsub")
            await trade(fragile, publisher, life, 10)
            publisher.retire([0])
            await at_the_end(listener, life, follower, windows_ms=())


async def test_a_gap_that_cannot_be_filled_is_a_snapshot(fragile: Venue, redis: LonelyRedis) -> None:
    life = Life()
    async with open_feed(fragile, life) as (listener, publisher, follower):
        await trade(fragile, publisher, life, 5)
        await at_the_end(listener, life, follower)
        redis.command("CLIENT", "KILL", "TYPE", "pubsub")
        await trade(fragile, publisher, life, 5)
        redis.command("DEL", f"{fragile.prefix}symbol:1:stream")
        await at_the_end(listener, life, follower)
        assert follower.snapshots == 2
        await trade(fragile, publisher, life, 5)
        await at_the_end(listener, life, follower)


async def test_whoever_comes_in_the_middle_sees_no_gap(venue: Venue) -> None:
    life, over = Life(), asyncio.Event()

    async def keep_trading(publisher: RedisPublisher) -> None:
        while not over.is_set():
            await trade(venue, publisher, life, 1)
            await asyncio.sleep(0.002)

    async with venue.listener() as first, venue.publisher() as publisher:
        await open_market(publisher, life, following(first, life))
        trading = asyncio.create_task(keep_trading(publisher))
        for _ in range(5):
            await join_in_the_middle(venue, life)
        over.set()
        await trading


async def join_in_the_middle(venue: Venue, life: Life) -> None:
    """The first update that is told continues a book that was read before, and the others follow."""
    follower = Follower(life)
    async with venue.listener(follower=follower) as listener:
        book = await listener.book(1, 100)
        assert book is not None and (book.bids, book.asks) == life.books[book.update_id]
        await until(lambda: len(follower.tape) > 60)
        first_seq = next(each[1] for each in follower.tape if not each[0])
        assert first_seq <= book.update_id + 1
        assert follower.wrong == []


async def test_all_listeners_cut_the_same_windows(venue: Venue) -> None:
    life = Life()
    async with venue.listener() as one, venue.listener() as other, venue.publisher() as publisher:
        followers = following(one, life), following(other, life)
        for follower in followers:
            await open_market(publisher, life, follower)
        for _ in range(12):
            await trade(venue, publisher, life, 3)
            await asyncio.sleep(0.1)
        await until(lambda: all(follower.tape[-1][2] == life.u for follower in followers))
        await until(lambda: all(any(each[0] == 1000 for each in follower.tape) for follower in followers))
        await until(lambda: len({len(follower.tape) for follower in followers}) == 1)
    assert followers[0].tape == followers[1].tape
    assert followers[0].wrong == []
    for window_ms in (100, 1000):
        cuts = [(first, last) for window, first, last in followers[0].tape if window == window_ms]
        assert [first for first, _ in cuts] == [1] + [last + 1 for _, last in cuts[:-1]]
    assert sum(1 for each in followers[0].tape if each[0] == 100) > 5


async def test_cuts_that_were_missed_come_with_the_updates(fragile: Venue, redis: LonelyRedis) -> None:
    life = Life()
    async with open_feed(fragile, life) as (listener, publisher, follower):
        redis.command("CLIENT", "KILL", "TYPE", "pubsub")
        await trade(fragile, publisher, life, 3)
        await publisher.tick(100)
        await trade(fragile, publisher, life, 3)
        await at_the_end(listener, life, follower)
        await until(lambda: follower.tape[-1][0] and follower.tape[-1][2] == life.u)
    cuts = [(first, last) for window, first, last in follower.tape if window == 100]
    assert len(cuts) >= 2 and cuts[0][0] == 1
    assert [first for first, _ in cuts[1:]] == [last + 1 for _, last in cuts[:-1]]


async def test_a_batch_cut_elsewhere_by_the_next_owner_is_told_from_where_the_last_one_ended(venue: Venue) -> None:
    life, again = Life(), Life()
    async with venue.listener() as listener, venue.publisher() as publisher, venue.publisher() as restored:
        follower = following(listener, life)
        await open_market(publisher, life, follower)
        await publisher.publish(told(life.batch((1, 90, 1), events=2)))
        await publisher.publish(told(life.batch((1, 91, 2), events=2)))
        again.batch((1, 90, 1), events=2)
        await restored.publish(told(again.snapshot()))
        await until(lambda: not restored.behind)
        life.batch((-1, 95, 3), events=2)
        await restored.publish(told(again.batch((1, 91, 2), (-1, 95, 3), events=4)))
        await at_the_end(listener, life, follower)
    assert follower.trades == [1, 2, 3, 4, 5, 6]
