"""Market sockets: ``/ws`` sends bare payloads, ``/stream`` wraps them with their stream's name."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import msgspec

from outcry.roles.api.errors import Refusal
from outcry.roles.api.gate import Gate
from outcry.roles.stream import control, listenkeys, names, payloads
from outcry.roles.stream.channel import COMBINED, MICROSECONDS, RAW, encode, wrapped
from outcry.roles.stream.control import Complaint, Control
from outcry.roles.stream.door import Pace, admit, farewell, present, query_of, turn_away, wants_microseconds
from outcry.roles.stream.hub import Hub
from outcry.roles.stream.link import POLICY, Link, Receive, Round, Scope, Send
from outcry.roles.stream.names import StreamName
from outcry.roles.stream.userdata import Subscription, UserStreams
from outcry.telemetry import Telemetry

LISTEN_KEY_SECONDS: Final = 5.0  # between two looks whether a listen key still lives
SHUTDOWN_STREAM: Final = "!serverShutdown"


class MarketSockets:
    """The ASGI application under ``/ws`` and ``/stream``."""

    def __init__(self, hub: Hub, gate: Gate, users: UserStreams, *, telemetry: Telemetry | None = None) -> None:
        self.hub = hub
        self.gate = gate
        self.users = users
        self.telemetry = telemetry or Telemetry()
        self.clients: dict[MarketClient, None] = {}
        self._round = Round()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one client until it is gone."""
        query = query_of(scope)
        try:
            micro = wants_microseconds(query)
        except Refusal as refusal:
            await turn_away(receive, send, refusal)
            return
        combined, wanted = _asked_for(scope["path"], query)
        link = await admit(scope, receive, send, self.gate, shared=self._round, before=partial(self._expect, wanted))
        if link is None:
            return
        client = MarketClient(self, link, (COMBINED if combined else RAW) | (MICROSECONDS if micro else 0))
        with present(self.clients, client, self.telemetry, "market"):
            await client.serve(wanted)

    async def _expect(self, wanted: Sequence[str]) -> None:
        """Who names a listen key in the address is promised its events as soon as the socket is open."""
        for name in wanted[: self.gate.limits.profile.streams]:
            account_id = None if "@" in name else await listenkeys.account_of(self.gate.venue.shared, name)
            if account_id is not None:
                await self.users.expect(account_id)

    async def goodbye(self, spread_seconds: float = 1.0) -> None:
        """Tells every client that the server ends, and closes them with 1001."""
        event = encode(payloads.shutdown(self.gate.venue.clock.now_ms()))
        for client in list(self.clients):
            client.link.say(wrapped(SHUTDOWN_STREAM, event) if client.dialect & COMBINED else event)
        await farewell([client.link for client in self.clients], spread_seconds)


