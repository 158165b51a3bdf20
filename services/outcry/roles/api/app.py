"""The front door: the table's endpoints straight from the socket to their answers, everything else to its own app."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from outcry.ports import OutcomeUnknown, OutOfService
from outcry.roles.api.endpoint import Call, Endpoint
from outcry.roles.api.errors import Refusal, outcome_unknown, overloaded
from outcry.roles.api.gate import NATIVE, Gate
from outcry.roles.api.problem import JSON_TYPE, not_found, render, unexpected, wrong_method
from outcry.roles.api.service import build_service
from outcry.roles.api.timeunit import in_micros, wants_micros
from outcry.roles.api.venue import Venue
from outcry.roles.api.wire import (
    Asgi,
    Gone,
    Message,
    Receive,
    Scope,
    Send,
    answer,
    body_of,
    encoded,
    head_of,
    limit_headers,
)
from outcry.telemetry import Telemetry
from outcry.telemetry.logs import trace_id
from outcry.telemetry.traces import trace_id_of

MAX_IN_FLIGHT: Final = 5_000  # requests being answered; more are refused with 503 -1008
POLICY: Final = 1008  # close code of a WebSocket to nowhere (RFC 6455)

log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


def build_app(
    venue: Venue,
    gate: Gate,
    endpoints: Sequence[Endpoint],
    websocket_apps: Mapping[str, Asgi],
    *,
    telemetry: Telemetry | None = None,
) -> Asgi:
    """The ASGI app of one process. ``websocket_apps`` are by path prefix: ``/ws`` serves ``/ws`` and ``/ws/...``."""
    counted = telemetry or venue.telemetry
    service = build_service(venue, endpoints, counted)
    return Front(gate, endpoints, websocket_apps, service=service, telemetry=counted)


class Reply:
    """The sending half of a request, which knows what has been answered."""

    __slots__ = ("_send", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0  # 0: nothing sent yet

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


class Front:
    """Finds who answers a request by its exact method and path, and keeps every answer in shape."""

    def __init__(
        self,
        gate: Gate,
        endpoints: Sequence[Endpoint],
        websocket_apps: Mapping[str, Asgi],
        *,
        service: Asgi,
        telemetry: Telemetry,
    ) -> None:
        self._gate = gate
        self._table = table_of(endpoints)
        self._methods = methods_of(self._table)
        self._sockets = dict(websocket_apps)
        self._service = service
        self._service_paths = frozenset(route.path for route in getattr(service, "routes", ()))
        self._noted = _Noted(telemetry)
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.supervise_request(scope, receive, Reply(send))
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self._service(scope, receive, send)

    async def supervise_request(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        """Answers one request; what nobody expected is logged and answered as -1000."""
        began = time.perf_counter()
        endpoint = self._table.get((scope["method"], scope["path"]))
        self._in_flight += 1
        try:
            if endpoint is None:
                await self._elsewhere(scope, receive, reply)
            else:
                await self._endpoint(endpoint, scope, receive, reply)
        except Gone:
            return
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            if not reply.status:
                content_type, body = render(scope["path"], unexpected())
                await answer(reply, 500, content_type, body)
        finally:
            self._in_flight -= 1
        self._noted.request(endpoint, scope, reply.status, time.perf_counter() - began)

    async def _endpoint(self, endpoint: Endpoint, scope: Scope, receive: Receive, reply: Reply) -> None:
        call: Call | None = None
        try:
            if self._in_flight > MAX_IN_FLIGHT:
                raise overloaded()
            head = head_of(scope)
            trace_id.set(trace_id_of(head.traceparent) if head.traceparent else "")
            micros = wants_micros(head.time_unit)
            head.body = await body_of(head, receive)
            call = await self._gate.rest(endpoint, head)
            result = await endpoint.answer(call)
        except (Refusal, OutOfService, OutcomeUnknown) as trouble:
            await self._refuse(refusal_of(trouble), call, scope, reply)
            return
        if micros:
            result = in_micros(endpoint.path, result)
        headers = limit_headers(call.spent, endpoint.path.startswith(NATIVE))
        if call.headers:
            headers += encoded(call.headers)
        await answer(reply, 200, JSON_TYPE, _encode(result), headers=headers)

    async def _refuse(self, refusal: Refusal, call: Call | None, scope: Scope, reply: Reply) -> None:
        spent = refusal.spent or (call.spent if call else ())
        if not spent:
            refusal, spent = await self._weighed(refusal, scope)
        path = scope["path"]
        headers = limit_headers(spent, path.startswith(NATIVE)) + encoded(refusal.headers)
        if call and call.headers:
            headers += encoded(call.headers)
        content_type, body = render(path, refusal)
        await answer(reply, refusal.status, content_type, body, headers=headers)

    async def _weighed(self, refusal: Refusal, scope: Scope) -> tuple[Refusal, tuple[Any, ...]]:
        """Charges a request that never reached the gate; who has used too much hears that instead."""
        client = scope.get("client")
        try:
            return refusal, (await self._gate.limits.weigh(client[0] if client else "", 1),)
        except Refusal as over:
            return over, over.spent
        except OutOfService:
            return refusal, ()

    async def _elsewhere(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        method, path = scope["method"], scope["path"]
        allowed = "GET, HEAD" if path in self._service_paths else self._methods.get(path)
        try:
            head_of(scope)
            if allowed is None:
                raise _upgrade_required() if self._socket_app(path) else not_found()
            if method == "OPTIONS":
                await _answer_options(reply, allowed)
                return
            if path not in self._service_paths or method not in ("GET", "HEAD"):
                raise wrong_method(allowed)
        except Refusal as refusal:
            await self._refuse(refusal, None, scope, reply)
            return
        await self._service({**scope, "method": "GET"}, receive, reply)

    def _socket_app(self, path: str) -> Asgi | None:
        fitting = [p for p in self._sockets if path == p or path.startswith(p + "/")]
        return self._sockets[max(fitting, key=len)] if fitting else None

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._socket_app(scope["path"])
        if app is not None:
            await app(scope, receive, send)
        else:
            await _refuse_socket(receive, send)


class _Noted:
    """Counts requests, with the labelled counters of each route looked up once."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._counters: dict[tuple[str, str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}

    def request(self, endpoint: Endpoint | None, scope: Scope, status: int, seconds: float) -> None:
        route = (endpoint.method, endpoint.path, status) if endpoint else ("", "other", status)
        found = self._counters.get(route)
        if found is None:
            method, path, _ = route
            counter = self._telemetry.requests.labels(method, path, str(status))
            found = counter.inc, self._telemetry.request_seconds.labels(path).observe
            self._counters[route] = found
        found[0]()
        found[1](seconds)


