"""All public sockets of a process on one hub: the same in the embedded exchange and in a cluster's stream process."""

import asyncio
from collections.abc import Mapping

from outcry.roles.api.gate import Gate
from outcry.roles.api.venue import Venue
from outcry.roles.api.wire import Asgi
from outcry.roles.stream.hub import Hub
from outcry.roles.stream.nativesockets import NativeClient, NativeSockets
from outcry.roles.stream.sockets import MarketClient, MarketSockets
from outcry.roles.stream.userdata import UserStreams


class PublicSockets:
    """``served`` are the apps by their paths; let ``hub.supervise`` run."""

    def __init__(self, venue: Venue, gate: Gate, users: UserStreams) -> None:
        self.hub = Hub(venue)
        self._market = MarketSockets(self.hub, gate, users, telemetry=venue.telemetry)
        self._native = NativeSockets(self.hub, gate, telemetry=venue.telemetry)
        self.served: Mapping[str, Asgi] = {
            "/ws": self._market,
            "/stream": self._market,
            "/v1/stream": self._native,
        }

    def clients(self) -> list[MarketClient | NativeClient]:
        """Everyone who is connected."""
        return [*self._market.clients, *self._native.clients]

    async def goodbye(self, spread_seconds: float) -> None:
        """Tells every client that the server ends, and closes them over a while."""
        await asyncio.gather(self._market.goodbye(spread_seconds), self._native.goodbye(spread_seconds))
