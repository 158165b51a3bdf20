"""The listeners' half of the feed on Redis: everything in order, and gaps filled before anyone sees them."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection
from typing import Any, Final, Protocol, TypeVar

from outcry.adapters.chain import Chain
from outcry.adapters.redis import scripts
from outcry.adapters.redis.channels import Channels
from outcry.adapters.redis.client import TROUBLE, connect, end
from outcry.adapters.redis.follows import FOLLOW_SECONDS, Follower
from outcry.adapters.redis.keys import Keys
from outcry.adapters.redis.tape import Tape, Told, Want
from outcry.feedcodec import (
    BadMessage,
    MarketMessage,
    decode_market,
    decode_outcomes,
    decode_private,
    decode_spans,
)
from outcry.market.terms import BUY, SELL
from outcry.ports import Book, Cut, Execution, MarketUpdate, Outcome, OutcomeUnknown, OutOfService
from outcry.rows import PartitionRow

READ_SECONDS: Final = 3.0  # for one answer of Redis
READ_TRIES: Final = 5  # for a book that is as new as what was told
READ_PAUSE_SECONDS: Final = 0.02
RETRY_SECONDS: Final = 0.2  # before a gap is looked at again
PAGE: Final = 500  # messages of the stream at once
MAX_LEVELS: Final = 1_000_000  # of each side, in a snapshot that fills a gap
STALE_SECONDS: Final = 2.0
START_SECONDS: Final = 2.0  # for the first look at the ledger
LOOK_SECONDS: Final = 5.0  # between two looks whether the ledger has events that never came
GRACE_SECONDS: Final = 2.0  # for what is just on its way
ASK_SECONDS: Final = 1.0  # before a ledger that cannot be asked is asked again

Heard = Callable[[Execution | None], None]
T = TypeVar("T")

log = logging.getLogger(__name__)


def supervise_telling(callback: Callable[[T], None], fact: T) -> None:
    """Tells one listener; one that fails keeps no other from hearing it."""
    try:
        callback(fact)
    except Exception:
        log.exception("A listener of the feed failed.")


class Committed(Protocol):
    """Where the ledger tells how far each partition's events have come."""

    async def partitions(self) -> list[PartitionRow]: ...


