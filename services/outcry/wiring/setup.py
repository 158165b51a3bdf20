"""Makes a cluster ready for its roles: schema, topic, partitions, the demo venue. What is done already stays."""

import asyncio
import json
import os
import secrets
from pathlib import Path

from outcry.agents.crowd import ACCOUNTS
from outcry.roles.admin.demo import DEMO_ACCOUNTS
from outcry.roles.admin.founding import HMAC, Founding
from outcry.roles.api.vault import Vault
from outcry.rows import KeyRow
from outcry.settings import ClusterSettings
from outcry.wiring.backbone import Backbone, vault_of
from outcry.wiring.process import Progress

ACTOR = "setup"
SCOPES = "read,trade"


async def set_up(settings: ClusterSettings, progress: Progress) -> None:
    """Runs every step that is not done. Raises OutOfService, Damaged."""
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
            await _found_demo(backbone, vault, progress)
    finally:
        await backbone.close()


async def _found_demo(backbone: Backbone, vault: Vault, progress: Progress) -> None:
    settings = backbone.settings
    founding = Founding(backbone.ledger, backbone.journal, backbone.clock, vault.seal, settings, progress)
    await founding.run()
    if not settings.keys_file or Path(settings.keys_file).exists():
        return
    issued = {str(key.account_id): [key.api_key, key.secret] for key in founding.issued}
    for account_id in (*DEMO_ACCOUNTS, *(ACCOUNTS if settings.simulation_enabled else ())):
        if str(account_id) not in issued:
            issued[str(account_id)] = await _issue(backbone, vault, account_id)
    path = Path(settings.keys_file)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(issued, file, indent=1)
    progress(f"API keys of the demo accounts and the crowd are in {path}")


async def _issue(backbone: Backbone, vault: Vault, account_id: int) -> list[str]:
    api_key, secret = secrets.token_hex(32), secrets.token_hex(32)
    sealed, now_ms = vault.seal(secret.encode(), api_key), backbone.clock.now_ms()
    row = KeyRow(api_key, account_id, HMAC, sealed, SCOPES, "", now_ms, 0, 0)
    await backbone.ledger.create_key(row, ACTOR)
    return [api_key, secret]
