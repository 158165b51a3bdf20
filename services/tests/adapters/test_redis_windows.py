"""Windows of the depth streams end where the market is, without another trade, whatever happened to their last one."""

import asyncio

import pytest

from outcry.adapters.redis import RedisListener
from outcry.adapters.redis.channels import Channels
from outcry.adapters.redis.keys import Keys
from outcry.feedcodec import Kind, decode_market
from outcry.ports import WINDOWS_MS
from tests.adapters.test_redis_feed import at_the_end, following, fragile, open_feed, open_market, redis, trade
from tests.adapters.test_redis_feed import venue as venue
from tests.support.feeds import POD, Life, Venue
from tests.support.lonely import LonelyRedis

__all__ = ["fragile", "redis"]  # fixtures

PAUSE_MS = 500  # so short that only the engine gives up
GIVE_UP_SECONDS = 0.05


class WithoutCuts:
    """A listener whose connection loses every end of a window."""

    def __init__(self, venue: Venue) -> None:
        self.listener = RedisListener(venue.url, pod=POD, ledger=venue.books, prefix=venue.prefix)
        self.lost = 0
        self._channel = Keys(venue.prefix).market
        self._channels = Channels(venue.url, self._hear, lambda: None)

    def _hear(self, channel: bytes, message: bytes) -> None:
        if decode_market(message).kind == Kind.CUT:
            self.lost += 1
        else:
            self.listener.hear(channel, message)

    async def start(self) -> None:
        await self._channels.start([self._channel])

    async def close(self) -> None:
        await self._channels.close()
        await self.listener.close()


async def test_the_end_of_a_window_that_was_lost_is_made_up_for_by_the_next_heartbeat(venue: Venue) -> None:
    life, without = Life(), WithoutCuts(venue)
    await without.start()
    async with venue.publisher() as publisher:
        follower = following(without.listener, life)
        await open_market(publisher, life, follower)
        await trade(venue, publisher, life, 3)
        await at_the_end(without.listener, life, follower, WINDOWS_MS)
        await trade(venue, publisher, life, 2)
        await at_the_end(without.listener, life, follower, WINDOWS_MS)
    assert without.lost
    await without.close()


async def test_a_window_end_that_is_said_while_a_listener_is_away_reaches_it(
    fragile: Venue, redis: LonelyRedis
) -> None:
    life = Life()
    async with open_feed(fragile, life) as (listener, publisher, follower):
        for _ in range(10):
            await trade(fragile, publisher, life, 2)
            redis.command("CLIENT", "KILL", "TYPE", "pubsub")
            await asyncio.sleep(0.03)
            redis.command("CLIENT", "KILL", "TYPE", "pubsub")
            await at_the_end(listener, life, follower)
        await at_the_end(listener, life, follower, WINDOWS_MS)


async def test_updates_that_come_late_to_redis_are_cut_all_the_same(fragile: Venue, redis: LonelyRedis) -> None:
    """The window's end overtakes the updates that it was to end, which are given up and brought later."""
    life = Life()
    async with open_feed(fragile, life, give_up_seconds=GIVE_UP_SECONDS) as (listener, publisher, follower):
        await trade(fragile, publisher, life, 1)
        await at_the_end(listener, life, follower, WINDOWS_MS)
        redis.command("CLIENT", "PAUSE", str(PAUSE_MS), "ALL")
        await asyncio.gather(trade(fragile, publisher, life, 1), publisher.tick(1_000))
        assert publisher.given_up
        await at_the_end(listener, life, follower, WINDOWS_MS)


@pytest.mark.parametrize("batches", [1, 2])
async def test_windows_that_were_open_when_redis_was_emptied_are_ended(
    fragile: Venue, redis: LonelyRedis, batches: int
) -> None:
    life = Life()
    async with open_feed(fragile, life) as (listener, publisher, follower):
        await trade(fragile, publisher, life, 3)
        await at_the_end(listener, life, follower)
        await trade(fragile, publisher, life, batches)
        redis.command("FLUSHALL")
        await at_the_end(listener, life, follower, WINDOWS_MS)
        assert follower.snapshots == 2
