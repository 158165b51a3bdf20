"""The sending half of the journal: an idempotent producer, and another one when it has died.

A producer that let one record expire is not trusted any more: that of kafka-python never sends again, and what it has
pending stays so. A record that our own timer gives up is therefore the end of its producer.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from outcry.adapters.kafka.client import DELIVERY_MS, Brokers
from outcry.adapters.kafka.library import Dead, Producer
from outcry.ports import OutcomeUnknown, OutOfService

MAX_UNACKED: Final = 4_096  # frames on their way; more are refused before anything is sent
GIVE_UP_SECONDS: Final = DELIVERY_MS / 1000 + 0.5  # after which a frame's fate is unknown
RETRY_SECONDS: Final = 0.5  # between two attempts to make a producer

log = logging.getLogger(__name__)


class Sender:
    """``open`` once, then ``send`` from the event loop; producers come and go in a thread behind it."""

    def __init__(self, brokers: Brokers, topic: str, make: Callable[[Brokers, str], Producer]) -> None:
        self._servers = brokers.servers
        self._make = partial(make, brokers, topic)
        self._producer: Producer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pending: dict[_Parcel, None] = {}
        self._told: deque[tuple[_Parcel, int, int | Exception]] = deque()  # by the producer, and not looked at yet
        self._is_rung = False  # whether the event loop is about to look
        self._ended = threading.Event()
        self._wanted = threading.Event()
        self._there = asyncio.Event()
        self._maker = threading.Thread(target=self._keep_one, name="kafka-producer", daemon=True)
        self.trouble = "the producer is being made"
        self.replaced = 0  # producers given up so far
        self.unacknowledged = 0  # frames of appends that are on their way

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
            await asyncio.to_thread(producer.close, timeout_seconds)
        if self._maker.is_alive():
            await asyncio.to_thread(self._maker.join, timeout_seconds)

    async def send(self, frames: Sequence[tuple[int, bytes]]) -> list[int]:
        """The frames' offsets once all in-sync replicas have them.

        Raises OutOfService where nothing was sent, OutcomeUnknown where a frame may or may not be in the log.
        """
        producer = self._producer
        if producer is None or self.unacknowledged + len(frames) > MAX_UNACKED:
            raise OutOfService(f"Kafka takes nothing now: {self.trouble or 'too many frames are on their way'}.")
        parcel = self._pack(len(frames))
        for place, (part, frame) in enumerate(frames):
            try:
                producer.send(part, frame, partial(self._tell, parcel, place))
            except OutOfService as trouble:
                self._refuse(producer, parcel, trouble)
                if place == 0:
                    raise OutOfService(f"Kafka takes nothing now: {trouble}.") from None
                raise OutcomeUnknown(f"only {place} of {len(frames)} frames were sent: {trouble}") from None
        await asyncio.wait([parcel.arrived], timeout=GIVE_UP_SECONDS)
        failure = parcel.arrived.exception() if parcel.arrived.done() else "a frame was not acknowledged in time"
        if failure is not None:
            self._replace(producer, str(failure))
            raise OutcomeUnknown(f"Kafka did not acknowledge a frame: {failure}")
        return parcel.offsets

    def _pack(self, frames: int) -> "_Parcel":
        assert self._loop is not None
        parcel = _Parcel(frames, self._loop)
        self._pending[parcel] = None
        self.unacknowledged += frames
        parcel.arrived.add_done_callback(partial(self._forget, parcel))
        return parcel

    def _forget(self, parcel: "_Parcel", arrived: "asyncio.Future[None]") -> None:
        self._pending.pop(parcel)
        self.unacknowledged -= len(parcel.offsets)
        arrived.exception()  # whoever waited has been told; nobody else has to be

    def _tell(self, parcel: "_Parcel", place: int, outcome: int | Exception) -> None:
        """In the producer's thread: the event loop is woken once for all that comes before it looks."""
        self._told.append((parcel, place, outcome))
        if not self._is_rung and self._loop is not None:
            self._is_rung = True
            with contextlib.suppress(RuntimeError):  # the loop may be closed by now
                self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        self._is_rung = False  # before it looks: what is told from now on rings again
        while self._told:
            parcel, place, outcome = self._told.popleft()
            parcel.note(place, outcome)

    def _refuse(self, producer: Producer, parcel: "_Parcel", trouble: OutOfService) -> None:
        parcel.fail(trouble)
        if isinstance(trouble, Dead):
            self._replace(producer, str(trouble))

    def _replace(self, dead: Producer, why: str) -> None:
        """Gives a producer up, and what it has pending: it would neither succeed nor fail any more."""
        if self._producer is not dead:
            return
        self.replaced += 1
        log.warning("The Kafka producer is replaced: %s.", why)
        self._producer, self.trouble = None, why
        for each in list(self._pending):
            each.fail(OutcomeUnknown(f"its producer was given up: {why}"))
        self._wanted.set()
        threading.Thread(target=dead.close, args=(0.0,), daemon=True).start()

    def _keep_one(self) -> None:
        """The maker's thread: whenever one is wanted, tries until there is a producer that knows the topic."""
        while self._wanted.wait() and not self._ended.is_set():
            try:
                producer = self._make()
            except OutOfService as trouble:
                self.trouble = str(trouble)
                time.sleep(RETRY_SECONDS)
                continue
            self._wanted.clear()
            self._producer, self.trouble = producer, ""
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._there.set)


class _Parcel:
    """The frames of one append on their way; belongs to the event loop."""

    def __init__(self, frames: int, loop: asyncio.AbstractEventLoop) -> None:
        self.offsets = [-1] * frames
        self.arrived: asyncio.Future[None] = loop.create_future()
        self._missing = frames

    def note(self, place: int, outcome: int | Exception) -> None:
        """Takes the fate of one frame; the first that has none decides for all."""
        if isinstance(outcome, Exception):
            self.fail(outcome)
            return
        self.offsets[place] = outcome
        self._missing -= 1
        if not self._missing and not self.arrived.done():
            self.arrived.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self.arrived.done():
            self.arrived.set_exception(error)
