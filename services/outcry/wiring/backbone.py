"""Kafka, PostgreSQL and Redis as one process of a cluster uses them."""

import asyncio
import logging
import os
import socket
from dataclasses import replace
from pathlib import Path

from outcry.adapters.breaker import Watch, unwatched
from outcry.adapters.clock import SystemClock
from outcry.adapters.kafka import KafkaJournal
from outcry.adapters.postgres import PgStore
from outcry.ports import Damaged
from outcry.roles.admin import masterkey
from outcry.roles.api.vault import Vault
from outcry.settings import ClusterSettings

log = logging.getLogger(__name__)


class Backbone:
    """Ledger and journal, which every role needs: ``open`` makes contact, ``close`` ends it. One per process."""

    def __init__(self, settings: ClusterSettings, watch: Watch = unwatched) -> None:
        """``watch`` is told when a component is no longer asked, because it failed, and when it is again."""
        self.settings = named(settings)
        self.clock = SystemClock()
        self.lease_ms = round(settings.lease_seconds * 1000)
        self.store = PgStore(settings.postgres, topic=settings.topic, lease_ms=self.lease_ms, watch=watch)
        self.ledger = self.store.ledger
        self.journal = KafkaJournal(settings.kafka, settings.topic)

    async def open(self) -> None:
        """Raises OutOfService where a component cannot be reached, Damaged where it is not fit for this exchange."""
        await self.store.open()
        await self.journal.open(self.settings.partitions)
        topic_id = await asyncio.to_thread(self.journal.topic.id)
        halted = await self.store.note_topic(topic_id, self.settings.partitions)
        if halted:
            log.critical("Partitions %s are halted: the topic was deleted and created again.", halted)

    async def close(self) -> None:
        """Ends what was opened, last first."""
        await self.journal.close()
        await self.store.close()


def named(settings: ClusterSettings) -> ClusterSettings:
    """With a name for this process: the pod's in Kubernetes, else one that is unique on this machine."""
    return settings if settings.pod else replace(settings, pod=f"{socket.gethostname()}-{os.getpid()}")


def vault_of(settings: ClusterSettings, *, may_create: bool = False) -> Vault:
    """The vault whose master key all processes of the cluster share. Raises Damaged."""
    if not settings.master_key_file:
        raise Damaged(
            "OUTCRY_MASTER_KEY_FILE is missing: it names the file with the key that seals API secrets, the same for"
            " every process. `outcry setup` makes the file where it does not exist."
        )
    return Vault(masterkey.master_key(Path(settings.master_key_file), may_create=may_create))
