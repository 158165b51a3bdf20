"""A journal that is asked again where it cannot answer: for proofs, which would be lost with a broker's restart."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, TypeVar

from outcry.ports import OutOfService
from outcry.rows import Record

PATIENCE_SECONDS: Final = 30.0  # for one spell of trouble; once it is over each question is asked once
PAUSE_SECONDS: Final = 0.5  # between two attempts

T = TypeVar("T")


class Log(Protocol):
    """What a proof reads of the journal."""

    async def read(self, positions: Mapping[int, int], max_records: int, wait_seconds: float) -> list[Record]: ...
    async def first_offsets(self) -> dict[int, int]: ...


class Unanswered(Exception):
    """The journal did not answer for as long as was waited for; the message has its last words."""


class Insistent:
    """Keeps ``Log``, and raises Unanswered where the log behind it is out of service for longer than the patience."""

    def __init__(self, log: Log, progress: Callable[[str], None], seconds: float) -> None:
        self._log = log
        self._progress = progress
        self._seconds = seconds
        self._since: float | None = None  # when the trouble began, on the loop's clock

    async def read(self, positions: Mapping[int, int], max_records: int, wait_seconds: float) -> list[Record]:
        return await self._insist(lambda: self._log.read(positions, max_records, wait_seconds))

    async def first_offsets(self) -> dict[int, int]:
        return await self._insist(self._log.first_offsets)

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        while True:
            try:
                answer = await ask()
            except OutOfService as trouble:
                if self._since is None:
                    self._since = loop.time()
                    self._progress(f"Asking again for up to {self._seconds:g} s: {trouble}")
                if loop.time() - self._since >= self._seconds:
                    raise Unanswered(str(trouble)) from None
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                self._since = None
                return answer
