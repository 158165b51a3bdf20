"""The books of clients that follow the depth procedure, beside those that the log makes at the same update ids."""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from outcry.decimals import minor_units, price_text, qty_text
from outcry.market.floor import Market
from outcry.market.instrument import Instrument
from outcry.market.terms import BUY, SELL, SIDE_NAMES
from outcry.ports import Damaged, OutOfService
from outcry.roles.engine.insistent import Log, Unanswered
from outcry.roles.engine.replay import MAX_READ
from outcry.roles.engine.session import Session
from outcry.rows import PartitionRow, PartState, TradeRow

MAX_SYMBOLS: Final = 50  # followed at once; each costs a snapshot's request weight
SNAPSHOT_LEVELS: Final = 1_000  # of each side; a deeper level is unknown to a client until it changes

TextLevel = tuple[str, str]  # price, quantity; zero removes

log = logging.getLogger(__name__)


class Unfollowed(Exception):
    """The streams could not be followed; the message says why. Nothing is proven, and nothing found."""


class Depth(NamedTuple):
    """A snapshot (``first_u`` 0), or a change of the levels it names from one update id to another."""

    first_u: int
    last_u: int
    bids: list[TextLevel]
    asks: list[TextLevel]


class Print(NamedTuple):
    """A trade as a stream tells it."""

    trade_id: int
    price: str
    qty: str


class Seen(NamedTuple):
    """What one client saw of a symbol, in its order."""

    snapshot: Depth
    diffs: list[Depth]
    prints: list[Print]


Streams = Callable[[Sequence[str]], Awaitable[Mapping[str, Seen]]]  # by symbol; raises Unfollowed


def no_streams(reason: str) -> Streams:
    """The streams of an exchange that has none to follow."""

    async def refuse(symbols: Sequence[str]) -> Mapping[str, Seen]:
        raise Unfollowed(reason)

    return refuse


class StreamLedger(Protocol):
    """What is read of the ledger beside the streams."""

    async def partitions(self) -> list[PartitionRow]: ...
    async def load(self, part: int) -> PartState: ...
    async def trades(self, symbol_id: int, *, from_id: int | None = None, limit: int = 500) -> list[TradeRow]: ...


class Followed:
    """``follow`` looks at every symbol for as long as ``streams`` does, then says what it ``checked``."""

    def __init__(self, ledger: StreamLedger, journal: Log, streams: Streams) -> None:
        self.checked: list[str] = []
        self.unchecked: list[str] = []
        self.problems: list[str] = []
        self._ledger = ledger
        self._journal = journal
        self._streams = streams

    async def follow(self) -> None:
        """A halted partition's symbols are left out: they have no stream."""
        states = [await self._ledger.load(row.part) for row in await self._ledger.partitions() if row.status == "RUN"]
        listed = {
            terms.symbol: (state, terms)
            for state in states
            for terms in (msgspec.msgpack.decode(row.instrument, type=Instrument) for row in state.symbols)
        }
        try:
            seen = await self._streams(list(listed)[:MAX_SYMBOLS])
        except Unfollowed as reason:
            self.unchecked.append(f"streams: {reason}")
            return
        if len(listed) > MAX_SYMBOLS:
            self.unchecked.append(f"streams: {len(listed) - MAX_SYMBOLS} of {len(listed)} symbols")
        books = {name: ClientBook(seen[name], terms, state) for name, (state, terms) in listed.items() if name in seen}
        for state in states:
            own = [book for name, book in books.items() if listed[name][0] is state]
            self.problems += await supervise_following(state, self._journal, own)
        for name, book in books.items():
            self.problems += book.problems
            self.problems += await self._differing_prints(listed[name][1], seen[name].prints)
        self._conclude(books, seen)

    async def _differing_prints(self, terms: Instrument, prints: Sequence[Print]) -> list[str]:
        """Trades are told in order, none is left out, and each is the ledger's."""
        if not prints:
            return []
        first = prints[0].trade_id
        if [each.trade_id for each in prints] != list(range(first, first + len(prints))):
            return [f"streams: the trade ids of {terms.symbol} are not dense from {first} on"]
        stored = await self._ledger.trades(terms.symbol_id, from_id=first, limit=len(prints))
        told = [Print(row.trade_id, price_text(terms, row.price), qty_text(terms, row.qty)) for row in stored]
        for has, was_told in zip(told, prints, strict=False):
            if has != was_told:
                return [f"streams: a trade of {terms.symbol} differs: {was_told}, the ledger has {has}"]
        missing = len(prints) - len(told)
        return [f"streams: {missing} trades of {terms.symbol} are not in the ledger"] if missing else []

    def _conclude(self, books: Mapping[str, "ClientBook"], seen: Mapping[str, Seen]) -> None:
        quiet = [name for name, book in books.items() if not book.compared]
        if self.problems:
            return
        if quiet:
            self.unchecked.append(f"streams: the books of {', '.join(quiet)}, for they were seen too early to compare")
        compared, prints = (
            sum(book.compared for book in books.values()),
            sum(len(each.prints) for each in seen.values()),
        )
        self.checked.append(
            f"streams: clients followed {len(books)} symbols; {compared:,} times a book of theirs equals the log's at"
            f" the same update, no update is missing, and {prints:,} trades are dense and the ledger's"
        )


