"""The stream role of a cluster: holds the clients of market streams; any number of them may run."""

import asyncio
from functools import partial
from typing import Final

from outcry.adapters.redis import RedisListener, RedisShared
from outcry.roles.admin.pod import PodAdmin
from outcry.roles.api.app import build_app
from outcry.roles.api.gate import Gate
from outcry.roles.api.health import not_ready
from outcry.roles.api.listing import Listing
from outcry.roles.api.venue import Venue
from outcry.roles.crew import Crew
from outcry.roles.stream.public import PublicSockets
from outcry.roles.stream.userdata import UserStreams
from outcry.settings import ClusterSettings
from outcry.wiring.admin import admin_role, identity_of
from outcry.wiring.backbone import Backbone, named, vault_of
from outcry.wiring.observing import observe_backbone, observe_streams
from outcry.wiring.vitals import Vitals


class Stream:
    """``start``, let ``app`` be served, ``part`` and ``stop``."""

    role: Final = "stream"

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
        self.venue = Venue(
            settings=self.settings, ledger=self.backbone.ledger, feed=self.feed, shared=self.shared,
            clock=self.backbone.clock, telemetry=self.telemetry,
        )  # fmt: skip
        gate = Gate(self.venue, vault)
        self.sockets = PublicSockets(self.venue, gate, UserStreams(self.venue))
        self.app = build_app(self.venue, gate, (), self.sockets.served, telemetry=self.telemetry)
        observe_streams(self.telemetry, self.sockets.clients)
        listing = Listing(self.venue)
        listing.start()
        self.sockets.hub.start()
        await listing.refresh()
        self.crew = Crew(self.venue.status, self.telemetry)
        pod = PodAdmin(
            identity_of(self.settings), self.backbone.clock, connections=lambda: len(self.sockets.clients()),
            queue_depth=lambda: 0, on_drain=self._drain,
        )  # fmt: skip
        self.crew.add("admin", admin_role(
            self.settings, pod.routes, self.telemetry, is_ready=partial(not_ready, self.venue)
        ))  # fmt: skip
        observe_backbone(self.telemetry, self.backbone)
        self.vitals.begin(self.crew)
        self.crew.add("listing", listing.run)
        self.crew.add("streams", self.sockets.hub.supervise)

    def _drain(self, begins: bool) -> None:
        """Sends the clients elsewhere, or takes new ones again."""
        if begins:
            self.venue.status["stream"] = {"status": "down", "detail": "This process is being drained."}
            self._farewell = asyncio.create_task(self.sockets.goodbye(self.settings.goodbye_seconds))
        else:
            self._farewell.cancel()
            del self.venue.status["stream"]

    async def part(self) -> None:
        """Says goodbye to the clients."""
        self.venue.status["stream"] = {"status": "down", "detail": "This process is stopping."}
        await self.sockets.goodbye(self.settings.goodbye_seconds)

    async def stop(self) -> None:
        """Ends everything."""
        if hasattr(self, "crew"):
            await self.crew.stop_all()
            self.sockets.hub.close()
        await self.shared.close()
        await self.feed.close()
        await self.backbone.close()
        await self.vitals.end()
