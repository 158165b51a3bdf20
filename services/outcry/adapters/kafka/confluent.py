"""Kafka through confluent-kafka: librdkafka in C, for who installs the extra outcry[confluent]."""

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from outcry.adapters.kafka.client import (
    DELIVERY_MS,
    FETCH_MS,
    MAX_REQUEST_BYTES,
    METADATA_SECONDS,
    REQUEST_MS,
    Brokers,
)
from outcry.adapters.kafka.library import Dead, Library, Lost, Told
from outcry.ports import OutOfService
from outcry.rows import Record

POLL_SECONDS: Final = 0.1  # how long the producer's thread waits for acknowledgements before it looks whether to end
LOST: Final = (KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION, KafkaError.OFFSET_OUT_OF_RANGE)

COMMON: Final[dict[str, Any]] = {
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 500,
    "topic.metadata.refresh.interval.ms": 60_000,
    "allow.auto.create.topics": False,
    "socket.nagle.disable": True,
    "log_level": 4,  # warnings
    "logger": logging.getLogger("kafka.confluent"),
}

PRODUCER: Final[dict[str, Any]] = {
    **COMMON,
    "acks": "all",
    "enable.idempotence": True,
    "request.timeout.ms": REQUEST_MS,
    "delivery.timeout.ms": DELIVERY_MS,
    "linger.ms": 0,  # frames were packed with a linger of their own
    "batch.size": 1 << 18,
    "message.max.bytes": MAX_REQUEST_BYTES,
}

CONSUMER: Final[dict[str, Any]] = {
    **COMMON,
    "group.id": "outcry",  # demanded; without subscriptions and commits there is no group
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # any other would jump in silence after a truncation
    "fetch.wait.max.ms": FETCH_MS,
    "fetch.error.backoff.ms": 50,
    "max.partition.fetch.bytes": 4 << 20,
    "check.crcs": True,
}


class ConfluentProducer:
    """Keeps ``library.Producer``; acknowledgements come in a thread that polls for them."""

    def __init__(self, brokers: Brokers, topic: str) -> None:
        """Raises OutOfService."""
        self._topic = topic
        with _in_service():
            self._producer = confluent_kafka.Producer({**PRODUCER, **brokers.for_librdkafka()})
            _know(self._producer, topic)
        self._ended = threading.Event()
        self._polling = threading.Thread(target=self._poll_on, name="kafka-acknowledgements", daemon=True)
        self._polling.start()

    def send(self, part: int, frame: bytes, told: Told) -> None:
        try:
            self._producer.produce(self._topic, value=frame, partition=part, on_delivery=partial(_tell, told))
        except BufferError as full:
            raise OutOfService(str(full)) from None
        except KafkaException as trouble:
            error = trouble.args[0]
            raise (Dead if error.code() == KafkaError._FATAL or error.fatal() else OutOfService)(str(error)) from None

    def close(self, timeout_seconds: float) -> None:
        if timeout_seconds > 0:
            self._producer.flush(timeout_seconds)
        self._producer.purge()
        self._ended.set()
        self._polling.join(timeout_seconds + 2 * POLL_SECONDS)

    def _poll_on(self) -> None:
        while not self._ended.is_set():
            self._producer.poll(POLL_SECONDS)


def _tell(told: Told, error: KafkaError | None, message: "Message[Any, Any]") -> None:
    offset = message.offset()
    told(KafkaException(error) if error is not None or offset is None else offset)


class ConfluentConsumer:
    """Keeps ``library.Consumer``."""

    def __init__(self, brokers: Brokers, topic: str) -> None:
        """Raises OutOfService."""
        self._topic = topic
        self._left: set[int] = set()  # partitions that were assigned and are not read now
        self._lost: dict[int, str] = {}  # why that is so, until it is told
        with _in_service():
            self._consumer = confluent_kafka.Consumer({**CONSUMER, **brokers.for_librdkafka()})
            _know(self._consumer, topic)

    def assign(self, positions: Mapping[int, int]) -> None:
        with _in_service():
            self._consumer.assign([TopicPartition(self._topic, *place) for place in positions.items()])
        self._left.clear()
        self._lost.clear()

    def seek(self, part: int, offset: int) -> None:
        # Its own seek fails on a partition that it does not fetch yet, or no more.
        with _in_service():
            self._leave(part)
            self._consumer.incremental_assign([TopicPartition(self._topic, part, offset)])
        self._left.discard(part)
        self._lost.pop(part, None)

    def _leave(self, part: int) -> None:
        if part not in self._left:
            self._consumer.incremental_unassign([TopicPartition(self._topic, part)])
            self._left.add(part)

    def poll(self, timeout_ms: int, max_records: int) -> Mapping[int, list[Record]]:
        found: dict[int, list[Record]] = {}
        with _in_service():
            for message in self._messages(timeout_ms / 1000, max_records):
                if message.error() is None:
                    record = _record(message)
                    found.setdefault(record.part, []).append(record)
                else:
                    self._note(message)
        if self._lost and not found:  # what came along is taken first: it would not come again
            lost, self._lost = self._lost, {}
            raise Lost(lost)
        return found

    def _messages(self, timeout_seconds: float, most: int) -> "list[Message[Any, Any]]":
        if self._lost:
            return []
        first = self._consumer.poll(timeout_seconds)
        # ``consume`` would wait until there are as many as it may bring.
        return [] if first is None else [first, *self._consumer.consume(most - 1, 0)]

    def _note(self, message: "Message[Any, Any]") -> None:
        """Takes note of trouble that came instead of a record. Raises KafkaException where all partitions have it."""
        part, error = message.partition(), message.error()
        assert error is not None
        if part is None or error.code() not in LOST:
            raise KafkaException(error)
        self._leave(part)
        self._lost[part] = error.str()

    def close(self) -> None:
        self._consumer.close()


@contextlib.contextmanager
def _in_service() -> Iterator[None]:
    try:
        yield
    except KafkaException as trouble:
        raise OutOfService(str(trouble.args[0])) from None


def _know(client: Any, topic: str) -> None:
    """Makes contact: without it a client would be made even where there is no Kafka."""
    error = client.list_topics(topic, METADATA_SECONDS).topics[topic].error
    if error is not None:
        raise KafkaException(error)


def _record(message: "Message[Any, Any]") -> Record:
    part, offset = message.partition(), message.offset()
    assert part is not None and offset is not None
    return Record(part, offset, message.timestamp()[1], message.value() or b"")


CONFLUENT = Library(ConfluentProducer, ConfluentConsumer)
