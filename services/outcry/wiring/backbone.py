"""Kafka, PostgreSQL and Redis as one process of a cluster uses them."""

import asyncio
import contextlib
import logging
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Final

from outcry.adapters.breaker import Watch, unwatched
from outcry.adapters.clock import SystemClock
from outcry.adapters.kafka import Brokers, KafkaJournal, Library, library_named
from outcry.adapters.postgres import PgStore
from outcry.ports import Damaged, OutOfService
from outcry.roles.admin import masterkey
from outcry.roles.api.vault import Vault
from outcry.settings import ClusterSettings, SettingsError

TOPIC_SECONDS: Final = 1.0  # between two looks whether the topic is still the same one

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
        self.journal = KafkaJournal(_brokers(settings), settings.topic, _library(settings))
        self.topic_id = ""  # the one that was noted last

    async def open(self) -> None:
        """Raises OutOfService where a component cannot be reached, Damaged where it is not fit for this exchange."""
        await self.store.open()
        await self.journal.open(self.settings.partitions)
        await self._look_at_topic()

    async def watch_topic(self) -> None:
        """Halts every partition once the topic is another one of the same name.

        Kafka's clients follow the name: at an offset that the new topic has, too, they would read on in silence.
        """
        while True:
            await asyncio.sleep(TOPIC_SECONDS)
            with contextlib.suppress(OutOfService):
                await self._look_at_topic()

    async def _look_at_topic(self) -> None:
        """No engine is given records of another topic before the ledger has halted the partitions."""
        found, asked_at = await self.journal.topic_id()
        if found != self.topic_id:
            await self._note_topic(found)
        self.journal.expect(found, asked_at)

    async def _note_topic(self, topic_id: str) -> None:
        halted = await self.store.note_topic(topic_id, self.settings.partitions)
        self.topic_id = topic_id
        if halted:
            log.critical("Partitions %s are halted: the topic was deleted and created again.", halted)

    async def close(self) -> None:
        """Ends what was opened, last first."""
        await self.journal.close()
        await self.store.close()


def _brokers(settings: ClusterSettings) -> Brokers:
    return Brokers(
        servers=settings.kafka, protocol=settings.kafka_security, ca_file=settings.kafka_ca_file,
        mechanism=settings.kafka_mechanism, username=settings.kafka_username, password=settings.kafka_password,
    )  # fmt: skip


def _library(settings: ClusterSettings) -> Library:
    """The client library of Kafka. Raises SettingsError where it is not installed."""
    try:
        return library_named(settings.kafka_client)
    except ModuleNotFoundError as missing:
        raise SettingsError(f"OUTCRY_KAFKA_CLIENT=confluent needs the extra outcry[confluent]: {missing}.") from None


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
