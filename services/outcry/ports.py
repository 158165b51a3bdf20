"""What the roles ask of the world; adapters keep these promises, wiring chooses which."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

from outcry.claims import HoldRequest, HoldResult, KeyClaim
from outcry.facts import WINDOWS_MS as WINDOWS_MS
from outcry.facts import Book as Book
from outcry.facts import Cut as Cut
from outcry.facts import Execution as Execution
from outcry.facts import MarketUpdate as MarketUpdate
from outcry.facts import Outcome as Outcome
from outcry.facts import Publication as Publication
from outcry.leases import Lease as Lease
from outcry.loading import Restoring as Restoring
from outcry.rows import (
    AccountRow,
    AmendmentRow,
    AssetRow,
    AuditRow,
    Balance,
    CandleRow,
    Checkpoint,
    IntakeRow,
    KeyRow,
    ListRow,
    OpeningRow,
    OrderRow,
    PartBatch,
    PartitionRow,
    PartState,
    PreventedRow,
    Record,
    SymbolRow,
    TradeRow,
)


class OutOfService(Exception):
    """A component cannot be asked right now; nothing was written."""


class OutcomeUnknown(Exception):
    """A write may or may not have happened; the truth has to be read, never guessed."""


class DiskFull(OutOfService):
    """The disk that holds the exchange is full; nothing was written."""


class Damaged(Exception):
    """Stored data contradicts itself; the message says what, and what to do."""


class JournalBroken(Exception):
    """A partition's log cannot be read on: records are missing or were replaced. A person has to decide."""

    def __init__(self, part: int, reason: str) -> None:
        super().__init__(f"partition {part}: {reason}")
        self.part = part
        self.reason = reason


class Clock(Protocol):
    def now_ms(self) -> int: ...
    def now_us(self) -> int: ...


class Journal(Protocol):
    """An ordered, durable log per partition; offsets are contiguous from 0."""

    async def append(self, frames: Sequence[tuple[int, bytes]]) -> list[int]:
        """Appends (partition, frame) pairs; returns their offsets once durable. Raises OutcomeUnknown."""

    async def read(self, positions: Mapping[int, int], max_records: int, wait_seconds: float) -> list[Record]:
        """Records from the given next offsets on, in partition order; waits until there is one."""

    async def end_offsets(self) -> dict[int, int]: ...
    async def first_offsets(self) -> dict[int, int]: ...
    async def trim(self, part: int, before_offset: int) -> int:
        """Deletes records before an offset (retention); returns how many."""


class IntakeLedger(Protocol):
    """The api's side of the ledger: holds before the journal."""

    async def hold(self, requests: Sequence[HoldRequest], keys: Sequence[KeyClaim] = ()) -> list[HoldResult]:
        """One micro-batch, one commit. Raises OutOfService (nothing written) or OutcomeUnknown."""

    async def claimed(self, claim: KeyClaim) -> HoldResult | None:
        """What ``hold`` would answer if the key is taken, with its first order id; None where it is free."""

    async def targets(self, wanted: Sequence[tuple[int, int, int | None, str | None]]) -> list[IntakeRow | None]:
        """Open intake rows by (account, symbol, order id or None, client order id or None)."""

    async def open_targets(self, account_id: int, symbol_id: int | None) -> list[IntakeRow]: ...
    async def store_response(self, account_id: int, key: str, response: bytes) -> None:
        """The first one is kept."""

    async def close_key(self, account_id: int, key: str, after_ms: int) -> bool:
        """Takes a key away from its claimant, under whom nothing enters any more once this returns True.

        False, and nothing changes, where the key was taken or answered less than ``after_ms`` ago.
        """


class EngineLedger(Protocol):
    """The engine's side: results and offset in one transaction."""

    async def commit(self, parts: Sequence[PartBatch]) -> set[int]:
        """Commits all or nothing; returns the partitions that the compare-and-set named.

        When that is fewer than were given, nothing was committed. Raises IntakeMissing, OutcomeUnknown.
        """

    async def load(self, part: int, to: Restoring | None = None) -> PartState:
        """A partition in one snapshot; ``to`` is given the open orders in pieces, and the state returned has none."""

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None: ...
    async def checkpoints(self, part: int) -> list[Checkpoint]: ...


class IntakeMissing(Exception):
    """A first outcome found no intake row with its partition and hold: the partition must halt."""


