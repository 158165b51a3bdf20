"""What accounts were to hear and may not have heard is told to whoever follows them, and nothing else is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from outcry.adapters.redis import RedisListener
from outcry.adapters.redis import publisher as publisher_module
from outcry.adapters.redis.keys import Keys
from outcry.feedcodec import Private, encode_private
from outcry.ports import Execution, Publication
from tests.adapters.test_redis_feed import at_the_end, following, fragile, open_market, redis, trade
from tests.adapters.test_redis_feed import venue as venue
from tests.support.feeds import Life, Venue, until
from tests.support.links import Link
from tests.support.lonely import LonelyRedis

__all__ = ["fragile", "redis"]  # fixtures

ACCOUNT = 7
A_WHILE_SECONDS = 0.6


class Owner:
    """Listens to one account: ``moves`` counts what it heard of it, ``missed`` how often it has to start again."""

    def __init__(self, listener: RedisListener) -> None:
        self.moves = self.missed = 0
        listener.on_account(ACCOUNT, self._hear)
        listener.on_missed(self._start_again)

    def _hear(self, _: Execution | None) -> None:
        self.moves += 1

    def _start_again(self) -> None:
        self.missed += 1


@contextlib.asynccontextmanager
async def linked(venue: Venue) -> AsyncIterator[tuple[Link, str]]:
    """A link to the venue's Redis, and its address."""
    link = Link("engine-fanout", urlsplit(venue.url).port or 0)
    await link.open()
    try:
        yield link, f"redis://127.0.0.1:{link.port}/0"
    finally:
        await link.close()


async def test_events_that_redis_did_not_take_at_once_come_later_in_order_and_once(venue: Venue) -> None:
    life = Life()
    async with venue.listener() as listener, linked(venue) as (link, url), venue.publisher(url) as publisher:
        await open_market(publisher, life, following(listener, life))
        owner = Owner(listener)
        await until(lambda: publisher.follows(ACCOUNT))
        link.is_silent = True
        for _ in range(3):
            await publisher.publish(Publication(moved=(ACCOUNT,)))
        link.heal()
        await publisher.publish(Publication(moved=(ACCOUNT,)))
        await until(lambda: owner.moves == 4)
        await asyncio.sleep(A_WHILE_SECONDS)
        assert (owner.moves, owner.missed) == (4, 0)


async def test_events_that_an_engine_could_not_keep_are_told_as_missed(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "MAX_UNSENT", 2)
    life = Life()
    async with venue.listener() as listener, linked(venue) as (link, url), venue.publisher(url) as publisher:
        await open_market(publisher, life, following(listener, life))
        owner = Owner(listener)
        await until(lambda: publisher.follows(ACCOUNT))
        link.is_closed = True
        link.cut()
        for _ in range(3):
            await publisher.publish(Publication(moved=(ACCOUNT,)))
        link.heal()
        await until(lambda: owner.missed == 1)
        await publisher.publish(Publication(moved=(ACCOUNT,)))
        await until(lambda: owner.moves)
        assert owner.moves == 1


async def test_an_event_that_was_lost_on_its_way_is_missed_when_the_next_one_comes(venue: Venue) -> None:
    async with venue.listener() as listener:
        owner = Owner(listener)
        channel = Keys(venue.prefix).account(ACCOUNT).encode()
        for number in (1, 2, 2, 1, 4):
            listener.hear(channel, encode_private(Private(moved=True, source=5, number=number)))
        assert (owner.moves, owner.missed) == (3, 1)
        listener.hear(channel, encode_private(Private(moved=True, source=6, number=9)))
        assert (owner.moves, owner.missed) == (4, 1)


async def test_a_market_alone_that_could_not_be_sent_lets_nobody_start_again(venue: Venue) -> None:
    life = Life()
    async with venue.listener() as listener, linked(venue) as (link, url), venue.publisher(url) as publisher:
        follower = following(listener, life)
        await open_market(publisher, life, follower)
        owner = Owner(listener)
        link.is_closed = True
        link.cut()
        await trade(venue, publisher, life, 3)
        link.heal()
        await at_the_end(listener, life, follower)
        await asyncio.sleep(A_WHILE_SECONDS)
        assert owner.missed == 0


async def test_a_redis_that_went_away_may_have_lost_something(fragile: Venue, redis: LonelyRedis) -> None:
    life = Life()
    async with fragile.listener() as listener, fragile.publisher() as publisher:
        await open_market(publisher, life, following(listener, life))
        owner = Owner(listener)
        redis.kill()
        await asyncio.to_thread(redis.start)
        await until(lambda: owner.missed)


async def test_an_engine_that_died_between_commit_and_telling_has_kept_something_back(venue: Venue) -> None:
    life = Life()
    async with venue.listener() as listener:
        owner = Owner(listener)
        async with venue.publisher() as publisher:
            follower = following(listener, life)
            await open_market(publisher, life, follower)
            await trade(venue, publisher, life, 3)
        before = owner.missed
        life.batch((1, 99, 5))
        async with venue.publisher() as successor:
            await successor.publish(Publication(updates=(life.snapshot(),)))
            await until(lambda: owner.missed > before)


async def test_a_partition_that_was_told_of_to_the_end_can_change_hands_unnoticed(venue: Venue) -> None:
    life = Life()
    async with venue.listener() as listener:
        async with venue.publisher() as publisher:
            follower = following(listener, life)
            await open_market(publisher, life, follower)
            await trade(venue, publisher, life, 3)
        owner = Owner(listener)
        async with venue.publisher() as successor:
            await successor.publish(Publication(updates=(life.snapshot(),)))
            await trade(venue, successor, life, 3)
            await at_the_end(listener, life, follower)
            await asyncio.sleep(A_WHILE_SECONDS)
            assert owner.missed == 0
