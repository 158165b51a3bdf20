"""Answers and private events on a real Redis find the processes that wait for them."""

import asyncio

from outcry.ports import Book, Execution, Outcome, Publication
from tests.adapters.test_redis_feed import at_the_end, following, open_market, trade
from tests.adapters.test_redis_feed import venue as venue
from tests.support.feeds import POD, Life, Venue, until


def answer(command_id: int, reply_to: str) -> Outcome:
    return Outcome(command_id=command_id, symbol_id=1, part=0, offset=0, time_ms=1, reply_to=reply_to)


async def test_a_tick_that_comes_late_leaves_nothing_out(venue: Venue) -> None:
    life = Life()
    async with venue.listener() as listener, venue.publisher() as publisher:
        follower = following(listener, life)
        await open_market(publisher, life, follower)
        await publisher.tick(900)
        await trade(venue, publisher, life, 3)
        await publisher.tick(1_100)
        await until(lambda: {each[0] for each in follower.tape} == {0, 100, 1000})


async def test_an_answer_goes_to_the_process_that_asked(venue: Venue) -> None:
    heard: list[Outcome] = []
    async with venue.listener() as listener, venue.publisher() as publisher:
        listener.on_outcome(heard.append)
        answers = answer(1, POD), answer(2, "api-9"), answer(3, ""), answer(4, POD)
        await publisher.publish(Publication(outcomes=answers))
        await until(lambda: len(heard) == 2)
    assert [outcome.command_id for outcome in heard] == [1, 4]


async def test_whoever_is_answered_finds_the_book_as_new(venue: Venue) -> None:
    life = Life()
    looks: list[asyncio.Task[Book | None]] = []
    async with venue.listener() as listener, venue.publisher() as publisher:
        listener.on_outcome(lambda _: looks.append(asyncio.create_task(listener.book(1, 5))))
        await open_market(publisher, life, following(listener, life))
        for n in range(1, 21):
            update = life.batch((1, 99, n))
            await publisher.publish(Publication(updates=(update,), outcomes=(answer(n, POD),)))
        await until(lambda: len(looks) == 20)
        books = await asyncio.gather(*looks)
    assert all(book is not None and book.update_id >= n for n, book in enumerate(books, 1))


async def test_an_engine_that_starts_later_knows_who_is_followed(venue: Venue) -> None:
    heard: list[Execution | None] = []
    async with venue.listener() as listener:
        listener.on_account(7, heard.append)
        async with venue.publisher() as publisher:
            await until(lambda: publisher.follows(7))
            await publisher.publish(Publication(moved=(7, 8)))
            await until(lambda: heard)
            assert not publisher.follows(8)


async def test_a_listener_that_fails_keeps_no_other_from_hearing(venue: Venue) -> None:
    life = Life()
    async with venue.listener() as listener, venue.publisher() as publisher:
        listener.on_update(lambda _: 1 // 0)
        follower = following(listener, life)
        await open_market(publisher, life, follower)
        await trade(venue, publisher, life, 5)
        await at_the_end(listener, life, follower)


async def test_a_symbol_of_which_nothing_is_heard_is_stale(venue: Venue) -> None:
    life = Life()
    async with venue.listener() as listener:
        follower = following(listener, life)
        assert listener.is_stale(1)
        async with venue.publisher() as publisher:
            await open_market(publisher, life, follower)
            await asyncio.sleep(2.2)
            await until(lambda: not listener.is_stale(1))
            publisher.retire([0])
            await until(lambda: listener.is_stale(1))
