"""The simulate role of a cluster: the crowd as a client like any other, over the exchange's public interfaces."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from outcry.adapters.clock import SystemClock
from outcry.agents.crowd import ACCOUNTS, Crowd, Listing
from outcry.ports import Damaged, OutcomeUnknown, OutOfService
from outcry.roles.admin import demo
from outcry.roles.admin.pod import PodAdmin
from outcry.roles.crew import Crew
from outcry.roles.simulate.remote import Session, Tops, instruments_of
from outcry.roles.simulate.role import AskRefused, Simulation
from outcry.settings import DEMO_SYMBOLS, ClusterSettings
from outcry.wiring.admin import admin_role, identity_of
from outcry.wiring.backbone import named
from outcry.wiring.process import Progress
from outcry.wiring.vitals import Vitals

KEYS_FILE: Final = "keys.json"  # where none is named
RETRY_SECONDS: Final = 1.0  # until the exchange is there


class Simulate:
    """``run`` trades until it is canceled."""

    def __init__(self, settings: ClusterSettings, progress: Progress) -> None:
        self._settings = named(settings)
        self._progress = progress
        self._vitals = Vitals(self._settings, pod=self._settings.pod, role="simulate")
        self._unready = "The exchange was not found yet."
        self._clock = SystemClock()
        self._url = settings.exchange_url.replace("http", "ws", 1) + "/ws-api/v3"

    async def run(self) -> None:
        """Raises Damaged where the crowd has no keys, OutOfService where the admin port is taken."""
        sessions, telemetry = self._sessions(), self._vitals.telemetry
        crew = Crew({}, telemetry)
        pod = PodAdmin(identity_of(self._settings), self._clock, connections=lambda: 0, queue_depth=lambda: 0)
        crew.add("admin", admin_role(self._settings, pod.routes, telemetry, is_ready=lambda: self._unready))
        self._vitals.begin(crew)
        try:
            await self._trade(sessions)
        finally:
            await crew.stop_all()
            await self._vitals.end()

    async def _trade(self, sessions: Mapping[int, Session]) -> None:
        anyone = Session(self._url, self._clock)
        info = await self._await_exchange(anyone)
        wanted = self._settings.simulation_symbols or DEMO_SYMBOLS
        instruments = [each for each in instruments_of(info) if each.symbol in wanted]
        listings = [Listing(each, await self._start(anyone, each.symbol, each.tick_size)) for each in instruments]
        tops = Tops(self._settings.stream_url, instruments)
        now_ms = self._clock.now_ms()
        crowd = Crowd(listings, self._settings.simulation_seed, f"{now_ms:x}", now_ms)

        async def ask(method: str, account_id: int, params: Mapping[str, str]) -> Any:
            return await sessions[account_id].ask(method, params)

        simulation = Simulation(
            crowd, instruments, ask=ask, feed=tops, prices=tops.prices, clock=self._clock,
            telemetry=self._vitals.telemetry,
            orders_per_sec=self._settings.simulation_orders_per_sec, workers=self._settings.simulation_workers,
        )  # fmt: skip
        self._unready = ""
        self._progress(f"The crowd trades {len(instruments)} symbols on {self._settings.exchange_url}")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(tops.run())
            tasks.create_task(simulation.run())

    def _sessions(self) -> dict[int, Session]:
        keys = keys_of(self._settings.keys_file, ACCOUNTS)
        return {account: Session(self._url, self._clock, key) for account, key in keys.items()}

    async def _await_exchange(self, session: Session) -> Any:
        """What `exchangeInfo` says, once every demo symbol is listed."""
        told = False
        while True:
            try:
                info = await session.ask("exchangeInfo", {})
                if len(info["symbols"]) >= len(demo.PAIRS):
                    return info
            except (OutOfService, OutcomeUnknown, AskRefused) as trouble:
                if not told:
                    self._progress(f"The crowd waits for {self._settings.exchange_url}: {trouble}")
                told = True
            await asyncio.sleep(RETRY_SECONDS)

    async def _start(self, session: Session, symbol: str, tick_size: int) -> int:
        """Where a market stands, ticks: its last candle, else the reference of the demo venue."""
        candles = await session.ask("klines", {"symbol": symbol, "interval": "1m", "limit": 1})
        if candles:
            return round(float(candles[-1][4]) * 1e8) // tick_size
        return next(pair.reference for pair in demo.PAIRS if pair.base + demo.QUOTE == symbol)


def keys_of(keys_file: str, accounts: Sequence[int]) -> dict[int, tuple[str, str]]:
    """API key and secret of each account, as `outcry setup` wrote or found them. Raises Damaged."""
    path = Path(keys_file or KEYS_FILE)
    if not path.exists():
        raise Damaged(f"{path} is missing: it holds the API keys. Run `outcry setup`, or set OUTCRY_KEYS_FILE.")
    keys = json.loads(path.read_text())
    missing = [account for account in accounts if str(account) not in keys]
    if missing:
        raise Damaged(f"{path} has no key for the accounts {missing}.")
    return {account: tuple(keys[str(account)]) for account in accounts}


def demo_keys(keys_file: str) -> list[tuple[str, str]]:
    """Those of the two demo accounts; the documented ones where no file is named and none is there. Raises Damaged."""
    if not keys_file and not Path(KEYS_FILE).exists():
        return [(api_key, secret) for api_key, secret, _ in demo.DEMO_KEYS]
    return list(keys_of(keys_file, demo.DEMO_ACCOUNTS).values())
