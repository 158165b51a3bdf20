"""Signatures and their time window: which bytes are signed, whether they match, how long they are good.

Source: Binance ``rest-api.md`` and ``web-socket-api.md``, "SIGNED request security" and "Timing security".
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote_plus

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from outcry.roles.api.errors import Refusal, illegal, missing, too_precise
from outcry.roles.api.params import DECIMAL_RANGE, INT_RANGE, MICROSECONDS_FROM, text_of

DEFAULT_WINDOW_US: Final = 5_000_000
MAX_WINDOW_US: Final = 60_000_000
AHEAD_US: Final = 1_000_000  # how far a client's clock may run ahead

HMAC: Final = "HMAC"
ED25519: Final = "ED25519"

_TIMESTAMP = re.compile(r"[0-9]{1,20}", re.ASCII)
_UNQUOTED = re.compile(r"[A-Za-z0-9_.~&=-]*", re.ASCII)
_WINDOW = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,20}))?", re.ASCII)


def invalid_signature() -> Refusal:
    return Refusal(-1022, "Signature for this request is not valid.")


def rest_payload(query: bytes, body: bytes) -> bytes:
    """The signed bytes of a REST request: query and body as received, without their signature pairs."""
    return without_signature(query) + without_signature(body)


def without_signature(raw: bytes) -> bytes:
    """The raw pairs without ``signature=…`` and the ampersand that joined it."""
    if b"signature=" not in raw:
        return raw
    return b"&".join([pair for pair in raw.split(b"&") if not pair.startswith(b"signature=")])


def ws_payloads(params: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The signed bytes of a WebSocket request, sorted by name: as it stands, and percent-encoded."""
    pairs = [(name, _signed_text(params[name])) for name in sorted(params) if name != "signature"]
    text = "&".join([f"{name}={value}" for name, value in pairs])
    bare = text.encode("utf-8", "replace")
    if _UNQUOTED.fullmatch(text) and text.count("=") == len(pairs) == text.count("&") + 1:
        return bare, bare
    return bare, "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in pairs]).encode()


def matches(kind: str, secret: bytes, payload: bytes, signature: str) -> bool:
    """Whether ``signature`` is that of ``payload``: hex HMAC-SHA256 in any case, or base64 Ed25519.

    ``secret`` is the plain HMAC secret or the raw Ed25519 public key.
    """
    if kind == HMAC:
        wanted = hmac.digest(secret, payload, hashlib.sha256).hex()
        return hmac.compare_digest(wanted.encode(), signature.lower().encode("utf-8", "replace"))
    return _ed25519_matches(secret, payload, signature)


def valid_until_us(timestamp: str | None, window: str | None, now_us: int) -> int:
    """The last microsecond at which the request is good. Raises Refusal when it is not good at ``now_us``."""
    if not timestamp:
        raise missing("timestamp")
    if _TIMESTAMP.fullmatch(timestamp) is None:
        raise illegal("timestamp", INT_RANGE)
    sent = int(timestamp)
    sent_us = sent if sent >= MICROSECONDS_FROM else sent * 1000
    until_us = sent_us + _window_us(window)
    if sent_us >= now_us + AHEAD_US:
        raise Refusal(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if until_us < now_us:
        raise Refusal(-1021, "Timestamp for this request is outside of the recvWindow.")
    return until_us


def _window_us(window: str | None) -> int:
    if not window:
        return DEFAULT_WINDOW_US
    found = _WINDOW.fullmatch(window)
    if found is None:
        raise illegal("recvWindow", DECIMAL_RANGE)
    fraction = (found[2] or "").rstrip("0")
    if len(fraction) > 3:
        raise too_precise("recvWindow")
    window_us = int(found[1]) * 1000 + int(fraction.ljust(3, "0"))
    if window_us > MAX_WINDOW_US:
        raise Refusal(-1131, "recvWindow must be less than 60000.")
    return window_us


def _ed25519_matches(public_key: bytes, payload: bytes, signature: str) -> bool:
    try:
        raw = base64.b64decode(signature.encode("ascii"), validate=True)
        Ed25519PublicKey.from_public_bytes(public_key).verify(raw, payload)
    except (InvalidSignature, ValueError):
        return False
    return True


def _quoted(text: str) -> str:
    return quote_plus(text, errors="replace")


def _signed_text(value: Any) -> str:
    text = text_of(value)
    if type(text) is str:
        return text
    return "null" if text is None else msgspec.json.encode(text).decode()