class Housekeeping(Protocol):
    """Money that moves without the engine, and what is thrown away."""

    async def fold(self, parts: Sequence[int], max_postings: int = 5000) -> int:
        """Sums postings of partitions up to next_offset into balances, of each at most so many (but whole records).

        Returns how many; 0: all that was committed before the call is folded.
        """

    async def void(self, part: int) -> list[int]:
        """Gives back the holds of orders whose bound log time has passed; returns their order ids."""

    async def sweep_intake(self, part: int) -> int: ...
    async def retain(self, part: int, trades_before_ms: int, keep_offset: int) -> int:
        """Deletes trades and postings older than a time and folded, before an offset.

        Trades are counted into their accounts' openings (``carried_fills``) by the transaction that deletes them.
        """


class QueryLedger(Protocol):
    """What people ask about the past and present; always the primary, so that they read their writes."""

    async def order(
        self, account_id: int, symbol_id: int, order_id: int | None, client_order_id: str | None
    ) -> OrderRow | None:
        """The order, or its intake row as PENDING_NEW; by client id the newest wins."""

    async def open_orders(self, account_id: int, symbol_id: int | None) -> list[OrderRow]: ...
    async def orders(
        self,
        account_id: int,
        symbol_id: int,
        *,
        from_id: int | None,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
    ) -> list[OrderRow]: ...
    async def orders_by_id(self, order_ids: Sequence[int]) -> list[OrderRow]: ...
    async def fills(
        self,
        account_id: int,
        symbol_id: int,
        *,
        order_id: int | None = None,
        from_id: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 500,
    ) -> list[TradeRow]: ...
    async def carried_fills(
        self, account_id: int, symbol_id: int, *, from_id: int, limit: int
    ) -> tuple[OpeningRow | None, list[TradeRow]]:
        """At one moment: what the account's deleted trades of a symbol came to, and its kept ones from an id on."""

    async def order_fills(self, placed: Sequence[OrderRow]) -> dict[int, list[TradeRow]]:
        """By order, the trades in which it was the taker at its own record (the fills of its answer)."""

    async def trades(
        self,
        symbol_id: int,
        *,
        from_id: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 500,
    ) -> list[TradeRow]: ...
    async def agg_trades(
        self,
        symbol_id: int,
        *,
        from_id: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 500,
    ) -> list[list[TradeRow]]:
        """Aggregates in order, each the list of its trades."""

    async def candles(
        self,
        symbol_id: int,
        interval_ms: int,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 500,
    ) -> list[CandleRow]:
        """Stored candles of a stored interval (1 m, 1 h, 1 d), oldest first; the newest when no start is given."""

    async def prevented(
        self,
        account_id: int,
        symbol_id: int,
        *,
        order_id: int | None = None,
        from_id: int | None = None,
        limit: int = 500,
    ) -> list[PreventedRow]: ...
    async def amendments(
        self, account_id: int, symbol_id: int, order_id: int, *, from_id: int | None = None, limit: int = 500
    ) -> list[AmendmentRow]:
        """An order's amends in order of execution id: from an id on; the newest when none is given."""

    async def last_prevented(self, order_ids: Sequence[int]) -> dict[int, int]:
        """The newest match of each order that self-trade prevention stopped; orders without one are left out."""

    async def order_list(self, account_id: int, list_id: int | None, client_list_id: str | None) -> ListRow | None: ...
    async def order_lists(
        self,
        account_id: int,
        *,
        open_only: bool,
        from_id: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 500,
    ) -> list[ListRow]: ...
    async def list_orders(self, list_ids: Sequence[int]) -> list[OrderRow]: ...
    async def balances(self, account_id: int) -> list[Balance]: ...
    async def symbols(self) -> list[SymbolRow]: ...
    async def assets(self) -> list[AssetRow]: ...
    async def partitions(self) -> list[PartitionRow]: ...


class Transfer(IntEnum):
    """What came of a deposit or withdrawal; true when the money stands where it was to go."""

    SHORT = 0  # the account has less than that
    MOVED = 1
    REPEATED = 2  # the same transfer was made before, and nothing moved now


class ReferenceTaken(Exception):
    """Another transfer has the reference; the message says which."""


class Registry(Protocol):
    """Accounts, keys, assets, money in and out; each change writes an audit row in the same commit."""

    async def account(self, account_id: int) -> AccountRow | None: ...
    async def accounts(self) -> list[AccountRow]: ...
    async def create_account(self, row: AccountRow, actor: str) -> None: ...
    async def freeze_account(self, account_id: int, frozen: bool, actor: str) -> None: ...
    async def key(self, api_key: str) -> KeyRow | None: ...
    async def credentials(self, api_keys: Sequence[str]) -> list[tuple[KeyRow, AccountRow]]:
        """Keys with their accounts as they stand at one moment; keys that do not exist are left out."""

    async def keys(self, account_id: int | None = None) -> list[KeyRow]: ...
    async def create_key(self, row: KeyRow, actor: str) -> None: ...
    async def revoke_key(self, api_key: str, now_ms: int, actor: str) -> bool: ...
    async def transfer(self, account_id: int, asset_id: int, amount: int, reference: str, *, actor: str) -> Transfer:
        """Deposit (amount > 0) or withdrawal (< 0) against the world account.

        A ``reference`` moves money once. Raises ReferenceTaken when it was used for another transfer.
        """

    async def add_asset(self, asset: str, actor: str) -> AssetRow:
        """The asset's row, made if it is new."""

    async def put_candles(self, candles: Sequence[CandleRow]) -> None:
        """Back-fills history before the first trade; never overwrites a candle."""

    async def audit(self, row: AuditRow) -> None: ...
    async def audit_log(self, limit: int = 100) -> list[AuditRow]: ...