async def supervise_following(state: PartState, journal: Log, books: Sequence["ClientBook"]) -> list[str]:
    """Applies the log behind a state until every book was met; gives what makes that fail."""
    try:
        await _apply_beside(state, journal, books)
    except (Damaged, OutOfService, Unanswered):
        raise
    except Exception as bug:
        log.exception("The log of partition %d cannot be applied beside its streams.", state.row.part)
        return [f"streams: the log of partition {state.row.part} fails: {type(bug).__name__}: {bug}"]
    return []


async def _apply_beside(state: PartState, journal: Log, books: Sequence["ClientBook"]) -> None:
    session = Session(state)

    def look() -> None:
        for book in books:
            book.meet(session.markets[book.symbol_id])

    def settle() -> None:
        while session.backlog:
            session.resume()
            look()

    look()
    settle()
    while any(book.waits for book in books):
        records = await journal.read({session.part: session.next_offset}, MAX_READ, 0)
        if not records:
            break
        for record in records:
            session.apply(record)
            look()
            settle()
        session.take()
    for book in books:
        book.finish()


class ClientBook:
    """One client's book, made as wire-api.md §9 says, and compared whenever the market has the same update id.

    Diffs are cut between engine batches, and batches between records or lots of triggered stops: the market must come
    by every update id at which a diff ends.
    """

    def __init__(self, seen: Seen, terms: Instrument, state: PartState) -> None:
        self.symbol_id = terms.symbol_id
        self.problems: list[str] = []
        self.compared = 0
        self._terms = terms
        self._since_u = next(row.update_id for row in state.symbols if row.symbol_id == terms.symbol_id)
        self._levels: dict[tuple[int, int], int] = {}  # (side, ticks) -> lots
        self._edges = dict(self._edges_of(seen.snapshot))
        self._steps = deque(self._kept(seen))

    @property
    def waits(self) -> bool:
        """Whether something was seen that the market has not come to yet."""
        return bool(self._steps)

    def meet(self, market: Market) -> None:
        """Takes what was seen up to the market's update id, and compares the books there."""
        while self._steps and self._steps[0].last_u <= market.update_id:
            step = self._steps.popleft()
            for side, levels in ((BUY, step.bids), (SELL, step.asks)):
                for price, qty in levels:
                    self._set(side, price, qty)
            if step.last_u == market.update_id:
                self._compare(market)
            elif step.last_u > self._since_u:
                self._problem(f"no record ends at update {step.last_u}")

    def finish(self) -> None:
        """The log is at its end."""
        if self._steps:
            self._problem(f"update {self._steps[0].last_u} is told, and the log has none such")

    def _kept(self, seen: Seen) -> Iterator[Depth]:
        """The snapshot and the diffs that follow it without a gap."""
        u = seen.snapshot.last_u
        yield seen.snapshot
        for diff in seen.diffs:
            if diff.last_u <= seen.snapshot.last_u:
                continue
            if u == seen.snapshot.last_u and not diff.first_u <= u + 1:
                self._problem(f"the first diff begins at {diff.first_u}, the snapshot ends at {u}")
                return
            if u != seen.snapshot.last_u and diff.first_u != u + 1:
                self._problem(f"a diff begins at {diff.first_u} after one that ends at {u}")
                return
            u = diff.last_u
            yield diff

    def _edges_of(self, snapshot: Depth) -> Iterator[tuple[int, int]]:
        """Per side the price, times the side, below which levels are unknown."""
        for side, levels in ((BUY, snapshot.bids), (SELL, snapshot.asks)):
            full = len(levels) >= SNAPSHOT_LEVELS
            yield side, min(side * self._ticks(price) for price, _ in levels) if full else -(1 << 62)

    def _set(self, side: int, price: str, qty: str) -> None:
        lots, rest = divmod(minor_units(qty) or 0, self._terms.lot_size)
        if rest:
            self._problem(f"{qty} is no whole number of lots")
        if lots:
            self._levels[side, self._ticks(price)] = lots
        else:
            self._levels.pop((side, self._ticks(price)), None)

    def _ticks(self, price: str) -> int:
        return (minor_units(price) or 0) // self._terms.tick_size

    def _compare(self, market: Market) -> None:
        self.compared += 1
        edges = self._edges
        mine = {key: lots for key, lots in self._levels.items() if key[0] * key[1] >= edges[key[0]]}
        theirs = {(side, price): lots for side, price, lots in market.levels() if side * price >= edges[side]}
        for side, price in sorted(mine.keys() | theirs.keys()):
            has, should = mine.get((side, price), 0), theirs.get((side, price), 0)
            if has != should:
                self._problem(
                    f"at update {market.update_id} a client has {has} lots to {SIDE_NAMES[side]} at {price} ticks,"
                    f" the log {should}"
                )
                return

    def _problem(self, text: str) -> None:
        """The first one is told; what comes after it has no meaning."""
        if not self.problems:
            self.problems.append(f"streams: {self._terms.symbol}: {text}")
