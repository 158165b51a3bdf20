"""What accounts were to hear and may not have heard is told to whoever follows them, and nothing else is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from urllib.parse import urlsplit

import pytest

from outcry.adapters.redis import RedisListener, RedisPublisher
from outcry.adapters.redis import listener as listener_module
from outcry.adapters.redis import publisher as publisher_module
from outcry.adapters.redis.keys import Keys
from outcry.adapters.redis.publisher import GIVE_UP_SECONDS
from outcry.facts import Execution, Publication, Span
from outcry.feedcodec import Private, encode_private, encode_spans
from tests.adapters.test_redis_feed import at_the_end, following, fragile, open_market, redis, trade
from tests.adapters.test_redis_feed import venue as venue
from tests.support.feeds import Life, Venue, until
from tests.support.links import Link
from tests.support.lonely import LonelyRedis

__all__ = ["fragile", "redis"]  # fixtures

ACCOUNT, OTHER = 7, 8
A_WHILE_SECONDS = 1.5  # longer than a look and what is given to what is on its way
LOOK_SECONDS, GRACE_SECONDS = 0.1, 1.0


class Owner:
    """Listens to one account: ``moves`` counts what it heard of it, ``missed`` how often it has to start again."""

    def __init__(self, listener: RedisListener, account_id: int = ACCOUNT) -> None:
        self.account_id = account_id
        self.moves = self.missed = 0
        listener.on_account(account_id, self._hear)
        listener.on_missed(self._start_again)

    def _hear(self, _: Execution | None) -> None:
        self.moves += 1

    def _start_again(self, account_ids: Collection[int]) -> None:
        self.missed += self.account_id in account_ids


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger is looked at often, and little time is given to what is on its way."""
    monkeypatch.setattr(listener_module, "LOOK_SECONDS", LOOK_SECONDS)
    monkeypatch.setattr(listener_module, "GRACE_SECONDS", GRACE_SECONDS)


@contextlib.asynccontextmanager
async def linked(venue: Venue) -> AsyncIterator[tuple[Link, str]]:
    """A link to the venue's Redis, and its address."""
    link = Link("engine-fanout", urlsplit(venue.url).port or 0)
    await link.open()
    try:
        yield link, f"redis://127.0.0.1:{link.port}/0"
    finally:
        await link.close()


def committed(venue: Venue, publisher: RedisPublisher | None = None) -> Publication:
    """The next batch of the ledger, of one event that moves the account's money, as an engine makes it."""
    after, venue.books.event_seq = venue.books.event_seq, venue.books.event_seq + 1
    known = publisher is None or publisher.follows(ACCOUNT)
    told, untold = ((ACCOUNT,), ()) if known else ((), (ACCOUNT,))
    return Publication(moved=told, spans=(Span(0, after, after + 1, told, untold),))


async def test_events_that_redis_did_not_take_at_once_come_later_in_order_and_once(venue: Venue) -> None:
    life = Life()
    async with (
        venue.listener() as listener,
        linked(venue) as (link, url),
        venue.publisher(url, give_up_seconds=GIVE_UP_SECONDS) as publisher,
    ):
        await open_market(publisher, life, following(listener, life))
        owner = Owner(listener)
        await until(lambda: publisher.follows(ACCOUNT))
        link.is_silent = True
        for _ in range(3):
            await publisher.publish(committed(venue))
        link.heal()
        await publisher.publish(committed(venue))
        await until(lambda: owner.moves == 4)
        await asyncio.sleep(A_WHILE_SECONDS)
        assert (owner.moves, owner.missed) == (4, 0)


async def test_events_that_an_engine_could_not_keep_are_told_as_missed(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "MAX_UNSENT", 3)
    life = Life()
    async with venue.listener() as listener, linked(venue) as (link, url), venue.publisher(url) as publisher:
        await open_market(publisher, life, following(listener, life))
        owner = Owner(listener)
        await until(lambda: publisher.follows(ACCOUNT))
        link.is_closed = True
        link.cut()
        for _ in range(2):
            await publisher.publish(committed(venue))
        link.heal()
        await until(lambda: not publisher.is_down)
        await publisher.publish(committed(venue))
        await until(lambda: owner.moves)
        assert owner.moves == 1
        await until(lambda: owner.missed == 1)


