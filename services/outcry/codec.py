"""Commands and states as bytes; the only module that knows the wire format of the journal.

A frame is one journal record. All numbers are little-endian::

    0   magic "OTCY"          4   schema (u16)           6   length of the header (u16)
    8   map version (u32)     12  CRC-32 of all other bytes (u32)
    16  correlation id (u64)  24  count of commands (u16)
    26  length of the reply address (u8)                 27  length of the traceparent (u8)
    28  reserved, zero (8 bytes)
    36  reply address, traceparent (both UTF-8), then each command: its length (u16) and its msgpack

A reader skips what a later release adds to the header: the commands begin where the header says.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from outcry.market.commands import AnyCommand, Tick
from outcry.rows import PartState

MAGIC: Final = b"OTCY"
SCHEMA: Final = 1
MAX_COMMANDS: Final = 256  # commands in one frame
MAX_FRAME_BYTES: Final = 65536
MAX_ADDRESS_BYTES: Final = 255  # reply address, traceparent

STATE_MAGIC: Final = b"OTST"
STATE_SCHEMA: Final = 1
MAX_STATE_BYTES: Final = 1 << 32  # a state of about ten million open orders, unpacked

_HEAD: Final = struct.Struct("<4sHHI")  # magic, schema, header length, map version
_CRC: Final = struct.Struct("<I")
_REST: Final = struct.Struct("<QHBB8s")  # correlation id, count, two lengths, reserved
_SIZE: Final = struct.Struct("<H")
_STATE: Final = struct.Struct("<4sHQ")  # magic, schema, length unpacked
_CRC_AT: Final = _HEAD.size
_REST_AT: Final = _CRC_AT + _CRC.size
_FIXED: Final = _REST_AT + _REST.size
_TRACE_AT: Final = _REST_AT + 11  # the length of the traceparent
_RESERVED: Final = bytes(8)

_encoder: Final = msgspec.msgpack.Encoder()
_command_decoder: Final[msgspec.msgpack.Decoder[AnyCommand]] = msgspec.msgpack.Decoder(AnyCommand)
_state_decoder: Final[msgspec.msgpack.Decoder[PartState]] = msgspec.msgpack.Decoder(PartState)


class BadFrame(ValueError):
    """A record is no frame of ours: cut, changed, or of an unknown schema. The message says which."""


class BadState(ValueError):
    """A stored state cannot be read: cut, changed, or of an unknown schema. The message says which."""


class Frame(NamedTuple):
    """One journal record, decoded. ``unreadable`` says what was wrong with each command left out."""

    commands: tuple[AnyCommand, ...]
    reply_to: str
    traceparent: str
    correlation_id: int
    map_version: int
    unreadable: tuple[str, ...] = ()


def encode_command(command: AnyCommand) -> bytes:
    """One command without a frame around it (``IntakeRow.body``)."""
    return _encoder.encode(command)


def decode_command(encoded: bytes) -> AnyCommand:
    """Reads what ``encode_command`` wrote. Raises BadFrame."""
    try:
        return _command_decoder.decode(encoded)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise BadFrame(f"the command cannot be read: {problem}") from problem


def encode_frame(
    commands: Sequence[AnyCommand],
    *,
    reply_to: str = "",
    traceparent: str = "",
    correlation_id: int = 0,
    map_version: int = 1,
) -> bytes:
    """Packs 1 to MAX_COMMANDS commands of one partition into a record of at most MAX_FRAME_BYTES.

    Raises ValueError where a bound is exceeded: the caller cuts its frames by ``encode_command``'s lengths.
    """
    if not 1 <= len(commands) <= MAX_COMMANDS:
        raise ValueError(f"a frame holds 1 to {MAX_COMMANDS} commands, not {len(commands)}")
    address, trace = reply_to.encode(), traceparent.encode()
    if len(address) > MAX_ADDRESS_BYTES or len(trace) > MAX_ADDRESS_BYTES:
        raise ValueError(f"reply address and traceparent are at most {MAX_ADDRESS_BYTES} bytes each")
    head = _HEAD.pack(MAGIC, SCHEMA, _FIXED + len(address) + len(trace), map_version)
    parts = [_REST.pack(correlation_id, len(commands), len(address), len(trace), _RESERVED), address, trace]
    for command in commands:
        encoded = _encoder.encode(command)
        if len(encoded) >= MAX_FRAME_BYTES:
            raise ValueError(f"a command of {len(encoded)} bytes does not fit a frame of {MAX_FRAME_BYTES}")
        parts += (_SIZE.pack(len(encoded)), encoded)
    rest = b"".join(parts)
    frame = head + _CRC.pack(zlib.crc32(rest, zlib.crc32(head))) + rest
    if len(frame) > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {len(frame)} bytes exceeds {MAX_FRAME_BYTES}")
    return frame


TICK_FRAME: Final = encode_frame([Tick(command_id=0, symbol_id=0)])  # moves log time, as any record does; no more


def decode_frame(record: bytes) -> Frame:
    """Reads a record. Raises BadFrame where the frame is not whole; a single bad command is only left out."""
    header, map_version = _checked(record)
    correlation_id, count, address, trace, _ = _REST.unpack_from(record, _REST_AT)
    names = _FIXED + address
    if names + trace > header:
        raise BadFrame("reply address and traceparent are longer than the header")
    try:
        reply_to, traceparent = record[_FIXED:names].decode(), record[names : names + trace].decode()
    except UnicodeDecodeError as problem:
        raise BadFrame("reply address or traceparent is no UTF-8") from problem
    commands, unreadable = _commands(record, header, count)
    return Frame(commands, reply_to, traceparent, correlation_id, map_version, unreadable)


def traceparent_of(record: bytes) -> str:
    """The trace context of a record, without a look at the rest; "" where there is none, or no frame."""
    length = record[_TRACE_AT] if len(record) >= _FIXED else 0
    if not length:
        return ""
    start = _FIXED + record[_TRACE_AT - 1]
    return record[start : start + length].decode("latin-1")


def encode_state(state: PartState) -> bytes:
    """A partition's whole state, compressed (``Checkpoint.state``)."""
    packed = _encoder.encode(state)
    return _STATE.pack(STATE_MAGIC, STATE_SCHEMA, len(packed)) + zlib.compress(packed, 1)


