"""How engines share the partitions: each looks at the table, takes what is its, and hands over what is too much.

A hand-over is offered first. Its receiver loads a copy meanwhile; only then the giver lets go, so that the partition
stands still for a moment instead of for a load.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from outcry.leases import SHARE, Lease, Member, Table
from outcry.ports import OutcomeUnknown, OutOfService
from outcry.roles.engine import claims
from outcry.roles.engine.copies import Copies
from outcry.roles.engine.ownership import Ownership

LOOK_SECONDS: Final = 0.5  # between two looks at the table when nothing is announced
BUSY_LOOK_SECONDS: Final = 0.1  # and while something is being handed over
SHARE_SECONDS: Final = 2.0  # between two partitions that one hands over for having too many
OVERDUE_SECONDS: Final = 2.0  # a partition free for so long is anyone's, whatever its share
COPY_SECONDS: Final = 10.0  # for the receiver to load its copy; then it gets the partition without
KEEP_SECONDS: Final = 5.0  # for which a copy outlives its offer: it is needed when the partition has been reserved
SHADOW_SECONDS: Final = 120.0  # a shadow that is not asked for again ends
RETRY_SECONDS: Final = 0.5  # before a partition that was lost is asked for again

FAIR, DRAIN, ASKED = "fair", "drain", "asked"  # why a partition is handed over

log = logging.getLogger(__name__)


class Offer(NamedTuple):
    """To whom a partition is to go, why, and until when its receiver may take its time."""

    pod: str
    why: str
    until: float  # on the monotonic clock


class Sharing:
    """``look`` once, or ``run`` for ever; the engine hands over what is in ``leaving``, by ``give``."""

    def __init__(
        self, *, lease: Lease, own: Ownership, copies: Copies, owner: str, partitions: Sequence[int],
        claim: str = SHARE, lease_ms: int,
    ) -> None:  # fmt: skip
        self.me = Member(owner, claim)
        self.table = Table((), ())
        self.looked_at = 0.0  # on the monotonic clock; 0: not yet
        self.leaving: dict[int, Offer] = {}
        self.draining_since_ms = 0
        self.trouble = ""
        self._drains_for_good = False
        self._lease = lease
        self._own = own
        self._copies = copies
        self._partitions = tuple(partitions)
        self._renew_seconds = lease_ms / 3_000
        self._offers: dict[int, Offer] = {}
        self._free_since: dict[int, float] = {}
        self._paused: dict[int, float] = {}  # partitions not to be asked for until then
        self._shared_at = 0.0
        self._shadow: frozenset[int] = frozenset()
        self._shadow_until = 0.0
        self._wanted: dict[int, float] = {}  # copies to keep until then
        self._joined: tuple[Member | None, float] = (None, 0.0)
        self._nudged = asyncio.Event()

    @property
    def has_heirs(self) -> bool:
        """Whether, as of the last look, another engine could take a partition."""
        return any(member.shares and member.owner != self.me.owner for member in self.table.members)

    async def look(self) -> None:
        """One look at the table, and what follows from it. Raises OutOfService, OutcomeUnknown."""
        self._own.looks += 1
        look = self._own.looks
        table = claims.completed(await self._lease.look(), self._partitions, self.me)
        self.table, self.looked_at = table, time.monotonic()
        self._own.note_halts(claims.halts(table), look)
        self._claim(table)
        self._copy(table)
        self._offer(table)
        await self.join()

    async def run(self) -> None:
        """Looks for ever; trouble with the leases is waited out."""
        while True:
            await self._wait()
            try:
                await self.look()
                self.trouble = ""
            except (OutOfService, OutcomeUnknown) as trouble:
                self.trouble = str(trouble) or type(trouble).__name__
                log.warning("The leases cannot be looked at: %s", self.trouble)
                await asyncio.sleep(RETRY_SECONDS)

    def begin(self) -> None:
        """Leaves nothing alone any more, and hands nothing over."""
        self._paused.clear()
        self._offers.clear()
        self.leaving.clear()

    def nudge(self) -> None:
        """Looks at once."""
        self._nudged.set()

    def pause(self, parts: Collection[int]) -> None:
        """Leaves partitions alone for a moment, for there was trouble with them."""
        until = time.monotonic() + RETRY_SECONDS
        self._paused.update(dict.fromkeys(parts, until))

    def note_ready(self) -> None:
        """The first partitions are loaded and caught up: this engine is ready for good."""
        if not self.me.ready:
            self.me = self.me._replace(ready=True)
            self.nudge()

    def drain(self, now_ms: int, *, for_good: bool = False) -> None:
        """Takes nothing new and hands over what it has, two partitions at a time; ``for_good`` is not taken back."""
        self._drains_for_good |= for_good
        if not self.me.draining:
            self.draining_since_ms = now_ms
            self.me = self.me._replace(draining=True)
            self.nudge()

    def stay(self) -> None:
        """Takes a drain back."""
        if self._drains_for_good:
            return
        self.draining_since_ms = 0
        self.me = self.me._replace(draining=False)
        for part in [part for part, offer in self._offers.items() if offer.why == DRAIN]:
            self._withdraw(part)
        self.nudge()

    def hand_over(self, part: int, pod: str) -> None:
        """Offers a partition to a pod, as an operator asks; it goes there as soon as its copy is loaded."""
        offer = self._offers.get(part)
        if offer is None or offer.pod != pod:
            self._offers[part] = Offer(pod, ASKED, time.monotonic() + COPY_SECONDS)
            self.leaving.pop(part, None)
            self.nudge()

    def shadow(self, parts: Collection[int]) -> None:
        """Keeps copies of these partitions for a while, beside those that are being handed over."""
        self._shadow = frozenset(parts) & frozenset(self._partitions)
        self._shadow_until = time.monotonic() + SHADOW_SECONDS
        self.nudge()

    async def give(self, part: int, epoch: int) -> bool:
        """Reserves a partition for who it was offered to; False when it stays. Raises OutOfService, OutcomeUnknown."""
        offer = self._offers.get(part)
        try:
            if offer is None:
                return False
            if offer.why == FAIR:
                self._shared_at = time.monotonic()
                return await self._lease.share(part, epoch, offer.pod)
            await self._lease.reserve(part, epoch, offer.pod)
            return True
        finally:
            self._withdraw(part)
            self.nudge()

    async def join(self) -> None:
        """Tells the others what is new, and that this engine lives."""
        self.me = self.me._replace(offers=self._told(), copies=self._copies.ready)
        told, at = self._joined
        now = time.monotonic()
        if self.me != told or now - at >= self._renew_seconds:
            await self._lease.join(self.me)
            self._joined = (self.me, now)

    async def leave(self) -> None:
        """Is no member any more."""
        self._joined = (None, 0.0)
        await self._lease.leave(self.me.owner)

    def _claim(self, table: Table) -> None:
        now = time.monotonic()
        free = claims.free(table)
        self._free_since = {part: self._free_since.get(part, now) for part in free}
        overdue = {part for part, since in self._free_since.items() if now - since >= OVERDUE_SECONDS}
        self._paused = {part: until for part, until in self._paused.items() if until > now}
        held = self._own.held | set(self._paused)
        for part in claims.claimed(table, self.me, held, overdue):
            self._own.open(part)

    def _copy(self, table: Table) -> None:
        now = time.monotonic()
        self._wanted.update(dict.fromkeys(claims.offered(table, self.me), now + KEEP_SECONDS))
        self._wanted = {part: until for part, until in self._wanted.items() if until > now}
        wanted = set(self._wanted) | (self._shadow if now < self._shadow_until else set())
        self._copies.keep(wanted - set(self._own.sessions) - set(self._own.halted))
        self._copies.note(table.leases)

    def _offer(self, table: Table) -> None:
        now = time.monotonic()
        for part, offer in list(self._offers.items()):
            accepted = claims.accepts(table, offer.pod, part)
            is_vain = offer.why != ASKED and not claims.takes(table, offer.pod)  # that pod drains now
            if part not in self._own.sessions or accepted is None or is_vain:
                self._withdraw(part)
            elif accepted or now >= offer.until:
                self.leaving[part] = offer
        me = self.me._replace(offers=self._told())
        movable = set(self._own.sessions) - set(self._offers)
        if self.me.draining:
            for part, pod in claims.farewells(table, me, movable):
                self._offers[part] = Offer(pod, DRAIN, now + COPY_SECONDS)
        elif not self._offers and now - self._shared_at >= SHARE_SECONDS:
            found = claims.surplus(table, me, movable)
            if found is not None:
                self._offers[found[0]] = Offer(found[1], FAIR, now + COPY_SECONDS)

    def _withdraw(self, part: int) -> None:
        self._offers.pop(part, None)
        self.leaving.pop(part, None)

    def _told(self) -> tuple[tuple[int, str], ...]:
        return tuple(sorted((part, offer.pod) for part, offer in self._offers.items()))

    async def _wait(self) -> None:
        busy = self._offers or self.me.draining or self._copies.wanted
        waits = [
            asyncio.create_task(self._lease.news(BUSY_LOOK_SECONDS if busy else LOOK_SECONDS)),
            asyncio.create_task(self._nudged.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._nudged.clear()
