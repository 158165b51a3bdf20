"""Runs one role of a cluster as a process, from its start to its end."""

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import Any, Final, Protocol

from outcry import __version__
from outcry.adapters.clock import SystemClock
from outcry.roles.api.server import Server, bound_socket, config_of
from outcry.roles.api.wire import Asgi
from outcry.roles.stream.protocol import StreamProtocol
from outcry.roles.trial import Customer, Trial
from outcry.settings import ClusterSettings
from outcry.wiring.api import Api
from outcry.wiring.backbone import named
from outcry.wiring.engine import EngineRole
from outcry.wiring.patience import await_set_up, set_up_with_patience
from outcry.wiring.process import Progress, allow_many_sockets, begin_logging, in_loop, spare_the_collector
from outcry.wiring.simulate import Simulate, demo_keys
from outcry.wiring.stream import Stream

SWITCH_SECONDS: Final = 0.0005  # threads of the journal get the interpreter back soon


class Role(Protocol):
    """What the runner asks of a role."""

    @property
    def role(self) -> str: ...
    @property
    def settings(self) -> ClusterSettings: ...
    async def start(self) -> None: ...
    async def part(self) -> None: ...
    async def stop(self) -> None: ...


class Served(Role, Protocol):
    """A role with clients."""

    @property
    def app(self) -> Asgi: ...


def api(settings: ClusterSettings, progress: Progress) -> int:
    """Runs an api process until a signal ends it."""
    return _run(settings, Api.role, _served(Api(settings), progress))


def stream(settings: ClusterSettings, progress: Progress) -> int:
    """Runs a stream process until a signal ends it."""
    return _run(settings, Stream.role, _served(Stream(settings), progress))


def engine(settings: ClusterSettings, progress: Progress) -> int:
    """Runs an engine process until a signal ends it."""
    return _run(settings, EngineRole.role, _unserved(EngineRole(settings), progress))


def simulate(settings: ClusterSettings, progress: Progress) -> int:
    """Runs the crowd until a signal ends it."""
    return _run(settings, "simulate", _until_told(Simulate(settings, progress).run))


def setup(settings: ClusterSettings, progress: Progress, patience_seconds: float = 0.0) -> int:
    """Makes the cluster ready; what is out of service meanwhile is waited for so long."""
    return _run(settings, "setup", set_up_with_patience(settings, progress, patience_seconds)) or 0


def setup_elsewhere(settings: ClusterSettings, progress: Progress) -> int:
    """Waits until another process has made the cluster ready."""
    return _run(settings, "setup", await_set_up(settings, progress)) or 0


def trial(settings: ClusterSettings, progress: Progress) -> int:
    """Trades once with the demo accounts. Raises OutOfService, Damaged."""
    buyer, seller = (Customer(settings.exchange_url, key, SystemClock()) for key in demo_keys(settings.keys_file))
    return _run(settings, "trial", Trial(buyer, seller, settings.stream_url, progress).run()) or 0


def _run(settings: ClusterSettings, role: str, main: Any) -> int:
    begin_logging(settings, pod=named(settings).pod, role=role)
    sys.setswitchinterval(SWITCH_SECONDS)
    return int(in_loop(main) or 0)


async def _served(role: Served, progress: Progress) -> int:
    settings = role.settings
    allow_many_sockets()
    listener = bound_socket(settings.host, settings.port)
    try:
        await role.start()
        spare_the_collector()
        server = Server(config_of(role.app, StreamProtocol), role.part)
        progress(f"{_title(role)} is ready on {settings.host}:{listener.getsockname()[1]}")
        await server.serve(sockets=[listener])
    finally:
        await role.stop()
        listener.close()
    return 0


async def _unserved(role: Role, progress: Progress) -> int:
    try:
        await role.start()
        spare_the_collector()
        progress(f"{_title(role)} is ready")
        await _told().wait()
        await role.part()
    finally:
        await role.stop()
    return 0


async def _until_told(work: Callable[[], Any]) -> int:
    working, told = asyncio.ensure_future(work()), asyncio.ensure_future(_told().wait())
    await asyncio.wait([working, told], return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if working.done():
        working.result()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return 0


def _told() -> asyncio.Event:
    """Set by the first signal to end."""
    told = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, told.set)
    return told


def _title(role: Role) -> str:
    return f"Outcry {__version__} {role.role} {role.settings.pod}"
