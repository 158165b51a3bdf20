"""A topic with a second replica that is never in sync: a broker that registered with Kafka and never came up.

So one broker is enough to have fewer in-sync replicas than a topic demands. The registration is what a broker sends to
the controller before anything else (KIP-631); nothing listens where it says.
"""

import asyncio
import secrets
import socket
import struct
import uuid
from typing import Final

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic

from outcry.adapters.kafka.topic import NEEDED
from tests.support.kafka import kafka_servers
from tests.support.kafka_room import ConfluentRoom, KafkaRoom

REGISTER, UNREGISTER = (62, 4), (64, 0)  # api keys and their versions
FEATURES: Final = (
    "metadata.version", "kraft.version", "group.version", "transaction.version", "eligible.leader.replicas.version",
    "share.version", "streams.version",
)  # fmt: skip
REAL: Final = 1  # the broker that is there
WAIT_SECONDS: Final = 5.0
TAGS: Final = b"\0"


class ThinRoom(KafkaRoom):
    """``require`` says how many in-sync replicas a write needs; there is one of two."""

    async def open(self) -> None:
        self.admin = KafkaAdminClient(bootstrap_servers=kafka_servers())
        self._ghost = 1_000 + secrets.randbelow(1_000_000)
        self._register()
        await super().open()

    async def make_topic(self) -> None:
        layout = {part: [REAL, self._ghost] for part in self.partitions}
        wanted = NewTopic(self.topic, -1, -1, replica_assignments=layout, topic_configs=dict(NEEDED))
        await asyncio.to_thread(self.admin.create_topics, [wanted])

    async def require(self, in_sync: int) -> None:
        change = {"min.insync.replicas": str(in_sync)}
        resource = ConfigResource(ConfigResourceType.TOPIC, self.topic, configs=change)
        await asyncio.to_thread(self.admin.alter_configs, [resource])

    async def close(self) -> None:
        await super().close()
        self._ask(kafka_servers(), UNREGISTER, struct.pack(">i", self._ghost) + TAGS)
        self.admin.close()

    def _register(self) -> None:
        """The controller listens beside the broker."""
        host, _, port = kafka_servers().rpartition(":")
        listener = _text("PLAINTEXT") + _text("127.0.0.1") + struct.pack(">Hh", 9, 0) + TAGS
        features = b"".join(_text(name) + struct.pack(">hh", 0, 1_000) + TAGS for name in FEATURES)
        told = self._ask(
            f"{host}:{int(port) + 1}",
            REGISTER,
            struct.pack(">i", self._ghost)
            + _text(self.admin.describe_cluster()["cluster_id"])
            + uuid.uuid4().bytes
            + _many(1) + listener
            + _many(len(FEATURES)) + features
            + b"\0\0"  # no rack, no migration
            + _many(1) + uuid.uuid4().bytes  # a log folder
            + struct.pack(">q", -1) + TAGS,
        )  # fmt: skip
        (error,) = struct.unpack_from(">h", told, 4)
        assert error == 0, f"Kafka refuses the registration with error {error}"

    def _ask(self, address: str, api: tuple[int, int], body: bytes) -> bytes:
        """The answer behind its header."""
        host, _, port = address.rpartition(":")
        message = struct.pack(">hhih", *api, 1, -1) + TAGS + body
        with socket.create_connection((host, int(port)), WAIT_SECONDS) as link, link.makefile("rb") as answers:
            link.sendall(struct.pack(">i", len(message)) + message)
            (size,) = struct.unpack(">i", answers.read(4))
            return answers.read(size)[5:]


class ThinConfluentRoom(ThinRoom, ConfluentRoom):
    """The same through librdkafka."""


def _text(text: str) -> bytes:
    return _many(len(text)) + text.encode()


def _many(count: int) -> bytes:
    """A length as a flexible message has it."""
    return bytes([count + 1])