def table_of(endpoints: Sequence[Endpoint]) -> dict[tuple[str, str], Endpoint]:
    """Endpoints by method and path; GET answers HEAD too. A row that is there twice is a bug."""
    table: dict[tuple[str, str], Endpoint] = {}
    for endpoint in endpoints:
        if not endpoint.path:
            continue
        key = (endpoint.method, endpoint.path)
        assert key not in table, f"two endpoints for {key}"
        table[key] = endpoint
        if endpoint.method == "GET":
            table[("HEAD", endpoint.path)] = endpoint
    return table


def methods_of(table: Mapping[tuple[str, str], Endpoint]) -> dict[str, str]:
    """The methods that each path allows, as an Allow header says it."""
    allowed: dict[str, list[str]] = {}
    for method, path in table:
        allowed.setdefault(path, []).append(method)
    return {path: ", ".join(sorted(methods)) for path, methods in allowed.items()}


def refusal_of(trouble: Refusal | OutOfService | OutcomeUnknown) -> Refusal:
    """What a client hears of trouble: a ledger that cannot be asked is overload, a lost answer is unknown."""
    if isinstance(trouble, Refusal):
        return trouble
    return overloaded() if isinstance(trouble, OutOfService) else outcome_unknown()


async def _refuse_socket(receive: Receive, send: Send) -> None:
    """Says why in a close frame: clients show its reason, but seldom the body of a refused handshake."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": POLICY, "reason": not_found().text})


async def _answer_options(reply: Reply, allowed: str) -> None:
    headers = [(b"allow", f"{allowed}, OPTIONS".encode()), (b"content-length", b"0")]
    await reply({"type": "http.response.start", "status": 204, "headers": headers})
    await reply({"type": "http.response.body", "body": b""})


def _upgrade_required() -> Refusal:
    return Refusal(-1020, "This path speaks WebSocket.", 426, headers={"Upgrade": "websocket"})
