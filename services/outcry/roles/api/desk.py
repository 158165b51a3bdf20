"""Order entry: admit, resolve, hold, journal, wait for the outcome; many requests share one micro-batch.

The steps are those of reliability.md §2. Intents leave in the order in which they came; a refusal before the
journal is definite, and after it only an outcome is. What has no outcome in time is unknown, never refused.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence, Set
from typing import Final

from outcry.market.commands import AmendOrder, AnyCommand, CancelAll
from outcry.ports import Clock, Journal, Ledger, Listener, Outcome, OutcomeUnknown, OutOfService
from outcry.roles.api.cashier import Cashier, cancel_command
from outcry.roles.api.desknotes import DeskNotes
from outcry.roles.api.errors import Refusal, market_closed, outcome_unknown, overloaded
from outcry.roles.api.framing import Parcel, pack
from outcry.roles.api.intents import Amend, Cancel, CancelOpen, Intent, Place, PlacePair
from outcry.roles.api.latecomers import LATE_SECONDS, Latecomers
from outcry.roles.api.resolver import Resolver
from outcry.roles.api.tickets import Answer, Key, Name, Request, Ticket, must_wait, new_names, new_orders
from outcry.settings import Settings
from outcry.telemetry import Telemetry
from outcry.telemetry.traces import Tracer

MAX_BATCH: Final = 512  # tickets of one micro-batch
LARGE_BATCH: Final = 64  # tickets that wait for no more company
MAX_LAG_RECORDS: Final = 5_000  # behind by more, a partition gets no new orders: they would outlive their bounds
LOOK_UP_SECONDS: Final = 0.05  # between two look-ups


class Desk:
    """One per api process. ``run`` does the work, ``submit`` and ``submit_all`` bring it.

    ``pod`` is the address that outcomes come back to; ``halted`` names partitions whose engine has stopped for a
    person to decide, for which nothing is accepted; ``lags`` tells how many records each partition is behind, and
    ``blocked`` which of them the journal takes no records for just now, ``misdated`` for which it has a wrong time.
    ``rest_seconds`` is how long at most micro-batches wait for a crowd to become larger where each costs much CPU.
    """

    def __init__(
        self, *, ledger: Ledger, journal: Journal, feed: Listener, clock: Clock, settings: Settings, pod: str,
        telemetry: Telemetry | None = None, halted: Mapping[int, str] | None = None,
        lags: Callable[[], Mapping[int, int]] = dict, blocked: Callable[[], Collection[int]] = tuple,
        misdated: Callable[[], Collection[int]] = tuple,
        tracer: Tracer | None = None, rest_seconds: float = 0.0,
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._journal = journal
        self._clock = clock
        self._settings = settings
        self._pod = pod
        self._notes = DeskNotes(telemetry or Telemetry())
        self._tracer = tracer
        self._halted = {} if halted is None else halted
        self._lags = lags
        self._blocked = blocked
        self._misdated = misdated
        self._resolver = Resolver(ledger, self._settle)
        self._cashier = Cashier(ledger, settings.partitions, self._settle)
        self._latecomers = Latecomers(ledger)
        self._queue: deque[Ticket] = deque()
        self._batch: list[Ticket] = []  # what is being resolved and held
        self._arrived = asyncio.Event()
        self._quiet = asyncio.Event()  # what drain waits for
        self._waiting: dict[int, Ticket] = {}
        self._unacknowledged = 0
        self._crowded = False
        self._last_cut = 0.0
        self._rest_seconds = rest_seconds
        self._took = 0.0  # how long the last micro-batch was at the ledger
        self._open = True  # False once it stops, and after a failure until it runs again
        self._draining = False
        self._last_command_id = clock.now_us()  # above those of earlier incarnations, whose outcomes may still come
        feed.on_outcome(self._deliver)

    @property
    def unacknowledged(self) -> int:
        """Commands taken in that have no answer yet; at ``settings.admit_window`` new ones are refused."""
        return self._unacknowledged

    async def submit(
        self, intent: Intent, key: Key | None = None, traceparent: str = "", *, began: float = 0.0
    ) -> Outcome:
        """What came of one intent.

        Raises Refusal for what was refused before the journal and for an unknown outcome; Replayed and Unsettled
        with a ``key``. A refusal of the market is an Outcome with a code.
        """
        (answer,) = await self.submit_all([intent], key, traceparent, began=began)
        if isinstance(answer, Refusal):
            raise answer
        return answer

    async def submit_all(
        self, intents: Sequence[Intent], key: Key | None = None, traceparent: str = "", *, began: float = 0.0
    ) -> list[Answer]:
        """One answer per intent, in their order. Raises Refusal when full.

        ``key`` is claimed with the first; where it ``follows``, all of them are placed under it.

        ``began`` is when their request came, on the steady clock.
        """
        if not intents:
            return []
        self._admit(intents)
        request = Request(len(intents), asyncio.get_running_loop().create_future(), traceparent, began)
        since, first = time.monotonic(), self._last_command_id + 1
        self._last_command_id += len(intents)
        for place, intent in enumerate(intents):
            self._queue.append(Ticket(intent, first + place, request, place, key, since))
            key = key if key is not None and key.follows else None
        self._arrived.set()
        try:
            return await request.done
        finally:
            self._notes.answered(request, since, self._tracer)

    async def run(self) -> None:
        """Works until canceled. Ends with an exception only for a bug of ours, and may then be run again."""
        self._open = True
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_up())
                while True:
                    await self._arrived.wait()
                    await self._linger()
                    self._batch = self._cut()
                    if self._batch:
                        live = await self._enter(self._batch)
                        self._took = asyncio.get_running_loop().time() - self._last_cut
                        self._send(live, tasks)
        finally:
            self._open = False
            for ticket in [*self._batch, *self._queue, *self._waiting.values()]:
                self._settle(ticket, outcome_unknown())
            self._queue.clear()

    async def drain(self, timeout_seconds: float) -> None:
        """Accepts nothing more and waits until what was accepted has its answer, or the time is over."""
        self._draining = True
        if self._unacknowledged:
            self._quiet.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), timeout_seconds)

    def _admit(self, intents: Sequence[Intent]) -> None:
        """Takes places in the window of unacknowledged commands. Raises Refusal -1008."""
        if not self._open or self._draining or self._unacknowledged + len(intents) > self._settings.admit_window:
            raise overloaded()
        self._unacknowledged += len(intents)

    async def _linger(self) -> None:
        """Lets company join: what the loop has ready now, and while requests come in crowds a window's worth.

        With ``rest_seconds``, what a micro-batch costs everybody, however many share it, shows in how long its step at
        the ledger took: the next one begins when that time has passed again, unless it is large or the market has
        nothing to do.
        """
        loop = asyncio.get_running_loop()
        window = 0.0
        if self._crowded and self._waiting and len(self._queue) < LARGE_BATCH:
            rest = min(self._took, self._rest_seconds)
            window = max(self._settings.micro_batch_ms / 1000, self._took + rest)
        await asyncio.sleep(max(0.0, self._last_cut + window - loop.time()))
        self._last_cut = loop.time()

    def _cut(self) -> list[Ticket]:
        """The next micro-batch in arrival order.

        A ticket that names an order of this very batch waits for the next one, and so does all that its account
        sent after it.
        """
        batch: list[Ticket] = []
        parked: list[Ticket] = []
        held_back: dict[int, None] = {}
        fresh: dict[Name, None] = {}
        noted = 0  # tickets of the batch whose names are in ``fresh``; only who names an order looks there
        while self._queue and len(batch) < MAX_BATCH:
            ticket = self._queue.popleft()
            waits = bool(held_back) and ticket.account in held_back
            if not waits and type(ticket.intent) is not Place:
                fresh.update((name, None) for other in batch[noted:] for name in new_names(other))
                noted = len(batch)
                waits = must_wait(ticket, fresh)
            if waits:
                held_back[ticket.account] = None
                parked.append(ticket)
            else:
                batch.append(ticket)
        self._queue.extendleft(reversed(parked))
        if not self._queue:
            self._arrived.clear()
        self._crowded = len(batch) > 1 or bool(self._queue)
        return batch

    async def _enter(self, batch: Sequence[Ticket]) -> list[Ticket]:
        """Resolves and holds; returns the tickets that have a command for the journal."""
        self._notes.micro_batch.observe(len(batch))
        self._refuse(batch)
        await self._attempt(self._resolver.resolve, [t for t in batch if type(t.intent) not in (Place, PlacePair)])
        placing = [t for t in batch if not t.settled and (type(t.intent) is Place or new_orders(t.intent))]
        await self._attempt(self._cashier.hold, placing)
        live = [ticket for ticket in batch if not ticket.settled]
        for ticket in live:
            ticket.command = ticket.command or _command_about_targets(ticket)
        return live

    def _refuse(self, batch: Sequence[Ticket]) -> None:
        """Settles what comes too late, and what is for a partition that is halted, far behind, or not journaled."""
        now_us = self._clock.now_us()
        behind = {part for part, lag in self._lags().items() if lag > MAX_LAG_RECORDS}.union(self._misdated())
        blocked = self._blocked()
        for ticket in batch:
            intent = ticket.intent
            if 0 < intent.deadline_us < now_us:
                text = "Timestamp for this request is outside of the recvWindow."
                self._settle(ticket, Refusal(-1021, text))
            elif self._halted or behind or blocked:
                part = intent.instrument.partition
                refusal = overloaded() if part in blocked else self._refusal(intent, behind)
                if refusal is not None:
                    self._settle(ticket, refusal)

    def _refusal(self, intent: Intent, behind: Set[int]) -> Refusal | None:
        """Why nothing of the intent may be written. Never a definite no to a cancel: its order still stands."""
        part = intent.instrument.partition
        if part in self._halted:
            return market_closed() if isinstance(intent, Place | PlacePair) else overloaded()
        return overloaded() if part in behind and new_orders(intent) else None

    async def _attempt(self, step: Callable[[Sequence[Ticket]], Awaitable[None]], tickets: Sequence[Ticket]) -> None:
        """One step at the ledger; trouble there is the answer of all that needed it."""
        live = [ticket for ticket in tickets if not ticket.settled]
        if not live:
            return
        try:
            await step(live)
        except OutOfService:
            self._settle_all(live, overloaded())
        except OutcomeUnknown:
            self._settle_all(live, outcome_unknown())

    def _send(self, tickets: Sequence[Ticket], tasks: asyncio.TaskGroup) -> None:
        """Hands the frames to the journal without waiting: tasks start in order, and so do their appends."""
        if not tickets:
            return
        for ticket in tickets:
            self._waiting[ticket.command_id] = ticket
        held = self._notes.held(tickets)
        tasks.create_task(self._append(pack(tickets, self._pod, self._tracer), held))

    async def _append(self, parcels: Sequence[Parcel], held: float) -> None:
        """A failed append is unknown: the look-up finds out, or the orders' bounds pass and they are voided."""
        try:
            offsets = await self._journal.append([(parcel.part, parcel.frame) for parcel in parcels])
        except OutcomeUnknown:
            return
        except OutOfService:
            about_open_orders = [t for parcel in parcels for t in parcel.tickets if not t.order_ids]
            self._settle_all(about_open_orders, overloaded())
            return
        self._notes.journaled(parcels, held)
        for parcel, offset in zip(parcels, offsets, strict=True):
            for ticket in parcel.tickets:
                ticket.offset = offset

    def _deliver(self, outcome: Outcome) -> None:
        ticket = self._waiting.get(outcome.command_id)
        if ticket is not None:
            self._settle(ticket, ticket.complete(outcome))

    def _settle(self, ticket: Ticket, answer: Answer | Exception) -> None:
        """Gives a ticket its one answer; later ones are ignored."""
        if ticket.settled:
            return
        ticket.settled = True
        self._waiting.pop(ticket.command_id, None)
        self._unacknowledged -= 1
        if not self._unacknowledged:
            self._quiet.set()
        if isinstance(answer, Refusal):
            answer = ticket.refused(answer)
        elif not isinstance(answer, Outcome):
            ticket.request.fail(answer)
            return
        request = ticket.request
        if ticket.command is not None:
            request.commands += 1
            if answer.code:
                self._notes.refused(request, answer)
        request.put(ticket.place, answer)
        if request.settled:
            self._notes.settled(request, ticket.since)

    def _settle_all(self, tickets: Sequence[Ticket], refusal: Refusal) -> None:
        for ticket in tickets:
            self._settle(ticket, refusal)

    async def _follow_up(self) -> None:
        """Asks the ledger about late tickets, and gives up on those that are too late."""
        while True:
            await asyncio.sleep(LOOK_UP_SECONDS)
            now = time.monotonic()
            late = [ticket for ticket in self._waiting.values() if now - ticket.since > LATE_SECONDS]
            if not late:
                continue
            try:
                for ticket, outcome in await self._latecomers.look_up(late, now):
                    self._settle(ticket, ticket.complete(outcome))
            except OutOfService:
                pass
            for ticket in late:
                if time.monotonic() - ticket.since > self._settings.reply_timeout_seconds:
                    self._settle(ticket, outcome_unknown())


def _command_about_targets(ticket: Ticket) -> AnyCommand:
    """The command of an intent that places nothing."""
    intent = ticket.intent
    if isinstance(intent, Cancel):
        return cancel_command(ticket, intent)
    symbol_id = intent.instrument.symbol_id
    if isinstance(intent, CancelOpen):
        return CancelAll(
            command_id=ticket.command_id,
            symbol_id=symbol_id,
            account=intent.account,
            targets=tuple((target.order_id, target.valid_until_ms) for target in ticket.targets),
            cancel_client_id=intent.cancel_client_id,
        )
    assert isinstance(intent, Amend)
    return AmendOrder(
        command_id=ticket.command_id,
        symbol_id=symbol_id,
        account=ticket.account,
        order_id=ticket.targets[0].order_id,
        qty=intent.qty,
        new_client_id=intent.new_client_id,
    )
