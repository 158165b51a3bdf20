"""What happens to accounts, sent to whoever may know: one tape per account, however many listen."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from typing import Final, Protocol

from outcry.market.events import ListUpdated, OrderCanceled, OrderExpired
from outcry.market.terms import CANCELED
from outcry.ports import Execution, OutOfService
from outcry.roles.api.venue import Venue
from outcry.roles.stream import reports
from outcry.roles.stream.channel import encode
from outcry.roles.stream.frames import text_frame
from outcry.roles.stream.link import RESTART
from outcry.roles.stream.payloads import Payload, in_microseconds
from outcry.rows import Balance, ListRow, OrderRow

COALESCE_SECONDS: Final = 0.05  # balance changes of this long go out as one event
RETRY_SECONDS: Final = 0.5
RENAMED: Final = "UPDATED"  # listStatus: an order of the list has another client order id (enums.md)
SETTLE_SECONDS: Final = 0.1  # for engines to hear that an account is followed, and what they had matched to be told
EXPECT_SECONDS: Final = 5.0  # for which an account is followed that somebody is about to listen to
MAX_WAITING_EVENTS: Final = 1_000  # that a client has not taken yet; beyond, it is closed, for none may be left out
MAX_REMEMBERED_LEGS: Final = 1_000  # client ids of listed orders kept per account; the oldest is forgotten first


class Confidant(Protocol):
    """A client's socket: takes whole frames without waiting, and knows what it could not send yet."""

    def push(self, frame: bytes) -> None: ...
    @property
    def waiting_bytes(self) -> int: ...
    def give_up(self) -> None: ...
    def close(self, code: int, reason: str) -> None: ...


class Subscription:
    """One listener of one account, and what its messages are wrapped in."""

    __slots__ = ("_waiting", "account_id", "head", "micro", "subscriber", "tail")

    def __init__(self, account_id: int, subscriber: Confidant, *, head: bytes = b"", micro: bool = False) -> None:
        self.account_id = account_id
        self.subscriber = subscriber
        self.head = head
        self.tail = b"}" if head else b""
        self.micro = micro
        self._waiting = 0  # events pushed since the client had taken all

    def tell(self, payload: Payload) -> None:
        """Sends one event to this listener alone."""
        self._push(encode(in_microseconds(payload) if self.micro else payload))

    def take(self, milli: bytes, micro: bytes) -> None:
        """Sends one encoded event."""
        self._push(micro if self.micro else milli)

    def start_again(self) -> None:
        """Ends the client, which comes back and reads what it missed."""
        self.subscriber.close(RESTART, "messages are missing; start again")

    def _push(self, encoded: bytes) -> None:
        self._waiting = self._waiting + 1 if self.subscriber.waiting_bytes else 0
        if self._waiting > MAX_WAITING_EVENTS:
            self.subscriber.give_up()
            return
        self.subscriber.push(text_frame(self.head + encoded + self.tail))


