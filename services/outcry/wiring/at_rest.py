"""What is done to a data directory from outside: an operator's verbs, proofs and replays, running or stopped."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

from outcry.adapters.clock import SystemClock
from outcry.adapters.sqlite import Store
from outcry.roles.admin import masterkey
from outcry.roles.admin.control import WHERE, NotRunning, ask_running
from outcry.roles.admin.rules import Refused
from outcry.roles.admin.verbs import Admin, Params, Result
from outcry.roles.api.vault import Vault
from outcry.roles.engine import replay as engine_replay
from outcry.roles.engine import verify as engine_verify
from outcry.roles.engine.follower import streams_at
from outcry.roles.engine.streams import Streams, no_streams
from outcry.settings import Settings
from outcry.wiring.process import Progress, in_loop

LEDGER_FILE: Final = "outcry.db"
MASTER_KEY_FILE: Final = "master.key"

T = TypeVar("T")


def administer(settings: Settings, verb: str, params: Params) -> tuple[Result, bool]:
    """Carries out an operator's verb; True when a running exchange did it. Raises Refused."""

    async def ask() -> tuple[Result, bool]:
        folder = Path(settings.data_dir)
        try:
            return await ask_running(folder, verb, params), True
        except NotRunning:
            return await _administer_at_rest(settings, verb, params), False

    return in_loop(ask())


async def _administer_at_rest(settings: Settings, verb: str, params: Params) -> Result:
    store = Store(_existing(settings), clock=SystemClock())
    await asyncio.to_thread(store.open)
    try:
        vault = await vault_of(settings, store)
        return await Admin(store.ledger, store.journal, SystemClock(), vault.seal).run(verb, params)
    finally:
        await asyncio.to_thread(store.close)


def verify(settings: Settings, progress: Progress, *, streams: bool = True) -> engine_verify.Report:
    """Proves the invariants of a data directory, whose exchange may run meanwhile. Raises Refused, Damaged.

    Where it runs, its ``streams`` are followed too.
    """

    async def prove(store: Store) -> engine_verify.Report:
        followed = await _streams(settings) if streams else no_streams("left out as asked")
        return await engine_verify.verify(store.ledger, store.journal, progress, followed)

    return _reading(settings, prove)


async def _streams(settings: Settings) -> Streams:
    """The streams of the exchange that runs on the data directory, if one does."""
    try:
        where = await ask_running(Path(settings.data_dir), WHERE, {})
    except NotRunning:
        return no_streams("the exchange is not running, so there is no stream to follow")
    except Refused as refused:
        return no_streams(str(refused))
    return streams_at(where["url"]) if where["url"] else no_streams("the exchange serves no clients")


def replay(settings: Settings, partition: int | None, progress: Progress) -> list[engine_replay.Replayed]:
    """Replays one partition or all and says where each stands. Raises Refused, Damaged."""
    try:
        done = _reading(settings, lambda store: engine_replay.replay(store.ledger, store.journal, partition, progress))
    except engine_replay.NoStart as missing:
        raise Refused(f"There is nothing to start a replay from: {missing}.") from None
    if not done:
        raise Refused(f"There is no partition {partition}. Leave --partition out to replay them all.")
    return done


def _reading(settings: Settings, use: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    """Uses a store that cannot be written to."""

    async def read() -> T:
        store = Store(_existing(settings), clock=SystemClock(), read_only=True)
        await asyncio.to_thread(store.open)
        try:
            return await use(store)
        finally:
            await asyncio.to_thread(store.close)

    return in_loop(read())


def _existing(settings: Settings) -> Path:
    path = Path(settings.data_dir) / LEDGER_FILE
    if not path.exists():
        raise Refused(
            f"There is no exchange in {path.parent}. Name its directory with --data, or start one: outcry up."
        )
    return path


async def vault_of(settings: Settings, store: Store) -> Vault:
    """The vault of the data directory; only one without any API key may get a new master key."""
    return Vault(masterkey.master_key(key_path(settings), may_create=not await store.ledger.keys()))


def key_path(settings: Settings) -> Path:
    return Path(settings.master_key_file) if settings.master_key_file else Path(settings.data_dir) / MASTER_KEY_FILE
