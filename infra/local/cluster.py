"""Runs a whole cluster on this machine: Kafka, PostgreSQL, Redis, and the roles of Outcry as processes of their own.

    cluster.py DIR [--apis N] [--engines N] [--streams N] [--port P]

Data, logs and keys stay in DIR; what the environment names (OUTCRY_KAFKA, OUTCRY_POSTGRES, OUTCRY_REDIS_FANOUT,
OUTCRY_REDIS_STATE) is used instead of starting it. A role that ends by itself is started again after a second, as
Kubernetes would. Ctrl-C stops the roles, which hand over and drain, and then the components.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import components

LOGINS = {"api": "api_rw", "engine": "engine_rw", "stream": "stream_ro"}  # role -> what its database login may do
READY_SECONDS = 90
STOP_SECONDS = 30
RESTART_SECONDS = 1.0
STREAM_PORT = 10  # above the first api's
ADMIN_PORT = 20


@dataclass
class Process:
    """One role, started again whenever it ends by itself."""

    name: str
    verb: str
    environ: dict[str, str]
    log: Path
    url: str = ""
    running: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    starts: int = 0

    def start(self) -> None:
        """Starts the process."""
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                [sys.executable, "-m", "outcry", self.verb], env={**os.environ, **self.environ}, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self.started = time.monotonic()
        self.starts += 1

    def tell(self, how: signal.Signals) -> None:
        """Sends a signal, if it runs."""
        if self.running is not None and self.running.poll() is None:
            self.running.send_signal(how)

    def look(self) -> bool:
        """Starts it again if it has ended; True when it had."""
        if self.running is None or self.running.poll() is None:
            return False
        if time.monotonic() - self.started < RESTART_SECONDS:
            return False
        self.start()
        return True

    def ready(self) -> bool:
        """Whether its probe says so; a role without one is ready when it runs."""
        if self.running is None or self.running.poll() is not None:
            return False
        if not self.url:
            return True
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
        return False


@dataclass
class Cluster:
    """``start`` brings everything up, ``look`` keeps it up, ``stop`` ends it."""

    folder: Path
    apis: int = 2
    engines: int = 2
    streams: int = 1
    port: int = 8080
    environ: dict[str, str] = field(default_factory=dict)  # beside the components' addresses
    environ_of: dict[str, dict[str, str]] = field(default_factory=dict)  # by role, above all others
    logins: bool = "OUTCRY_POSTGRES" not in os.environ  # whether each role has a login of its own at the database
    processes: dict[str, Process] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)  # what every role's environment has, once it is started

    def start(self) -> None:
        """Starts the components, sets the exchange up and starts the roles. Raises components.Trouble."""
        self.prepare()
        for process in self.processes.values():
            process.start()

    def prepare(self) -> None:
        """All of ``start`` but the roles: these wait in ``processes``. Raises components.Trouble."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        (self.folder / "logs").mkdir(exist_ok=True)
        shared = self.shared = {
            **components.start(self.folder, list(components.COMPONENTS)),
            "OUTCRY_MASTER_KEY_FILE": str(self.folder / "master.key"),
            "OUTCRY_KEYS_FILE": str(self.folder / "keys.json"),
            "OUTCRY_DEMO": "true",
            "OUTCRY_PARTITIONS": "8",
            "OUTCRY_URL": self.url,
            "OUTCRY_STREAM_URL": self.stream_url,
            **self.environ,
        }
        self._set_up(shared)
        if self.logins:
            components.add_logins(shared["OUTCRY_POSTGRES"], {login(verb): group for verb, group in LOGINS.items()})
        self._name_processes(shared)

    @property
    def url(self) -> str:
        """The first api."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def stream_url(self) -> str:
        """The first stream process."""
        return f"ws://127.0.0.1:{self.port + STREAM_PORT}"

    def await_ready(self) -> None:
        """Waits until every role is ready. Raises components.Trouble with the end of a log."""
        deadline = time.monotonic() + READY_SECONDS
        for process in self.processes.values():
            while not process.ready():
                if time.monotonic() > deadline:
                    tail = "\n".join(process.log.read_text(errors="replace").splitlines()[-15:])
                    raise components.Trouble(f"{process.name} is not ready; its log ends with:\n{tail}")
                self.look()
                time.sleep(0.1)

    def look(self) -> list[str]:
        """Starts again what has ended; returns the names."""
        return [process.name for process in self.processes.values() if process.look()]

    def stop(self) -> None:
        """Lets the roles drain, clients' side first, and then stops the components."""
        for verbs in (("simulate",), ("api", "stream"), ("engine",)):
            going = [process for process in self.processes.values() if process.verb in verbs]
            for process in going:
                process.tell(signal.SIGTERM)
            for process in going:
                _await_end(process)
        components.stop(self.folder, list(components.COMPONENTS))

    def _set_up(self, shared: dict[str, str]) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "outcry", "setup"], env={**os.environ, **shared, "OUTCRY_POD": "setup"}, check=False
        )
        if done.returncode:
            raise components.Trouble("the set-up failed")

    def _name_processes(self, shared: dict[str, str]) -> None:
        admin = self.port + ADMIN_PORT
        streams_at = self.port + STREAM_PORT
        for verb, count, first_port in (
            ("engine", self.engines, 0), ("api", self.apis, self.port), ("stream", self.streams, streams_at),
        ):  # fmt: skip
            for number in range(count):
                self._add(f"{verb}-{number}", verb, shared, first_port + number if first_port else 0, admin)
                admin += 1
        if shared.get("SIMULATION_ENABLED", os.environ.get("SIMULATION_ENABLED", "true")) != "false":
            self._add("simulate-0", "simulate", shared, 0, 0)

    def _add(self, name: str, verb: str, shared: dict[str, str], port: int, admin: int) -> None:
        own = {"OUTCRY_POD": name, "OUTCRY_PORT": str(port), "OUTCRY_ADMIN_PORT": str(admin)}
        probe = f"http://127.0.0.1:{port or admin}" if verb != "simulate" else ""
        if self.logins and verb in LOGINS:
            own["OUTCRY_POSTGRES"] = components.as_login(shared["OUTCRY_POSTGRES"], login(verb))
        environ = {**shared, **own, **self.environ_of.get(verb, {})}
        self.processes[name] = Process(name, verb, environ, self.folder / "logs" / f"{name}.log", probe)


