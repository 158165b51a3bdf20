"""What a role of a cluster that serves clients stands on: ledger and journal, the feed, common counts, a crew."""

from functools import partial

from outcry.adapters.breaker import Breaker
from outcry.adapters.redis import RedisListener, RedisShared
from outcry.roles.admin.pod import Drain, Gauge, PodAdmin
from outcry.roles.api.contact import Contact
from outcry.roles.api.features import Features
from outcry.roles.api.health import not_ready
from outcry.roles.api.listing import Listing
from outcry.roles.api.venue import Venue
from outcry.roles.crew import Crew
from outcry.settings import ClusterSettings
from outcry.wiring.admin import admin_role, identity_of
from outcry.wiring.backbone import Backbone, named, vault_of
from outcry.wiring.observing import observe_backbone
from outcry.wiring.vitals import Vitals


class Frontage:
    """``open`` it, build the role on ``venue`` and ``vault``, then ``staff`` it; ``close`` ends all of it."""

    def __init__(self, settings: ClusterSettings, role: str) -> None:
        self.settings = named(settings)
        self.vitals = Vitals(self.settings, pod=self.settings.pod, role=role)
        self.telemetry = self.vitals.telemetry
        self.backbone = Backbone(self.settings, self.telemetry.note_breaker)
        prefix = settings.redis_prefix
        self.feed = RedisListener(
            settings.redis_fanout, pod=self.settings.pod, ledger=self.backbone.ledger, prefix=prefix
        )
        breaker = Breaker("Redis", self.telemetry.note_breaker)
        self.shared = RedisShared(settings.redis_state, prefix=prefix, breaker=breaker)

    async def open(self) -> None:
        """Makes contact. Raises OutOfService, Damaged."""
        self.vault = vault_of(self.settings)
        await self.backbone.open()
        await self.feed.start()
        self.venue = Venue(
            settings=self.settings, ledger=self.backbone.ledger, feed=self.feed, shared=self.shared,
            clock=self.backbone.clock, features=Features(self.settings.flags_dir), telemetry=self.telemetry,
        )  # fmt: skip

    async def staff(self, *, connections: Gauge, queue_depth: Gauge, on_drain: Drain | None = None) -> Crew:
        """The crew, with the admin port and the listing at work; the role adds its own. Raises OutOfService."""
        listing = Listing(self.venue)
        listing.start()
        await listing.refresh()
        crew = Crew(self.venue.status, self.telemetry)
        pod = PodAdmin(
            identity_of(self.settings), self.backbone.clock, connections=connections, queue_depth=queue_depth,
            on_drain=on_drain,
        )  # fmt: skip
        ready = partial(not_ready, self.venue)
        crew.add("admin", admin_role(self.settings, pod.routes, self.telemetry, is_ready=ready))
        observe_backbone(self.telemetry, self.backbone)
        self.vitals.begin(crew)
        crew.add("contact", Contact(self.feed, self.shared, self.venue.status).run)
        crew.add("listing", listing.run)
        crew.add("features", self.venue.features.run)
        return crew

    async def close(self) -> None:
        """Lets go of all that was made contact with."""
        await self.shared.close()
        await self.feed.close()
        await self.backbone.close()
        await self.vitals.end()
