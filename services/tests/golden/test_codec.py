"""The journal's bytes: what is written can be read for ever, what is damaged is never taken for something else."""

import struct
import zlib

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outcry.codec import (
    MAX_COMMANDS,
    MAX_FRAME_BYTES,
    BadFrame,
    BadState,
    decode_command,
    decode_frame,
    decode_state,
    encode_command,
    encode_frame,
    encode_state,
)
from outcry.market.commands import AnyCommand, CancelAll, CancelOrder, PlaceOrder, Tick
from outcry.roles.engine.session import Session, genesis
from tests.support.logs import Scribe, random_log
from tests.support.paper import PaperLedger

TICK = Tick(command_id=0, symbol_id=0)


def commands(seed: int) -> list[AnyCommand]:
    scribe = Scribe(seed)
    return [*scribe.listing(), *(scribe.command() for _ in range(60))]


@given(
    seed=st.integers(0, 1 << 20), reply=st.text(max_size=20), trace=st.text(max_size=60), number=st.integers(0, 1 << 60)
)
def test_a_frame_is_read_as_it_was_written(seed: int, reply: str, trace: str, number: int) -> None:
    written = commands(seed)
    frame = decode_frame(encode_frame(written, reply_to=reply, traceparent=trace, correlation_id=number, map_version=3))
    assert list(frame.commands) == written
    assert (frame.reply_to, frame.traceparent, frame.correlation_id, frame.map_version) == (reply, trace, number, 3)
    assert frame.unreadable == ()


@given(st.integers(0, 1 << 20))
def test_a_command_is_read_as_it_was_written(seed: int) -> None:
    for command in commands(seed):
        assert decode_command(encode_command(command)) == command


@given(seed=st.integers(0, 1 << 10), at=st.integers(0, 1 << 16), bit=st.integers(0, 7))
def test_any_changed_bit_is_noticed(seed: int, at: int, bit: int) -> None:
    frame = bytearray(encode_frame(commands(seed)[:5]))
    frame[at % len(frame)] ^= 1 << bit
    with pytest.raises(BadFrame):
        decode_frame(bytes(frame))


@given(st.binary(max_size=200))
@example(b"")
@example(b"OTCY")
def test_other_bytes_are_no_frame(record: bytes) -> None:
    with pytest.raises(BadFrame):
        decode_frame(record)


@given(st.integers(0, 300))
def test_a_cut_frame_is_no_frame(length: int) -> None:
    frame = encode_frame(commands(1)[:5])
    with pytest.raises(BadFrame):
        decode_frame(frame[: min(length, len(frame) - 1)])


def sealed(record: bytes) -> bytes:
    """The record with a checksum that fits, as only we could have written it."""
    crc = zlib.crc32(record[16:], zlib.crc32(record[:12]))
    return record[:12] + struct.pack("<I", crc) + record[16:]


def test_a_later_header_may_be_longer() -> None:
    frame = encode_frame([TICK], reply_to="pod")
    (header,) = struct.unpack_from("<H", frame, 6)
    longer = frame[:6] + struct.pack("<H", header + 4) + frame[8:header] + b"more" + frame[header:]
    assert decode_frame(sealed(longer)).commands == (TICK,)


def test_a_later_schema_is_refused() -> None:
    frame = encode_frame([TICK])
    with pytest.raises(BadFrame, match="schema 2"):
        decode_frame(sealed(frame[:4] + struct.pack("<H", 2) + frame[6:]))


def test_one_unreadable_command_does_not_spoil_its_frame() -> None:
    frame = encode_frame(
        [TICK, CancelOrder(command_id=1, symbol_id=1, account=2, order_id=3, target_valid_until_ms=4), TICK]
    )
    at = frame.index(
        encode_command(CancelOrder(command_id=1, symbol_id=1, account=2, order_id=3, target_valid_until_ms=4))
    )
    read = decode_frame(sealed(frame[:at] + b"\xc1" + frame[at + 1 :]))
    assert read.commands == (TICK, TICK)
    assert len(read.unreadable) == 1 and read.unreadable[0].startswith("command 1:")


def test_a_command_may_gain_fields_at_its_end() -> None:
    longer = msgspec.msgpack.encode([*msgspec.msgpack.decode(encode_command(TICK)), "new in the next release"])
    assert decode_command(longer) == TICK


def test_a_frame_has_bounds() -> None:
    assert len(decode_frame(encode_frame([TICK] * MAX_COMMANDS)).commands) == MAX_COMMANDS
    targets = tuple((n << 40, 1 << 50) for n in range(4000))
    wide = CancelAll(command_id=1, symbol_id=1, account=1, targets=targets)
    for too_much in ([], [TICK] * (MAX_COMMANDS + 1), [wide]):
        with pytest.raises(ValueError, match=r"frame"):
            encode_frame(too_much)
    with pytest.raises(ValueError, match="255 bytes"):
        encode_frame([TICK], reply_to="x" * 256)
    with pytest.raises(BadFrame):
        decode_frame(encode_frame([TICK]) + bytes(MAX_FRAME_BYTES))


def test_a_state_is_read_as_it_was_written() -> None:
    records = list(random_log(3, 400))
    ledger, session = PaperLedger(records), Session(genesis(0))
    for record in records:
        session.apply(record)
    ledger.commit(session.take()[0])
    state = ledger.load()
    assert state.orders and state.symbols and state.candles
    assert decode_state(encode_state(state)) == state


@pytest.mark.parametrize("spoil", [lambda s: s[:10], lambda s: s[:-9], lambda s: b"XXXX" + s[4:], lambda s: b""])
def test_a_damaged_state_is_refused(spoil: "object") -> None:
    assert callable(spoil)
    with pytest.raises(BadState):
        decode_state(spoil(encode_state(genesis(0))))


def test_an_order_on_the_wire_is_small() -> None:
    order = next(each for each in commands(1) if isinstance(each, PlaceOrder))
    assert len(encode_command(order)) < 100
