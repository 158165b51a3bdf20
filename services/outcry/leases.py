"""Who shares the partitions: what engines tell each other, and the port that keeps it."""

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

from outcry.rows import PartitionRow

SHARE: Final = "share"  # takes its part of what is free
RESERVED: Final = "reserved"  # takes only what is reserved for it
RUN: Final = "RUN"
HALT: Final = "HALT"
FREED_MS: Final = -(1 << 53)  # ``expires_in_ms`` of a lease that was given up or never taken


class Member(NamedTuple):
    """One live engine, as it tells the others about itself."""

    owner: str  # pod/incarnation
    claim: str = SHARE
    draining: bool = False
    ready: bool = False  # its first partitions are loaded and caught up
    offers: tuple[tuple[int, str], ...] = ()  # partitions that it would hand over, and to which pod
    copies: tuple[int, ...] = ()  # partitions of which it holds a read-only copy

    @property
    def pod(self) -> str:
        return pod_of(self.owner)

    @property
    def shares(self) -> bool:
        """Whether it takes its part of the partitions."""
        return self.claim == SHARE and not self.draining


class Leased(NamedTuple):
    """One partition's lease: who has it, for how long, and how far its log is applied."""

    part: int
    owner: str | None  # pod/incarnation; a bare pod while it is reserved for that
    epoch: int
    expires_in_ms: int  # below 0: it ran out so long ago, or FREED_MS
    status: str  # RUN or HALT
    halt_reason: str | None
    next_offset: int


class Table(NamedTuple):
    """All leases by partition, and the live members by name: both at one moment."""

    leases: tuple[Leased, ...]
    members: tuple[Member, ...]


class Lease(Protocol):
    """Who owns which partition. Liveness only: the compare-and-set in Ledger.commit is the fence."""

    async def takeover(self, part: int, owner: str) -> PartitionRow | None:
        """Bumps the epoch and returns the row, or None when another owner's lease still runs or it is halted."""

    async def renew(self, epochs: Mapping[int, int]) -> set[int]:
        """The partitions that are still the caller's."""

    async def reserve(self, part: int, epoch: int, pod: str) -> None:
        """Hands over to ``pod``; the new epoch fences the giver at once, and after 3 s anyone may take it."""

    async def share(self, part: int, epoch: int, pod: str) -> bool:
        """Reserves for ``pod`` if the owner has two partitions more than it: one such decision is made at a time.

        False when it has not, when another decision is just being made, or when the epoch is stale.
        """

    async def release(self, part: int, epoch: int) -> None: ...
    async def halt(self, part: int, epoch: int, reason: str) -> None: ...
    async def join(self, member: Member) -> None:
        """Makes a member known for the time of one lease; what it tells others replaces what it told before."""

    async def leave(self, owner: str) -> None: ...
    async def look(self) -> Table: ...
    async def news(self, seconds: float) -> None:
        """Waits until some lease may have changed hands, or a member told something new, or for so long."""


def pod_of(owner: str) -> str:
    """The pod of an owner, or of the one for which a partition is reserved."""
    return owner.partition("/")[0]
