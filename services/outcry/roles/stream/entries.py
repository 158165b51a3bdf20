"""What the ledger notes without an engine: read from there, and told once to whoever follows the account.

That is money that came in or went out without a trade, and orders that were given up before they reached the market.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from outcry.facts import GivenUp
from outcry.ports import OutcomeUnknown, OutOfService
from outcry.roles.stream.userdata import UserStreams
from outcry.rows import TransferRow

LOOK_SECONDS: Final = 5.0  # between two looks when nobody says that there is something new
ASK_SECONDS: Final = 1.0  # before a ledger that cannot be asked is asked again
BEGIN_SECONDS: Final = 2.0  # for the first look at an account, before it is promised to a client all the same
LATE_SECONDS: Final = 60.0  # by which an entry may be committed later than one with a higher number
LATE_NUMBERS: Final = 1_000  # the same, when a process looks for the first time
PAGE: Final = 500  # entries in one answer

log = logging.getLogger(__name__)


class Entry(Protocol):
    """Something that happened to an account; numbers grow, but a lower one may be committed after a higher one."""

    @property
    def number(self) -> int: ...
    @property
    def account_id(self) -> int: ...


E = TypeVar("E", bound=Entry)


class Transfers(Protocol):
    """What the ledger tells of money that was moved in or out."""

    async def newest_transfer(self) -> int: ...
    async def transfers(self, account_ids: Sequence[int], after: int, limit: int) -> list[TransferRow]: ...


class Losses(Protocol):
    """What the ledger tells of orders that never reached the market."""

    async def newest_given_up(self) -> int: ...
    async def given_up(self, account_ids: Sequence[int], after: int, limit: int) -> list[GivenUp]: ...


class Entries(Generic[E]):
    """``supervise`` until it is canceled; ``hint`` at an account makes the next look come at once.

    A process that made an entry may hint at it. Where that is lost, or nobody said anything (a command line), it is
    told up to LOOK_SECONDS later.
    """

    def __init__(
        self,
        users: UserStreams,
        *,
        newest: Callable[[], Awaitable[int]],
        behind: Callable[[Sequence[int], int, int], Awaitable[Sequence[E]]],
        tell: Callable[[E], None],
    ) -> None:
        self._users = users
        self._newest = newest
        self._behind = behind
        self._tell = tell
        self._news = asyncio.Event()
        self._looked = asyncio.Event()  # set by the next look, and then replaced
        self._begun: set[int] = set()  # followed accounts of which all that was there before is known
        self._floor: int | None = None  # entries up to this number are told; None: nobody was followed
        self._highest = 0  # number that was seen
        self._told: set[int] = set()  # those behind the floor that are told
        self._marks: deque[tuple[float, int]] = deque()  # when which number was the newest, on the loop's clock
        users.on_follow(self._news.set, self.begun)

    def hint(self, account_id: int) -> None:
        """There is an entry of the account since just now."""
        if account_id in self._users.followed:
            self._news.set()

    async def begun(self, account_id: int) -> None:
        """Waits until what is noted from now on is told; for a ledger that cannot be asked, BEGIN_SECONDS."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BEGIN_SECONDS):
                while account_id not in self._begun:
                    await self._looked.wait()

    async def supervise(self) -> None:
        """Looks again and again; a ledger that cannot be asked is asked later."""
        while True:
            self._news.clear()
            try:
                await self.look()
            except (OutOfService, OutcomeUnknown) as trouble:
                log.warning("Nobody can tell what the ledger noted: %s", trouble)
                await asyncio.sleep(ASK_SECONDS)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), LOOK_SECONDS)

    async def look(self) -> None:
        """Tells what is new. Raises OutOfService, OutcomeUnknown."""
        followed = self._users.followed
        self._begun &= followed
        if not followed:
            self._floor = None
            return
        newest = await self._newest()
        if newest < self._highest:
            self._lose()
        self._highest = newest
        if self._floor is None:
            self._floor = max(newest - LATE_NUMBERS, 0)
            self._told.clear()
            self._marks.clear()
        after = self._floor
        while entries := await self._behind(sorted(followed), after, PAGE):
            for entry in entries:
                self._take(entry)
            after = entries[-1].number
        self._begun |= followed
        self._raise_floor(newest)
        self._looked.set()
        self._looked = asyncio.Event()

    def _lose(self) -> None:
        """The ledger is an older one: what it had noted is gone, and its next entries have numbers that were told."""
        log.warning("The ledger has gone back: who follows an account starts again.")
        self._users.start_again(self._begun)
        self._begun.clear()
        self._floor = None

    def _take(self, entry: E) -> None:
        self._highest = max(self._highest, entry.number)  # it may be newer than what was asked for before
        if entry.number in self._told:
            return
        self._told.add(entry.number)
        if entry.account_id in self._begun:
            self._tell(entry)

    def _raise_floor(self, newest: int) -> None:
        """Behind the number that was the newest LATE_SECONDS ago nothing can come any more."""
        now = asyncio.get_running_loop().time()
        self._marks.append((now, newest))
        while self._marks[0][0] < now - LATE_SECONDS:
            self._floor = self._marks.popleft()[1]
        self._told = {number for number in self._told if number > (self._floor or 0)}


def transfers(ledger: Transfers, users: UserStreams) -> Entries[TransferRow]:
    """Money that came in or went out without a trade."""
    return Entries(
        users,
        newest=ledger.newest_transfer,
        behind=ledger.transfers,
        tell=lambda row: users.transferred(row.account_id, row.asset_id, row.amount),
    )


def orders_given_up(ledger: Losses, users: UserStreams) -> Entries[GivenUp]:
    """Orders that were given up before they reached the market."""
    return Entries(
        users,
        newest=ledger.newest_given_up,
        behind=ledger.given_up,
        tell=lambda entry: users.gave_up(entry.order),
    )
