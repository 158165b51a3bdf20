"""The journal's topic: created once, never changed, and looked at before it is used."""

import contextlib
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic, OffsetSpec
from kafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError

from outcry.adapters.kafka.client import ADMIN, Brokers
from outcry.ports import Damaged, OutOfService

DAY_MS: Final = 86_400_000
KNOWN_SECONDS: Final = 10.0  # for a new topic to be known to the broker that is asked
LOOK_SECONDS: Final = 0.05
NEEDED: Final = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime"}


class Topic:
    """Asks Kafka about one topic. Every method blocks: call it in a thread. Raises OutOfService, Damaged."""

    def __init__(self, brokers: Brokers, name: str) -> None:
        self.name = name
        self._brokers = brokers
        self._admin: KafkaAdminClient | None = None
        self._lock = threading.Lock()
        self._size = 0

    def create(self, partitions: int, replication: int, retention_days: int) -> bool:
        """Makes the topic; False when it exists. Refuses to change one that exists."""
        settings = {
            **NEEDED,
            "retention.ms": str(retention_days * DAY_MS),
            "max.message.bytes": str(1 << 20),
            "min.insync.replicas": str(max(1, replication - 1)),
            "unclean.leader.election.enable": "false",
        }
        wanted = NewTopic(self.name, partitions, replication, topic_configs=settings)
        try:
            self._ask(lambda admin: admin.create_topics([wanted]))
        except TopicAlreadyExistsError:
            self.check(partitions)
            return False
        self._await_known()
        return True

    def _await_known(self) -> None:
        """A broker may say for a moment that there is no such topic. Raises OutOfService where it goes on to."""
        deadline = time.monotonic() + KNOWN_SECONDS
        while True:
            try:
                self._described()
                return
            except OutOfService:
                if time.monotonic() > deadline:
                    raise
                time.sleep(LOOK_SECONDS)

    def check(self, partitions: int) -> None:
        """Whether the topic is as the journal needs it."""
        found = len(self._described()["partitions"])
        if found != partitions:
            raise Damaged(
                f"The topic {self.name!r} has {found} partitions, not {partitions}. The number is fixed when the topic"
                f" is created: set OUTCRY_PARTITIONS={found}, or name another topic with OUTCRY_TOPIC."
            )
        settings = self._settings()
        wrong = [
            f"{name} is {settings.get(name)!r}, not {value!r}"
            for name, value in NEEDED.items()
            if settings.get(name) != value
        ]
        if wrong:
            raise Damaged(
                f"The topic {self.name!r} cannot be a journal: {'; '.join(wrong)}. Name another, or let setup make it."
            )

    def id(self) -> str:
        """The id that Kafka gave the topic; another one means that it was deleted and created again."""
        return str(self._described()["topic_id"])

    def ends(self) -> dict[int, int]:
        return self._offsets(OffsetSpec.LATEST)

    def beginnings(self) -> dict[int, int]:
        return self._offsets(OffsetSpec.EARLIEST)

    def trim(self, part: int, before_offset: int) -> None:
        """Deletes the records before an offset."""
        place = TopicPartition(self.name, part)
        self._ask(lambda admin: admin.delete_records({place: before_offset}))

    def sizes(self) -> dict[int, int]:
        """Bytes on disk per partition, of the largest replica."""
        sizes: dict[int, int] = {}
        for broker in self._ask(lambda admin: admin.describe_log_dirs()):
            for folder in broker["log_dirs"]:
                for topic in folder["topics"]:
                    if topic["name"] == self.name:
                        for each in topic["partitions"]:
                            part = each["partition_index"]
                            sizes[part] = max(sizes.get(part, 0), each["partition_size"])
        return sizes

    def delete(self) -> None:
        """Deletes the topic with all its records."""
        self._ask(lambda admin: admin.delete_topics([self.name]))

    def close(self) -> None:
        with self._lock, contextlib.suppress(KafkaError):
            if self._admin is not None:
                self._admin.close()
            self._admin = None

    def _described(self) -> Mapping[str, Any]:
        (found,) = self._ask(lambda admin: admin.describe_topics([self.name]))
        if found["error_code"]:
            raise OutOfService(f"Kafka has no topic {self.name!r} (error {found['error_code']}). Run: outcry setup.")
        self._size = len(found["partitions"])
        return dict(found)

    def _settings(self) -> dict[str, str]:
        asked = [ConfigResource(ConfigResourceType.TOPIC, self.name)]
        answer = self._ask(lambda admin: admin.describe_configs(asked, config_filter="all"))
        return _values(answer, self.name)

    def _offsets(self, which: Any) -> dict[int, int]:
        if not self._size:
            self._described()
        wanted = {TopicPartition(self.name, part): which for part in range(self._size)}
        found = self._ask(lambda admin: admin.list_partition_offsets(wanted))
        return {place.partition: each.offset for place, each in found.items()}

    def _ask(self, question: Any) -> Any:
        with self._lock:
            try:
                if self._admin is None:
                    self._admin = KafkaAdminClient(**self._brokers.for_kafka_python(), **ADMIN)
                return question(self._admin)
            except TopicAlreadyExistsError:
                raise
            except UnknownTopicOrPartitionError:
                raise OutOfService(f"Kafka has no topic {self.name!r}. Run: outcry setup.") from None
            except (KafkaError, OSError) as trouble:
                raise OutOfService(f"Kafka at {self._brokers.servers} cannot be asked: {trouble}.") from None


def _values(answer: Any, name: str) -> dict[str, str]:
    """Flattens what describe_configs answers."""
    return {key: str(value["value"]) for key, value in dict(answer["topic"][name]).items()}
