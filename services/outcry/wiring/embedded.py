"""The embedded exchange: every role in one process on one SQLite file."""

import asyncio
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from outcry import __version__
from outcry.adapters.clock import SystemClock
from outcry.adapters.memory import MemoryFeed, MemoryShared
from outcry.adapters.sqlite import InUse as InUse
from outcry.adapters.sqlite import Store
from outcry.adapters.watched import EngineWatch, watch_keeper
from outcry.agents.crowd import ACCOUNTS, Crowd, Listing
from outcry.ports import OutcomeUnknown, OutOfService
from outcry.roles.admin import masterkey
from outcry.roles.admin.control import Control
from outcry.roles.admin.demo import WithoutDemoKeys
from outcry.roles.admin.founding import Founding, start_price, terms_of
from outcry.roles.admin.verbs import Admin
from outcry.roles.api import listing as api_listing
from outcry.roles.api.app import build_app
from outcry.roles.api.desk import Desk
from outcry.roles.api.errors import Refusal
from outcry.roles.api.gate import Gate
from outcry.roles.api.insider import Insider
from outcry.roles.api.server import Server, bound_socket, config_of, local_url
from outcry.roles.api.vault import KeyRing, Vault
from outcry.roles.api.venue import Venue
from outcry.roles.api.wire import Asgi
from outcry.roles.crew import Crew
from outcry.roles.engine.engine import Engine
from outcry.roles.engine.keeper import Keeper
from outcry.roles.simulate.role import AskRefused, Simulation
from outcry.roles.stream.entries import orders_given_up
from outcry.roles.stream.protocol import StreamProtocol
from outcry.roles.stream.public import PublicSockets
from outcry.roles.stream.userdata import UserStreams
from outcry.roles.stream.wsapi import WsApi
from outcry.settings import DEMO_SYMBOLS, Settings
from outcry.telemetry.traces import Tracer
from outcry.wiring.at_rest import LEDGER_FILE, MASTER_KEY_FILE, key_path, vault_of
from outcry.wiring.endpoints import ENDPOINTS
from outcry.wiring.observing import observe_desk, observe_engine, observe_streams
from outcry.wiring.process import Progress, allow_many_sockets, begin_logging, in_loop, spare_the_collector
from outcry.wiring.vitals import Vitals

ROLE: Final = "up"
POD: Final = "embedded"  # the directory's lock keeps it unique, so a restart takes its own leases back at once
DRAIN_SECONDS: Final = 5.0  # for accepted orders to get their answers at the end
GOODBYE_SECONDS: Final = 0.5  # over which WebSocket clients are closed
WATCH_SECONDS: Final = 1.0
SWITCH_SECONDS: Final = 0.0005  # the ledger's writer gets the interpreter back soon: 5 to 10 % more orders by batch


