"""What the journal asks of a client library for Kafka, so that one can stand in for another.

What is common to all, that is when a producer is given up, what a hole in the log means, and who is told, stands in
``producer`` and ``consumer``; a library only sends and reads.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from outcry.adapters.kafka.client import Brokers
from outcry.ports import OutOfService
from outcry.rows import Record

Told = Callable[[int | Exception], None]  # a frame's offset, or why it has none; called once, in any thread


class Dead(OutOfService):
    """The producer took nothing and never will again."""


class Lost(Exception):
    """Positions that are not in the log: nothing more is read of these partitions until they are placed elsewhere."""

    def __init__(self, reasons: Mapping[int, str]) -> None:
        super().__init__(str(dict(reasons)))
        self.reasons = reasons


class Producer(Protocol):
    """Idempotent, acknowledged by all in-sync replicas, and knows the topic."""

    def send(self, part: int, frame: bytes, told: Told) -> None:
        """Sends one frame, from the event loop. Raises OutOfService where it took nothing."""

    def close(self, timeout_seconds: float) -> None:
        """Blocks until what is on its way has arrived, no longer than the timeout."""


class Consumer(Protocol):
    """Reads partitions from where it is placed; belongs to one thread. Every method raises OutOfService."""

    def assign(self, positions: Mapping[int, int]) -> None:
        """Reads these partitions and no others, each from its offset on."""

    def seek(self, part: int, offset: int) -> None:
        """Goes on elsewhere in a partition that is assigned."""

    def poll(self, timeout_ms: int, max_records: int) -> Mapping[int, list[Record]]:
        """What has come, by partition and in order; waits for the first. Raises Lost."""

    def close(self) -> None: ...


class Library(NamedTuple):
    """How one is asked for a producer and a consumer: with the brokers and the topic. Both block."""

    producer: Callable[[Brokers, str], Producer]
    consumer: Callable[[Brokers, str], Consumer]


def library_named(name: str) -> Library:
    """The one that ``settings.KAFKA_CLIENTS`` calls so. Raises ModuleNotFoundError where it is not installed."""
    if name == "confluent":
        from outcry.adapters.kafka.confluent import CONFLUENT

        return CONFLUENT
    from outcry.adapters.kafka.pure import PURE

    return PURE