APPROVERS: Final = 2  # people who have to agree that a command is passed over
APPROVE_SKIP: Final = "approve skip"  # the act in the audit log


def skip_place(place: tuple[int, int, int]) -> str:
    """What an approval is about: partition, offset and index of the command in its record."""
    return "/".join(map(str, place))


class Interventions(Protocol):
    """A person stops a partition, lets it go on, or has it pass over a command; each act with its audit row."""

    async def halt_partition(self, part: int, reason: str, actor: str) -> bool:
        """False when it is halted already, or there is none."""

    async def resume_partition(self, part: int, actor: str) -> bool:
        """False when it is not halted."""

    async def approve_skip(self, place: tuple[int, int, int], reason: str, actor: str) -> list[str]:
        """Who has approved by now: with APPROVERS of them the command at (partition, offset, index) is passed over.

        Nobody, when the partition is not halted or has applied the record already.
        """


class Ledger(IntakeLedger, EngineLedger, Housekeeping, QueryLedger, Registry, Interventions, Protocol):
    """The one truth for money and orders."""

    async def ping(self) -> None:
        """Raises OutOfService when the ledger cannot be asked."""


class Backlog(Protocol):
    """What was committed and told, kept for a while, for listeners that lack some of it."""

    async def missing(self, part: int, symbol_id: int, after_seq: int) -> Sequence[Publication]:
        """Stored publications with updates of the symbol behind ``after_seq``, oldest first. Raises OutOfService."""


class Publisher(Protocol):
    """The engine's half of the feed: says what is committed."""

    forgets: bool
    """Whether listeners may lose what they were told: the ledger then keeps it for a while (``PartBatch.told``)."""

    async def publish(self, publication: Publication) -> None: ...
    def follows(self, account_id: int) -> bool:
        """Whether anyone may listen to this account: engines skip building private events for others."""

    def retire(self, parts: Iterable[int]) -> None:
        """The partitions are no longer published from here. Each begins again with a snapshot of its markets."""


class Listener(Protocol):
    """The api's and the stream role's half: callbacks run on the event loop and must not block."""

    def on_outcome(self, callback: Callable[[Outcome], None]) -> None: ...
    def on_update(self, callback: Callable[[MarketUpdate], None]) -> None: ...
    def on_account(self, account_id: int, callback: Callable[[Execution | None], None]) -> Callable[[], None]:
        """Subscribes to an account's executions; None means "balances moved". Returns the unsubscribe."""

    def on_missed(self, callback: Callable[[Collection[int]], None]) -> None:
        """Some of what these accounts were to hear may never come (``Span``): who follows one must start again."""

    def on_cut(self, callback: Callable[[Cut], None]) -> None:
        """Ends of windows, each behind the updates that belong into it."""

    def is_stale(self, symbol_id: int) -> bool:
        """Whether the symbol's engine has been silent for 2 s, its heartbeats included."""

    async def book(self, symbol_id: int, depth: int) -> Book | None:
        """The visible book, never older than an update already delivered; None before the engine opened it."""


class Feed(Publisher, Listener, Protocol):
    """Carries committed facts to whoever listens."""


class Spending(NamedTuple):
    """A cost that is added to a fixed window; once that holds more than ``limit``, nothing behind it is spent."""

    key: str
    cost: int
    limit: int
    window_ms: int


class Barred(Exception):
    """Nothing was spent, for a value is in the way; the message is that value."""


class Shared(Protocol):
    """Volatile state common to all pods."""

    async def spend(self, spendings: Sequence[Spending], *, unless: str = "") -> list[tuple[int, int]]:
        """Spends in order; returns (used, milliseconds until it resets) of each, as far as it came.

        Raises Barred when there is a value under the key ``unless``.
        """

    async def first_use(self, key: str, ttl_ms: int) -> bool: ...
    async def put(self, key: str, value: str, ttl_ms: int) -> None: ...
    async def get(self, key: str) -> str | None: ...
    async def touch(self, key: str, ttl_ms: int) -> bool: ...
    async def delete(self, key: str) -> bool: ...
