"""Server frames: a payload as the very bytes that every subscriber's socket takes (RFC 6455, section 5.2)."""

from typing import Final

_TEXT: Final = 0x81
_CLOSE: Final = 0x88
_TWO_BYTES: Final = 126
_EIGHT_BYTES: Final = 127


def text_frame(payload: bytes) -> bytes:
    """One unfragmented, unmasked text frame."""
    size = len(payload)
    if size < _TWO_BYTES:
        return bytes((_TEXT, size)) + payload
    if size < 1 << 16:
        return bytes((_TEXT, _TWO_BYTES)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT, _EIGHT_BYTES)) + size.to_bytes(8, "big") + payload


def close_frame(code: int, reason: str) -> bytes:
    """A close frame; the reason is cut to what a control frame holds."""
    payload = code.to_bytes(2, "big") + reason.encode()[:123]
    return bytes((_CLOSE, len(payload))) + payload


def payload_of(frame: bytes) -> tuple[bool, bytes]:
    """Whether one of our frames closes, and its payload."""
    size = frame[1]
    start = 2 if size < _TWO_BYTES else 4 if size == _TWO_BYTES else 10
    return frame[0] == _CLOSE, frame[start:]