class RedisListener:
    """Keeps ``ports.Listener``. ``start`` it before anything is placed."""

    def __init__(
        self, url: str, *, pod: str, ledger: Committed, prefix: str = "", follow_seconds: float = FOLLOW_SECONDS
    ) -> None:
        self._keys = Keys(prefix)
        self._client = connect(url, READ_SECONDS)
        self._follower = Follower(url, self._keys, follow_seconds)
        self._channels = Channels(url, self.hear, self._opened)
        self._pod = pod
        self._routes: dict[bytes, Callable[[bytes], None]] = {
            self._keys.market.encode(): self._hear_market,
            self._keys.reply(pod).encode(): self._hear_outcomes,
            self._keys.spans.encode(): self._hear_spans,
            self._keys.transfers.encode(): self._hear_transfer,
        }
        self._on_outcome: list[Callable[[Outcome], None]] = []
        self._on_update: list[Callable[[MarketUpdate], None]] = []
        self._on_cut: list[Callable[[Cut], None]] = []
        self._on_missed: list[Callable[[Collection[int]], None]] = []
        self._on_account: dict[int, dict[object, Heard]] = {}
        self._on_transfer: list[Callable[[int], None]] = []
        self._saying: set[asyncio.Task[None]] = set()
        self._ledger = ledger
        self._chain = Chain()
        self._doubt = asyncio.Event()  # the chain has to begin again
        self._begun = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._tapes: dict[int, Tape] = {}
        self._heard: dict[int, float] = {}  # when a symbol was last heard of, on the loop's clock
        self._filling: dict[int, asyncio.Task[None]] = {}
        self.gaps = 0  # that had to be filled

    async def start(self) -> None:
        """Listens from now on; while Redis is down it goes on trying."""
        self._follower.start()
        self._looking = asyncio.create_task(self.supervise_looks())
        await self._channels.start([name.decode() for name in self._routes])
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._begun.wait(), START_SECONDS)

    async def close(self) -> None:
        """Listens no longer."""
        await self._channels.close()
        await end(self._looking, *self._filling.values(), *self._saying)
        await self._follower.close()
        await self._client.aclose()

    @property
    def trouble(self) -> str:
        """Why nothing can be heard at this moment; "" while everything is."""
        return self._channels.trouble

    def on_outcome(self, callback: Callable[[Outcome], None]) -> None:
        self._on_outcome.append(callback)

    def on_update(self, callback: Callable[[MarketUpdate], None]) -> None:
        self._on_update.append(callback)

    def on_cut(self, callback: Callable[[Cut], None]) -> None:
        """Ends of windows, each behind the updates that belong into it."""
        self._on_cut.append(callback)

    def on_missed(self, callback: Callable[[Collection[int]], None]) -> None:
        self._on_missed.append(callback)

    def on_transfer(self, callback: Callable[[int], None]) -> None:
        """Accounts whose money was just moved in or out. A hint that may be lost: the ledger has the transfer."""
        self._on_transfer.append(callback)

    def say_transfer(self, account_id: int) -> None:
        """Tells every process, this one included."""
        task = asyncio.create_task(self._say_transfer(account_id))
        self._saying.add(task)
        task.add_done_callback(self._saying.discard)

    async def _say_transfer(self, account_id: int) -> None:
        try:
            await self._client.publish(self._keys.transfers, str(account_id))
        except TROUBLE as trouble:
            log.warning("Others learn of a transfer at their next look at the ledger: %s", trouble)

    def on_account(self, account_id: int, callback: Heard) -> Callable[[], None]:
        mark = object()
        if account_id not in self._on_account:
            self._routes[self._keys.account(account_id).encode()] = lambda message: self._hear_account(
                account_id, message
            )
            self._channels.subscribe(self._keys.account(account_id))
            self._follower.follow(account_id)
        self._on_account.setdefault(account_id, {})[mark] = callback

        def unsubscribe() -> None:
            own = self._on_account.get(account_id, {})
            own.pop(mark, None)
            if not own and self._on_account.pop(account_id, None) is not None:
                self._leave(account_id)

        return unsubscribe

    async def book(self, symbol_id: int, depth: int) -> Book | None:
        """None, too, while Redis cannot be asked or is older than what was told here."""
        for _ in range(READ_TRIES):
            try:
                found = await self._read_book(symbol_id, depth)
            except TROUBLE as trouble:
                log.warning("The book of symbol %d cannot be read: %s", symbol_id, trouble)
                return None
            if found is None:
                return None
            tape = self._tapes.get(symbol_id)
            if tape is None or int(found[2]) >= tape.u:
                return Book(update_id=int(found[2]), bids=_levels(found[3], found[4]), asks=_levels(found[5], found[6]))
            await asyncio.sleep(READ_PAUSE_SECONDS)
        return None

    def is_stale(self, symbol_id: int) -> bool:
        """Whether nothing was heard of the symbol for STALE_SECONDS, its owner's heartbeat included."""
        heard = self._heard.get(symbol_id)
        return heard is None or asyncio.get_running_loop().time() - heard > STALE_SECONDS

    def hear(self, channel: bytes, message: bytes) -> None:
        """Takes one message of a channel. One that this release cannot read is a gap like any other."""
        route = self._routes.get(channel)
        if route is not None:
            try:
                route(message)
            except BadMessage as problem:
                log.warning("A message on %s is left out: %s", channel.decode(), problem)

    def _hear_market(self, encoded: bytes) -> None:
        message = decode_market(encoded)
        symbol_id = message.symbol_id
        tape = self._tapes.get(symbol_id)
        if tape is None:
            tape = self._tapes[symbol_id] = Tape(symbol_id)
        self._heard[symbol_id] = asyncio.get_running_loop().time()
        self._tell(tape.take(message))
        self._see_to(tape)

    def _hear_outcomes(self, encoded: bytes) -> None:
        for outcome in decode_outcomes(encoded):
            for tell in self._on_outcome:
                supervise_telling(tell, outcome)

    def _hear_account(self, account_id: int, encoded: bytes) -> None:
        private = decode_private(encoded)
        if not self._chain.take(account_id, private.ends):
            return
        for execution in private.executions:
            self._tell_account(account_id, execution)
        if private.moved:
            self._tell_account(account_id, None)

    def _hear_transfer(self, encoded: bytes) -> None:
        if not encoded.isdigit():
            raise BadMessage("no number of an account")
        for tell in self._on_transfer:
            supervise_telling(tell, int(encoded))

    def _hear_spans(self, encoded: bytes) -> None:
        """A span comes behind the private events of its batch, and names everyone who has some."""
        for span in decode_spans(encoded):
            missed = self._chain.link(span, self._on_account)
            if missed:
                log.info("Partition %d: %d accounts missed events.", span.part, len(missed))
                self._follower.again()  # an engine may not know of them
                self._tell_missed(missed)

    async def supervise_looks(self) -> None:
        """Asks the ledger where it stands: when a chain begins, and every LOOK_SECONDS while somebody follows."""
        while True:
            try:
                await self._look()
            except (OutOfService, OutcomeUnknown) as trouble:
                log.warning("Nobody can tell what accounts may have missed: %s", trouble)
                await asyncio.sleep(ASK_SECONDS)
                continue
            except Exception:
                log.exception("A look at the ledger's events failed.")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._doubt.wait(), LOOK_SECONDS)

    async def _look(self) -> None:
        self._doubt.clear()
        if not (self._on_account if self._chain.has_begun else self._channels.is_open):
            return
        ends = {row.part: row.event_seq for row in await self._ledger.partitions()}
        if self._chain.lacks(ends):
            await asyncio.sleep(GRACE_SECONDS)
        lacks = self._chain.lacks(ends)
        if lacks:
            log.warning("The ledger has events that never came.")
        if lacks or not self._chain.has_begun:
            self._chain.begin(ends)
            self._begun.set()
            self._tell_missed(list(self._on_account))

    def _tell_account(self, account_id: int, execution: Execution | None) -> None:
        for tell in list(self._on_account.get(account_id, {}).values()):
            supervise_telling(tell, execution)

    def _leave(self, account_id: int) -> None:
        del self._routes[self._keys.account(account_id).encode()]
        self._channels.unsubscribe(self._keys.account(account_id))
        self._follower.leave(account_id)

    def _opened(self) -> None:
        """Anything may have been missed before this moment."""
        for tape in self._tapes.values():
            tape.doubt()
            self._see_to(tape)
        self._follower.again()
        self._chain.forget()
        self._doubt.set()
        self._tell_missed(list(self._on_account))

    def _tell_missed(self, account_ids: Collection[int]) -> None:
        """No process keeps executions for long: what was missed stands in the ledger."""
        if account_ids:
            for start_again in self._on_missed:
                supervise_telling(start_again, account_ids)

    def _tell(self, told: Told) -> None:
        for fact in told:
            if isinstance(fact, MarketUpdate):
                for show in self._on_update:
                    supervise_telling(show, fact)
            else:
                for end in self._on_cut:
                    supervise_telling(end, fact)

    def _see_to(self, tape: Tape) -> None:
        if tape.want is not Want.NOTHING and tape.symbol_id not in self._filling:
            self.gaps += 1
            task = self._filling[tape.symbol_id] = asyncio.create_task(self._fill(tape))
            task.add_done_callback(lambda _: self._filling.pop(tape.symbol_id, None))

    async def _fill(self, tape: Tape) -> None:
        """Brings what the tape wants, until it wants nothing."""
        while tape.want is not Want.NOTHING:
            try:
                done = await (self._fill_since(tape) if tape.want is Want.SINCE else self._fill_book(tape))
            except TROUBLE as trouble:
                log.debug("The gap of symbol %d stays: %s", tape.symbol_id, trouble)
                done = False
            if not done:
                await asyncio.sleep(RETRY_SECONDS)

    async def _fill_since(self, tape: Tape) -> bool:
        """False while Redis is empty."""
        keys = self._keys.symbol(tape.symbol_id)
        found = await scripts.SINCE.run(self._client, (keys[0], keys[5]), tape.seq, PAGE)
        if found is not None and tape.want is Want.SINCE:
            told = tape.fill(int(found[0]), int(found[1]), _messages(found[2]), is_last=len(found[2]) < PAGE)
            self._tell(told)
        return found is not None

    async def _fill_book(self, tape: Tape) -> bool:
        """False while Redis is empty."""
        found = await self._read_book(tape.symbol_id, MAX_LEVELS)
        if found is not None and tape.want is Want.BOOK:
            self._tell(tape.replace(_snapshot(tape.symbol_id, found)))
        return found is not None

    async def _read_book(self, symbol_id: int, depth: int) -> Any:
        return await scripts.BOOK.run(self._client, self._keys.symbol(symbol_id)[:5], depth)


def _messages(encoded: list[bytes]) -> list[MarketMessage]:
    """Those that this release can read: one that is left out is a gap."""
    found = []
    for each in encoded:
        try:
            found.append(decode_market(each))
        except BadMessage:
            continue
    return found


def _levels(prices: list[bytes], lots: list[bytes]) -> tuple[tuple[int, int], ...]:
    return tuple(zip(map(int, prices), map(int, lots), strict=True))


def _snapshot(symbol_id: int, found: Any) -> MarketUpdate:
    levels = [(BUY, *level) for level in _levels(found[3], found[4])]
    levels += [(SELL, *level) for level in _levels(found[5], found[6])]
    seq, u = int(found[1]), int(found[2])
    return MarketUpdate(
        symbol_id=symbol_id, part=0, epoch=0, first_seq=seq + 1, last_seq=seq, first_u=u + 1, last_u=u, time_ms=0,
        levels=tuple(levels), snapshot=True, feed_epoch=int(found[0]),
    )  # fmt: skip
