"""The engine's half of the feed on Redis: one pipeline per batch, and whatever Redis lacks is brought to it later.

Redis never stops the engine: a batch is given up after ``give_up_seconds``, its symbols are behind from then on, and a
task of its own catches up: out of what is held here, out of the backlog, or with a snapshot and a new feed epoch.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError

from outcry.adapters.beats import beats
from outcry.adapters.redis import scripts
from outcry.adapters.redis.client import TROUBLE, Word, connect, end
from outcry.adapters.redis.follows import FOLLOW_SECONDS, Followed
from outcry.adapters.redis.keys import Keys
from outcry.adapters.redis.standing import Standing, packed_book, packed_changes
from outcry.feedcodec import Private, encode_outcomes, encode_private, encode_spans, encode_update
from outcry.ports import (
    WINDOWS_MS,
    Backlog,
    Clock,
    Execution,
    Lease,
    MarketUpdate,
    Outcome,
    OutcomeUnknown,
    OutOfService,
    Publication,
)

GIVE_UP_SECONDS: Final = 0.1
TIMEOUT_SECONDS: Final = 1.0  # for what the engine does not wait for
RETRY_SECONDS: Final = 0.2
BEAT_MS: Final = 1_000
CHUNK: Final = 64  # updates of one symbol in a pipeline when it catches up
MAX_UNSENT: Final = 10_000  # private messages kept for a Redis that is away
DONE: Final = 1
KNOWN: Final = 0
BEHIND: Final = -1
NOWHERE: Final = -1  # the end of a window that Redis does not know of

log = logging.getLogger(__name__)


class Sent(NamedTuple):
    """One command of a pipeline, and the symbol whose state it tells."""

    words: tuple[Word, ...]
    standing: Standing | None = None
    update: MarketUpdate | None = None


class RedisPublisher:
    """Keeps ``ports.Publisher``. ``start`` before the first publication, ``close`` after the last."""

    forgets = True

    def __init__(
        self, url: str, *, clock: Clock, lease: Lease, backlog: Backlog, prefix: str = "",
        follow_seconds: float = FOLLOW_SECONDS, give_up_seconds: float = GIVE_UP_SECONDS,
    ) -> None:  # fmt: skip
        self._keys = Keys(prefix)
        self._give_up_seconds = give_up_seconds
        self._hot = connect(url, give_up_seconds)
        self._patient = connect(url, TIMEOUT_SECONDS)
        self._followed = Followed(url, self._keys, follow_seconds)
        self._clock = clock
        self._lease = lease
        self._backlog = backlog
        self._standings: dict[int, Standing] = {}
        self._feed_epoch = 0
        self._ticked_ms = 0
        self._down = True  # until Redis has the scripts
        self._unsent: deque[Sent] = deque()  # private messages that Redis may lack, and all that came after them
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()  # one pipeline at a time, so that what Redis says is not overtaken
        self._tasks: list[asyncio.Task[None]] = []
        self.sent_again = 0  # updates that had not reached it
        self.given_up = 0  # batches that did not reach Redis at once

    @property
    def is_down(self) -> bool:
        """Whether the engine goes on without Redis."""
        return self._down

    @property
    def behind(self) -> int:
        """Symbols of which Redis lacks something."""
        return sum(standing.behind for standing in self._standings.values())

    async def start(self) -> None:
        """Begins to listen for followers, to beat and to catch up; a Redis that is down is waited for later."""
        await self._followed.start()
        try:
            await self._revive()
        except TROUBLE as trouble:
            log.warning("The feed's Redis cannot be reached: %s", trouble)
        self._tasks = [asyncio.create_task(self.supervise_lag()), asyncio.create_task(self.supervise_beats())]

    async def close(self) -> None:
        """Says no more."""
        await end(*self._tasks)
        await self._followed.close()
        await self._hot.aclose()
        await self._patient.aclose()

    def follows(self, account_id: int) -> bool:
        return account_id in self._followed

    def retire(self, parts: Iterable[int]) -> None:
        """No heartbeat and no catching up for these: another owner sees to them."""
        gone = set(parts)
        self._standings = {symbol: each for symbol, each in self._standings.items() if each.part not in gone}

    async def publish(self, publication: Publication) -> None:
        """Books before answers, so that whoever is answered finds what was answered in the book."""
        batch = [each for update in publication.updates for each in self._changed(update)]
        private = list(self._private(publication))
        if self._down:
            self._give_up(batch)
            self._hold(private)
            await asyncio.sleep(0)  # whoever publishes without a pause leaves the loop time to catch up
            return
        batch += self._answers(publication.outcomes)
        if self._unsent:
            self._hold(private)
            private = []
        batch += private
        if batch:
            try:
                async with asyncio.timeout(self._give_up_seconds):
                    replies = await self._send(self._hot, batch)
            except TROUBLE as trouble:
                self._lose(trouble)
                self._give_up(batch)
                self._hold(private)
            else:
                self._judge(batch, replies)

    def _changed(self, update: MarketUpdate) -> Iterable[Sent]:
        standing = self._standings.get(update.symbol_id)
        if update.snapshot:
            self._standings[update.symbol_id] = Standing(update)
            self._wake.set()
        elif standing is not None and update.last_seq > standing.seq:
            standing.apply(update)
            if standing.behind:
                standing.hold(update)
            else:
                yield self._append(standing, update)

    def _append(self, standing: Standing, update: MarketUpdate) -> Sent:
        words = scripts.APPEND.call(
            self._keys.symbol(standing.symbol_id), self._keys.market, standing.symbol_id, update.first_seq,
            update.last_seq, update.last_u, packed_changes(update), encode_update(update),
        )  # fmt: skip
        return Sent(words, standing, update)

    def _heartbeat(self, standing: Standing, seq: int) -> Sent:
        """The same script without changes: says that the owner lives, and asks where Redis stands."""
        keys = self._keys.symbol(standing.symbol_id)
        words = scripts.APPEND.call(keys, self._keys.market, standing.symbol_id, seq, seq, 0, b"", b"")
        return Sent(words, standing)

    def _answers(self, outcomes: Sequence[Outcome]) -> Iterable[Sent]:
        by_pod: dict[str, list[Outcome]] = {}
        for outcome in outcomes:
            by_pod.setdefault(outcome.reply_to, []).append(outcome)
        by_pod.pop("", None)
        for pod, answers in by_pod.items():
            yield Sent(("PUBLISH", self._keys.reply(pod), encode_outcomes(answers)))

    def _private(self, publication: Publication) -> Iterable[Sent]:
        """Each account's events, unless those of one partition were not built; then whose events there were."""
        by_account: dict[int, list[Execution]] = {account_id: [] for account_id in publication.moved}
        for execution in publication.executions:
            by_account.setdefault(execution.account_id, []).append(execution)
        has_moved = set(publication.moved)
        untold = {account_id for span in publication.spans for account_id in span.untold}
        ends = tuple((span.part, span.last_seq) for span in publication.spans)
        for account_id, heard in by_account.items():
            if account_id in self._followed and account_id not in untold:
                private = Private(tuple(heard), account_id in has_moved, ends)
                yield Sent(("PUBLISH", self._keys.account(account_id), encode_private(private)))
        if publication.spans:
            yield Sent(("PUBLISH", self._keys.spans, encode_spans(publication.spans)))

    async def _send(self, client: Redis, batch: Sequence[Sent]) -> list[Any]:
        async with self._turn:
            pipeline = client.pipeline(transaction=False)
            for sent in batch:
                pipeline.execute_command(*sent.words)
            replies: list[Any] = await pipeline.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, NoScriptError):
                raise reply
        return replies

    async def _insist(self, batch: Sequence[Sent]) -> list[Any]:
        """Sends what must not be refused. Raises TROUBLE."""
        replies = await self._send(self._patient, batch)
        for reply in replies:
            if isinstance(reply, ResponseError):
                raise reply
        return replies

    def _judge(self, batch: Sequence[Sent], replies: Sequence[Any]) -> None:
        """Takes note of symbols for which Redis is not where it should be."""
        for sent, reply in zip(batch, replies, strict=True):
            refused = isinstance(reply, ResponseError)
            if refused:
                log.error("Redis refuses a command of the feed: %s", reply)
            if sent.standing is None:
                continue
            if refused or reply[0] < KNOWN:
                self._fall_behind(sent)
            else:
                sent.standing.stored_seq = max(sent.standing.stored_seq, reply[1])

    def _fall_behind(self, sent: Sent) -> None:
        assert sent.standing is not None
        sent.standing.behind = True
        if sent.update is not None:
            sent.standing.hold(sent.update)
        self._wake.set()

    def _hold(self, private: Sequence[Sent]) -> None:
        """Keeps what accounts are to hear until Redis takes it; where it is too much, their followers find a gap."""
        self._unsent.extend(private)
        if len(self._unsent) > MAX_UNSENT:
            self._unsent = deque()

    def _give_up(self, batch: Sequence[Sent]) -> None:
        self.given_up += 1
        for sent in batch:
            if sent.standing is not None:
                self._fall_behind(sent)

    def _lose(self, trouble: Exception) -> None:
        """Redis is not asked again by the engine until the other task has found it."""
        if not self._down:
            log.warning("The feed goes on without Redis: %s", trouble or type(trouble).__name__)
        self._down = True
        self._wake.set()

    async def _revive(self) -> None:
        """Raises TROUBLE while Redis cannot be asked."""
        await self._hot.connection_pool.disconnect()
        for script in (scripts.APPEND, scripts.OPEN, scripts.CUT):
            await self._patient.script_load(script.text)
        self._down = False

    async def supervise_lag(self) -> None:
        """Catches up whenever a symbol is behind; a failure is logged, and a while later it is tried again."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                if self._down:
                    await self._revive()
                await self._heal()
                await self._send_unsent()
            except (OutOfService, OutcomeUnknown) as trouble:
                log.warning("A symbol of the feed stays behind: %s", trouble)
                await asyncio.sleep(RETRY_SECONDS)
                self._wake.set()
            except TROUBLE as trouble:
                self._lose(trouble)
                await asyncio.sleep(RETRY_SECONDS)
                self._wake.set()
            except Exception:
                log.exception("A symbol of the feed cannot catch up.")
                await asyncio.sleep(RETRY_SECONDS)
                self._wake.set()

    async def _heal(self) -> None:
        renewed: set[int] = set()  # partitions whose lease was renewed during this call
        for standing in list(self._standings.values()):
            while standing.behind and self._standings.get(standing.symbol_id) is standing:
                (reply,) = await self._insist([self._heartbeat(standing, standing.seq)])
                outcome, stored = reply
                if outcome == KNOWN and stored > standing.seq:
                    log.warning("Symbol %d: Redis is ahead, at %d.", standing.symbol_id, stored)
                if outcome >= KNOWN:
                    standing.caught_up(stored)
                elif outcome != BEHIND or not await self._bring(standing, stored):
                    await self._open(standing, renewed)

    async def _send_unsent(self) -> None:
        """Sends what accounts were to hear."""
        unsent = self._unsent
        while unsent:
            several = list(islice(unsent, CHUNK))
            await self._insist(several)
            for _ in several:
                unsent.popleft()

    async def _bring(self, standing: Standing, stored: int) -> bool:
        """Sends what Redis lacks behind ``stored``; False when it is not to be had."""
        lacking = standing.after(stored)
        if lacking is None:
            kept = await self._backlog.missing(standing.part, standing.symbol_id, stored)
            updates = [update for each in kept for update in each.updates if update.symbol_id == standing.symbol_id]
            lacking = standing.after(stored, updates)
        if lacking is None:
            return False
        for at in range(0, len(lacking), CHUNK):
            replies = await self._insist([self._append(standing, each) for each in lacking[at : at + CHUNK]])
            standing.caught_up(replies[-1][1])
        self.sent_again += len(lacking)
        return True

    async def _open(self, standing: Standing, renewed: set[int]) -> None:
        """Begins a new feed epoch. Only an owner may, who knows at this moment that it is one."""
        if standing.part not in renewed:
            if standing.part not in await self._lease.renew({standing.part: standing.epoch}):
                log.warning("Partition %d is another engine's: its feed is too.", standing.part)
                self.retire([standing.part])
                return
            renewed.add(standing.part)
        self._feed_epoch = max(self._feed_epoch + 1, self._clock.now_ms())  # a Redis that was emptied knows none
        opening = standing.opening()
        bids, asks = packed_book(opening)
        words = scripts.OPEN.call(
            self._keys.symbol(standing.symbol_id), self._keys.market, standing.symbol_id, opening.last_seq,
            opening.last_u, self._feed_epoch, bids, asks, encode_update(opening),
        )  # fmt: skip
        (reply,) = await self._insist([Sent(words)])
        standing.caught_up(reply[1])
        log.info("Symbol %d: a new feed epoch begins at %d.", standing.symbol_id, opening.last_seq)

    async def supervise_beats(self) -> None:
        """Ends windows and says that the owner lives, by the wall clock."""
        async for beat_ms in beats(self._clock, WINDOWS_MS[0]):
            if self._down:
                continue
            try:
                await self.tick(beat_ms)
            except TROUBLE as trouble:
                self._lose(trouble)
            except Exception:
                log.exception("A beat of the feed failed.")

    async def tick(self, now_ms: int) -> None:
        """All that became due since the last tick, however late this one is. Raises what redis-py raises."""
        fit = [standing for standing in self._standings.values() if not standing.behind]
        last_ms, self._ticked_ms = self._ticked_ms, now_ms
        ends = [
            (standing, window_ms)
            for window_ms in WINDOWS_MS
            if now_ms // window_ms != last_ms // window_ms
            for standing in fit
            if standing.cut_u.get(window_ms, NOWHERE) < standing.u
        ]
        batch = [Sent(self._cut(standing, window_ms, now_ms)) for standing, window_ms in ends]
        if now_ms // BEAT_MS != last_ms // BEAT_MS:
            batch += [self._heartbeat(standing, standing.stored_seq) for standing in fit]
        if batch:
            replies = await self._send(self._patient, batch)
            self._judge(batch, replies)
            for (standing, window_ms), reply in zip(ends, replies[: len(ends)], strict=True):
                standing.cut_u[window_ms] = reply if isinstance(reply, int) else NOWHERE

    def _cut(self, standing: Standing, window_ms: int, now_ms: int) -> tuple[Word, ...]:
        keys = self._keys.symbol(standing.symbol_id)
        return scripts.CUT.call((keys[0], keys[5]), self._keys.market, standing.symbol_id, window_ms, now_ms)
