"""The engine role of a cluster: matches the partitions that it owns; any number of them may run."""

import logging
import secrets
from typing import Final

from outcry.adapters.redis import RedisPublisher
from outcry.adapters.watched import EngineWatch
from outcry.roles.crew import Crew
from outcry.roles.engine.admin import EngineAdmin
from outcry.roles.engine.engine import Engine
from outcry.settings import ClusterSettings
from outcry.wiring.admin import admin_role, identity_of
from outcry.wiring.backbone import Backbone, named
from outcry.wiring.observing import observe_backbone, observe_engine, observe_publisher
from outcry.wiring.vitals import Vitals

DEPART_SECONDS: Final = 20.0  # for planned hand-overs at the end

log = logging.getLogger(__name__)


class EngineRole:
    """``start``, ``part`` and ``stop``."""

    role: Final = "engine"

    def __init__(self, settings: ClusterSettings) -> None:
        self.settings = named(settings)
        self.vitals = Vitals(self.settings, pod=self.settings.pod, role=self.role)
        self.telemetry = self.vitals.telemetry
        self.backbone = Backbone(self.settings, self.telemetry.note_breaker)
        store = self.backbone.store
        self.feed = RedisPublisher(
            settings.redis_fanout, clock=self.backbone.clock, lease=store.lease, backlog=store.backlog,
            prefix=settings.redis_prefix,
        )  # fmt: skip
        self.status: dict[str, object] = {}

    async def start(self) -> None:
        """Makes contact and lets the role run. Raises OutOfService, Damaged."""
        backbone, settings = self.backbone, self.settings
        await backbone.open()
        await self.feed.start()
        watch = EngineWatch(self.telemetry, self.vitals.tracer)
        self.engine = Engine(
            journal=watch.journal(backbone.journal), ledger=watch.ledger(backbone.ledger),
            lease=watch.lease(backbone.store.lease), feed=watch.publisher(self.feed), clock=backbone.clock,
            owner=f"{settings.pod}/{secrets.token_hex(4)}",
            partitions=range(settings.partitions), claim=settings.claim, lease_ms=backbone.lease_ms,
        )  # fmt: skip
        self.crew = Crew(self.status, self.telemetry)
        admin = EngineAdmin(self.engine, identity_of(settings), backbone.clock)
        observe_backbone(self.telemetry, backbone)
        observe_publisher(self.telemetry, self.feed)
        observe_engine(self.telemetry, self.engine, backbone.clock)
        self.vitals.begin(self.crew)
        self.crew.add("engine", self._work)
        self.crew.add("topic", backbone.watch_topic)
        self.crew.add("admin", admin_role(
            settings, admin.routes, self.telemetry, is_alive=admin.why_not_alive, is_ready=admin.why_not_ready
        ))  # fmt: skip

    async def _work(self) -> None:
        await self.engine.start()
        await self.engine.run()

    async def part(self) -> None:
        """Hands over what it owns; what nobody takes in time is released."""
        if not await self.engine.depart(DEPART_SECONDS):
            log.warning("Not every partition could be handed over.")
        await self.engine.stop()

    async def stop(self) -> None:
        """Ends everything."""
        if hasattr(self, "crew"):
            await self.crew.stop_all()
        await self.feed.close()
        await self.backbone.close()
        await self.vitals.end()