class Exchange:
    """Every role in one process on one data directory: ``start``, let ``app`` be served, ``stop``."""

    def __init__(self, settings: Settings, progress: Progress, url: str = "", tracer: Tracer | None = None) -> None:
        self.settings = settings
        self._url = url
        self._progress = progress
        self._folder = Path(settings.data_dir)
        self.clock = SystemClock()
        self.feed = MemoryFeed()
        self.store = Store(self._folder / LEDGER_FILE, clock=self.clock)
        self._vitals = Vitals(settings, pod=POD, role=ROLE, tracer=tracer)
        self.telemetry = self._vitals.telemetry

    async def start(self) -> None:
        """Opens the store, founds the venue, recovers, and lets every role run. Raises Damaged, OutOfService."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        masterkey.refuse_emptied(self._folder / LEDGER_FILE, self._folder / MASTER_KEY_FILE)
        await asyncio.to_thread(self.store.open)
        await self._keep_partitions()
        vault = await vault_of(self.settings, self.store)
        masterkey.refuse_strange(key_path(self.settings), await self.store.ledger.keys(), vault.opens)
        self._founding = Founding(
            self.store.ledger, self.store.journal, self.clock, vault.seal, self.settings, self._progress
        )
        await self._founding.run()
        self._assemble(vault)
        await self._recover()
        await self._begin()

    async def _keep_partitions(self) -> None:
        """A ledger's partitions never become fewer: their symbols stay where they are."""
        known = max([row.part for row in await self.store.ledger.partitions()], default=-1) + 1
        if known > self.settings.partitions:
            self._progress(
                f"This exchange has {known} partitions; OUTCRY_PARTITIONS={self.settings.partitions} is not used."
            )
            self.settings = replace(self.settings, partitions=known)

    def _assemble(self, vault: Vault) -> None:
        """Builds the roles and the app; nothing runs yet."""
        store, settings, clock = self.store, self.settings, self.clock
        partitions = range(settings.partitions)
        watch = EngineWatch(self.telemetry, self._vitals.tracer)
        self.engine = Engine(
            journal=watch.journal(store.journal), ledger=watch.ledger(store.ledger), lease=watch.lease(store.lease),
            feed=watch.publisher(self.feed), clock=clock, owner=POD, partitions=partitions,
        )  # fmt: skip
        self.keeper = Keeper(
            ledger=watch_keeper(store.ledger, self.telemetry), journal=store.journal, clock=clock,
            partitions=partitions, settings=settings,
        )  # fmt: skip
        self.desk = Desk(
            ledger=store.ledger, journal=store.journal, feed=self.feed, clock=clock, settings=settings, pod=POD,
            telemetry=self.telemetry, halted=self.engine.halted, lags=lambda: self.engine.lags,
            tracer=self._vitals.tracer,
        )  # fmt: skip
        observe_engine(self.telemetry, self.engine, clock)
        observe_desk(self.telemetry, self.desk, settings)
        self.venue = Venue(
            settings=settings, ledger=store.ledger, feed=self.feed, shared=MemoryShared(), clock=clock,
            order_desk=self.desk, telemetry=self.telemetry, halted=self.engine.halted,
        )  # fmt: skip
        self.crew = Crew(self.venue.status, self.telemetry)
        self.gate = Gate(self.venue, vault)
        if not settings.loopback:
            self.gate.keys = KeyRing(WithoutDemoKeys(store.ledger), vault, clock)
        self.listing = api_listing.Listing(self.venue)
        users = UserStreams(self.venue)
        self._given_up = orders_given_up(store.ledger, users)
        self._admin = Admin(store.ledger, store.journal, clock, vault.seal, on_transfer=users.transferred)
        self.venue.operator = self._admin
        self.sockets = PublicSockets(self.venue, self.gate, users)
        self.ws_api = WsApi(self.gate, ENDPOINTS, users, telemetry=self.telemetry)
        observe_streams(self.telemetry, lambda: (*self.sockets.clients(), *self.ws_api.clients))
        served: dict[str, Asgi] = {**self.sockets.served, "/ws-api/v3": self.ws_api}
        self.app = build_app(self.venue, self.gate, ENDPOINTS, served, telemetry=self.telemetry)

    async def _recover(self) -> None:
        self.listing.start()
        self.sockets.hub.start()
        await self.engine.start()
        await self.listing.refresh()

    async def _begin(self) -> None:
        recovered = [True]

        async def engine() -> None:
            if not recovered:
                await self.engine.start()
            recovered.clear()
            await self.engine.run()

        self.crew.add("engine", engine)
        self.crew.add("keeper", self.keeper.run)
        self.crew.add("desk", self.desk.run)
        self.crew.add("listing", self.listing.run)
        self.crew.add("streams", self.sockets.hub.supervise)
        self.crew.add("windows", lambda: self.feed.supervise_cuts(self.clock))
        self.crew.add("given up", self._given_up.supervise)
        self.crew.add("watch", self._watch)
        self._vitals.begin(self.crew)
        self.control = Control(self._admin, self._folder, self._url)
        await self.control.start()
        if self.settings.simulation_enabled:
            self.simulation = await self._simulation()
            self.crew.add("simulation", self.simulation.run)

    async def _watch(self) -> None:
        """Tells health and metrics how the engine fares."""
        while True:
            state, cause = "ok", ""
            if self.engine.stalled:
                state, cause = "down", f"{self.engine.lag} records wait and none is applied. {self.engine.trouble}"
            elif self.engine.trouble:
                state, cause = "degraded", self.engine.trouble
            now_ms, progress = self.clock.now_ms(), self.engine.progress
            self.venue.status["matching"] = {
                "status": state, "detail": cause.strip(), "lag_records": self.engine.lag,
                "oldest_ms": max((progress.age_ms(part, now_ms) for part in self.engine.sessions), default=0),
                "unacknowledged_orders": self.desk.unacknowledged, "halted": dict(self.engine.halted),
            }  # fmt: skip
            await asyncio.sleep(WATCH_SECONDS)

    async def _simulation(self) -> Simulation:
        """The crowd on the chosen demo symbols, at the prices where they stand."""
        settings, ledger = self.settings, self.store.ledger
        rows = [row for row in await ledger.symbols() if self._is_simulated(terms_of(row).symbol)]
        listings = [Listing(terms_of(row), await start_price(ledger, row)) for row in rows]
        now_ms = self.clock.now_ms()
        crowd = Crowd(listings, settings.simulation_seed, f"{now_ms:x}", now_ms)
        accounts = [row for row in await ledger.accounts() if row.account_id in ACCOUNTS]
        insider = Insider(self.venue, ENDPOINTS, accounts)
        return Simulation(
            crowd, [listing.instrument for listing in listings], ask=_asking(insider), feed=self.feed,
            prices=self.venue.last_prices, clock=self.clock, telemetry=self.telemetry,
            orders_per_sec=settings.simulation_orders_per_sec, workers=settings.simulation_workers,
        )  # fmt: skip

    def _is_simulated(self, symbol: str) -> bool:
        return symbol in (self.settings.simulation_symbols or DEMO_SYMBOLS)

    @property
    def issued(self) -> Sequence[tuple[str, str, int]]:
        """Keys to tell the operator now: (key, secret, account)."""
        return [(key.api_key, key.secret, key.account_id) for key in self._founding.issued]

    async def part(self) -> None:
        """The first half of stopping, while the sockets still work: takes nothing more, answers, says goodbye."""
        self.venue.status["api"] = {"status": "down", "detail": "The exchange is stopping."}
        await self.crew.stop("simulation")
        await self.desk.drain(DRAIN_SECONDS)
        await asyncio.gather(self.sockets.goodbye(GOODBYE_SECONDS), self.ws_api.goodbye(GOODBYE_SECONDS))

    async def stop(self) -> None:
        """The second half: ends the roles in the order in which they need each other, then the store."""
        if hasattr(self, "control"):
            await self.control.stop()
            for name in ("simulation", "desk", "windows", "streams", "listing"):
                await self.crew.stop(name)
            self.sockets.hub.close()
            await self.keeper.stop()
            await self.engine.stop()
            await self.crew.stop_all()
        await asyncio.to_thread(self.store.close)
        await self._vitals.end()