class MarketClient:
    """One client of a market socket: its subscriptions, in the order in which they were asked for."""

    def __init__(self, sockets: MarketSockets, link: Link, dialect: int) -> None:
        self.link = link
        self.dialect = dialect
        self._hub = sockets.hub
        self._users = sockets.users
        self._shared = sockets.gate.venue.shared
        self._clock = sockets.gate.venue.clock
        self._profile = sockets.gate.limits.profile
        self._streams: dict[str, StreamName | None] = {}  # None: no such stream, accepted in silence
        self._private: dict[str, Subscription] = {}  # by listen key
        self._watch: asyncio.Task[None] | None = None

    async def serve(self, wanted: Sequence[str]) -> None:
        """Subscribes to what the URL names and follows control messages until the client is gone."""
        pace = Pace(self._profile.controls)
        await self._subscribe(wanted)
        async for text in self.link.messages():
            if not pace.allows():
                self.link.close(POLICY, "too many messages")
                continue
            try:
                answer = await self._follow(control.read(text))
            except Complaint as complaint:
                answer = complaint.answer
            self.link.say(msgspec.json.encode(answer))

    def leave(self) -> None:
        """Ends all subscriptions."""
        if self._watch is not None:
            self._watch.cancel()
        for name in list(self._streams):
            self._unsubscribe(name)

    async def _follow(self, request: Control) -> dict[str, Any]:
        result: Any = None
        if request.method == control.SUBSCRIBE:
            added = dict.fromkeys(name for name in request.params if name not in self._streams)
            if len(self._streams) + len(added) > self._profile.streams:
                raise Complaint(2, f"Invalid request: more than {self._profile.streams} streams", request.id)
            await self._subscribe(request.params)
        elif request.method == control.UNSUBSCRIBE:
            for name in request.params:
                self._unsubscribe(name)
        elif request.method == control.LIST:
            result = list(self._streams)
        elif request.method == control.GET_PROPERTY:
            result = bool(self.dialect & COMBINED)
        else:
            self._change_dialect(combined=request.params[1])
        return {"result": result, "id": request.id}

    async def _subscribe(self, wanted: Sequence[str]) -> None:
        for name in wanted:
            if (
                name in self._streams
                or len(name) > names.MAX_NAME_LENGTH
                or len(self._streams) >= self._profile.streams
            ):
                continue
            stream = self._streams[name] = names.parse(name)
            if stream is not None:
                self._hub.subscribe(stream, self.link, self.dialect)
            elif "@" not in name:
                await self._listen(name)

    def _unsubscribe(self, name: str) -> None:
        stream = self._streams.pop(name, None)
        if stream is not None:
            self._hub.unsubscribe(stream, self.link, self.dialect)
        private = self._private.pop(name, None)
        if private is not None:
            self._users.close(private)

    async def _listen(self, listen_key: str) -> None:
        account_id = await listenkeys.account_of(self._shared, listen_key)
        if account_id is None:
            return
        await self._users.expect(account_id)
        private = self._private[listen_key] = self._wrapping(account_id, listen_key)
        self._users.open(private)
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_keys())

    def _wrapping(self, account_id: int, listen_key: str) -> Subscription:
        head = f'{{"stream":"{listen_key}","data":'.encode() if self.dialect & COMBINED else b""
        return Subscription(account_id, self.link, head=head, micro=bool(self.dialect & MICROSECONDS))

    async def _watch_keys(self) -> None:
        """Ends private streams whose key was deleted or not kept alive."""
        while True:
            await asyncio.sleep(LISTEN_KEY_SECONDS)
            for listen_key, private in list(self._private.items()):
                if await listenkeys.account_of(self._shared, listen_key) is None:
                    now_ms = self._clock.now_ms()
                    private.tell({"e": "listenKeyExpired", "E": now_ms, "listenKey": listen_key})
                    self._unsubscribe(listen_key)

    def _change_dialect(self, *, combined: bool) -> None:
        dialect = self.dialect & MICROSECONDS | (COMBINED if combined else RAW)
        if dialect == self.dialect:
            return
        for stream in filter(None, self._streams.values()):
            self._hub.unsubscribe(stream, self.link, self.dialect)
            self._hub.subscribe(stream, self.link, dialect)
        self.dialect = dialect
        for listen_key, private in list(self._private.items()):
            self._users.close(private)
            self._private[listen_key] = self._wrapping(private.account_id, listen_key)
            self._users.open(self._private[listen_key])


def _asked_for(path: str, query: dict[str, str]) -> tuple[bool, list[str]]:
    """Whether payloads come wrapped, and the stream names of a URL.

    ``/stream/ws/<n>`` is ``/ws/<n>`` for clients that want to see ``/stream`` in their address.
    """
    parts = [part for part in path.split("/") if part]
    if parts[:2] == ["stream", "ws"]:
        parts = parts[1:]
    combined = parts[:1] == ["stream"]
    asked = query.get("streams", "").split("/") if combined else parts[1:]
    return combined, [name for name in asked if "@" in name or len(name) == listenkeys.KEY_LENGTH or name[:1] == "!"]
