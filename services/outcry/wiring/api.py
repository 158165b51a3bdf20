"""The api role of a cluster: takes orders in, answers questions, keeps house; any number of them may run."""

import asyncio
from typing import Final

from outcry.adapters.watched import watch_keeper
from outcry.roles.admin.verbs import Admin
from outcry.roles.api.app import build_app
from outcry.roles.api.desk import Desk
from outcry.roles.api.gate import Gate
from outcry.roles.api.watch import PartitionWatch
from outcry.roles.api.wire import Asgi
from outcry.roles.engine.keeper import Keeper
from outcry.roles.stream.entries import orders_given_up, transfers
from outcry.roles.stream.userdata import UserStreams
from outcry.roles.stream.wsapi import WsApi
from outcry.settings import ClusterSettings
from outcry.wiring.endpoints import ENDPOINTS
from outcry.wiring.frontage import Frontage
from outcry.wiring.observing import observe_clocks, observe_desk, observe_streams

DRAIN_SECONDS: Final = 9.5  # for accepted orders to get their answers at the end
REST_SECONDS: Final = 0.01  # for more orders to share the wake-ups of Kafka, PostgreSQL, Redis and the engine
GOODBYE_SECONDS: Final = 0.5  # over which WebSocket clients are closed


class Api:
    """``start``, let ``app`` be served, ``part`` and ``stop``."""

    role: Final = "api"

    def __init__(self, settings: ClusterSettings) -> None:
        self._front = Frontage(settings, self.role)
        self.settings = self._front.settings

    async def start(self) -> None:
        """Makes contact and lets the role run. Raises OutOfService, Damaged."""
        front, settings = self._front, self.settings
        await front.open()
        venue, ledger, journal, clock = front.venue, front.backbone.ledger, front.backbone.journal, front.backbone.clock
        self._watch = PartitionWatch(ledger, journal, venue.status)
        await self._watch.look()
        self._desk = venue.order_desk = Desk(
            ledger=ledger, journal=journal, feed=front.feed, clock=clock, settings=settings, pod=settings.pod,
            telemetry=front.telemetry, halted=self._watch.halted, lags=self._watch.lags, blocked=journal.blocked,
            misdated=self._watch.misdated, tracer=front.vitals.tracer, rest_seconds=REST_SECONDS,
        )  # fmt: skip
        venue.halted = self._watch.halted
        self._keeper = Keeper(
            ledger=watch_keeper(ledger, front.telemetry), journal=journal, clock=clock,
            partitions=range(settings.partitions), settings=settings,
        )  # fmt: skip
        gate = Gate(venue, front.vault)
        users = UserStreams(venue)
        self._transfers = transfers(ledger, users)
        self._given_up = orders_given_up(ledger, users)
        front.feed.on_transfer(self._transfers.hint)
        venue.operator = Admin(ledger, journal, clock, front.vault.seal, on_transfer=self._on_transfer)
        self._ws_api = WsApi(gate, ENDPOINTS, users, telemetry=front.telemetry)
        served: dict[str, Asgi] = {"/ws-api/v3": self._ws_api}
        self.app = build_app(venue, gate, ENDPOINTS, served, telemetry=front.telemetry)
        await self._begin()

    def _on_transfer(self, account_id: int, *_: int) -> None:
        """Sockets of this process hear of it even while Redis is away."""
        self._transfers.hint(account_id)
        self._front.feed.say_transfer(account_id)

    async def _begin(self) -> None:
        observe_desk(self._front.telemetry, self._desk, self.settings)
        observe_clocks(self._front.telemetry, self._watch.skew)
        observe_streams(self._front.telemetry, lambda: self._ws_api.clients)
        self._crew = await self._front.staff(
            connections=lambda: len(self._ws_api.clients), queue_depth=lambda: self._desk.unacknowledged
        )
        self._crew.add("desk", self._desk.run)
        self._crew.add("keeper", self._keeper.run)
        self._crew.add("transfers", self._transfers.supervise)
        self._crew.add("given up", self._given_up.supervise)
        self._crew.add("watch", self._watch.run)
        self._crew.add("journal", self._front.backbone.journal.supervise_doubts)

    async def part(self) -> None:
        """Takes nothing more, answers what was taken, says goodbye."""
        self._front.venue.status["api"] = {"status": "down", "detail": "This process is stopping."}
        await self._desk.drain(DRAIN_SECONDS)
        await self._ws_api.goodbye(GOODBYE_SECONDS)

    async def stop(self) -> None:
        """Ends everything."""
        if hasattr(self, "_crew"):
            await self._keeper.stop()
            await asyncio.gather(*(self._crew.stop(name) for name in ("desk", "listing", "watch")))
            await self._crew.stop_all()
        await self._front.close()
