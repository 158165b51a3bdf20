"""Native sockets, ``/v1/stream``: depth and trades with epoch and sequence, to be resumed after a lost connection."""

from typing import Final

import msgspec

from outcry.ports import OutOfService
from outcry.roles.api.errors import Refusal
from outcry.roles.api.gate import Gate
from outcry.roles.stream.channel import encode
from outcry.roles.stream.door import Pace, admit, farewell, present, query_of
from outcry.roles.stream.hub import Hub
from outcry.roles.stream.link import POLICY, Link, Receive, Round, Scope, Send
from outcry.roles.stream.tapes import MAX_RESUMED, Json, Tape, Told, TradeTape, trades_told
from outcry.telemetry import Telemetry

PATIENCE_SECONDS: Final = 60.0  # for a client that lags: it is skipped, and may take long over a snapshot
NO_CHANNEL: Final = (-1121, "There is no such channel.")


class Ask(msgspec.Struct, forbid_unknown_fields=True):
    """What a client wants; with ``epoch`` and ``seq`` it goes on behind them."""

    op: str
    channel: str = ""
    id: int | str | None = None
    epoch: int | None = None
    seq: int | None = None


_decode: Final = msgspec.json.Decoder(Ask).decode


class NativeSockets:
    """The ASGI application under ``/v1/stream``."""

    def __init__(self, hub: Hub, gate: Gate, *, telemetry: Telemetry | None = None) -> None:
        self.hub = hub
        self.gate = gate
        self.telemetry = telemetry or Telemetry()
        self.clients: dict[NativeClient, None] = {}
        self._round = Round()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one client until it is gone."""
        link = await admit(scope, receive, send, self.gate, shared=self._round)
        if link is None:
            return
        link.patience_seconds = PATIENCE_SECONDS
        client = NativeClient(self, link)
        wanted = query_of(scope).get("channels", "")
        with present(self.clients, client, self.telemetry, "native"):
            await client.serve([name for name in wanted.split(",") if name])

    async def goodbye(self, spread_seconds: float = 1.0) -> None:
        """Tells every client that the server ends, and closes them with 1001."""
        event = encode({"type": "serverShutdown", "time": self.gate.venue.clock.now_ms()})
        for client in list(self.clients):
            client.link.say(event)
        await farewell([client.link for client in self.clients], spread_seconds)


class NativeClient:
    """One client and the channels that it follows."""

    def __init__(self, sockets: NativeSockets, link: Link) -> None:
        self.link = link
        self._hub = sockets.hub
        self._ledger = sockets.gate.venue.ledger
        self._profile = sockets.gate.limits.profile
        self._tapes: dict[str, Tape] = {}

    async def serve(self, wanted: list[str]) -> None:
        """Follows what the URL names, and what is asked for until the client is gone."""
        pace = Pace(self._profile.controls)
        for name in wanted:
            await self._answer(Ask(op="subscribe", channel=name))
        async for text in self.link.messages():
            if not pace.allows():
                self.link.close(POLICY, "too many messages")
                continue
            try:
                ask = _decode(text)
            except (msgspec.DecodeError, ValueError, RecursionError) as problem:
                self._say({"op": "error", "id": None, "code": -1135, "msg": f"Invalid request: {problem}"[:200]})
            else:
                await self._answer(ask)

    def leave(self) -> None:
        """Follows nothing any longer."""
        for tape in self._tapes.values():
            self._hub.leave(tape, self.link)
        self._tapes.clear()

    async def _answer(self, ask: Ask) -> None:
        try:
            if ask.op == "subscribe":
                await self._follow(ask)
            elif ask.op == "unsubscribe":
                self._unfollow(ask)
            else:
                raise Refusal(-1130, "op is subscribe or unsubscribe.")
        except Refusal as refusal:
            self._say({"op": "error", "id": ask.id, "code": refusal.code, "msg": refusal.text})

    async def _follow(self, ask: Ask) -> None:
        tape = self._hub.tape(ask.channel)
        if tape is None:
            raise Refusal(*NO_CHANNEL)
        if ask.channel in self._tapes:
            raise Refusal(-1130, "The channel is followed already.")
        if len(self._tapes) >= self._profile.streams:
            raise Refusal(-1130, f"More than {self._profile.streams} channels.")
        recovered = None
        if ask.epoch is not None and ask.seq is not None:
            recovered = await self._lacking(tape, ask.epoch, ask.seq)
        self._tapes[ask.channel] = tape
        places = {"epoch": tape.epoch, "seq": tape.seq, "recovered": recovered is not None, "stale": tape.stale}
        self._say({"op": "subscribed", "id": ask.id, "channel": ask.channel, **places})
        self._hub.follow(tape, self.link, recovered)

    def _unfollow(self, ask: Ask) -> None:
        tape = self._tapes.pop(ask.channel, None)
        if tape is None:
            raise Refusal(*NO_CHANNEL)
        self._hub.leave(tape, self.link)
        self._say({"op": "unsubscribed", "id": ask.id, "channel": ask.channel})

    async def _lacking(self, tape: Tape, epoch: int, seq: int) -> list[Told] | None:
        """From the ring; trades that it has forgotten, or never had, from the ledger."""
        found = tape.since(epoch, seq)
        if found is not None or not isinstance(tape, TradeTape) or epoch != tape.epoch or not 0 < seq < tape.seq:
            return found
        try:
            rows = await self._ledger.trades(tape.instrument.symbol_id, from_id=seq + 1, limit=MAX_RESUMED)
        except OutOfService:
            return None
        rows = [row for row in rows if row.trade_id <= tape.seq]  # the ledger may be ahead of the feed
        if not rows or rows[0].trade_id != seq + 1:
            return None
        rest = tape.since(epoch, rows[-1].trade_id)
        return None if rest is None else [trades_told(tape, rows), *rest]

    def _say(self, answer: Json) -> None:
        self.link.say(encode(answer))
