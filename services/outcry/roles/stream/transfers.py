"""Money that came in or went out without a trade: read from the ledger, told once to whoever follows the account."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from outcry.ports import OutcomeUnknown, OutOfService
from outcry.roles.stream.userdata import UserStreams
from outcry.rows import TransferRow

LOOK_SECONDS: Final = 5.0  # between two looks when nobody says that money was moved
ASK_SECONDS: Final = 1.0  # before a ledger that cannot be asked is asked again
LATE_SECONDS: Final = 60.0  # by which a transfer may be committed later than one with a higher number
LATE_NUMBERS: Final = 1_000  # the same, when a process looks for the first time
PAGE: Final = 500  # transfers in one answer

log = logging.getLogger(__name__)


class Books(Protocol):
    """What the ledger tells of transfers."""

    async def newest_transfer(self) -> int: ...
    async def transfers(self, account_ids: Sequence[int], after_id: int, limit: int) -> list[TransferRow]: ...


class Transfers:
    """``supervise`` until it is canceled; ``hint`` at an account makes the next look come at once.

    A process that made a transfer hints at it. Where that is lost, or nobody said anything (a command line), the
    transfer is told up to LOOK_SECONDS later.
    """

    def __init__(self, ledger: Books, users: UserStreams) -> None:
        self._ledger = ledger
        self._users = users
        self._news = asyncio.Event()
        self._begun: set[int] = set()  # followed accounts of which all that was there before is known
        self._floor: int | None = None  # transfers up to this number are told; None: nobody was followed
        self._told: set[int] = set()  # those behind the floor that are told
        self._marks: deque[tuple[float, int]] = deque()  # when which number was the newest, on the loop's clock
        users.on_follow(self._news.set)

    def hint(self, account_id: int) -> None:
        """Money of the account was moved just now."""
        if account_id in self._users.followed:
            self._news.set()

    async def supervise(self) -> None:
        """Looks again and again; a ledger that cannot be asked is asked later."""
        while True:
            self._news.clear()
            try:
                await self.look()
            except (OutOfService, OutcomeUnknown) as trouble:
                log.warning("Nobody can tell whose money was moved: %s", trouble)
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
        newest = await self._ledger.newest_transfer()
        if self._floor is None:
            self._floor = max(newest - LATE_NUMBERS, 0)
            self._told.clear()
            self._marks.clear()
        after_id = self._floor
        while rows := await self._ledger.transfers(sorted(followed), after_id, PAGE):
            for row in rows:
                self._take(row)
            after_id = rows[-1].transfer_id
        self._begun |= followed
        self._raise_floor(newest)

    def _take(self, row: TransferRow) -> None:
        if row.transfer_id in self._told:
            return
        self._told.add(row.transfer_id)
        if row.account_id in self._begun:
            self._users.transferred(row.account_id, row.asset_id, row.amount)

    def _raise_floor(self, newest: int) -> None:
        """Behind the number that was the newest LATE_SECONDS ago nothing can come any more."""
        now = asyncio.get_running_loop().time()
        self._marks.append((now, newest))
        while self._marks[0][0] < now - LATE_SECONDS:
            self._floor = self._marks.popleft()[1]
        self._told = {number for number in self._told if number > (self._floor or 0)}
