"""A WebSocket API connection's own state: who logged on, and which accounts it listens to."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from outcry.roles.api.endpoint import KEY_ONLY, PUBLIC, READ, Call, Endpoint, Param
from outcry.roles.api.errors import Refusal
from outcry.roles.api.gate import Gate
from outcry.roles.stream.link import Link
from outcry.roles.stream.payloads import Payload
from outcry.roles.stream.userdata import Subscription, UserStreams
from outcry.rows import AccountRow, KeyRow

MAX_SUBSCRIPTIONS: Final = 1_000  # at a time
MAX_SUBSCRIPTION_IDS: Final = 65_535  # over the connection's lifetime
WEIGHT: Final = 2
KEY_SECONDS: Final = 2.0  # between two looks whether the keys of subscriptions are still good


class Session:
    """What one connection has agreed on. ``key`` and ``account`` are None before ``session.logon``."""

    def __init__(self, gate: Gate, users: UserStreams, link: Link, *, client_ip: str, micro: bool) -> None:
        self.client_ip = client_ip
        self.key: KeyRow | None = None
        self.account: AccountRow | None = None
        self.micro = micro
        self.shows_limits = True
        self._gate = gate
        self._users = users
        self._link = link
        self._clock = gate.venue.clock
        self._connected_ms = self._clock.now_ms()
        self._authorized_ms = 0
        self._subscriptions: dict[int, Subscription] = {}
        self._keys: dict[int, str] = {}  # API key of each subscription
        self._watch: asyncio.Task[None] | None = None
        self._of_logon: int | None = None  # the subscription that ends with the logon
        self._next_id = 0

    def log_on(self, call: Call) -> None:
        """The connection speaks for this key from now on."""
        self.key, self.account = call.key, call.account
        self._authorized_ms = self._clock.now_ms()

    def log_out(self) -> None:
        """Forgets the key, and the subscription that came with it."""
        self.key = self.account = None
        if self._of_logon is not None:
            self.unsubscribe(self._of_logon)

    async def subscribe(self, key: KeyRow, *, of_logon: bool = False) -> int:
        """Listens to the key's account; returns the subscription's id. Raises Refusal -2035, -2042 or -1191."""
        account_id = key.account_id
        if any(each.account_id == account_id for each in self._subscriptions.values()):
            raise Refusal(-2035, "User Data Stream subscription already active.")
        if self._next_id >= MAX_SUBSCRIPTION_IDS:
            raise Refusal(-2042, "Maximum subscription ID reached for this connection.")
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            text = f"Too many subscriptions. Connection may create up to '{MAX_SUBSCRIPTIONS}' subscriptions at a time."
            raise Refusal(-1191, text)
        number, self._next_id = self._next_id, self._next_id + 1
        head = b'{"subscriptionId":%d,"event":' % number
        subscription = Subscription(account_id, self._link, head=head, micro=self.micro)
        self._subscriptions[number] = subscription
        self._keys[number] = key.api_key
        await self._users.expect(account_id)
        self._users.open(subscription)
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_keys())
        if of_logon:
            self._of_logon = number
        return number

    def unsubscribe(self, number: int | None) -> None:
        """Ends one subscription, or all. Raises Refusal -2036."""
        if number is not None and number not in self._subscriptions:
            raise Refusal(-2036, "User Data Stream subscription not active.")
        for each in [number] if number is not None else list(self._subscriptions):
            subscription = self._subscriptions.pop(each)
            del self._keys[each]
            self._users.close(subscription)
            subscription.tell({"e": "eventStreamTerminated", "E": self._clock.now_ms()})
            if each == self._of_logon:
                self._of_logon = None

    def subscriptions(self) -> list[int]:
        return list(self._subscriptions)

    def end(self) -> None:
        """The connection is gone."""
        if self._watch is not None:
            self._watch.cancel()
        for subscription in self._subscriptions.values():
            self._users.close(subscription)
        self._subscriptions.clear()

    async def _watch_keys(self) -> None:
        """Ends the subscriptions of a key that was revoked, has expired, or may not come from here any longer."""
        while True:
            await asyncio.sleep(KEY_SECONDS)
            for number, api_key in list(self._keys.items()):
                if not await self._is_good(api_key) and number in self._subscriptions:
                    self.unsubscribe(number)

    async def _is_good(self, api_key: str) -> bool:
        try:
            credential = await self._gate.keys.find(api_key)
        except Refusal:
            return True  # the ledger cannot be asked; the next look decides
        return credential is not None and credential.allows("", self.client_ip, self._clock.now_ms())

    def status(self) -> Payload:
        """The answer of ``session.status``; times in the connection's unit."""
        unit = 1000 if self.micro else 1
        return {
            "apiKey": self.key.api_key if self.key else None,
            "authorizedSince": self._authorized_ms * unit if self.key else None,
            "connectedSince": self._connected_ms * unit,
            "returnRateLimits": self.shows_limits,
            "serverTime": self._clock.now_ms() * unit,
            "userDataStream": bool(self._subscriptions),
        }


class SessionMethod(NamedTuple):
    """A method that concerns the connection itself. ``signs``: it needs a signature even after a logon."""

    terms: Endpoint
    act: Callable[[Session, Call], Awaitable[Any]]
    signs: bool = False


async def _only_on_a_socket(call: Call) -> Any:
    raise Refusal(-1020, "This operation is not supported.")


def _method(
    name: str,
    act: Callable[[Session, Call], Awaitable[Any]],
    security: str = PUBLIC,
    params: tuple[Param, ...] = (),
    *,
    signs: bool = False,
) -> tuple[str, SessionMethod]:
    terms = Endpoint(
        method="", path="", answer=_only_on_a_socket, security=security, weight=WEIGHT, params=params, ws=name
    )
    return name, SessionMethod(terms, act, signs)


async def _log_on(session: Session, call: Call) -> Payload:
    session.log_on(call)
    return session.status()


async def _status(session: Session, call: Call) -> Payload:
    return session.status()


async def _log_out(session: Session, call: Call) -> Payload:
    session.log_out()
    return session.status()


async def _subscribe(session: Session, call: Call) -> Payload:
    if session.key is None:
        raise Refusal(-2015, "Invalid API-key, IP, or permissions for action.", 401)
    return {"subscriptionId": await session.subscribe(session.key, of_logon=True)}


async def _subscribe_signed(session: Session, call: Call) -> Payload:
    assert call.key is not None
    return {"subscriptionId": await session.subscribe(call.key)}


async def _unsubscribe(session: Session, call: Call) -> Payload:
    session.unsubscribe(call.params.get("subscriptionId"))
    return {}


async def _subscriptions(session: Session, call: Call) -> list[Payload]:
    return [{"subscriptionId": number} for number in session.subscriptions()]


SESSION_METHODS: Final[dict[str, SessionMethod]] = dict((
    _method("session.logon", _log_on, READ, signs=True),
    _method("session.status", _status),
    _method("session.logout", _log_out),
    _method("session.subscriptions", _subscriptions),
    _method("userDataStream.subscribe", _subscribe, KEY_ONLY),
    _method("userDataStream.subscribe.signature", _subscribe_signed, READ, signs=True),
    _method("userDataStream.unsubscribe", _unsubscribe, params=(Param(name="subscriptionId", kind="int"),)),
))  # fmt: skip
