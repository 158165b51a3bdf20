"""The port Feed: committed facts reach whoever listens, in order. Delivery may take a moment, so tests wait for it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outcry.facts import Span
from outcry.market.events import OrderAccepted
from outcry.ports import Book, Execution, Feed, MarketUpdate, Outcome, Publication
from tests.support.feeds import PATIENCE_SECONDS, POD, memory_feed, redis_feed, until

FEEDS = {"memory": memory_feed, "redis": redis_feed}


@pytest.fixture(params=sorted(FEEDS))
async def feed(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Feed]:
    async with FEEDS[request.param](tmp_path) as opened:
        yield opened


def update(first_u: int, last_u: int, *levels: tuple[int, int, int], snapshot: bool = False) -> MarketUpdate:
    return MarketUpdate(
        symbol_id=1, part=0, epoch=1, first_seq=first_u, last_seq=last_u, first_u=first_u, last_u=last_u, time_ms=1,
        levels=levels, snapshot=snapshot,
    )  # fmt: skip


def outcome(command_id: int, reply_to: str = POD) -> Outcome:
    return Outcome(command_id=command_id, symbol_id=1, part=0, offset=0, time_ms=1, reply_to=reply_to)


def execution(account: int) -> Execution:
    accepted = OrderAccepted(symbol_id=1, order_id=1, account=account)
    return Execution(account_id=account, symbol_id=1, time_ms=1, event=accepted, order=None)


async def book_at(feed: Feed, update_id: int, depth: int = 5) -> Book:
    """The book, once it has come to an update id."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            book = await feed.book(1, depth)
            if book is not None and book.update_id == update_id:
                return book
            await asyncio.sleep(0.005)


async def test_outcomes_and_updates_arrive_in_order(feed: Feed) -> None:
    answers: list[Outcome] = []
    shown: list[tuple[int, int]] = []
    feed.on_outcome(answers.append)
    feed.on_update(lambda heard: shown.append((heard.first_seq, heard.last_seq)))
    await feed.publish(Publication(updates=(update(1, 1, (1, 99, 5), snapshot=True),)))
    await until(lambda: shown == [(1, 1)])
    published = Publication(outcomes=(outcome(1), outcome(2)), updates=(update(2, 2), update(3, 5)))
    await feed.publish(published)
    await until(lambda: len(shown) == 3 and len(answers) == 2)
    assert answers == list(published.outcomes)
    assert shown == [(1, 1), (2, 2), (3, 5)]


async def test_an_account_hears_its_own_until_it_leaves(feed: Feed) -> None:
    heard: list[Execution | None] = []
    leave = feed.on_account(7, heard.append)
    await until(lambda: feed.follows(7))
    assert not feed.follows(8)
    await feed.publish(Publication(executions=(execution(7), execution(8)), moved=(7, 8)))
    await until(lambda: len(heard) == 2)
    assert heard == [execution(7), None]
    leave()
    leave()
    await until(lambda: not feed.follows(7))
    await feed.publish(Publication(moved=(7,)))
    assert len(heard) == 2


async def test_two_listeners_of_one_account_are_two(feed: Feed) -> None:
    heard: list[Execution | None] = []
    first = feed.on_account(7, heard.append)
    feed.on_account(7, heard.append)
    first()
    await until(lambda: feed.follows(7))
    await feed.publish(Publication(moved=(7,)))
    await until(lambda: heard)
    assert heard == [None]


async def test_a_listener_may_leave_while_it_hears(feed: Feed) -> None:
    heard: list[str] = []

    def hear_once(_: Execution | None) -> None:
        heard.append("first")
        leave()

    leave = feed.on_account(7, hear_once)
    feed.on_account(7, lambda _: heard.append("second"))
    await until(lambda: feed.follows(7))
    await feed.publish(Publication(executions=(execution(7),), moved=(7,)))
    await until(lambda: len(heard) == 3)
    assert heard == ["first", "second", "second"]


