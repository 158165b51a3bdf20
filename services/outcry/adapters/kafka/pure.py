"""Kafka through kafka-python: pure Python, the library that is always there."""

import contextlib
import time
from collections.abc import Mapping
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import IllegalStateError, KafkaError, LogTruncationError, OffsetOutOfRangeError

from outcry.adapters.kafka.client import CONSUMER, METADATA_SECONDS, PRODUCER, Brokers
from outcry.adapters.kafka.library import Dead, Library, Lost, Told
from outcry.ports import OutOfService
from outcry.rows import Record

FAULTS = (KafkaError, OSError, ValueError)  # what kafka-python raises where Kafka cannot be used


class PureProducer:
    """Keeps ``library.Producer``. One that let a record expire never sends again: its producer id is lost for good."""

    def __init__(self, brokers: Brokers, topic: str) -> None:
        """Raises OutOfService."""
        self._topic = topic
        try:
            self._producer = KafkaProducer(**brokers.for_kafka_python(), **PRODUCER)
        except FAULTS as trouble:
            raise OutOfService(f"{type(trouble).__name__}: {trouble}") from None
        deadline = time.monotonic() + METADATA_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(KafkaError):
                self._producer.partitions_for(topic)
                return
        self.close(0)
        raise OutOfService(f"no broker tells of the topic {topic!r}")

    def send(self, part: int, frame: bytes, told: Told) -> None:
        try:
            self._producer.send(self._topic, value=frame, partition=part).add_both(_tell, told)
        except IllegalStateError as trouble:
            raise Dead(str(trouble)) from None
        except KafkaError as trouble:
            raise OutOfService(str(trouble)) from None

    def close(self, timeout_seconds: float) -> None:
        with contextlib.suppress(KafkaError):  # what could not be flushed was told as unknown, or will be
            self._producer.close(timeout=timeout_seconds)


def _tell(told: Told, outcome: Any) -> None:
    told(outcome if isinstance(outcome, Exception) else outcome.offset)


class PureConsumer:
    """Keeps ``library.Consumer``."""

    def __init__(self, brokers: Brokers, topic: str) -> None:
        """Raises OutOfService."""
        self._topic = topic
        with _in_service():
            self._consumer = KafkaConsumer(**brokers.for_kafka_python(), **CONSUMER)

    def assign(self, positions: Mapping[int, int]) -> None:
        with _in_service():
            self._consumer.assign([TopicPartition(self._topic, part) for part in positions])
            for part, offset in positions.items():
                self.seek(part, offset)

    def seek(self, part: int, offset: int) -> None:
        place = TopicPartition(self._topic, part)
        with _in_service():
            self._consumer.seek(place, offset)
            self._consumer.resume(place)  # it may have been lost

    def poll(self, timeout_ms: int, max_records: int) -> Mapping[int, list[Record]]:
        try:
            with _in_service():
                found = self._consumer.poll(timeout_ms, max_records=max_records)
        except (OffsetOutOfRangeError, LogTruncationError) as gone:
            raise Lost(self._lost(gone)) from None
        return {place.partition: [_record(each) for each in records] for place, records in found.items()}

    def _lost(self, gone: Exception) -> dict[int, str]:
        """Some positions are not in the log; where it is not said which, all are in doubt."""
        named = gone.args[0] if gone.args and isinstance(gone.args[0], dict) else self._consumer.assignment()
        self._consumer.pause(*named)
        return dict.fromkeys((place.partition for place in named), type(gone).__name__)

    def close(self) -> None:
        self._consumer.close(autocommit=False, timeout_ms=500)


@contextlib.contextmanager
def _in_service() -> Any:
    try:
        yield
    except (OffsetOutOfRangeError, LogTruncationError):
        raise
    except FAULTS as trouble:
        raise OutOfService(f"{type(trouble).__name__}: {trouble}") from None


def _record(found: Any) -> Record:
    return Record(found.partition, found.offset, found.timestamp, found.value or b"")


PURE = Library(PureProducer, PureConsumer)
