"""The WebSocket API: the table's endpoints as requests on one socket, many of them at a time.

Source: Binance ``web-socket-api.md``.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from outcry.ports import OutcomeUnknown, OutOfService
from outcry.roles.api.endpoint import TRADE, Call, Endpoint
from outcry.roles.api.errors import Refusal, missing, outcome_unknown, overloaded
from outcry.roles.api.gate import Gate
from outcry.roles.api.limits import rate_limits
from outcry.roles.api.timeunit import in_micros
from outcry.roles.stream import payloads
from outcry.roles.stream.channel import encode
from outcry.roles.stream.disconnect import CancelOnDisconnect
from outcry.roles.stream.door import admit, farewell, ip_of, present, query_of, turn_away, wants_microseconds
from outcry.roles.stream.link import POLICY, Link, Receive, Round, Scope, Send
from outcry.roles.stream.session import SESSION_METHODS, Session, SessionMethod
from outcry.roles.stream.userdata import UserStreams
from outcry.telemetry import Telemetry

MAX_IN_FLIGHT: Final = 512  # requests of one connection being answered; beyond, its socket is not read
CONNECT_WEIGHT: Final = 2
MAX_ID_BYTES: Final = 256
VERSION_PREFIX: Final = "v3/"
BANNED: Final = 418
OTHER: Final = "other"  # how metrics call a method that does not exist

log = logging.getLogger(__name__)
_FALSE: Final = (False, "false")
_TRUE = ("true", "1")
CANCEL: Final = "order.cancel"


class Request(msgspec.Struct):
    """One request as it came; ``id`` is echoed byte for byte."""

    method: str
    id: msgspec.Raw = msgspec.Raw(b"null")
    params: dict[str, Any] | None = None


_decode: Final = msgspec.json.Decoder(Request, float_hook=str).decode


class WsApi:
    """The ASGI application under ``/ws-api/v3``."""

    def __init__(
        self,
        gate: Gate,
        endpoints: Sequence[Endpoint],
        users: UserStreams,
        *,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.gate = gate
        self.users = users
        self.telemetry = telemetry or Telemetry()
        self.methods = {endpoint.ws: endpoint for endpoint in endpoints if endpoint.ws}
        self.clients: dict[WsClient, None] = {}
        self._round = Round()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one client until it is gone."""
        query = query_of(scope)
        try:
            micro = wants_microseconds(query)
            await self.gate.limits.weigh(ip_of(scope), CONNECT_WEIGHT)
        except Refusal as refusal:
            await turn_away(receive, send, refusal)
            return
        link = await admit(scope, receive, send, self.gate, shared=self._round)
        if link is None:
            return
        session = Session(self.gate, self.users, link, client_ip=ip_of(scope), micro=micro)
        session.shows_limits = query.get("returnRateLimits") not in _FALSE
        wants = query.get("cancelOnDisconnect") in _TRUE and CANCEL in self.methods
        client = WsClient(self, session, link, CancelOnDisconnect(self.methods[CANCEL]) if wants else None)
        with present(self.clients, client, self.telemetry, "api"):
            await client.serve()

    def note(self, method: str, status: int) -> None:
        """One request was answered."""
        known = method in self.methods or method in SESSION_METHODS
        self.telemetry.socket_requests.labels(method if known else OTHER, str(status)).inc()

    async def goodbye(self, spread_seconds: float = 1.0) -> None:
        """Tells every client that the server ends, and closes them with 1001."""
        event = encode(payloads.shutdown(self.gate.venue.clock.now_ms()))
        for client in list(self.clients):
            client.link.say(b'{"event":%b}' % event)
        await farewell([client.link for client in self.clients], spread_seconds)


