"""One call at a time to somebody far away; all who ask while it is on its way go together with the next."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Crowded(Exception):
    """So many wait already that nobody else may."""


class Shuttle(Generic[Question, Answer]):
    """Carries questions, ``seats`` of them at most in one trip, and brings as many answers in their order.

    What a trip raises is raised for all who were aboard. ``waiting`` is how many may wait for the next one. An answer
    that nobody waits for any longer is thrown away. All within one event loop.
    """

    def __init__(
        self, carry: Callable[[list[Question]], Coroutine[Any, Any, Sequence[Answer]]], *, seats: int, waiting: int
    ) -> None:
        self._carry = carry
        self._seats = seats
        self._most = waiting
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._under_way = False
        self._trip: asyncio.Task[Sequence[Answer]] | None = None

    async def ask(self, question: Question) -> Answer:
        """Raises Crowded, and what ``carry`` raises."""
        if len(self._waiting) >= self._most:
            raise Crowded(f"{self._most} wait already.")
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((question, answered))
        if not self._under_way:
            self._under_way = True
            loop.call_soon(self._depart)  # with all who ask in this round of the loop
        return await answered

    def stop(self) -> None:
        """Calls the trip back; who is aboard or waits is canceled."""
        if self._trip is not None:
            self._trip.cancel()
        for _, answered in self._waiting:
            answered.cancel()
        self._waiting.clear()

    def _depart(self) -> None:
        waiting = [each for each in self._waiting if not each[1].done()]
        aboard, self._waiting = waiting[: self._seats], waiting[self._seats :]
        self._under_way = bool(aboard)
        if aboard:
            self._trip = asyncio.get_running_loop().create_task(self._carry([question for question, _ in aboard]))
            self._trip.add_done_callback(partial(self._arrive, [answered for _, answered in aboard]))

    def _arrive(self, aboard: Sequence[asyncio.Future[Answer]], trip: "asyncio.Task[Sequence[Answer]]") -> None:
        self._trip = None
        if trip.cancelled():
            for answered in aboard:
                answered.cancel()
        elif (trouble := trip.exception()) is not None:
            for answered in aboard:
                if not answered.done():
                    answered.set_exception(trouble)
        else:
            for answered, answer in zip(aboard, trip.result(), strict=True):
                if not answered.done():
                    answered.set_result(answer)
        self._depart()
