"""One call at a time, with all who asked meanwhile in the next."""

import asyncio
from collections.abc import Sequence

import pytest

from outcry.shuttle import Crowded, Shuttle


class Far:
    """Somebody far away who doubles numbers, once the test lets the answer go."""

    def __init__(self) -> None:
        self.trips: list[list[int]] = []
        self.back = asyncio.Event()
        self.trouble: Exception | None = None

    async def carry(self, numbers: list[int]) -> Sequence[int]:
        self.trips.append(numbers)
        await self.back.wait()
        trouble, self.trouble = self.trouble, None
        if trouble is not None:
            raise trouble
        return [2 * number for number in numbers]


def asking(shuttle: Shuttle[int, int], *numbers: int) -> list[asyncio.Task[int]]:
    return [asyncio.create_task(shuttle.ask(number)) for number in numbers]


async def rounds() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_asks_while_a_trip_is_under_way_goes_with_the_next() -> None:
    far = Far()
    shuttle = Shuttle(far.carry, seats=3, waiting=100)
    first = asking(shuttle, 1, 2)
    await rounds()
    later = asking(shuttle, 3, 4, 5, 6)
    await rounds()
    assert far.trips == [[1, 2]]
    far.back.set()
    assert await asyncio.gather(*first, *later) == [2, 4, 6, 8, 10, 12]
    assert far.trips == [[1, 2], [3, 4, 5], [6]]
    assert await shuttle.ask(7) == 14


async def test_what_a_trip_raises_is_raised_for_all_aboard_and_the_next_goes_all_the_same() -> None:
    far = Far()
    shuttle = Shuttle(far.carry, seats=2, waiting=100)
    far.trouble = ZeroDivisionError("far away")
    tasks = asking(shuttle, 1, 2)
    await rounds()
    tasks += asking(shuttle, 3)
    far.back.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in found] == [ZeroDivisionError, ZeroDivisionError, int]


async def test_nobody_waits_beyond_the_bound() -> None:
    far = Far()
    shuttle = Shuttle(far.carry, seats=1, waiting=2)
    tasks = asking(shuttle, 1, 2, 3)
    await rounds()
    with pytest.raises(Crowded):
        await tasks[2]
    far.back.set()
    assert await asyncio.gather(*tasks[:2]) == [2, 4]


async def test_who_has_gone_is_not_asked_for_and_keeps_nobody_from_going() -> None:
    far = Far()
    shuttle = Shuttle(far.carry, seats=1, waiting=10)
    aboard, gone, patient = asking(shuttle, 1, 2, 3)
    await rounds()
    aboard.cancel()
    gone.cancel()
    await rounds()
    far.back.set()
    assert await patient == 6
    assert far.trips == [[1], [3]]


async def test_a_shuttle_that_stops_lets_nobody_wait() -> None:
    far = Far()
    shuttle = Shuttle(far.carry, seats=1, waiting=10)
    tasks = asking(shuttle, 1, 2)
    await rounds()
    shuttle.stop()
    assert [type(each) for each in await asyncio.gather(*tasks, return_exceptions=True)] == [asyncio.CancelledError] * 2
