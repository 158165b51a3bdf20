"""Keeps API secrets sealed at rest, and live credentials in a small cache that a revocation reaches within seconds."""

import asyncio
import ipaddress
import logging
import os
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from outcry.ports import Clock, OutOfService
from outcry.roles.api.errors import overloaded
from outcry.roles.api.signing import HMAC
from outcry.rows import AccountRow, KeyRow

MASTER_KEY_BYTES: Final = 32
CACHED_KEYS: Final = 10_000  # the key used longest ago is forgotten first
FRESH_MS: Final = 2_000  # a cached key is read again after this
STALE_MS: Final = 4_500  # and is used at most this long while the ledger cannot be asked

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

    async def key(self, api_key: str) -> KeyRow | None: ...
    async def account(self, account_id: int) -> AccountRow | None: ...


class KeyRing:
    """Looks credentials up by API key; unknown keys are remembered as well, so that a flood of them stays cheap."""

    def __init__(self, registry: KeyBook, vault: Vault, clock: Clock) -> None:
        self._registry = registry
        self._vault = vault
        self._clock = clock
        self._cached: OrderedDict[str, tuple[Credential | None, int]] = OrderedDict()
        self._reading: dict[str, asyncio.Task[Credential | None]] = {}

    async def find(self, api_key: str) -> Credential | None:
        """The credential, at most ``FRESH_MS`` old. Raises Refusal -1008 when the ledger cannot be asked."""
        cached = self._cached.get(api_key)
        now_ms = self._clock.now_ms()
        if cached is not None and now_ms - cached[1] < FRESH_MS:
            return cached[0]
        try:
            return await asyncio.shield(self._read_once(api_key))
        except OutOfService:
            if cached is not None and now_ms - cached[1] < STALE_MS:
                return cached[0]
            raise overloaded() from None

    def forget(self, api_key: str) -> None:
        """Drops a key from the cache, so that a change is seen at once in this process."""
        self._cached.pop(api_key, None)

    def _read_once(self, api_key: str) -> asyncio.Task[Credential | None]:
        reading = self._reading.get(api_key)
        if reading is None:
            reading = asyncio.create_task(self._read(api_key))
            self._reading[api_key] = reading
            reading.add_done_callback(lambda _: self._reading.pop(api_key, None))
        return reading

    async def _read(self, api_key: str) -> Credential | None:
        asked_ms = self._clock.now_ms()
        key = await self._registry.key(api_key)
        account = await self._registry.account(key.account_id) if key is not None else None
        found = self._open(key, account) if key is not None and account is not None else None
        self._cached[api_key] = (found, asked_ms)
        self._cached.move_to_end(api_key)
        while len(self._cached) > CACHED_KEYS:
            self._cached.popitem(last=False)
        return found

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
