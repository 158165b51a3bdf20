"""An order ticket: one intent on its way through the desk, and the request that waits for its answer."""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from outcry.claims import KEY_IN_PROGRESS, KEY_MISMATCH, HoldResult
from outcry.market.commands import AnyCommand
from outcry.ports import Outcome
from outcry.roles.api.errors import Refusal
from outcry.roles.api.intents import Amend, Cancel, CancelOpen, Intent, Place, PlacePair, Replace
from outcry.telemetry.traces import Trace

Answer = Outcome | Refusal
Name = tuple[int, int, str]  # account, symbol, client order id
PARENT = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Key:
    """An Idempotency-Key and the hash of the payload it was sent with.

    ``claimant`` is the request that claims it. What ``follows`` does not claim it, but is placed under it.
    """

    text: str
    payload_sha256: bytes
    claimant: str = ""
    follows: bool = False


class Replayed(Exception):
    """The key has been used with this payload before; ``response`` is the answer stored then."""

    def __init__(self, response: bytes) -> None:
        super().__init__()
        self.response = response


class Unsettled(Exception):
    """The key has been used with this payload before, and no answer is stored yet; ``order_id`` was placed with it."""

    def __init__(self, order_id: int) -> None:
        super().__init__()
        self.order_id = order_id


def taken_key(result: HoldResult) -> Exception:
    """What a request is told whose Idempotency-Key is taken: Refusal 422, Unsettled or Replayed."""
    if result.status == KEY_MISMATCH:
        return Refusal(-1098, "Idempotency-Key was used with another payload.", 422)
    return Unsettled(result.order_id) if result.status == KEY_IN_PROGRESS else Replayed(result.response)


class Request:
    """The intents that one caller sent together; ``done`` resolves to their answers in the same order.

    ``traceparent`` is the caller's W3C trace context, which goes with its commands into the journal; "" for none.
    ``began`` is when the request came, ``settled`` when its last answer was there, on the steady clock (0.0: not yet).
    ``commands`` of its intents went to the market, ``refused`` of them in vain.
    """

    __slots__ = ("answers", "began", "commands", "done", "left", "refused", "settled", "trace", "traceparent")

    def __init__(
        self, size: int, done: asyncio.Future[list[Answer]], traceparent: str = "", began: float = 0.0
    ) -> None:
        self.answers: list[Answer | None] = [None] * size
        self.left = size
        self.traceparent = traceparent if traceparent and PARENT.fullmatch(traceparent) else ""
        self.began = began
        self.settled = 0.0
        self.commands = self.refused = 0
        self.trace: Trace | None = None
        self.done = done

    def put(self, place: int, answer: Answer) -> None:
        self.answers[place] = answer
        self.left -= 1
        if self.left:
            return
        self.settled = time.monotonic()
        if not self.done.done():
            self.done.set_result([each for each in self.answers if each is not None])

    def fail(self, cause: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(cause)


@dataclass(frozen=True, slots=True)
class Target:
    """The open order that a cancel, amend or replace is about; ``remaining`` is what is left of its hold."""

    order_id: int
    valid_until_ms: int
    asset: int
    remaining: int = 0


class Ticket(msgspec.Struct, eq=False):
    """``settled`` once it has its answer; ``offset`` is where its frame stands in the journal, -1 while unknown.

    ``place`` is its place in its request; ``since`` is when it came, and ``asked`` when the ledger was last
    asked about it, on the steady clock; ``applied`` once a look found that its record was.
    """

    intent: Intent
    command_id: int
    request: Request
    place: int
    key: Key | None = None
    since: float = 0.0
    command: AnyCommand | None = None
    order_ids: tuple[int, ...] = ()
    targets: tuple[Target, ...] = ()
    offset: int = -1
    asked: float = 0.0
    applied: bool = False
    settled: bool = False
    cancel_refusal: Refusal | None = None
    new_refusal: Refusal | None = None

    @property
    def account(self) -> int:
        return account_of(self.intent)

    def complete(self, outcome: Outcome) -> Outcome:
        """Adds the half of a replace that was refused before the journal."""
        if self.cancel_refusal is not None:
            refused = self.cancel_refusal
            return msgspec.structs.replace(outcome, cancel_code=refused.code, cancel_text=refused.text)
        if self.new_refusal is None:
            return outcome
        return msgspec.structs.replace(
            outcome,
            code=self.new_refusal.code,
            text=self.new_refusal.text,
            cancel_code=outcome.code,
            cancel_text=outcome.text,
        )

    def refused(self, refusal: Refusal) -> Answer:
        """A refusal of the new order, beside that of the cancel before it."""
        if self.cancel_refusal is None or refusal.status != 400:
            return refusal
        instrument = self.intent.instrument
        return Outcome(
            command_id=self.command_id,
            symbol_id=instrument.symbol_id,
            part=instrument.partition,
            offset=-1,
            time_ms=0,
            code=refusal.code,
            text=refusal.text,
            cancel_code=self.cancel_refusal.code,
            cancel_text=self.cancel_refusal.text,
        )


def account_of(intent: Intent) -> int:
    """Whose intent it is."""
    if isinstance(intent, Place):
        return intent.order.account
    if isinstance(intent, PlacePair):
        return intent.above.order.account
    if isinstance(intent, Replace):
        return intent.new.order.account
    return intent.old.account if isinstance(intent, Amend) else intent.account


def named_order(intent: Intent) -> Cancel | None:
    """How the intent names the one open order that it is about; None where it is about none or about all."""
    if isinstance(intent, Cancel):
        return intent
    return intent.old if isinstance(intent, Replace | Amend) else None


def new_orders(intent: Intent) -> tuple[Place, ...]:
    """The orders that the intent places."""
    if isinstance(intent, Place):
        return (intent,)
    if isinstance(intent, PlacePair):
        return intent.above, intent.below
    return (intent.new,) if isinstance(intent, Replace) else ()


def new_names(ticket: Ticket) -> list[Name]:
    """What the orders that the ticket places are called."""
    orders = [place.order for place in new_orders(ticket.intent)]
    return [(order.account, order.symbol_id, order.client_order_id) for order in orders]


def must_wait(ticket: Ticket, fresh: Mapping[Name, None]) -> bool:
    """Whether the ticket names an order whose hold is asked for in the same micro-batch."""
    intent = ticket.intent
    if isinstance(intent, CancelOpen):
        here = (intent.account, intent.instrument.symbol_id)
        return any(key[:2] == here for key in fresh)
    old = named_order(intent)
    if old is None or old.client_order_id is None:
        return False
    return (old.account, old.instrument.symbol_id, old.client_order_id) in fresh


def unknown_order() -> Refusal:
    return Refusal(-2011, "Unknown order sent.")


def duplicate_order() -> Refusal:
    return Refusal(-2010, "Duplicate order sent.")


def insufficient_balance() -> Refusal:
    return Refusal(-2010, "Account has insufficient balance for requested action.")
