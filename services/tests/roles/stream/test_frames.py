"""Frames as bytes."""

import pytest
from websockets.frames import Frame, Opcode

from outcry.roles.stream.frames import close_frame, payload_of, text_frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_text_frame_is_what_a_websocket_library_writes(size: int) -> None:
    payload = b"x" * size
    frame = text_frame(payload)
    assert frame == Frame(Opcode.TEXT, payload).serialize(mask=False)
    assert payload_of(frame) == (False, payload)


def test_a_close_frame_carries_its_code_and_reason() -> None:
    frame = close_frame(4008, "too slow")
    assert frame == Frame(Opcode.CLOSE, b"\x0f\xa8too slow").serialize(mask=False)
    assert payload_of(frame) == (True, b"\x0f\xa8too slow")


def test_a_reason_too_long_for_a_control_frame_is_cut() -> None:
    assert len(close_frame(1000, "x" * 500)) == 127
