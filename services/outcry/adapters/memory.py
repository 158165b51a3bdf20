"""What lives only in this process: volatile state with expiry, and the feed from engine to listeners."""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from outcry.adapters.beats import beats
from outcry.adapters.chain import Chain
from outcry.facts import Span
from outcry.market.depth import DepthView
from outcry.ports import (
    WINDOWS_MS,
    Barred,
    Book,
    Clock,
    Cut,
    Execution,
    MarketUpdate,
    Outcome,
    Publication,
    Spending,
)

MAX_ENTRIES: Final = 100_000  # kept by Shared; beyond it the ones that expire first are dropped
SPARE_ENTRIES: Final = MAX_ENTRIES // 10  # dropped at once, so that this is rarely needed

log = logging.getLogger(__name__)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class MemoryShared:
    """Keeps ``ports.Shared``. A ``now_ms`` of one's own lets tests move time."""

    def __init__(self, now_ms: Callable[[], int] = _now_ms) -> None:
        self._now_ms = now_ms
        self._entries: dict[str, tuple[str, int]] = {}  # key -> (value, when it expires)

    async def spend(self, spendings: Sequence[Spending], *, unless: str = "") -> list[tuple[int, int]]:
        bar = self._entry(unless) if unless else None
        if bar is not None:
            raise Barred(bar[0])
        spent = []
        for each in spendings:
            used, left_ms = self._spend(each)
            spent.append((used, left_ms))
            if used > each.limit:
                break
        return spent

    async def first_use(self, key: str, ttl_ms: int) -> bool:
        if self._entry(key) is not None:
            return False
        self._set(key, "", self._now_ms() + ttl_ms)
        return True

    async def put(self, key: str, value: str, ttl_ms: int) -> None:
        self._set(key, value, self._now_ms() + ttl_ms)

    async def get(self, key: str) -> str | None:
        entry = self._entry(key)
        return entry[0] if entry else None

    async def touch(self, key: str, ttl_ms: int) -> bool:
        entry = self._entry(key)
        if entry is None:
            return False
        self._set(key, entry[0], self._now_ms() + ttl_ms)
        return True

    async def delete(self, key: str) -> bool:
        alive = self._entry(key) is not None
        self._entries.pop(key, None)
        return alive

    def _spend(self, spending: Spending) -> tuple[int, int]:
        now_ms = self._now_ms()
        before, until = self._entry(spending.key) or ("0", now_ms + spending.window_ms)
        used = int(before) + spending.cost
        self._set(spending.key, str(used), until)
        return used, until - now_ms

    def _entry(self, key: str) -> tuple[str, int] | None:
        entry = self._entries.get(key)
        return entry if entry is not None and entry[1] > self._now_ms() else None

    def _set(self, key: str, value: str, until: int) -> None:
        if len(self._entries) >= MAX_ENTRIES and key not in self._entries:
            self._make_room()
        self._entries[key] = (value, until)

    def _make_room(self) -> None:
        by_expiry = sorted(self._entries, key=lambda key: self._entries[key][1])
        for key in by_expiry[:SPARE_ENTRIES]:
            del self._entries[key]


