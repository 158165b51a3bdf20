"""An engine room on real Kafka and PostgreSQL, whose topic a test deletes, makes anew or trims."""

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from outcry.adapters.kafka import Brokers, KafkaJournal
from outcry.adapters.postgres import PgStore
from outcry.market.commands import PlaceOrder
from outcry.ports import OutcomeUnknown, OutOfService
from outcry.roles.engine.keeper import Keeper
from outcry.rows import PartitionRow
from outcry.settings import ClusterSettings, Settings
from outcry.wiring.backbone import Backbone
from tests.support.engine_room import ANN
from tests.support.kafka import CLIENTS, kafka_library, kafka_servers
from tests.support.pg_room import LEASE_MS, PgRoom

DAYS_KEPT = 7
PATIENCE_SECONDS = 30.0


class KafkaRoom(PgRoom):
    """Every part of it is the cluster's; one topic, one database.

    A room whose journal a test destroys is not sound at the end: the test says so with ``is_lost``.
    """

    is_lost = False
    client = "kafka"  # the library that talks to it

    async def open(self) -> None:
        self.topic = f"test-{secrets.token_hex(6)}"
        kafka_library(self.client)
        await super().open()
        self.backbone = Backbone(
            ClusterSettings(
                kafka=kafka_servers(), kafka_client=CLIENTS[self.client], topic=self.topic, postgres=self.url,
                redis_fanout="", redis_state="", partitions=len(self.partitions),
            )
        )  # fmt: skip
        self.kafka, self._journals = self.backbone.journal, list[KafkaJournal]()
        await self.make_topic()
        await self.backbone.open()
        ledger = self.store.ledger
        self.store = SimpleNamespace(journal=self.kafka, ledger=ledger, lease=self.store.lease)  # type: ignore[assignment]
        self.keeper = Keeper(
            ledger=ledger, journal=self.kafka, clock=self.clock, partitions=self.partitions, settings=Settings()
        )
        self.watching = asyncio.create_task(self.backbone.watch_topic())
        self.engine = self.new_engine(lease_ms=LEASE_MS)

    async def process(self) -> Any:
        store = PgStore(self.url, topic=self.topic, lease_ms=LEASE_MS)
        self._stores.append(store)
        await store.open()
        return store

    async def close(self) -> None:
        self.watching.cancel()
        await asyncio.gather(self.watching, return_exceptions=True)
        with contextlib.suppress(OutOfService):
            await asyncio.to_thread(self.kafka.topic.delete)
        for journal in self._journals:
            await journal.close()
        await self.backbone.close()
        await super().close()

    async def make_topic(self) -> None:
        """Makes the topic, once Kafka has forgotten the one of that name."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await asyncio.to_thread(self.kafka.topic.create, len(self.partitions), 1, DAYS_KEPT):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def make_topic_anew(self) -> None:
        """Deletes the topic with all its records, and makes another one of the same name."""
        await asyncio.to_thread(self.kafka.topic.delete)
        await self.make_topic()

    async def start_elsewhere(self) -> None:
        """Starts an engine that has read nothing yet, as another process would."""
        self._journals.append(KafkaJournal(Brokers(servers=kafka_servers()), self.topic, kafka_library(self.client)))
        await self._journals[-1].open(len(self.partitions))
        self.engine = self.new_engine(journal=self._journals[-1], lease_ms=LEASE_MS)
        await self.start()

    async def send_on(self, orders: int, part: int = 0) -> list[PlaceOrder]:
        """Orders one after the other, whatever becomes of the journal; returns those that it acknowledged."""
        kept: list[PlaceOrder] = []
        for n in range(orders):
            placed = await self.hold(self.order(f"buy 1@{900 + n % 50}", ANN, part))
            with contextlib.suppress(OutcomeUnknown, OutOfService):
                await self.journal(placed)
                kept += placed
        return kept

    async def standing(self, part: int = 0) -> PartitionRow:
        return next(row for row in await self.store.ledger.partitions() if row.part == part)

    async def halts(self, parts: Sequence[int]) -> list[str]:
        """Waits until partitions are halted in the ledger; returns their reasons."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                rows = [row for row in await self.store.ledger.partitions() if row.part in parts]
                if all(row.status == "HALT" for row in rows):
                    return [row.halt_reason or "" for row in rows]
                await asyncio.sleep(0.05)

    async def assert_sound(self) -> None:
        if not self.is_lost:
            await super().assert_sound()


class ConfluentRoom(KafkaRoom):
    """The same through librdkafka."""

    client = "confluent"
