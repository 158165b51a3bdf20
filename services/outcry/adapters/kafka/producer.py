"""The sending half of the journal: an idempotent producer, and another one when it has died.

A producer of kafka-python that let one record expire never sends again: its producer id is lost for good and what is
pending stays so. A record that our own timer gives up is therefore the end of its producer.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import KafkaError

from outcry.adapters.kafka.client import DELIVERY_MS, PRODUCER
from outcry.ports import OutcomeUnknown, OutOfService

MAX_UNACKED: Final = 4_096  # frames on their way; more are refused before anything is sent
GIVE_UP_SECONDS: Final = DELIVERY_MS / 1000 + 0.5  # after which a frame's fate is unknown
RETRY_SECONDS: Final = 0.5  # between two attempts to make a producer
METADATA_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class Sender:
    """``open`` once, then ``send`` from the event loop; producers come and go in a thread behind it."""

    def __init__(self, servers: str, topic: str) -> None:
        self._servers = servers
        self._topic = topic
        self._producer: KafkaProducer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pending: dict[asyncio.Future[int], None] = {}  # frames on their way
        self._ended = threading.Event()
        self._wanted = threading.Event()
        self._there = asyncio.Event()
        self._maker = threading.Thread(target=self._keep_one, name="kafka-producer", daemon=True)
        self.trouble = "the producer is being made"
        self.replaced = 0  # producers given up so far

    @property
    def unacknowledged(self) -> int:
        """Frames on their way."""
        return len(self._pending)

    def open(self) -> None:
        """Begins to make a producer; until there is one, ``send`` refuses."""
        self._loop = asyncio.get_running_loop()
        self._wanted.set()
        self._maker.start()

    async def ready(self, timeout_seconds: float) -> None:
        """Waits for the first producer. Raises OutOfService with the reason why there is none."""
        try:
            await asyncio.wait_for(self._there.wait(), timeout_seconds)
        except TimeoutError:
            raise OutOfService(f"Kafka at {self._servers} cannot be used: {self.trouble}.") from None

    async def close(self, timeout_seconds: float = 5.0) -> None:
        """Sends what is on its way, within a bound."""
        self._ended.set()
        self._wanted.set()
        producer, self._producer = self._producer, None
        if producer is not None:
            await asyncio.to_thread(producer.close, timeout=timeout_seconds)
        if self._maker.is_alive():
            await asyncio.to_thread(self._maker.join, timeout_seconds)

    async def send(self, frames: Sequence[tuple[int, bytes]]) -> list[int]:
        """The frames' offsets once all in-sync replicas have them.

        Raises OutOfService where nothing was sent, OutcomeUnknown where a frame may or may not be in the log.
        """
        producer = self._producer
        if producer is None or len(self._pending) + len(frames) > MAX_UNACKED:
            raise OutOfService(f"Kafka takes nothing now: {self.trouble or 'too many frames are on their way'}.")
        sent: list[asyncio.Future[int]] = []
        try:
            for part, frame in frames:
                sent.append(self._send_one(producer, part, frame))
        except KafkaError as trouble:
            if not sent:
                raise OutOfService(f"Kafka takes nothing now: {trouble}.") from None
            raise OutcomeUnknown(f"only {len(sent)} of {len(frames)} frames were sent: {trouble}") from None
        done, late = await asyncio.wait(sent, timeout=GIVE_UP_SECONDS)
        failure = next((each.exception() for each in done if each.exception() is not None), None)
        if late or failure is not None:
            self._replace(producer, "a frame was not acknowledged in time" if late else str(failure))
            raise OutcomeUnknown(f"Kafka did not acknowledge a frame: {failure or 'no answer in time'}")
        return [each.result() for each in sent]

    def _send_one(self, producer: KafkaProducer, part: int, frame: bytes) -> "asyncio.Future[int]":
        loop = self._loop
        assert loop is not None
        acknowledged: asyncio.Future[int] = loop.create_future()

        def arrived(result: Any) -> None:
            loop.call_soon_threadsafe(_resolve, acknowledged, result.offset)

        def failed(error: Any) -> None:
            with contextlib.suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(_fail, acknowledged, error)

        sent = producer.send(self._topic, value=frame, partition=part)
        sent.add_callback(arrived)
        sent.add_errback(failed)
        self._pending[acknowledged] = None
        acknowledged.add_done_callback(self._forget)
        return acknowledged

    def _forget(self, acknowledged: "asyncio.Future[int]") -> None:
        self._pending.pop(acknowledged, None)
        if not acknowledged.cancelled():
            acknowledged.exception()  # whoever waited has been told; nobody else has to be

    def _replace(self, dead: KafkaProducer, why: str) -> None:
        """Gives a producer up, and what it has pending: it would neither succeed nor fail any more."""
        bury = partial(dead.close, timeout=0)
        if self._producer is not dead:
            return
        self.replaced += 1
        log.warning("The Kafka producer is replaced: %s.", why)
        self._producer, self.trouble = None, why
        for each in list(self._pending):
            _fail(each, OutcomeUnknown(f"its producer was given up: {why}"))
        self._wanted.set()
        threading.Thread(target=bury, daemon=True).start()

    def _keep_one(self) -> None:
        """The maker's thread: whenever one is wanted, tries until there is a producer that knows the topic."""
        while self._wanted.wait() and not self._ended.is_set():
            producer = self._make()
            if producer is None:
                time.sleep(RETRY_SECONDS)
                continue
            self._wanted.clear()
            self._producer, self.trouble = producer, ""
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._there.set)

    def _make(self) -> KafkaProducer | None:
        try:
            producer = KafkaProducer(bootstrap_servers=self._servers.split(","), **PRODUCER)
        except (KafkaError, OSError, ValueError) as trouble:
            self.trouble = f"{type(trouble).__name__}: {trouble}"
            return None
        deadline = time.monotonic() + METADATA_SECONDS
        while time.monotonic() < deadline and not self._ended.is_set():
            with contextlib.suppress(KafkaError):
                producer.partitions_for(self._topic)
                return producer
        self.trouble = f"no broker tells of the topic {self._topic!r}"
        producer.close(timeout=0)
        return None


def _resolve(acknowledged: "asyncio.Future[int]", offset: int) -> None:
    if not acknowledged.done():
        acknowledged.set_result(offset)


def _fail(acknowledged: "asyncio.Future[int]", error: Exception) -> None:
    if not acknowledged.done():
        acknowledged.set_exception(error)
