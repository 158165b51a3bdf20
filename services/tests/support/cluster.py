"""A whole cluster for tests: its roles as processes on the components that the environment names."""

import contextlib
import importlib
import json
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.kafka import component
from tests.support.ports import free_ports
from tests.support.postgres import empty_database

PORTS = 30
INFRA = Path(__file__).resolve().parents[3] / "infra" / "local"
COMPONENTS = ("OUTCRY_KAFKA", "OUTCRY_POSTGRES", "OUTCRY_REDIS_FANOUT", "OUTCRY_REDIS_STATE")


@dataclass
class RunningCluster:
    """Where the first api and the first stream process listen, and whose keys there are."""

    processes: Any
    url: str
    stream_url: str
    environ: dict[str, str]

    def key(self, account_id: int) -> tuple[str, str]:
        """The API key and secret of a demo account."""
        keys = json.loads(Path(self.environ["OUTCRY_KEYS_FILE"]).read_text())
        api_key, secret = keys[str(account_id)]
        return api_key, secret

    def log(self) -> str:
        """The end of every log."""
        logs = sorted((self.processes.folder / "logs").glob("*.log"))
        return "\n".join(f"== {path.name}\n{path.read_text()[-1500:]}" for path in logs)


@contextlib.contextmanager
def running_cluster(folder: Path, *, engines: int = 2, apis: int = 2, **settings: str) -> Iterator[RunningCluster]:
    """A cluster with topic, database and key names of its own; skips, or fails in CI, without components."""
    for variable in COMPONENTS:
        component(variable)
    cluster_module = _module()
    port = free_ports(PORTS)
    with empty_database() as database:
        name = f"test-{secrets.token_hex(4)}"
        environ = {
            "OUTCRY_POSTGRES": database, "OUTCRY_TOPIC": name, "OUTCRY_REDIS_PREFIX": f"{name}:",
            "OUTCRY_MASTER_KEY_FILE": str(folder / "master.key"), "OUTCRY_KEYS_FILE": str(folder / "keys.json"),
            **settings,
        }  # fmt: skip
        needs_password = urlsplit(database).password is not None
        processes = cluster_module.Cluster(folder, apis, engines, 1, port, environ, logins=not needs_password)
        try:
            processes.start()
            processes.await_ready()
            yield RunningCluster(processes, processes.url, processes.stream_url, environ)
        finally:
            processes.stop()


def _module() -> Any:
    """infra/local/cluster.py, which is no part of a package."""
    if str(INFRA) not in sys.path:
        sys.path.insert(0, str(INFRA))
    return importlib.import_module("cluster")
