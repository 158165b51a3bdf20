"""The stream role of a cluster: holds the clients of market streams; any number of them may run."""

import asyncio
from typing import Final

from outcry.roles.api.app import build_app
from outcry.roles.api.gate import Gate
from outcry.roles.stream.entries import orders_given_up, transfers
from outcry.roles.stream.public import PublicSockets
from outcry.roles.stream.userdata import UserStreams
from outcry.settings import ClusterSettings
from outcry.wiring.frontage import Frontage
from outcry.wiring.observing import observe_streams


class Stream:
    """``start``, let ``app`` be served, ``part`` and ``stop``."""

    role: Final = "stream"

    def __init__(self, settings: ClusterSettings) -> None:
        self._front = Frontage(settings, self.role)
        self.settings = self._front.settings

    async def start(self) -> None:
        """Makes contact and lets the role run. Raises OutOfService, Damaged."""
        front = self._front
        await front.open()
        gate = Gate(front.venue, front.vault)
        users = UserStreams(front.venue)
        money = transfers(front.backbone.ledger, users)
        front.feed.on_transfer(money.hint)
        self._sockets = PublicSockets(front.venue, gate, users)
        self.app = build_app(front.venue, gate, (), self._sockets.served, telemetry=front.telemetry)
        observe_streams(front.telemetry, self._sockets.clients)
        self._sockets.hub.start()
        self._crew = await front.staff(
            connections=lambda: len(self._sockets.clients()), queue_depth=lambda: 0, on_drain=self._drain
        )
        self._crew.add("streams", self._sockets.hub.supervise)
        self._crew.add("transfers", money.supervise)
        self._crew.add("given up", orders_given_up(front.backbone.ledger, users).supervise)

    def _drain(self, begins: bool) -> None:
        """Sends the clients elsewhere, or takes new ones again."""
        if begins:
            self._front.venue.status["stream"] = {"status": "down", "detail": "This process is being drained."}
            self._farewell = asyncio.create_task(self._sockets.goodbye(self.settings.goodbye_seconds))
        else:
            self._farewell.cancel()
            del self._front.venue.status["stream"]

    async def part(self) -> None:
        """Says goodbye to the clients."""
        self._front.venue.status["stream"] = {"status": "down", "detail": "This process is stopping."}
        await self._sockets.goodbye(self.settings.goodbye_seconds)

    async def stop(self) -> None:
        """Ends everything."""
        if hasattr(self, "_crew"):
            await self._crew.stop_all()
            self._sockets.hub.close()
        await self._front.close()