async def test_an_event_that_was_lost_on_its_way_is_missed_when_its_span_comes(venue: Venue) -> None:
    keys = Keys(venue.prefix)
    async with venue.listener() as listener:
        owner, other = Owner(listener), Owner(listener, OTHER)

        def private(last: int) -> None:
            listener.hear(keys.account(ACCOUNT).encode(), encode_private(Private(moved=True, ends=((0, last),))))

        def span(after: int, last: int, *told: int) -> None:
            listener.hear(keys.spans.encode(), encode_spans([Span(0, after, last, told)]))

        for last in (1, 1):
            private(last)
        span(0, 1, ACCOUNT)
        private(1)  # once more, as after a try that nobody answered
        span(0, 1, ACCOUNT)
        span(1, 5)
        assert (owner.moves, owner.missed, other.missed) == (1, 0, 0)
        span(5, 6, ACCOUNT, 99)
        assert (owner.moves, owner.missed, other.missed) == (1, 1, 0)
        private(9)
        span(8, 9, ACCOUNT)
        assert (owner.moves, owner.missed, other.missed) == (2, 2, 1), "a lost span may have been anybody's"
        private(8)
        assert owner.moves == 2, "what comes too late is not told out of turn"


async def test_events_of_an_account_that_was_followed_too_late_for_some_of_them_are_missed(venue: Venue) -> None:
    async with venue.listener() as listener, venue.publisher() as publisher:
        owner = Owner(listener)
        await until(lambda: publisher.follows(ACCOUNT))
        half = Publication(moved=(ACCOUNT,), spans=(Span(0, 0, 2, (), (ACCOUNT,)),))
        await publisher.publish(half)
        await until(lambda: owner.missed == 1)
        assert owner.moves == 0, "nobody can tell a part from the whole"


async def test_a_market_alone_that_could_not_be_sent_lets_nobody_start_again(venue: Venue, often: None) -> None:
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


async def let_an_engine_tell_one(venue: Venue, owner: Owner) -> None:
    """An engine tells one event, and is gone."""
    async with venue.publisher() as publisher:
        await until(lambda: publisher.follows(ACCOUNT))
        await publisher.publish(committed(venue))
        await until(lambda: owner.moves == 1)


async def test_an_engine_that_died_between_commit_and_telling_has_kept_something_back(venue: Venue) -> None:
    async with venue.listener() as listener:
        owner = Owner(listener)
        await let_an_engine_tell_one(venue, owner)
        committed(venue)
        async with venue.publisher() as successor:
            await until(lambda: successor.follows(ACCOUNT))
            assert owner.missed == 0
            await successor.publish(committed(venue))
            await until(lambda: owner.missed == 1)


async def test_events_that_an_engine_took_with_it_are_missed_although_nothing_follows_them(
    venue: Venue, often: None
) -> None:
    async with venue.listener() as listener:
        owner = Owner(listener)
        await let_an_engine_tell_one(venue, owner)
        await asyncio.sleep(A_WHILE_SECONDS)
        assert owner.missed == 0
        committed(venue)
        await until(lambda: owner.missed == 1)
        await asyncio.sleep(A_WHILE_SECONDS)
        assert owner.missed == 1, "it is told once"


async def test_what_was_committed_and_is_on_its_way_is_waited_for(venue: Venue, often: None) -> None:
    async with venue.listener() as listener, venue.publisher() as publisher:
        owner = Owner(listener)
        await until(lambda: publisher.follows(ACCOUNT))
        for _ in range(8):
            made = committed(venue)
            await asyncio.sleep(1.5 * LOOK_SECONDS)
            await publisher.publish(made)
        await until(lambda: owner.moves == 8)
        assert owner.missed == 0


async def test_an_engine_that_does_not_know_yet_who_is_followed_keeps_nothing_back_in_silence(
    fragile: Venue, redis: LonelyRedis
) -> None:
    async with fragile.listener(follow_seconds=60) as listener:
        owner = Owner(listener)
        async with fragile.publisher() as publisher:
            await until(lambda: publisher.follows(ACCOUNT))
        redis.command("FLUSHALL")
        async with fragile.publisher() as successor:
            assert not successor.follows(ACCOUNT), "nothing is to be tested where it knows already"
            await successor.publish(committed(fragile, successor))
            await until(lambda: owner.missed == 1)
            await until(lambda: successor.follows(ACCOUNT))  # its pod says so once more
            await successor.publish(committed(fragile, successor))
            await until(lambda: owner.moves == 1)
            assert owner.missed == 1


async def test_a_partition_that_was_told_of_to_the_end_can_change_hands_unnoticed(venue: Venue, often: None) -> None:
    life = Life()
    async with venue.listener() as listener:
        owner = Owner(listener)
        follower = following(listener, life)
        for hands in range(3):
            async with venue.publisher() as publisher:
                await publisher.publish(Publication(updates=(life.snapshot(),)))
                await trade(venue, publisher, life, 3)
                await until(lambda publisher=publisher: publisher.follows(ACCOUNT))  # type: ignore[misc]
                for _ in range(50):
                    await publisher.publish(committed(venue, publisher))
                await at_the_end(listener, life, follower)
                await until(lambda hands=hands: owner.moves == 50 * (hands + 1))  # type: ignore[misc]
        await asyncio.sleep(A_WHILE_SECONDS)
        assert (owner.moves, owner.missed) == (150, 0)
