"""One stream's subscribers: every payload is encoded once per dialect and the same bytes go to all of them."""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from outcry.roles.stream.frames import text_frame
from outcry.roles.stream.names import StreamName
from outcry.roles.stream.payloads import Payload, in_microseconds
from outcry.telemetry.instruments import Number

# How a subscriber takes a stream: a sum of these.
RAW: Final = 0
COMBINED: Final = 1  # wrapped as {"stream":...,"data":...}
MICROSECONDS: Final = 2
DIALECTS: Final = 4

encode: Final = msgspec.json.Encoder().encode


class Subscriber(Protocol):
    """Takes whole frames without waiting."""

    def push(self, frame: bytes) -> None: ...
    def close(self, code: int, reason: str) -> None: ...


class Message:
    """A payload and its encodings, each made when the first subscriber needs it."""

    __slots__ = ("_micro", "_milli", "body")

    def __init__(self, body: Payload | Sequence[Payload]) -> None:
        self.body = body
        self._milli = self._micro = b""

    def dressed(self, dialect: int, name: str) -> bytes:
        """The frame in a dialect of the stream ``name``."""
        if dialect & MICROSECONDS:
            self._micro = self._micro or encode(in_microseconds(self.body))
            payload = self._micro
        else:
            self._milli = self._milli or encode(self.body)
            payload = self._milli
        return text_frame(wrapped(name, payload) if dialect & COMBINED else payload)


def wrapped(name: str, payload: bytes) -> bytes:
    """The combined form of a payload; stream names need no escapes."""
    return b'{"stream":"%b","data":%b}' % (name.encode(), payload)


class Channel:
    """The subscribers of one stream, and those among them that have had no message yet."""

    __slots__ = ("_fanout", "_newcomers", "_subscribers", "name", "stream")

    def __init__(self, stream: StreamName, fanout: Number | None = None) -> None:
        self._fanout = fanout or Number()  # counts what is given to subscribers
        self.stream = stream
        self.name = stream.name
        self._newcomers: dict[Subscriber, int] = {}  # and their dialects
        self._subscribers: tuple[dict[Subscriber, None], ...] = tuple({} for _ in range(DIALECTS))

    def add(self, subscriber: Subscriber, dialect: int) -> None:
        self._subscribers[dialect][subscriber] = None
        self._newcomers[subscriber] = dialect

    def remove(self, subscriber: Subscriber, dialect: int) -> None:
        self._subscribers[dialect].pop(subscriber, None)
        self._newcomers.pop(subscriber, None)

    @property
    def fresh(self) -> bool:
        """Whether somebody came since the last message."""
        return bool(self._newcomers)

    def welcome(self, message: Message) -> None:
        """Sends a message to newcomers alone."""
        newcomers, self._newcomers = self._newcomers, {}
        self._fanout.inc(len(newcomers))
        for subscriber, dialect in newcomers.items():
            subscriber.push(message.dressed(dialect, self.name))

    def __len__(self) -> int:
        return sum(map(len, self._subscribers))

    def subscribers(self) -> list[Subscriber]:
        return [each for group in self._subscribers for each in group]

    def emit(self, message: Message) -> None:
        """Sends a message to every subscriber."""
        self._newcomers.clear()
        for dialect, group in enumerate(self._subscribers):
            if group:
                frame = message.dressed(dialect, self.name)
                self._fanout.inc(len(group))
                for subscriber in group:
                    subscriber.push(frame)
