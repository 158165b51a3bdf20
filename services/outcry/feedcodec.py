"""The feed as bytes: answers, market data and private events on their way between processes.

A market message, all numbers little-endian (the Lua scripts of the Redis adapter write the same header)::

    0   version (u8)        1   kind (u8)             2   symbol id (u32)
    6   feed epoch (u64)    14  first seq (u64)       22  last seq (u64)
    30  last u (u64)        38  the body: msgpack of a MarketUpdate; of a cut, window and time; of a beat, where
                                each window was cut last

Answers, private events and stored publications are a version byte and msgpack. Fields are only ever appended,
with a default, so that processes of two releases understand each other.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from outcry.facts import Execution, MarketUpdate, Outcome, Publication, Span

VERSION: Final = 1

_HEAD: Final = struct.Struct("<BBIQQQQ")  # version, kind, symbol, feed epoch, first seq, last seq, last u
_CUT: Final = struct.Struct("<IQQ")  # window in ms, first u, time in ms
_ENDED: Final = struct.Struct("<IQ")  # window in ms, last u at which it was cut
_VERSION: Final = bytes([VERSION])

T = TypeVar("T")


class BadMessage(ValueError):
    """Bytes that are no message of this release's feed. The text says what is wrong."""


class Kind(IntEnum):
    """What a market message is about."""

    UPDATE = 1  # the changes from first to last seq
    SNAPSHOT = 2  # the whole book at last seq, with which a feed epoch begins
    BEAT = 3  # the owner is alive, and last seq the newest there is
    CUT = 4  # a window ends at last u


class MarketMessage(NamedTuple):
    """One message of a symbol; ``body`` is decoded only when it is wanted."""

    kind: int
    symbol_id: int
    feed_epoch: int
    first_seq: int
    last_seq: int
    last_u: int
    body: bytes


class CutBody(NamedTuple):
    """Which window a cut ends, from which update id on, and when."""

    window_ms: int
    first_u: int
    time_ms: int


class Private(msgspec.Struct, frozen=True, array_like=True):
    """What one batch means to one account."""

    executions: tuple[Execution, ...] = ()
    moved: bool = False  # its balances changed
    ends: tuple[tuple[int, int], ...] = ()  # (part, last_seq) of the batch's spans


_encoder: Final = msgspec.msgpack.Encoder()
_outcomes: Final[msgspec.msgpack.Decoder[list[Outcome]]] = msgspec.msgpack.Decoder(list[Outcome])
_update: Final[msgspec.msgpack.Decoder[MarketUpdate]] = msgspec.msgpack.Decoder(MarketUpdate)
_private: Final[msgspec.msgpack.Decoder[Private]] = msgspec.msgpack.Decoder(Private)
_spans: Final[msgspec.msgpack.Decoder[list[Span]]] = msgspec.msgpack.Decoder(list[Span])
_publication: Final[msgspec.msgpack.Decoder[Publication]] = msgspec.msgpack.Decoder(Publication)


def encode_update(update: MarketUpdate) -> bytes:
    """The body of an UPDATE or SNAPSHOT."""
    return _encoder.encode(update)


def decode_update(body: bytes) -> MarketUpdate:
    """Reads what ``encode_update`` wrote. Raises BadMessage."""
    return _decoded(_update, body)


def decode_market(message: bytes) -> MarketMessage:
    """Reads the header of a market message. Raises BadMessage."""
    if len(message) < _HEAD.size or message[0] != VERSION:
        raise BadMessage(f"{len(message)} bytes of version {message[:1].hex()} are no market message")
    return MarketMessage._make((*_HEAD.unpack_from(message)[1:], message[_HEAD.size :]))


def decode_cut(body: bytes) -> CutBody:
    """Reads the body of a CUT. Raises BadMessage."""
    if len(body) < _CUT.size:
        raise BadMessage(f"{len(body)} bytes are no cut")
    return CutBody(*_CUT.unpack_from(body))


def decode_beat(body: bytes) -> dict[int, int]:
    """The update id at which each window was cut last, by its length in ms. Raises BadMessage."""
    if len(body) % _ENDED.size:
        raise BadMessage(f"{len(body)} bytes are no beat")
    return dict(_ENDED.iter_unpack(body))


def encode_outcomes(outcomes: Sequence[Outcome]) -> bytes:
    """Answers for one process."""
    return _VERSION + _encoder.encode(outcomes)


def decode_outcomes(message: bytes) -> list[Outcome]:
    """Reads what ``encode_outcomes`` wrote. Raises BadMessage."""
    return _decoded(_outcomes, _unwrapped(message))


def encode_private(private: Private) -> bytes:
    """What one account hears of one batch."""
    return _VERSION + _encoder.encode(private)


def decode_private(message: bytes) -> Private:
    """Reads what ``encode_private`` wrote. Raises BadMessage."""
    return _decoded(_private, _unwrapped(message))


def encode_spans(spans: Sequence[Span]) -> bytes:
    """What one batch did on its partitions."""
    return _VERSION + _encoder.encode(spans)


def decode_spans(message: bytes) -> list[Span]:
    """Reads what ``encode_spans`` wrote. Raises BadMessage."""
    return _decoded(_spans, _unwrapped(message))


def encode_publication(publication: Publication) -> bytes:
    """A publication as it is stored beside the batch that it tells of."""
    return _VERSION + _encoder.encode(publication)


def decode_publication(stored: bytes) -> Publication:
    """Reads what ``encode_publication`` wrote. Raises BadMessage."""
    return _decoded(_publication, _unwrapped(stored))


def _unwrapped(message: bytes) -> memoryview:
    if message[:1] != _VERSION:
        raise BadMessage(f"version {message[:1].hex()} is unknown to this release")
    return memoryview(message)[1:]


def _decoded(decoder: "msgspec.msgpack.Decoder[T]", packed: Any) -> T:
    try:
        return decoder.decode(packed)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise BadMessage(f"the message cannot be read: {problem}") from problem