def decode_state(encoded: bytes) -> PartState:
    """Reads what ``encode_state`` wrote. Raises BadState."""
    if len(encoded) < _STATE.size:
        raise BadState("the state is cut short")
    magic, schema, size = _STATE.unpack_from(encoded)
    if magic != STATE_MAGIC or schema != STATE_SCHEMA:
        raise BadState(f"the state is of schema {schema}, this release reads {STATE_SCHEMA}")
    if size > MAX_STATE_BYTES:
        raise BadState(f"the state claims {size} bytes, more than {MAX_STATE_BYTES}")
    try:
        return _state_decoder.decode(zlib.decompress(encoded[_STATE.size :], bufsize=size))
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise BadState(f"the state cannot be read: {problem}") from problem


def _checked(record: bytes) -> tuple[int, int]:
    """The header's length and the map version of a record whose envelope is sound."""
    if len(record) > MAX_FRAME_BYTES or len(record) < _FIXED:
        raise BadFrame(f"{len(record)} bytes are no frame: it has {_FIXED} to {MAX_FRAME_BYTES}")
    magic, schema, header, map_version = _HEAD.unpack_from(record)
    if magic != MAGIC:
        raise BadFrame(f"it begins with {magic!r}, not {MAGIC!r}")
    (crc,) = _CRC.unpack_from(record, _CRC_AT)
    if zlib.crc32(record[_REST_AT:], zlib.crc32(record[:_CRC_AT])) != crc:
        raise BadFrame("the checksum does not fit the bytes")
    if schema != SCHEMA:
        raise BadFrame(f"it is of schema {schema}, this release reads {SCHEMA}")
    if not _FIXED <= header <= len(record):
        raise BadFrame(f"its header claims {header} bytes")
    return header, map_version


def _commands(record: bytes, at: int, count: int) -> tuple[tuple[AnyCommand, ...], tuple[str, ...]]:
    if not 1 <= count <= MAX_COMMANDS:
        raise BadFrame(f"it claims {count} commands, a frame holds 1 to {MAX_COMMANDS}")
    commands: list[AnyCommand] = []
    unreadable: list[str] = []
    for number in range(count):
        start = at + _SIZE.size
        if start > len(record):
            raise BadFrame(f"it ends before its command {number}")
        at = start + _SIZE.unpack_from(record, at)[0]
        if at > len(record):
            raise BadFrame(f"it ends within its command {number}")
        try:
            commands.append(_command_decoder.decode(record[start:at]))
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            unreadable.append(f"command {number}: {problem}")
    if at != len(record):
        raise BadFrame(f"{len(record) - at} bytes follow its last command")
    return tuple(commands), tuple(unreadable)
