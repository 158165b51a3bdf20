"""Lets a request in: whose it is, whether it may, what it costs and what it says; REST and the WebSocket API alike."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from outcry.roles.api import signing
from outcry.roles.api.endpoint import ADMIN, KEY_ONLY, PUBLIC, READ, TRADE, Call, Endpoint
from outcry.roles.api.errors import Refusal, illegal, missing
from outcry.roles.api.limits import Limits
from outcry.roles.api.params import DECIMAL_RANGE, Recipe, plain, read_object, read_pairs
from outcry.roles.api.vault import Credential, KeyRing, Vault
from outcry.roles.api.venue import Venue
from outcry.rows import AccountRow, KeyRow

API_KEY = re.compile(r"[A-Za-z0-9_-]{8,128}", re.ASCII)
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
NATIVE: Final = "/v1/"

_NOBODYS_SECRET: Final = b"nobody's"  # as an unknown key is refused anyway, any will do
_SCOPES: Final = {KEY_ONLY: "", READ: "read", TRADE: "trade", ADMIN: "admin"}


@dataclass(slots=True)
class RawRequest:
    """One HTTP request as it came; ``query`` and ``body`` are the bytes that were signed."""

    query: bytes = b""
    body: bytes = b""
    api_key: str = ""
    client_ip: str = ""
    content_type: str = ""
    idempotency_key: str = ""
    traceparent: str = ""
    began: float = field(default_factory=time.monotonic)  # when it came, on the steady clock


class Session(Protocol):
    """A WebSocket API connection: where it comes from, and who logged on (None before ``session.logon``)."""

    client_ip: str
    key: KeyRow | None
    account: AccountRow | None


class Gate:
    """Turns requests into calls. Both entrances raise Refusal, with ``spent`` filled in."""

    def __init__(self, venue: Venue, vault: Vault) -> None:
        self.venue = venue
        self.keys = KeyRing(venue.ledger, vault, venue.clock)
        self.limits = Limits(venue.shared, venue.clock, venue.settings.limits)
        self._recipes: dict[int, tuple[Endpoint, Recipe]] = {}

    async def rest(self, endpoint: Endpoint, request: RawRequest) -> Call:
        """Admits a REST request."""
        try:
            sent = _sent(endpoint, request)
            credential, until_us = await self._rest_caller(endpoint, request, sent)
            call = self._call(endpoint, sent, credential)
            call.idempotency_key = _idempotency_key(endpoint, request.idempotency_key)
        except Refusal as refusal:
            await self._weigh_refused(refusal, request.client_ip)
            raise
        call.valid_until_us = until_us
        call.traceparent, call.began = request.traceparent, request.began
        await self._spend(endpoint, call, request.client_ip)
        return call

    async def ws(self, endpoint: Endpoint, params: Mapping[str, Any], session: Session) -> Call:
        """Admits a WebSocket API request; read its JSON with ``params.read_json`` to keep fractions as text."""
        began = time.monotonic()
        try:
            call = await self._ws(endpoint, params, session)
        except Refusal as refusal:
            if refusal.status in (418, 429):
                now_ms = self.venue.clock.now_ms()
                refusal.data = {"serverTime": now_ms, "retryAfter": now_ms + refusal.spent[-1].resets_ms}
            raise
        call.began = began
        return call

    async def _ws(self, endpoint: Endpoint, params: Mapping[str, Any], session: Session) -> Call:
        try:
            sent = plain(params)
            credential, until_us = await self._ws_caller(endpoint, params, sent, session)
            call = self._call(endpoint, sent, credential)
            call.idempotency_key = _idempotency_key(endpoint, sent.get("idempotencyKey", ""))
        except Refusal as refusal:
            await self._weigh_refused(refusal, session.client_ip)
            raise
        call.valid_until_us = until_us
        await self._spend(endpoint, call, session.client_ip)
        return call

    async def _rest_caller(
        self, endpoint: Endpoint, request: RawRequest, sent: Mapping[str, Any]
    ) -> tuple[Credential | None, int]:
        if endpoint.security == PUBLIC:
            return None, 0
        if endpoint.security == KEY_ONLY:
            return await self._credential(endpoint, request.api_key, request.client_ip), 0
        _require_envelope(sent)
        payloads = (signing.rest_payload(request.query, request.body),)
        return await self._signer(endpoint, (request.api_key, request.client_ip), sent, payloads)

    async def _ws_caller(
        self, endpoint: Endpoint, params: Mapping[str, Any], sent: Mapping[str, Any], session: Session
    ) -> tuple[Credential | None, int]:
        if endpoint.security == PUBLIC:
            return None, 0
        if "apiKey" not in sent and session.key is not None:
            return await self._logged_on(endpoint, sent, session)
        api_key = sent.get("apiKey")
        if not api_key:
            raise missing("apiKey")
        if endpoint.security == KEY_ONLY:
            return await self._credential(endpoint, api_key, session.client_ip), 0
        _require_envelope(sent)
        return await self._signer(endpoint, (api_key, session.client_ip), sent, signing.ws_payloads(params))

    async def _logged_on(self, endpoint: Endpoint, sent: Mapping[str, Any], session: Session) -> tuple[Credential, int]:
        assert session.key is not None
        if endpoint.security != KEY_ONLY:
            _require_envelope(sent, ("timestamp",))
        try:
            credential = await self._credential(endpoint, session.key.api_key, session.client_ip)
        except Refusal as refusal:
            if refusal.code == -2015 and not await self._alive(session):
                session.key = session.account = None
            raise
        return credential, 0 if endpoint.security == KEY_ONLY else self._until_us(sent)

    async def _alive(self, session: Session) -> bool:
        credential = await self.keys.find(session.key.api_key) if session.key else None
        return credential is not None and credential.allows("", session.client_ip, self.venue.clock.now_ms())

    async def _signer(
        self, endpoint: Endpoint, caller: tuple[Any, str], sent: Mapping[str, Any], payloads: Sequence[bytes]
    ) -> tuple[Credential, int]:
        """Whose signature fits one of the payloads, and how long it is good. ``caller`` is API key and address.

        An unknown key costs the work of a bad signature, so that time does not tell which keys there are.
        """
        found = await self._find(caller[0])
        kind, secret = (found.key.kind, found.secret) if found is not None else (signing.HMAC, _NOBODYS_SECRET)
        fits = any(signing.matches(kind, secret, payload, sent["signature"]) for payload in payloads)
        credential = self._allowed(endpoint, found, caller[1])
        until_us = self._until_us(sent)
        if not fits:
            raise signing.invalid_signature()
        return credential, until_us

    async def _credential(self, endpoint: Endpoint, api_key: Any, client_ip: str) -> Credential:
        return self._allowed(endpoint, await self._find(api_key), client_ip)

    async def _find(self, api_key: Any) -> Credential | None:
        if type(api_key) is not str or API_KEY.fullmatch(api_key) is None:
            raise Refusal(-2014, "API-key format invalid.", 401)
        return await self.keys.find(api_key)

    def _allowed(self, endpoint: Endpoint, credential: Credential | None, client_ip: str) -> Credential:
        now_ms = self.venue.clock.now_ms()
        if credential is None or not credential.allows(_SCOPES[endpoint.security], client_ip, now_ms):
            raise Refusal(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return credential

    def _until_us(self, sent: Mapping[str, Any]) -> int:
        return signing.valid_until_us(sent["timestamp"], sent.get("recvWindow"), self.venue.clock.now_us())

    def _call(self, endpoint: Endpoint, sent: Mapping[str, Any], credential: Credential | None) -> Call:
        self.venue.features.require(endpoint.feature)
        found = self._recipes.get(id(endpoint))
        if found is None:
            found = endpoint, Recipe(endpoint.params, strict=endpoint.path.startswith(NATIVE))
            self._recipes[id(endpoint)] = found
        params = found[1].read(sent, self.venue.instruments)
        if credential is None:
            return Call(self.venue, params, sent)
        if credential.account.frozen and endpoint.security == TRADE and endpoint.method != "DELETE":
            raise Refusal(-2010, "This action is disabled on this account.")
        return Call(self.venue, params, sent, credential.account, credential.key)

    async def _spend(self, endpoint: Endpoint, call: Call, client_ip: str) -> None:
        weight = endpoint.weight if isinstance(endpoint.weight, int) else endpoint.weight(call.params)
        orders = _orders(endpoint, call.params) if endpoint.orders else 0
        call.spent = await self.limits.charge(client_ip, weight, call.account_id if orders else 0, orders)

    async def _weigh_refused(self, refusal: Refusal, client_ip: str) -> None:
        refusal.spent = (await self.limits.weigh(client_ip, 1),)


def _sent(endpoint: Endpoint, request: RawRequest) -> dict[str, Any]:
    """What the client sent by name: query over body. A native body may be JSON, any other is a form."""
    query = read_pairs(request.query)
    body = request.body
    if not body:
        return query
    if endpoint.path.startswith(NATIVE) and (body.lstrip()[:1] in (b"{", b"[") or "json" in request.content_type):
        return read_object(body) | query
    return {**read_pairs(body), **query}


def _require_envelope(sent: Mapping[str, Any], names: tuple[str, ...] = ("timestamp", "signature")) -> None:
    for name in names:
        if type(sent.get(name)) is not str or not sent[name]:
            raise missing(name)
    if type(sent.get("recvWindow", "")) is not str:
        raise illegal("recvWindow", DECIMAL_RANGE)


def _idempotency_key(endpoint: Endpoint, text: Any) -> str:
    """The key of a write; a structured-field string comes in quotes."""
    if not text or endpoint.security != TRADE:
        return ""
    if type(text) is str and len(text) > 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if type(text) is not str or IDEMPOTENCY_KEY.fullmatch(text) is None:
        raise illegal("Idempotency-Key", "^[!-~]{1,255}$")
    return text


def _orders(endpoint: Endpoint, params: Mapping[str, Any]) -> int:
    """How many orders a request counts for: a batch counts every item."""
    items = params.get("orders")
    return max(len(items), 1) if type(items) is list else endpoint.orders