def serve(settings: Settings, progress: Progress) -> int:
    """Runs the exchange until a signal ends it; returns the exit status. Raises what ``Exchange.start`` raises."""
    begin_logging(settings, pod=POD, role=ROLE)
    return in_loop(_serve(settings, progress))


async def _serve(settings: Settings, progress: Progress) -> int:
    allow_many_sockets()
    listener = bound_socket(settings.host, settings.port)
    exchange = Exchange(settings, progress, local_url(settings.host, listener.getsockname()[1]))
    progress(f"Outcry {__version__} starts on {Path(settings.data_dir).resolve()}")
    try:
        await exchange.start()
        spare_the_collector()
        sys.setswitchinterval(SWITCH_SECONDS)
        server = Server(config_of(exchange.app, StreamProtocol), exchange.part)
        _announce(exchange, listener, progress)
        await server.serve(sockets=[listener])
    finally:
        await exchange.stop()
        listener.close()
    progress("Stopped.")
    return 0


def _announce(exchange: Exchange, listener: socket.socket, progress: Progress) -> None:
    settings = exchange.settings
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{listener.getsockname()[1]}"
    crowd = f"{settings.simulation_orders_per_sec:g} orders/s" if settings.simulation_enabled else "off"
    progress(f"Ready on {url}  (status page there; reference at {url}/docs; simulation {crowd})")
    for api_key, secret, account_id in exchange.issued:
        progress(f"  account {account_id}: key {api_key}  secret {secret}")
    if exchange.issued and not settings.loopback:
        progress("  These secrets are shown this once. `outcry keys create` issues more.")


def _asking(insider: Insider) -> Callable[[str, int, Mapping[str, str]], Coroutine[Any, Any, None]]:
    """The crowd's way into the exchange, in its own terms of trouble."""

    async def ask(method: str, account_id: int, params: Mapping[str, str]) -> None:
        try:
            await insider.ask(method, account_id, params)
        except Refusal as refusal:
            if refusal.status == 503:
                raise OutOfService(refusal.text) from None
            if refusal.status == 504:
                raise OutcomeUnknown(refusal.text) from None
            placed = isinstance(refusal.data, Mapping) and refusal.data.get("newOrderResult") == "SUCCESS"
            if not placed:
                raise AskRefused(refusal.code, refusal.text) from None

    return ask