def login(verb: str) -> str:
    """As whom a role's processes log in to the database, where that was started here: none as its owner."""
    return f"outcry_{verb}"


def _await_end(process: Process) -> None:
    if process.running is None:
        return
    try:
        process.running.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.tell(signal.SIGKILL)
        process.running.wait()


def main(words: Sequence[str]) -> int:
    """Runs a cluster until a signal ends it; returns the exit status."""
    parser = argparse.ArgumentParser(description="Run a whole cluster on this machine.")
    parser.add_argument("folder", type=Path)
    for name, default in (("apis", 2), ("engines", 2), ("streams", 1), ("port", 8080)):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N")
    given = parser.parse_args(words)
    cluster = Cluster(given.folder.resolve(), given.apis, given.engines, given.streams, given.port)
    ended = False

    def end(*_: object) -> None:
        nonlocal ended
        ended = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    try:
        cluster.start()
        cluster.await_ready()
        _announce(cluster)
        while not ended:
            for name in cluster.look():
                print(f"{name} ended and was started again; see {cluster.folder}/logs/{name}.log", flush=True)
            time.sleep(0.2)
    except components.Trouble as trouble:
        print(f"cluster: {trouble}", file=sys.stderr)
        return components.MISSING
    finally:
        print("Stopping ...", flush=True)
        cluster.stop()
    return 0


def _announce(cluster: Cluster) -> None:
    apis = " ".join(process.url for process in cluster.processes.values() if process.verb == "api")
    print(f"Ready. REST and WebSocket API: {apis}")
    print(f"Market streams: {cluster.stream_url}/ws and /stream. API keys: {cluster.folder}/keys.json", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
