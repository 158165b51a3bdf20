"""Keeps API secrets sealed at rest, and live credentials in a small cache that a revocation reaches within seconds."""

import asyncio
import ipaddress
import logging
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from outcry.ports import Clock, OutOfService
from outcry.roles.api.errors import overloaded
from outcry.roles.api.signing import HMAC
from outcry.rows import AccountRow, KeyRow
from outcry.shuttle import Crowded, Shuttle

MASTER_KEY_BYTES: Final = 32
CACHED_KEYS: Final = 10_000  # the key used longest ago is forgotten first
KEYS_READ: Final = 256  # that requests wait for, and as many that are used besides, in one statement
MAX_WAITING: Final = 8_192  # requests that wait for a key to be read; more are refused
COMPANY_MS: Final = 500  # a cached key in use is read again after this if another one is
RENEWED_MS: Final = 1_000  # and after this in any case, while requests still use what is known
FRESH_MS: Final = 2_000  # after this requests wait for it
STALE_MS: Final = 4_500  # a cached key is used at most this long while the ledger cannot be asked

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12

log = logging.getLogger(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class BadSeal(Exception):
    """A stored secret cannot be opened: it is damaged, or was sealed under another master key."""


class Vault:
    """Seals secrets with AES-256-GCM under one master key; each is bound to the API key it belongs to."""

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != MASTER_KEY_BYTES:
            raise ValueError(f"The master key must be {MASTER_KEY_BYTES} bytes, not {len(master_key)}.")
        self._cipher = AESGCM(master_key)

    def seal(self, secret: bytes, api_key: str) -> bytes:
        """The secret as it may be stored."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, secret, api_key.encode())

    def unseal(self, sealed: bytes, api_key: str) -> bytes:
        """The secret again. Raises BadSeal."""
        if sealed[:1] != _VERSION or len(sealed) <= 1 + _NONCE_BYTES:
            raise BadSeal("The stored secret has an unknown format.")
        nonce, text = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, text, api_key.encode())
        except InvalidTag:
            raise BadSeal("The stored secret was sealed under another master key, or is damaged.") from None

    def opens(self, sealed: bytes, api_key: str) -> bool:
        """Whether the secret was sealed under this master key and is whole."""
        try:
            self.unseal(sealed, api_key)
        except BadSeal:
            return False
        return True


@dataclass(slots=True, frozen=True)
class Credential:
    """One API key, ready to check signatures with."""

    key: KeyRow
    account: AccountRow
    secret: bytes  # plain HMAC secret, or raw Ed25519 public key
    scopes: frozenset[str]
    networks: tuple[Network, ...]

    def allows(self, scope: str, client_ip: str, now_ms: int) -> bool:
        """Whether the key is alive and may do this from there."""
        if self.key.revoked_ms or (self.key.expires_ms and now_ms >= self.key.expires_ms):
            return False
        if scope and scope not in self.scopes:
            return False
        return not self.networks or _within(client_ip, self.networks)


class KeyBook(Protocol):
    """Where keys and their accounts are written down; ports.Registry is one."""

    async def credentials(self, api_keys: Sequence[str]) -> list[tuple[KeyRow, AccountRow]]: ...


class KeyRing:
    """Looks credentials up by API key; unknown keys are remembered as well, so that a flood of them stays cheap.

    Keys in use are read again before they are too old, all of them together, so that no request waits for that.
    """

    def __init__(self, registry: KeyBook, vault: Vault, clock: Clock) -> None:
        self._registry = registry
        self._vault = vault
        self._clock = clock
        self._cached: OrderedDict[str, tuple[Credential | None, int]] = OrderedDict()
        self._used: dict[str, None] = {}  # keys that were used when they might have been read again
        self._forgotten = 0  # how often a key was; what was read meanwhile is not kept
        self._readings: Shuttle[str, Credential | None] = Shuttle(self._read, seats=KEYS_READ, waiting=MAX_WAITING)
        self._renewal: asyncio.Task[None] | None = None

    async def find(self, api_key: str) -> Credential | None:
        """The credential, at most ``FRESH_MS`` old. Raises Refusal -1008 when the ledger cannot be asked."""
        cached = self._cached.get(api_key)
        if cached is not None:
            age_ms = self._clock.now_ms() - cached[1]
            if age_ms >= COMPANY_MS:
                self._used[api_key] = None
            if age_ms < FRESH_MS:
                if age_ms >= RENEWED_MS and self._renewal is None:
                    self._renewal = asyncio.create_task(self._renew(api_key))
                return cached[0]
        try:
            return await self._readings.ask(api_key)
        except (OutOfService, Crowded):
            if cached is not None and self._clock.now_ms() - cached[1] < STALE_MS:
                return cached[0]
            raise overloaded() from None

    def forget(self, api_key: str) -> None:
        """Drops a key from the cache, so that a change is seen at once in this process."""
        self._cached.pop(api_key, None)
        self._forgotten += 1

    async def _renew(self, api_key: str) -> None:
        """Reads a key ahead, with all that are in use; trouble is for who needs it."""
        try:
            await self._readings.ask(api_key)
        except (OutOfService, Crowded):
            pass
        finally:
            self._renewal = None

    async def _read(self, api_keys: Sequence[str]) -> list[Credential | None]:
        """One statement for the given keys and others in use."""
        asked_ms = self._clock.now_ms()
        wanted = list(dict.fromkeys((*api_keys, *self._used)))[: 2 * KEYS_READ]
        self._used.clear()
        forgotten = self._forgotten
        rows = {key.api_key: (key, account) for key, account in await self._registry.credentials(wanted)}
        found = {api_key: self._opened(rows.get(api_key)) for api_key in wanted}
        if forgotten == self._forgotten:
            self._keep(found, asked_ms)
        return [found[api_key] for api_key in api_keys]

    def _keep(self, found: Mapping[str, Credential | None], asked_ms: int) -> None:
        for api_key, credential in found.items():
            self._cached[api_key] = (credential, asked_ms)
            self._cached.move_to_end(api_key)
        while len(self._cached) > CACHED_KEYS:
            self._cached.popitem(last=False)

    def _opened(self, row: tuple[KeyRow, AccountRow] | None) -> Credential | None:
        """The row's credential: the one that is known, if nothing has changed."""
        if row is None:
            return None
        known, _ = self._cached.get(row[0].api_key, (None, 0))
        return known if known is not None and (known.key, known.account) == row else self._open(*row)

    def _open(self, key: KeyRow, account: AccountRow) -> Credential | None:
        try:
            secret = self._vault.unseal(key.secret, key.api_key) if key.kind == HMAC else key.secret
            networks = tuple(ipaddress.ip_network(n.strip(), strict=False) for n in key.ip_list.split(",") if n.strip())
        except (BadSeal, ValueError) as trouble:
            log.error("API key %s cannot be used: %s", key.api_key, trouble)
            return None
        scopes = frozenset(s.strip() for s in key.scopes.split(","))
        return Credential(key, account, secret, scopes, networks)


def _within(client_ip: str, networks: tuple[Network, ...]) -> bool:
    try:
        address = ipaddress.ip_address(client_ip)
    except ValueError:
        return False
    return any(address in network for network in networks)
