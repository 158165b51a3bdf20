"""What an operator may write: numbers, amounts, names, addresses and keys, each with its rule in plain words."""

import ipaddress
import re
from typing import Any, Final

from outcry.decimals import minor_units, money_text
from outcry.market.instrument import MAX_AMOUNT

LARGEST: Final = (1 << 53) - 1  # what every JSON reader keeps exactly
MAX_NAME: Final = 64  # characters
MAX_REASON: Final = 200  # characters
MAX_DAYS: Final = 36_500  # of a key's life
MAX_ROWS: Final = 100_000  # of one list
MAX_ADDRESSES: Final = 100  # of one key
ED25519_BYTES: Final = 32

_AMOUNT: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,8})?", re.ASCII)
_ASSET: Final = re.compile(r"[A-Z0-9]{1,10}", re.ASCII)  # two of them are a symbol, which has at most 20 characters


class Refused(Exception):
    """A verb that cannot be carried out; the message names the cause and the remedy."""


def whole(value: Any, name: str, low: int, high: int) -> int:
    """A whole number within bounds. Raises Refused."""
    if type(value) is not int or not low <= value <= high:
        raise Refused(f"{name} is {value}, but must be a whole number from {low} to {high}.")
    return value


def amount(text: str) -> int:
    """A positive decimal with at most 8 decimals in minor units. Raises Refused."""
    found = minor_units(text) if _AMOUNT.fullmatch(text) else None
    if not found:
        raise Refused(f"{text!r} is no amount. Write a positive decimal with at most 8 decimals, such as 0.5.")
    if found >= MAX_AMOUNT:
        raise Refused(f"{text} is too large an amount. Write less than {money_text(MAX_AMOUNT)}.")
    return found


def title(text: str) -> str:
    """What an account is called. Raises Refused."""
    if not text.strip() or len(text) > MAX_NAME or not text.isprintable():
        raise Refused(f"{text!r} is no name. Write 1 to {MAX_NAME} printable characters.")
    return text


def reason(text: str) -> str:
    """Why somebody acts: it is what the next one on duty reads. Raises Refused."""
    text = text.strip()
    if not text or len(text) > MAX_REASON or not text.isprintable():
        raise Refused(f"--reason must have 1 to {MAX_REASON} printable characters.")
    return text


def asset(text: str) -> str:
    """The code of an asset, in capitals. Raises Refused."""
    code = text.upper()
    if _ASSET.fullmatch(code) is None:
        raise Refused(f"{text!r} is no asset. Write 1 to 10 letters A-Z and digits, such as XRP.")
    return code


def addresses(text: str) -> str:
    """Addresses and networks with commas between them, as they are kept; "" is any. Raises Refused."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if text and not 0 < len(parts) <= MAX_ADDRESSES:
        raise Refused(f"--ips takes 1 to {MAX_ADDRESSES} addresses or networks, such as 10.0.0.0/8,192.168.1.7.")
    try:
        return ",".join(str(ipaddress.ip_network(part, strict=False)) for part in parts)
    except ValueError as problem:
        raise Refused(f"{problem}. Write addresses or networks, such as 10.0.0.0/8,192.168.1.7.") from None


def public_key(text: str) -> bytes:
    """The bytes of an Ed25519 public key. Raises Refused."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != ED25519_BYTES:
        raise Refused(f"An Ed25519 public key is {ED25519_BYTES} bytes: {2 * ED25519_BYTES} hex digits.")
    return key