class WsClient:
    """One connection: reads requests in order, answers each as soon as it can."""

    def __init__(self, api: WsApi, session: Session, link: Link, at_end: CancelOnDisconnect | None) -> None:
        self.link = link
        self._at_end = at_end
        self._api = api
        self._session = session
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(MAX_IN_FLIGHT)

    async def serve(self) -> None:
        """Follows requests until the client is gone; methods of the session are finished before the next is read."""
        async for text in self.link.messages():
            try:
                request = _read(text)
            except Refusal as refusal:
                told = await self._charged(refusal)
                self.link.say(self._refusal(_id_in(text), told, shown=self._session.shows_limits))
                continue
            if request.method in SESSION_METHODS:
                await self.supervise_request(request)
                continue
            await self._room.acquire()
            task = asyncio.create_task(self.supervise_request(request))
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    def leave(self) -> None:
        """The client is gone: what it asked for goes on, but nobody is told."""
        self._session.end()
        if self._at_end is not None:
            self._at_end.leave()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.release()

    async def supervise_request(self, request: Request) -> None:
        """Answers one request; what nobody expected is logged and answered as -1000."""
        try:
            self.link.say(await self._answer(request))
        except Exception:
            log.exception("WebSocket request %s failed", request.method[:64])
            unexpected = Refusal(-1000, "An unknown error occurred while processing the request.", 500)
            self.link.say(self._refusal(bytes(request.id), unexpected, shown=False))

    async def _answer(self, request: Request) -> bytes:
        params = request.params or {}
        shown = self._session.shows_limits
        if "returnRateLimits" in params:
            shown = params["returnRateLimits"] not in _FALSE
        call: Call | None = None
        try:
            method = SESSION_METHODS.get(request.method)
            if method is not None:
                call = await self._admit_to_session(method, params)
                result = await method.act(self._session, call)
            else:
                endpoint = self._endpoint(request.method)
                call = await self._api.gate.ws(endpoint, params, self._session)
                result = await endpoint.answer(call)
                if self._at_end is not None and endpoint.security == TRADE and endpoint.method == "POST":
                    self._at_end.note(call, result)
                if self._session.micro:
                    result = in_micros(endpoint.path, result)
        except (Refusal, OutOfService, OutcomeUnknown) as trouble:
            refusal = _refusal_of(trouble)
            if not refusal.spent:
                if call is not None:
                    refusal.spent = call.spent
                else:
                    refusal = await self._charged(refusal)
            self._api.note(request.method, refusal.status)
            return self._refusal(bytes(request.id), refusal, shown=shown)
        self._api.note(request.method, 200)
        return b'{"id":%b,"status":200,"result":%b%b}' % (
            bytes(request.id), encode(result), _limits(call.spent) if shown else b"",
        )  # fmt: skip

    async def _admit_to_session(self, method: SessionMethod, params: dict[str, Any]) -> Call:
        if method.signs and not params.get("apiKey"):
            raise missing("apiKey")
        return await self._api.gate.ws(method.terms, params, self._session)

    async def _charged(self, refusal: Refusal) -> Refusal:
        """Charges a request that never reached the gate; who has used too much hears that instead."""
        try:
            refusal.spent = (await self._api.gate.limits.weigh(self._session.client_ip, 1),)
        except Refusal as over:
            return over
        return refusal

    def _endpoint(self, method: str) -> Endpoint:
        endpoint = self._api.methods.get(method)
        if endpoint is None:
            raise Refusal(-1103, "An unknown parameter was sent: unknown method.")
        return endpoint

    def _refusal(self, request_id: bytes, refusal: Refusal, *, shown: bool) -> bytes:
        if refusal.status == BANNED:
            asyncio.get_running_loop().call_soon(self.link.close, POLICY, "the address is banned")
        error: dict[str, Any] = {"code": refusal.code, "msg": refusal.text}
        if refusal.data is not None:
            error["data"] = refusal.data
        return b'{"id":%b,"status":%d,"error":%b%b}' % (
            request_id, refusal.status, encode(error), _limits(refusal.spent) if shown else b"",
        )  # fmt: skip


def _read(text: str) -> Request:
    """Reads a request. Raises Refusal."""
    try:
        request = _decode(text)
    except msgspec.ValidationError as error:
        field = "params" if "$.params" in str(error) else "method"
        raise missing(field) if text.lstrip()[:1] == "{" else _invalid_json() from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise _invalid_json() from None
    if not _is_id(bytes(request.id)):
        raise missing("id")
    request.method = request.method.removeprefix(VERSION_PREFIX)
    return request


def _invalid_json() -> Refusal:
    return Refusal(-1135, "Invalid JSON Request")


def _is_id(raw: bytes) -> bool:
    """Whether an id is a string, a whole number or null."""
    return len(raw) <= MAX_ID_BYTES and (raw[:1] == b'"' or raw == b"null" or raw.lstrip(b"-").isdigit())


def _id_in(text: str) -> bytes:
    """The id of a request that cannot be served, as far as it can be found."""
    try:
        raw = bytes(msgspec.json.decode(text, type=dict[str, msgspec.Raw]).get("id", b"null"))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return b"null"
    return raw if _is_id(raw) else b"null"


def _refusal_of(trouble: Refusal | OutOfService | OutcomeUnknown) -> Refusal:
    if isinstance(trouble, Refusal):
        return trouble
    return overloaded() if isinstance(trouble, OutOfService) else outcome_unknown()


def _limits(spent: Sequence[Any]) -> bytes:
    return b',"rateLimits":' + encode(rate_limits(spent))
