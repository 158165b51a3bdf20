"""`outcry setup` on real components: what is done already stays, and chosen API keys are those that work."""

import asyncio
import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from outcry.agents.crowd import ACCOUNTS
from outcry.ports import OutOfService
from outcry.roles.admin.demo import DEMO_ACCOUNTS
from outcry.settings import ClusterSettings, SettingsError
from outcry.wiring.backbone import Backbone, vault_of
from outcry.wiring.patience import await_set_up, set_up_with_patience
from outcry.wiring.setup import set_up
from tests.support.kafka import component
from tests.support.postgres import empty_database

CUSTOMERS = (*DEMO_ACCOUNTS, *ACCOUNTS)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[ClusterSettings]:
    with empty_database() as url:
        yield ClusterSettings(
            postgres=url, kafka=component("OUTCRY_KAFKA"), redis_fanout="", redis_state="", demo=True, partitions=2,
            topic=f"test-{secrets.token_hex(6)}", simulation_history_hours=0,
            master_key_file=str(tmp_path / "master.key"), keys_file=str(tmp_path / "keys.json"),
        )  # fmt: skip


async def credentials(settings: ClusterSettings) -> dict[str, list[str]]:
    """Every stored key of a customer with its secret, as the keys file has them."""
    backbone, vault = Backbone(settings), vault_of(settings)
    await backbone.open()
    try:
        stored = await backbone.ledger.keys()
    finally:
        await backbone.close()
    return {str(key.account_id): [key.api_key, vault.unseal(key.secret, key.api_key).decode()] for key in stored}


def chosen() -> dict[str, list[str]]:
    return {str(account): [f"chosen-key-{account}", secrets.token_hex(16)] for account in CUSTOMERS}


async def test_keys_that_the_file_has_already_are_the_ones_that_work(settings: ClusterSettings) -> None:
    keys = chosen()
    Path(settings.keys_file).write_text(json.dumps(keys))
    for _ in range(2):
        await set_up(settings, print)
        assert await credentials(settings) == keys


async def test_without_a_file_new_keys_are_issued_and_written_once(settings: ClusterSettings) -> None:
    await set_up(settings, print)
    written = json.loads(Path(settings.keys_file).read_text())
    assert written == await credentials(settings)
    await set_up(settings, print)
    assert json.loads(Path(settings.keys_file).read_text()) == written == await credentials(settings)


async def test_who_waits_for_the_set_up_goes_on_once_it_is_done(settings: ClusterSettings) -> None:
    told: list[str] = []
    waiting = asyncio.create_task(await_set_up(settings, told.append))
    while not told:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    assert "has no schema yet" in told[0] and not waiting.done()
    await set_up(settings, print)
    await asyncio.wait_for(waiting, 60)
    assert told[-1] == "The cluster is set up"


async def test_who_waits_for_a_demo_venue_waits_until_it_is_founded(settings: ClusterSettings) -> None:
    told: list[str] = []
    await set_up(replace(settings, demo=False), print)
    waiting = asyncio.create_task(await_set_up(settings, told.append))
    while not told:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    assert told == ["Waiting: The demo venue is not founded yet."]
    await set_up(settings, print)
    await asyncio.wait_for(waiting, 60)


async def test_a_component_that_is_away_is_waited_for_no_longer_than_asked(settings: ClusterSettings) -> None:
    away, told = replace(settings, postgres="postgresql://postgres@127.0.0.1:1/postgres"), list[str]()
    with pytest.raises(OutOfService):
        await set_up_with_patience(away, told.append, 1.5)
    assert told and all(line.startswith("Waiting: ") for line in told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "lacks keys for the accounts"),
        ('{"1001": ["short", "s"]}', "must be a JSON object of account numbers"),
        ("[", "must be a JSON object of account numbers"),
    ],
)
async def test_a_file_that_is_no_keys_file_is_refused(settings: ClusterSettings, text: str, told: str) -> None:
    Path(settings.keys_file).write_text(text)
    with pytest.raises(SettingsError, match=told):
        await set_up(settings, print)
