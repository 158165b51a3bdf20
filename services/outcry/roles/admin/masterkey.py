"""The key that seals all API secrets: made once, kept in a file that only its owner can read."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from outcry.ports import Damaged
from outcry.roles.admin.founding import HMAC
from outcry.rows import KeyRow

KEY_BYTES: Final = 32


def master_key(path: Path, *, may_create: bool) -> bytes:
    """The key in ``path``; a new one where ``may_create``. Raises Damaged.

    A ledger with sealed secrets must not get a new key: nobody could sign with the old ones again.
    """
    if path.exists():
        return _read(path)
    if not may_create:
        raise Damaged(
            f"{path} is missing, and with it the key that opens the API secrets of this exchange. Put it back from a "
            "backup or name it in OUTCRY_MASTER_KEY_FILE; or revoke every key and issue new ones after creating "
            f"one with `head -c {KEY_BYTES} /dev/urandom > {path}`."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(path.name + ".new")
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(os.urandom(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)
    return _read(path)


def refuse_emptied(ledger: Path, path: Path) -> None:
    """A master key is made after the ledger: beside one, no exchange begins with an empty file. Raises Damaged."""
    if path.exists() and ledger.exists() and not ledger.stat().st_size:
        raise Damaged(
            f"{ledger} is empty, but {path.name} beside it says that there was an exchange. Put back a backup; "
            f"or remove {ledger.name} to found a new one."
        )


def refuse_strange(path: Path, keys: Iterable[KeyRow], opens: Callable[[bytes, str], bool]) -> None:
    """Under a master key that opens no secret nobody could sign, and nobody would be told why. Raises Damaged."""
    sealed = [key for key in keys if key.kind == HMAC and not key.revoked_ms]
    if sealed and not any(opens(key.secret, key.api_key) for key in sealed):
        raise Damaged(
            f"{path} opens none of the {len(sealed)} API secrets of this exchange: it is the master key of another "
            "one, or damaged. Put it back from a backup; or revoke the keys (`outcry keys list`) and start again."
        )


def _read(path: Path) -> bytes:
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise Damaged(f"{path} has {len(key)} bytes, but a master key has {KEY_BYTES}. Put it back from a backup.")
    return key
