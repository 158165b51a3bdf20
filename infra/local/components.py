"""Starts the real components of a cluster on this machine: Apache Kafka (KRaft), PostgreSQL, Redis.

    components.py install                 install what is missing (apt-get as root; Kafka's own jars with Maven)
    components.py start DIR [NAME ...]    start them under DIR and print where they listen, as shell assignments
    components.py stop DIR [NAME ...]     stop them; what they stored stays in DIR
    components.py kill DIR NAME ...       SIGKILL; start again on the same DIR
    components.py run COMMAND ...         start all of them for a command, in a folder that goes with it

NAMES are kafka, postgres, fanout and state (two Redis). What the environment names already is left alone. Needs only
Python's standard library. Exit status 3: something is missing and could not be had; `run` goes on without it and says
so, unless CI=true.
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("OUTCRY_CACHE", Path.home() / ".cache" / "outcry"))
KAFKA_LIBS = CACHE / "kafka-4.3.0"
KAFKA_SETTINGS = HERE / "kafka"
KAFKA_LOGGING = f"-Dlog4j2.configurationFile={KAFKA_SETTINGS / 'log4j2.yaml'}"
KAFKA_CLASSES = CACHE / "kafka-4.3.0.jsa"  # as the JVM lays them out: with them a start costs half the CPU
# A broker here lives for minutes and shares few cores: compiling as a server does would take one of them from the
# exchange just then. Without it a broker that is at work for long spends about a third more CPU on a request.
KAFKA_JVM = os.environ.get("OUTCRY_KAFKA_HEAP", "-Xms256m -Xmx512m -XX:TieredStopAtLevel=1")
START_SECONDS, STOP_SECONDS = 120, 30
MISSING = 3


class Trouble(Exception):
    """A component cannot be had or does not start; the message says what to do."""


def install() -> None:
    """Installs what is missing. Raises Trouble with the command that a person can run."""
    wanted = {"redis-server": shutil.which("redis-server") is None, "postgresql": _postgres_bin("initdb") is None}
    wanted["default-jre-headless"] = shutil.which("java") is None
    wanted["maven"] = not _has_kafka() and shutil.which("mvn") is None
    missing = [package for package, is_missing in wanted.items() if is_missing]
    if missing:
        command = f"apt-get install -y --no-install-recommends {' '.join(missing)}"
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise Trouble(f"These are missing: {', '.join(missing)}. Run as root: {command}")
        # The packages' own services must not start: Outcry's instances are private ones.
        with _no_services():
            _sh(["sh", str(HERE / "apt.sh"), "The tests need the components of a cluster.", *missing])
    if not _has_kafka():
        _say("Fetching Apache Kafka 4.3.0 from Maven Central ...")
        KAFKA_LIBS.mkdir(parents=True, exist_ok=True)
        pom, goal = str(KAFKA_SETTINGS / "pom.xml"), "dependency:copy-dependencies"
        _sh(["mvn", "-q", "-B", "-f", pom, goal, f"-DoutputDirectory={KAFKA_LIBS}"])
        (KAFKA_LIBS / ".complete").touch()
    if not KAFKA_CLASSES.exists():
        _say("Keeping Apache Kafka's classes as the JVM lays them out ...")
        _keep_classes()


@dataclass(frozen=True)
class Component:
    """How one component is prepared in a folder and started, and which variable tells where it listens."""

    variable: str
    prepare: Callable[[Path, int], list[str]]  # writes its configuration; returns the command that runs it
    url: Callable[[int], str]
    stop_signal: signal.Signals = signal.SIGTERM
    as_user: str = ""  # root hands the component to this user, if the machine has it

    def start(self, folder: Path) -> str:
        """Starts it unless it runs; returns its URL once it answers."""
        folder.mkdir(parents=True, exist_ok=True)
        port = port_of(folder)
        if _running(folder) is None:
            self._own(folder)
            command = _as(self._user, self.prepare(folder, port))
            with (folder / "log").open("ab") as log:
                process = subprocess.Popen(
                    command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/", start_new_session=True
                )
            (folder / "pid").write_text(str(process.pid))
            self.wait(folder, port, process)
        return self.url(port)

    def stop(self, folder: Path, wanted: signal.Signals | None = None) -> None:
        """Ends it and waits until it is gone."""
        pid = _running(folder)
        if pid is None:
            return
        os.kill(pid, wanted or self.stop_signal)
        deadline = time.monotonic() + STOP_SECONDS
        while _running(folder) is not None:
            if time.monotonic() > deadline:
                deadline += STOP_SECONDS
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        (folder / "pid").unlink(missing_ok=True)

    @property
    def _user(self) -> str:
        return self.as_user if self.as_user and os.geteuid() == 0 else ""

    def _own(self, folder: Path) -> None:
        if self._user:
            shutil.chown(folder, self._user)
            if subprocess.run(_as(self._user, ["test", "-w", str(folder)]), check=False).returncode:
                raise Trouble(
                    f"{folder} must be reachable for the user {self._user}: choose a folder below /tmp or /var."
                )

    def wait(self, folder: Path, port: int, process: "subprocess.Popen[bytes]") -> None:
        """Until it answers. Raises Trouble with the end of its log."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.05)
        tail = "\n".join((folder / "log").read_text(errors="replace").splitlines()[-15:])
        self.stop(folder, signal.SIGKILL)
        raise Trouble(f"{folder.name} did not start; its log ends with:\n{tail}")


