"""A whole embedded exchange in a process of its own, for tests that need what a user has."""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_port

START_SECONDS = 60
STOP_SECONDS = 20
SERVICES = Path(__file__).resolve().parents[2]


@dataclass
class Exchange:
    """A running `outcry up`: its address, its data directory, its process."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody is told."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM and a graceful end; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def log(self) -> str:
        """What the process printed."""
        return (self.folder / "exchange.log").read_text()


def start_exchange(folder: Path, *, simulation: bool = False, python: Path | None = None, **settings: str) -> Exchange:
    """Starts `outcry up` on ``folder`` and waits until it is ready; ``settings`` go into its environment.

    ``python`` is another environment's interpreter, which then brings its own build of the exchange.
    """
    exchange = launch_exchange(folder, simulation=simulation, python=python, **settings)
    await_ready(exchange)
    return exchange


def launch_exchange(folder: Path, *, simulation: bool = False, python: Path | None = None, **settings: str) -> Exchange:
    """As ``start_exchange``, without waiting for anything."""
    port = free_port()
    own_code = {} if python else {"PYTHONPATH": str(SERVICES)}
    environment = {
        **os.environ,
        **own_code,
        "OUTCRY_LIMITS": "off",
        "SIMULATION_ENABLED": str(simulation).lower(),
        **settings,
    }
    command = [str(python or sys.executable), "-m", "outcry", "up", "--data", str(folder), "--port", str(port)]
    with (folder / "exchange.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    atexit.register(process.kill)  # a test that fails half-way leaves nothing running
    return Exchange(f"http://127.0.0.1:{port}", folder, process)


def is_ready(exchange: Exchange) -> bool:
    try:
        with urllib.request.urlopen(exchange.url + "/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:  # not listening yet, or not ready
        return False


def await_ready(exchange: Exchange) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if exchange.process.poll() is not None:
            raise AssertionError(f"the exchange ended while starting:\n{exchange.log()[-4000:]}")
        if is_ready(exchange):
            return
        time.sleep(0.05)
    exchange.kill()
    raise AssertionError(f"the exchange was not ready in {START_SECONDS} s:\n{exchange.log()[-4000:]}")


@contextlib.contextmanager
def running_exchange(
    folder: Path, *, simulation: bool = False, python: Path | None = None, **settings: str
) -> Iterator[Exchange]:
    """An exchange for the length of a ``with`` block, stopped gracefully at its end."""
    exchange = start_exchange(folder, simulation=simulation, python=python, **settings)
    try:
        yield exchange
    finally:
        if exchange.process.poll() is None:
            exchange.stop()
