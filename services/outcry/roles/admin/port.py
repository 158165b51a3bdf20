"""The admin port of a pod: status, drains, probes and metrics, for the operator of a cluster and its monitoring.

Reads are open to whoever reaches the port; writes need the bearer token that stands in a file.
"""

import asyncio
import contextlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec
import uvicorn

from outcry.roles.api.wire import Asgi, Receive, Scope, Send, answer
from outcry.telemetry import Telemetry

MAX_BODY_BYTES: Final = 65_536
BODY_SECONDS: Final = 5.0  # for a whole body to arrive
JSON: Final = b"application/json"
TEXT: Final = b"text/plain; version=0.0.4; charset=utf-8"
BEARER: Final = "bearer "


class Identity(NamedTuple):
    """Which pod this is, as the cluster calls it."""

    pod: str
    uid: str = ""
    track: str = "stable"  # or canary
    revision: str = ""


class Asked(NamedTuple):
    """One request: what stood in its path and query, and its JSON body."""

    params: Mapping[str, str]
    body: Any = None

    def whole(self, name: str) -> int:
        """A parameter as a number. Raises Wrong."""
        text = self.params.get(name, "")
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise Wrong(400, f"{name} must be a whole number, not {text!r}")
        return int(text)


class Wrong(Exception):
    """A request that is not carried out: an HTTP status and the reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Told(NamedTuple):
    """An answer: an HTTP status and what becomes its JSON body."""

    body: Any
    status: int = 200


class Route(NamedTuple):
    """A call of the port. ``path`` is a regular expression whose groups become parameters."""

    method: str
    path: str
    answer: Callable[[Asked], Told]

    @property
    def writes(self) -> bool:
        return self.method != "GET"


class AdminPort:
    """An ASGI application. ``is_alive`` and ``is_ready`` answer the probes; a text says why not."""

    def __init__(
        self, routes: Sequence[Route], *, telemetry: Telemetry, token_file: str = "",
        is_alive: Callable[[], str] = lambda: "", is_ready: Callable[[], str] = lambda: "",
    ) -> None:  # fmt: skip
        self._routes = [(re.compile(route.path), route) for route in routes]
        self._telemetry = telemetry
        self._token_file = token_file
        self._probes = {"/livez": is_alive, "/readyz": is_ready}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/metrics":
            await answer(send, 200, TEXT, self._telemetry.exposition())
        elif scope["path"] in self._probes:
            why = self._probes[scope["path"]]()
            await answer(send, 503 if why else 200, TEXT, (why or "ok").encode())
        else:
            told = await self._told(scope, receive)
            await answer(send, told.status, JSON, msgspec.json.encode(told.body))

    async def _told(self, scope: Scope, receive: Receive) -> Told:
        try:
            route, found = self._route(scope)
            if route.writes:
                self._check_token(scope)
            query = dict(parse_qsl(scope["query_string"].decode("latin-1"), max_num_fields=16))
            body = await _body(receive) if route.writes else None
            return route.answer(Asked({**query, **found}, body))
        except Wrong as wrong:
            return Told({"error": str(wrong)}, wrong.status)

    def _route(self, scope: Scope) -> tuple[Route, dict[str, str]]:
        known = False
        for path, route in self._routes:
            match = path.fullmatch(scope["path"])
            if match is not None:
                known = True
                if route.method == scope["method"]:
                    return route, match.groupdict()
        raise Wrong(405 if known else 404, "no such call" if not known else "no such method of this call")

    def _check_token(self, scope: Scope) -> None:
        """The file is read each time, so that the token can be replaced while the pod runs."""
        try:
            token = Path(self._token_file).read_text(encoding="utf-8").strip() if self._token_file else ""
        except OSError:
            token = ""
        if not token:
            raise Wrong(403, "this pod has no token, so it takes no writes")
        given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        is_bearer = given.lower().startswith(BEARER)
        if not is_bearer or not hmac.compare_digest(given[len(BEARER) :].strip().encode(), token.encode()):
            raise Wrong(401, "the bearer token is missing or wrong")


class AdminServer(uvicorn.Server):
    """Serves an admin port; signals are the role's own affair."""

    def __init__(self, port: Asgi) -> None:
        super().__init__(uvicorn.Config(port, lifespan="off", log_config=None, access_log=False, server_header=False))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _body(receive: Receive) -> Any:
    """The JSON of a body; None where there is none. Raises Wrong."""
    raw = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                raw += message.get("body", b"")
                if len(raw) > MAX_BODY_BYTES:
                    raise Wrong(413, f"a body has at most {MAX_BODY_BYTES} bytes")
                if not message.get("more_body"):
                    break
    except TimeoutError:
        raise Wrong(408, f"the body did not arrive within {BODY_SECONDS:g} s") from None
    try:
        return msgspec.json.decode(raw) if raw else None
    except (msgspec.DecodeError, UnicodeDecodeError) as trouble:
        raise Wrong(400, f"the body is no JSON: {trouble}") from None