def _kafka(folder: Path, port: int) -> list[str]:
    if not _has_kafka() or shutil.which("java") is None:
        raise Trouble("Kafka is not installed. Run: components.py install")
    config = folder / "server.properties"
    more = folder / "more.properties"
    own = {"port": port, "controller": port + 1, "log": folder / "data", **_more_listeners(folder)}
    text = (KAFKA_SETTINGS / "server.properties").read_text().format_map(own)
    config.write_text(text + (more.read_text() if more.exists() else ""))
    classes = ["-cp", f"{KAFKA_LIBS}/*"]
    if not (folder / "data" / "meta.properties").exists():
        tool = ["java", *classes, "kafka.tools.StorageTool"]
        told = subprocess.run([*tool, "random-uuid"], capture_output=True, text=True, check=True)
        _sh([*tool, "format", "--standalone", "-t", told.stdout.split()[-1], "-c", str(config)], log=folder / "log")
    kept = [f"-XX:SharedArchiveFile={KAFKA_CLASSES}"] if KAFKA_CLASSES.exists() else []
    return ["java", *KAFKA_JVM.split(), "-XX:+UseG1GC", *kept, KAFKA_LOGGING, *classes, "kafka.Kafka", str(config)]


def _keep_classes() -> None:
    """Starts Kafka once; the JVM writes at its end what it loaded. One of another version takes no notice of it."""
    kafka = COMPONENTS["kafka"]
    with tempfile.TemporaryDirectory(prefix="outcry-kafka-") as name:
        folder, written = Path(name), Path(name) / "classes"
        _, *words = kafka.prepare(folder, port := port_of(folder))
        with (folder / "log").open("ab") as log:
            command = ["java", f"-XX:ArchiveClassesAtExit={written}", *words]
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/")
        (folder / "pid").write_text(str(process.pid))
        kafka.wait(folder, port, process)
        kafka.stop(folder)
        if written.exists():
            shutil.move(written, KAFKA_CLASSES.with_suffix(".new"))
            KAFKA_CLASSES.with_suffix(".new").replace(KAFKA_CLASSES)


def kafka_tool(name: str, *words: str) -> list[str]:
    """The command of one of Kafka's own tools, by its class."""
    return ["java", KAFKA_LOGGING, "-cp", f"{KAFKA_LIBS}/*", name, *words]


def _more_listeners(folder: Path) -> dict[str, str]:
    """Those of the file `listeners`, one a line: name, port, advertised port (perhaps a proxy's), protocol."""
    kept = folder / "listeners"
    rows = [line.split() for line in kept.read_text().splitlines()] if kept.exists() else []
    return {
        "listeners": "".join(f",{name}://127.0.0.1:{port}" for name, port, *_ in rows),
        "advertised": "".join(f",{name}://127.0.0.1:{port}" for name, _, port, *_ in rows),
        "protocols": "".join(f",{name}:{protocol[0] if protocol else 'PLAINTEXT'}" for name, _, _, *protocol in rows),
    }


def _postgres(folder: Path, port: int) -> list[str]:
    initdb, server = _postgres_bin("initdb"), _postgres_bin("postgres")
    if initdb is None or server is None:
        raise Trouble("PostgreSQL is not installed. Run: components.py install")
    data = folder / "data"
    if not (data / "PG_VERSION").exists():
        user = "postgres" if os.geteuid() == 0 else ""
        options = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-instructions"]
        _sh(_as(user, [str(initdb), "-D", str(data), *options]), log=folder / "log")
    settings = {**_POSTGRES_SETTINGS, "port": str(port), "unix_socket_directories": ""}
    return [str(server), "-D", str(data), *(f"--{name}={value}" for name, value in settings.items())]


def add_logins(url: str, groups: Mapping[str, str]) -> None:
    """Makes logins of a PostgreSQL that was started here, each a member of one group. Those that are there stay."""
    psql = _postgres_bin("psql")
    if psql is None:
        raise Trouble("psql is not installed. Run: components.py install")
    known = "SELECT FROM pg_roles WHERE rolname = '{}'"
    script = "".join(
        f"SELECT 'CREATE ROLE {name} LOGIN IN ROLE {group}' WHERE NOT EXISTS ({known.format(name)}) \\gexec\n"
        for name, group in groups.items()
    )
    subprocess.run([str(psql), "-qX", "-v", "ON_ERROR_STOP=1", url], input=script, text=True, check=True)