async def test_the_book_follows_the_updates(feed: Feed) -> None:
    assert await feed.book(1, 5) is None
    await feed.publish(Publication(updates=(update(1, 4, (1, 99, 5), (1, 98, 2), (-1, 101, 3), snapshot=True),)))
    await feed.publish(Publication(updates=(update(5, 6, (1, 99, 0), (-1, 100, 9)),)))
    book = await book_at(feed, 6)
    assert (book.bids, book.asks) == (((98, 2),), ((100, 9), (101, 3)))
    top = await feed.book(1, 1)
    assert top is not None and top.asks == ((100, 9),)


async def test_a_listener_never_finds_a_book_older_than_what_it_heard(feed: Feed) -> None:
    looks: list[asyncio.Task[Book | None]] = []
    heard: list[int] = []

    def look(shown: MarketUpdate) -> None:
        heard.append(shown.last_u)
        looks.append(asyncio.create_task(feed.book(1, 1)))

    feed.on_update(look)
    await feed.publish(Publication(updates=(update(1, 2, (1, 9, 1), snapshot=True),)))
    await until(lambda: len(heard) == 1)
    for u in range(3, 40):
        await feed.publish(Publication(updates=(update(u, u, (1, 9, u)),)))
    await until(lambda: len(heard) == 38)
    for u, book in zip(heard, await asyncio.gather(*looks), strict=True):
        assert book is not None and book.update_id >= u
        assert book.bids == ((9, book.update_id if book.update_id > 2 else 1),)


async def test_a_snapshot_replaces_what_was_known(feed: Feed) -> None:
    await feed.publish(Publication(updates=(update(1, 1, (1, 99, 5), snapshot=True),)))
    await book_at(feed, 1)
    await feed.publish(Publication(updates=(update(5, 4, (1, 50, 1), snapshot=True),)))
    book = await book_at(feed, 4)
    assert book.bids == ((50, 1),)


async def test_an_update_without_levels_leaves_the_update_id(feed: Feed) -> None:
    shown: list[MarketUpdate] = []
    feed.on_update(shown.append)
    await feed.publish(Publication(updates=(update(1, 3, (1, 99, 5), snapshot=True),)))
    await until(lambda: shown)
    quiet = MarketUpdate(
        symbol_id=1, part=0, epoch=1, first_seq=4, last_seq=4, first_u=4, last_u=3, time_ms=1, levels=()
    )
    await feed.publish(Publication(updates=(quiet,)))
    await until(lambda: len(shown) == 2)
    book = await feed.book(1, 5)
    assert book is not None and book.update_id == 3


async def test_who_follows_an_account_is_told_when_events_never_came(feed: Feed) -> None:
    moves: list[Execution | None] = []
    missed: list[list[int]] = []
    feed.on_account(7, moves.append)
    feed.on_account(8, moves.append)
    feed.on_missed(lambda account_ids: missed.append(sorted(account_ids)))
    await until(lambda: feed.follows(7) and feed.follows(8))
    await feed.publish(Publication(moved=(7,), spans=(Span(0, 0, 3, told=(7,)), Span(1, 0, 1))))
    await feed.publish(Publication(moved=(7,), spans=(Span(0, 3, 4, told=(7,)),)))
    await feed.publish(Publication(spans=(Span(0, 4, 5, untold=(9,)),)))
    await until(lambda: len(moves) == 2)
    assert missed == []
    await feed.publish(Publication(spans=(Span(1, 1, 2, untold=(8, 9)),)))
    await until(lambda: missed == [[8]])
    await feed.publish(Publication(spans=(Span(0, 6, 7),)))
    await until(lambda: missed == [[8], [7, 8]])
    await feed.publish(Publication(moved=(7,), spans=(Span(0, 7, 8, told=(7,)),)))
    await until(lambda: len(moves) == 3)
    assert len(missed) == 2
