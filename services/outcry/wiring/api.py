"""The api role of a cluster: takes orders in, answers questions, keeps house; any number of them may run."""

import asyncio
from functools import partial
from typing import Final

from outcry.adapters.redis import RedisListener, RedisShared
from outcry.adapters.watched import watch_keeper
from outcry.roles.admin.pod import PodAdmin
from outcry.roles.admin.verbs import Admin
from outcry.roles.api.app import build_app
from outcry.roles.api.desk import Desk
from outcry.roles.api.gate import Gate
from outcry.roles.api.health import not_ready
from outcry.roles.api.listing import Listing
from outcry.roles.api.venue import Venue
from outcry.roles.api.watch import PartitionWatch
from outcry.roles.api.wire import Asgi
from outcry.roles.crew import Crew
from outcry.roles.engine.keeper import Keeper
from outcry.roles.stream.userdata import UserStreams
from outcry.roles.stream.wsapi import WsApi
from outcry.settings import ClusterSettings
from outcry.wiring.admin import admin_role, identity_of
from outcry.wiring.backbone import Backbone, named, vault_of
from outcry.wiring.endpoints import ENDPOINTS
from outcry.wiring.observing import observe_backbone, observe_desk, observe_streams
from outcry.wiring.vitals import Vitals

DRAIN_SECONDS: Final = 9.5  # for accepted orders to get their answers at the end
REST_SECONDS: Final = 0.01  # for more orders to share the wake-ups of Kafka, PostgreSQL, Redis and the engine
GOODBYE_SECONDS: Final = 0.5  # over which WebSocket clients are closed


class Api:
    """``start``, let ``app`` be served, ``part`` and ``stop``."""

    role: Final = "api"

    def __init__(self, settings: ClusterSettings) -> None:
        self.settings = named(settings)
        self.vitals = Vitals(self.settings, pod=self.settings.pod, role=self.role)
        self.telemetry = self.vitals.telemetry
        self.backbone = Backbone(self.settings, self.telemetry.note_breaker)
        prefix = settings.redis_prefix
        self.feed = RedisListener(settings.redis_fanout, pod=self.settings.pod, prefix=prefix)
        self.shared = RedisShared(settings.redis_state, prefix=prefix)

    async def start(self) -> None:
        """Makes contact and lets the role run. Raises OutOfService, Damaged."""
        vault = vault_of(self.settings)
        await self.backbone.open()
        await self.feed.start()
        ledger, journal, clock, feed = self.backbone.ledger, self.backbone.journal, self.backbone.clock, self.feed
        self.venue = Venue(
            settings=self.settings, ledger=ledger, feed=feed, shared=self.shared, clock=clock,
            telemetry=self.telemetry,
        )  # fmt: skip
        self.watch = PartitionWatch(ledger, journal, self.venue.status)
        await self.watch.look()
        self.desk = self.venue.order_desk = Desk(
            ledger=ledger, journal=journal, feed=feed, clock=clock, settings=self.settings, pod=self.settings.pod,
            telemetry=self.telemetry, halted=self.watch.halted, lags=self.watch.lags, tracer=self.vitals.tracer,
            rest_seconds=REST_SECONDS,
        )  # fmt: skip
        self.venue.halted = self.watch.halted
        self.keeper = Keeper(
            ledger=watch_keeper(ledger, self.telemetry), journal=journal, clock=clock,
            partitions=range(self.settings.partitions), settings=self.settings,
        )  # fmt: skip
        gate = Gate(self.venue, vault)
        users = UserStreams(self.venue)
        self.venue.operator = Admin(ledger, journal, clock, vault.seal, on_transfer=users.transferred)
        self.ws_api = WsApi(gate, ENDPOINTS, users, telemetry=self.telemetry)
        served: dict[str, Asgi] = {"/ws-api/v3": self.ws_api}
        self.app = build_app(self.venue, gate, ENDPOINTS, served, telemetry=self.telemetry)
        await self._begin()

    async def _begin(self) -> None:
        listing = Listing(self.venue)
        listing.start()
        await listing.refresh()
        self.crew = Crew(self.venue.status, self.telemetry)
        pod = PodAdmin(
            identity_of(self.settings), self.backbone.clock, connections=lambda: len(self.ws_api.clients),
            queue_depth=lambda: self.desk.unacknowledged,
        )  # fmt: skip
        self.crew.add("admin", admin_role(
            self.settings, pod.routes, self.telemetry, is_ready=partial(not_ready, self.venue)
        ))  # fmt: skip
        observe_backbone(self.telemetry, self.backbone)
        observe_desk(self.telemetry, self.desk, self.settings)
        observe_streams(self.telemetry, lambda: self.ws_api.clients)
        self.vitals.begin(self.crew)
        self.crew.add("desk", self.desk.run)
        self.crew.add("keeper", self.keeper.run)
        self.crew.add("listing", listing.run)
        self.crew.add("watch", self.watch.run)

    async def part(self) -> None:
        """Takes nothing more, answers what was taken, says goodbye."""
        self.venue.status["api"] = {"status": "down", "detail": "This process is stopping."}
        await self.desk.drain(DRAIN_SECONDS)
        await self.ws_api.goodbye(GOODBYE_SECONDS)

    async def stop(self) -> None:
        """Ends everything."""
        if hasattr(self, "crew"):
            await self.keeper.stop()
            await asyncio.gather(*(self.crew.stop(name) for name in ("desk", "listing", "watch")))
            await self.crew.stop_all()
        await self.shared.close()
        await self.feed.close()
        await self.backbone.close()
        await self.vitals.end()