def as_login(url: str, name: str) -> str:
    """The same database for another login."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{name}@{parts.netloc.rpartition('@')[2]}"))


def _redis(*options: str) -> Callable[[Path, int], list[str]]:
    def prepare(folder: Path, port: int) -> list[str]:
        if shutil.which("redis-server") is None:
            raise Trouble("Redis is not installed. Run: components.py install")
        fixed = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""]
        return ["redis-server", *fixed, *options]

    return prepare


COMPONENTS = {
    "kafka": Component("OUTCRY_KAFKA", _kafka, lambda port: f"127.0.0.1:{port}"),
    # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for its clients.
    "postgres": Component(
        "OUTCRY_POSTGRES", _postgres, lambda port: f"postgresql://postgres@127.0.0.1:{port}/postgres",
        stop_signal=signal.SIGINT, as_user="postgres",
    ),
    "fanout": Component(
        "OUTCRY_REDIS_FANOUT",
        _redis("--appendonly", "no", "--client-output-buffer-limit", "pubsub 256mb 64mb 10"),
        lambda port: f"redis://127.0.0.1:{port}/0",
    ),
    "state": Component(
        "OUTCRY_REDIS_STATE", _redis("--appendonly", "yes", "--appendfsync", "everysec"),
        lambda port: f"redis://127.0.0.1:{port}/0",
    ),
}  # fmt: skip


def start(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Starts components under a folder, those of the environment excepted; returns the variables that name them."""
    told: dict[str, str] = {}
    for name in names:
        component = COMPONENTS[name]
        given = os.environ.get(component.variable)
        told[component.variable] = given or component.start(folder / name)
    return told


def stop(folder: Path, names: Sequence[str], how: signal.Signals | None = None) -> None:
    """Stops what runs under a folder, last started first."""
    for name in reversed(names):
        COMPONENTS[name].stop(folder / name, how)


def run(command: Sequence[str]) -> int:
    """Runs a command with the components' variables in its environment; returns its exit status."""
    with tempfile.TemporaryDirectory(prefix="outcry-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        _POSTGRES_SETTINGS["fsync"] = "off"  # the folder goes with the command: nothing in it has to survive a crash
        stack.callback(stop, folder, list(COMPONENTS))
        told: dict[str, str] = {}
        for each in COMPONENTS:
            try:
                told |= start(folder, [each])
            except Trouble as trouble:
                if os.environ.get("CI") == "true":
                    raise
                _say(f"components: going on without {each}. {trouble}")
        process = subprocess.Popen(list(command), env={**os.environ, **told})
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: process.send_signal(number))
        return process.wait()


def main(words: Sequence[str]) -> int:
    """Carries out one verb; returns the exit status."""
    verb, *rest = words or ["help"]
    try:
        if verb == "install" and not rest:
            install()
        elif verb == "start" and rest:
            for variable, url in start(Path(rest[0]).resolve(), _names(rest[1:])).items():
                print(f"{variable}={url}")
        elif verb == "stop" and rest:
            stop(Path(rest[0]).resolve(), _names(rest[1:]))
        elif verb == "kill" and len(rest) > 1:
            stop(Path(rest[0]).resolve(), _names(rest[1:]), signal.SIGKILL)
        elif verb == "run" and rest:
            return run(rest)
        else:
            print(__doc__)
            return 2
    except Trouble as trouble:
        _say(f"components: {trouble}")
        return MISSING
    return 0


def _names(words: Sequence[str]) -> list[str]:
    unknown = [word for word in words if word not in COMPONENTS]
    if unknown:
        raise Trouble(f"there is no component {unknown[0]!r}, only {', '.join(COMPONENTS)}")
    return list(words or COMPONENTS)


def _has_kafka() -> bool:
    return (KAFKA_LIBS / ".complete").exists()


def _postgres_bin(name: str) -> Path | None:
    """Debian keeps the server's programs off the PATH, a folder for each version: the newest is taken."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    on_path = shutil.which(name)
    return versions[-1] if versions else Path(on_path) if on_path else None


def _as(user: str, command: list[str]) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *command] if user else command


def port_of(folder: Path) -> int:
    """The port a component keeps for good, so that its clients find it again; Kafka's controller has the next one."""
    kept = folder / "port"
    if not kept.exists():
        # Below the range from which the system gives out ports, so that nobody takes it while the component is down.
        port = next(
            port for port in iter(lambda: random.randrange(10_000, 30_000), 0) if is_free(port) and is_free(port + 1)
        )
        kept.write_text(str(port))
    return int(kept.read_text())


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _running(folder: Path) -> int | None:
    try:
        pid = int((folder / "pid").read_text())
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        os.kill(pid, 0)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return None
    return pid


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            policy.unlink()


def _sh(command: Sequence[str], *, log: Path | None = None) -> None:
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(log.open("ab")) if log else sys.stderr
        done = subprocess.run(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd="/", check=False)
    if done.returncode:
        raise Trouble(f"`{' '.join(map(str, command))}` failed" + (f"; see {log}" if log else ""))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


_POSTGRES_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "max_connections": "200",
    "wal_compression": "lz4",
    "log_min_messages": "warning",
    "autovacuum_naptime": "10s",
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
