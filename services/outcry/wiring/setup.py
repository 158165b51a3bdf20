"""Makes a cluster ready for its roles: schema, topic, partitions, the demo venue. What is done already stays."""

import asyncio
import json
import os
import secrets
from pathlib import Path
from typing import Annotated

import msgspec

from outcry.agents.crowd import ACCOUNTS
from outcry.roles.admin.demo import DEMO_ACCOUNTS
from outcry.roles.admin.founding import HMAC, Founding
from outcry.roles.api.vault import Vault
from outcry.rows import KeyRow
from outcry.settings import ClusterSettings, SettingsError
from outcry.wiring.backbone import Backbone, vault_of
from outcry.wiring.process import Progress

ACTOR = "setup"
Given = dict[int, tuple[str, str]]  # API key and secret, by account
GivenKey = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{8,128}$")]
GivenSecret = Annotated[str, msgspec.Meta(min_length=16, max_length=256)]
SCOPES = "read,trade"


async def set_up(settings: ClusterSettings, progress: Progress) -> None:
    """Runs every step that is not done. Raises OutOfService, Damaged, SettingsError."""
    given = _given_keys(settings) if settings.demo else {}
    backbone = Backbone(settings)
    vault = vault_of(settings, may_create=True)
    progress(f"schema: {await backbone.store.migrate()}")
    topic = backbone.journal.topic
    made = await asyncio.to_thread(
        topic.create, settings.partitions, settings.replication, settings.journal_retention_days
    )
    progress(f"topic {topic.name}: {settings.partitions} partitions, {'created' if made else 'there already'}")
    await backbone.open()
    try:
        if settings.demo:
            await _found_demo(backbone, vault, given, progress)
    finally:
        await backbone.close()


async def _found_demo(backbone: Backbone, vault: Vault, given: Given, progress: Progress) -> None:
    settings = backbone.settings
    founding = Founding(backbone.ledger, backbone.journal, backbone.clock, vault.seal, settings, progress, given)
    await founding.run()
    if not settings.keys_file or given:
        return
    issued = {str(key.account_id): [key.api_key, key.secret] for key in founding.issued}
    for account_id in _customers(settings):
        if str(account_id) not in issued:
            issued[str(account_id)] = await _issue(backbone, vault, account_id)
    path = Path(settings.keys_file)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(issued, file, indent=1)
    progress(f"API keys of the demo accounts and the crowd are in {path}")


def _given_keys(settings: ClusterSettings) -> Given:
    """The API keys that are in the keys file already, by account: an earlier run wrote them, or somebody chose them.

    Raises SettingsError where the file is none of those that ``set_up`` writes.
    """
    path = Path(settings.keys_file)
    if not settings.keys_file or not path.exists():
        return {}
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, tuple[GivenKey, GivenSecret]])
        given = {int(account_id): pair for account_id, pair in found.items()}
    except (msgspec.DecodeError, ValueError) as trouble:
        raise SettingsError(
            f"OUTCRY_KEYS_FILE is {str(path)!r}, which must be a JSON object of account numbers, each with an API key"
            f" (8 to 128 letters, digits, - and _) and its secret (16 characters at least): {trouble}."
        ) from None
    wanted = _customers(settings)
    if missing := [account_id for account_id in wanted if account_id not in given]:
        raise SettingsError(f"OUTCRY_KEYS_FILE is {str(path)!r}, which lacks keys for the accounts {missing}.")
    return {account_id: given[account_id] for account_id in wanted}


def _customers(settings: ClusterSettings) -> list[int]:
    """The accounts that somebody trades with: those of the demo, and the crowd's."""
    return [*DEMO_ACCOUNTS, *(ACCOUNTS if settings.simulation_enabled else ())]


async def _issue(backbone: Backbone, vault: Vault, account_id: int) -> list[str]:
    api_key, secret = secrets.token_hex(32), secrets.token_hex(32)
    sealed, now_ms = vault.seal(secret.encode(), api_key), backbone.clock.now_ms()
    row = KeyRow(api_key, account_id, HMAC, sealed, SCOPES, "", now_ms, 0, 0)
    await backbone.ledger.create_key(row, ACTOR)
    return [api_key, secret]