class MemoryFeed:
    """Keeps ``ports.Feed`` by calling the listeners, in the order in which they subscribed.

    Windows end while ``supervise_cuts`` runs.
    """

    forgets = False

    def __init__(self) -> None:
        self._on_outcome: list[Callable[[Outcome], None]] = []
        self._on_update: list[Callable[[MarketUpdate], None]] = []
        self._on_cut: list[Callable[[Cut], None]] = []
        self._on_account: dict[int, dict[object, Callable[[Execution | None], None]]] = {}
        self._on_missed: list[Callable[[Collection[int]], None]] = []
        self._chain = Chain()
        self._views: dict[int, DepthView] = {}
        self._cut_u: dict[int, dict[int, int]] = {}  # where each symbol's windows ended last, by their length

    async def publish(self, publication: Publication) -> None:
        """Books first, so that a listener who asks for one never gets an older state than it was told."""
        for update in publication.updates:
            self._apply(update)
        for outcome in publication.outcomes:
            for tell in self._on_outcome:
                tell(outcome)
        for update in publication.updates:
            for show in self._on_update:
                show(update)
        for execution in publication.executions:
            self._tell_account(execution.account_id, execution)
        for account_id in publication.moved:
            self._tell_account(account_id, None)
        for span in publication.spans:
            self._link(span)

    def follows(self, account_id: int) -> bool:
        return account_id in self._on_account

    def retire(self, parts: Iterable[int]) -> None:
        """Nothing is said of a partition between its publications."""

    def on_outcome(self, callback: Callable[[Outcome], None]) -> None:
        self._on_outcome.append(callback)

    def on_update(self, callback: Callable[[MarketUpdate], None]) -> None:
        self._on_update.append(callback)

    def on_missed(self, callback: Callable[[Collection[int]], None]) -> None:
        self._on_missed.append(callback)

    def on_cut(self, callback: Callable[[Cut], None]) -> None:
        self._on_cut.append(callback)

    def is_stale(self, symbol_id: int) -> bool:
        """The engine is in this very process: nothing is lost on the way."""
        return False

    def on_account(self, account_id: int, callback: Callable[[Execution | None], None]) -> Callable[[], None]:
        mark = object()
        self._on_account.setdefault(account_id, {})[mark] = callback

        def unsubscribe() -> None:
            own = self._on_account.get(account_id, {})
            own.pop(mark, None)
            if not own:
                self._on_account.pop(account_id, None)

        return unsubscribe

    async def book(self, symbol_id: int, depth: int) -> Book | None:
        view = self._views.get(symbol_id)
        if view is None:
            return None
        bids, asks = view.top(depth)
        return Book(update_id=view.update_id, bids=bids, asks=asks)

    def tick(self, now_ms: int) -> None:
        """Ends the windows that end at ``now_ms``, a multiple of 100, of symbols with changes."""
        for window_ms in WINDOWS_MS:
            if now_ms % window_ms == 0:
                for symbol_id, ends in self._cut_u.items():
                    self._cut(symbol_id, ends, window_ms)

    def _cut(self, symbol_id: int, ends: dict[int, int], window_ms: int) -> None:
        before, u = ends[window_ms], self._views[symbol_id].update_id
        if u == before:
            return
        ends[window_ms] = u
        cut = Cut(symbol_id=symbol_id, window_ms=window_ms, first_u=before + 1, last_u=u)
        for end in self._on_cut:
            end(cut)

    async def supervise_cuts(self, clock: Clock) -> None:
        """Ticks every 100 ms of the wall clock; windows that end during a stall become one."""
        async for beat_ms in beats(clock, WINDOWS_MS[0]):
            try:
                self.tick(beat_ms)
            except Exception:
                log.exception("Windows of the market streams could not be ended.")

    def _apply(self, update: MarketUpdate) -> None:
        view = self._views.setdefault(update.symbol_id, DepthView())
        if update.snapshot:
            if update.symbol_id not in self._cut_u or update.last_u != view.update_id:
                self._cut_u[update.symbol_id] = dict.fromkeys(WINDOWS_MS, update.last_u)
            view.replace(update.levels, update.last_u)
        elif update.first_u <= update.last_u:
            view.apply(update.levels, update.last_u)

    def _link(self, span: Span) -> None:
        """Who began to listen when a batch was made already has not heard all of it, nor has anybody of a lost one."""
        for account_id in span.told:
            if account_id in self._on_account:
                self._chain.take(account_id, [(span.part, span.last_seq)])
        missed = self._chain.link(span, self._on_account)
        for start_again in self._on_missed if missed else ():
            start_again(missed)

    def _tell_account(self, account_id: int, execution: Execution | None) -> None:
        for tell in list(self._on_account.get(account_id, {}).values()):
            tell(execution)
