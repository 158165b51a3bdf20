"""The port Feed: committed facts reach whoever listens, in order."""

import pytest

from outcry.adapters.memory import MemoryFeed
from outcry.market.events import OrderAccepted
from outcry.ports import Execution, Feed, MarketUpdate, Outcome, Publication


@pytest.fixture(params=["memory"])
def feed() -> Feed:
    return MemoryFeed()


def update(first_u: int, last_u: int, *levels: tuple[int, int, int], snapshot: bool = False) -> MarketUpdate:
    return MarketUpdate(
        symbol_id=1, part=0, epoch=1, first_seq=first_u, last_seq=last_u, first_u=first_u, last_u=last_u, time_ms=1,
        levels=levels, snapshot=snapshot,
    )  # fmt: skip


def outcome(command_id: int) -> Outcome:
    return Outcome(command_id=command_id, symbol_id=1, part=0, offset=0, time_ms=1)


def execution(account: int) -> Execution:
    accepted = OrderAccepted(symbol_id=1, order_id=1, account=account)
    return Execution(account_id=account, symbol_id=1, time_ms=1, event=accepted, order=None)


async def test_outcomes_and_updates_arrive_in_order(feed: Feed) -> None:
    heard: list[object] = []
    feed.on_outcome(heard.append)
    feed.on_update(heard.append)
    published = Publication(outcomes=(outcome(1), outcome(2)), updates=(update(1, 1), update(2, 2)))
    await feed.publish(published)
    assert heard == [*published.outcomes, *published.updates]


async def test_an_account_hears_its_own_until_it_leaves(feed: Feed) -> None:
    heard: list[Execution | None] = []
    leave = feed.on_account(7, heard.append)
    assert feed.follows(7) and not feed.follows(8)
    await feed.publish(Publication(executions=(execution(7), execution(8)), moved=(7, 8)))
    assert heard == [execution(7), None]
    leave()
    leave()
    assert not feed.follows(7)
    await feed.publish(Publication(moved=(7,)))
    assert len(heard) == 2


async def test_two_listeners_of_one_account_are_two(feed: Feed) -> None:
    heard: list[Execution | None] = []
    first = feed.on_account(7, heard.append)
    feed.on_account(7, heard.append)
    first()
    assert feed.follows(7)
    await feed.publish(Publication(moved=(7,)))
    assert heard == [None]


async def test_a_listener_may_leave_while_it_hears(feed: Feed) -> None:
    heard: list[str] = []

    def hear_once(_: Execution | None) -> None:
        heard.append("first")
        leave()

    leave = feed.on_account(7, hear_once)
    feed.on_account(7, lambda _: heard.append("second"))
    await feed.publish(Publication(moved=(7, 7)))
    assert heard == ["first", "second", "second"]


async def test_the_book_follows_the_updates(feed: Feed) -> None:
    assert await feed.book(1, 5) is None
    await feed.publish(Publication(updates=(update(1, 4, (1, 99, 5), (1, 98, 2), (-1, 101, 3), snapshot=True),)))
    await feed.publish(Publication(updates=(update(5, 6, (1, 99, 0), (-1, 100, 9)),)))
    book = await feed.book(1, 5)
    assert book is not None
    assert (book.update_id, book.bids, book.asks) == (6, ((98, 2),), ((100, 9), (101, 3)))
    top = await feed.book(1, 1)
    assert top is not None and top.asks == ((100, 9),)


async def test_a_listener_never_finds_a_book_older_than_what_it_heard(feed: Feed) -> None:
    seen: list[int] = []

    def look(heard: MarketUpdate) -> None:
        coroutine = feed.book(1, 1)
        with pytest.raises(StopIteration) as stop:
            coroutine.send(None)
        seen.append(stop.value.value.update_id - heard.last_u)

    feed.on_update(look)
    await feed.publish(Publication(updates=(update(1, 2, (1, 9, 1), snapshot=True),)))
    await feed.publish(Publication(updates=(update(3, 3, (1, 9, 2)),)))
    assert seen == [0, 0]


async def test_a_snapshot_replaces_what_was_known(feed: Feed) -> None:
    await feed.publish(Publication(updates=(update(1, 1, (1, 99, 5), snapshot=True),)))
    await feed.publish(Publication(updates=(update(2, 1, (1, 50, 1), snapshot=True),)))
    book = await feed.book(1, 5)
    assert book is not None and book.bids == ((50, 1),)


async def test_an_update_without_levels_leaves_the_update_id(feed: Feed) -> None:
    await feed.publish(Publication(updates=(update(1, 3, (1, 99, 5), snapshot=True),)))
    await feed.publish(Publication(updates=(update(4, 3),)))
    book = await feed.book(1, 5)
    assert book is not None and book.update_id == 3