class UserStreams:
    """All accounts that somebody listens to; one per process."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self._tapes: dict[int, AccountTape] = {}
        self._settled: dict[
            int, float
        ] = {}  # accounts that were new lately: when all is told of them, on the loop's clock
        self._on_follow: list[Callable[[], None]] = []
        self._begun: list[Callable[[int], Awaitable[None]]] = []
        self._execution_id = venue.clock.now_us()
        venue.feed.on_missed(self.start_again)

    @property
    def followed(self) -> set[int]:
        """Accounts that somebody listens to, or is about to."""
        return {*self._tapes, *self._settled}

    def on_follow(self, callback: Callable[[], None], begun: Callable[[int], Awaitable[None]]) -> None:
        """``callback`` is called when one more account is followed, ``begun`` awaited before one is promised."""
        self._on_follow.append(callback)
        self._begun.append(begun)

    async def expect(self, account_id: int) -> None:
        """Waits until all that happens to the account is told here, so that whoever is promised it misses nothing."""
        loop = asyncio.get_running_loop()
        if account_id not in self._settled and account_id not in self._tapes:
            self._settled[account_id] = loop.time() + SETTLE_SECONDS
            unsubscribe = self.venue.feed.on_account(account_id, lambda _: None)
            loop.call_later(EXPECT_SECONDS, self._let_go, account_id, unsubscribe)
            self._tell_followed()
        if account_id in self._settled:
            await asyncio.sleep(self._settled[account_id] - loop.time())
        for begun in self._begun:
            await begun(account_id)

    def _let_go(self, account_id: int, unsubscribe: Callable[[], None]) -> None:
        del self._settled[account_id]
        unsubscribe()

    def open(self, subscription: Subscription) -> None:
        """From now on the subscription gets every event of its account."""
        tape = self._tapes.get(subscription.account_id)
        if tape is None:
            tape = self._tapes[subscription.account_id] = AccountTape(self, subscription.account_id)
            self._tell_followed()
        tape.listeners[subscription] = None

    def _tell_followed(self) -> None:
        for told in self._on_follow:
            told()

    def close(self, subscription: Subscription) -> None:
        tape = self._tapes.get(subscription.account_id)
        if tape is None:
            return
        tape.listeners.pop(subscription, None)
        if not tape.listeners:
            tape.close()
            del self._tapes[subscription.account_id]

    def transferred(self, account_id: int, asset_id: int, amount: int) -> None:
        """Money came in or went out without a trade: tells it as ``balanceUpdate``."""
        tape = self._tapes.get(account_id)
        if tape is not None:
            tape.transferred(asset_id, amount)

    def gave_up(self, order: OrderRow) -> None:
        """An order never reached the market: tells its end, the first and last that is told of it."""
        tape = self._tapes.get(order.account_id)
        if tape is not None:
            tape.gave_up(order)

    def start_again(self, account_ids: Collection[int]) -> None:
        """Events of these accounts may be missing."""
        for tape in [tape for account_id, tape in self._tapes.items() if account_id in account_ids]:
            for listener in list(tape.listeners):
                listener.start_again()

    def next_execution_id(self) -> int:
        """A number that grows with every report of this process and stays below 2^53."""
        self._execution_id += 1
        return self._execution_id


class AccountTape:
    """One account's events, rendered once for all its listeners."""

    def __init__(self, streams: UserStreams, account_id: int) -> None:
        self.listeners: dict[Subscription, None] = {}
        self._streams = streams
        self._venue = streams.venue
        self._account_id = account_id
        self._balances: dict[int, Balance] | None = None
        self._moved_ms = 0
        self._legs: OrderedDict[int, str] = OrderedDict()
        self._unsubscribe = self._venue.feed.on_account(account_id, self._take)
        self._position: asyncio.Task[None] | None = None
        self._again = False
        self._touched: dict[int, None] = {}  # assets that the next position names even if they look unchanged
        self._lists: set[asyncio.Task[None]] = set()
        self._refresh(0.0)

    def close(self) -> None:
        """Stops listening."""
        self._unsubscribe()
        for task in (self._position, *self._lists):
            if task is not None:
                task.cancel()

    def transferred(self, asset_id: int, amount: int) -> None:
        now_ms = self._venue.clock.now_ms()
        asset = self._venue.assets.get(asset_id, "")
        self._emit(reports.balance_update(asset, amount, event_ms=now_ms, time_ms=now_ms))
        self._touched[asset_id] = None
        self._refresh(COALESCE_SECONDS)

    def gave_up(self, order: OrderRow) -> None:
        ended = OrderCanceled if order.status == CANCELED else OrderExpired
        event = ended(
            symbol_id=order.symbol_id, order_id=order.order_id, account=self._account_id, left=order.qty, reason=""
        )
        self._take(
            Execution(
                account_id=self._account_id, symbol_id=order.symbol_id, time_ms=order.updated_ms, event=event,
                order=order,
            )
        )  # fmt: skip

    def _take(self, execution: Execution | None) -> None:
        """The feed's callback; None: the account's balances moved."""
        if execution is not None:
            self._moved_ms = max(self._moved_ms, execution.time_ms)
            self._report(execution)
        self._refresh(COALESCE_SECONDS)

    def _report(self, execution: Execution) -> None:
        instrument = self._venue.instruments_by_id.get(execution.symbol_id)
        if instrument is None:
            return
        order = execution.order
        if order is not None and order.list_id >= 0:
            self._legs[order.order_id] = order.client_order_id
            if len(self._legs) > MAX_REMEMBERED_LEGS:
                self._legs.popitem(last=False)
        if isinstance(execution.event, ListUpdated):
            if execution.list_row is not None:
                row = execution.list_row._replace(status=execution.event.status)  # as it was then
                self._tell_list(row, execution.time_ms)
            return
        report = reports.execution_report(
            execution,
            instrument,
            event_ms=self._venue.clock.now_ms(),
            execution_id=self._streams.next_execution_id(),
        )
        if report is not None:
            self._touched.update({instrument.base_asset: None, instrument.quote_asset: None})
            self._emit(report)
        if execution.list_row is not None and report is not None and report["c"] != report["C"]:
            self._tell_list(execution.list_row._replace(status=RENAMED), execution.time_ms)

    def _tell_list(self, row: ListRow, time_ms: int) -> None:
        """A list's status follows the reports of its orders, which name their client ids."""
        task = asyncio.create_task(self._send_list(row, time_ms))
        self._lists.add(task)
        task.add_done_callback(self._lists.discard)

    async def _send_list(self, row: ListRow, time_ms: int) -> None:
        instrument = self._venue.instruments_by_id[row.symbol_id]
        ids = (row.above_id, row.below_id)
        if any(order_id not in self._legs for order_id in ids):
            await self._read_legs(row)
        legs = [(order_id, self._legs.get(order_id, "")) for order_id in ids]
        now_ms = self._venue.clock.now_ms()
        self._emit(reports.list_status(row, legs, instrument, event_ms=now_ms, time_ms=time_ms))

    async def _read_legs(self, row: ListRow) -> None:
        try:
            for order in await self._venue.ledger.list_orders([row.list_id]):
                self._legs[order.order_id] = order.client_order_id
        except OutOfService:
            return  # the ids of the orders are in the event all the same

    def _refresh(self, delay_seconds: float) -> None:
        """Reads the balances soon; what moves meanwhile is told together."""
        if self._position is None or self._position.done():
            self._position = asyncio.create_task(self._tell_position(delay_seconds))
        else:
            self._again = True

    async def _tell_position(self, delay_seconds: float) -> None:
        while True:
            await asyncio.sleep(delay_seconds)
            self._again = False
            try:
                balances = {b.asset_id: b for b in await self._venue.ledger.balances(self._account_id)}
            except OutOfService:
                self._again = True
                delay_seconds = RETRY_SECONDS
                continue
            self._compare(balances)
            if not self._again:
                return
            delay_seconds = COALESCE_SECONDS

    def _compare(self, balances: dict[int, Balance]) -> None:
        known, self._balances = self._balances, balances
        changed, self._touched = self._touched, {}
        if known is not None:
            changed |= {asset: None for asset in known | balances if known.get(asset) != balances.get(asset)}
        if not changed:
            return
        named = [
            (self._venue.assets.get(asset, ""), balances.get(asset, Balance(asset, 0, 0))) for asset in sorted(changed)
        ]
        now_ms = self._venue.clock.now_ms()
        self._emit(reports.account_position(named, event_ms=now_ms, updated_ms=self._moved_ms or now_ms))

    def _emit(self, payload: Payload) -> None:
        milli = encode(payload)
        micro = encode(in_microseconds(payload)) if any(each.micro for each in self.listeners) else b""
        for listener in list(self.listeners):
            listener.take(milli, micro)
