"""Two brokers of a test's own: the first leads, the second follows and can be stopped in its tracks."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from tests.support.secured import local_components

START_SECONDS = 60.0
SECOND = """\
process.roles=broker
node.id=2
listeners=PLAINTEXT://127.0.0.1:{port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
log.dirs={data}
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=1000
"""


class Twins:
    """``servers`` names both once they have started."""

    def __init__(self, folder: Path) -> None:
        self._components = local_components()
        self._first = self._components.COMPONENTS["kafka"]
        self._folder = folder
        self._second: subprocess.Popen[bytes] | None = None
        self.servers = ""

    def start(self) -> None:
        try:
            first = self._first.start(self._folder / "first")
        except self._components.Trouble as trouble:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(str(trouble))
        self._start_second(self._components.port_of(self._folder / "first") + 1, self._cluster_id(first))
        self.servers = f"{first},127.0.0.1:{self._components.port_of(self._folder / 'second')}"
        self._await(first)

    def stop(self) -> None:
        if self._second is not None:
            self._second.kill()
            self._second.wait()
        self._first.stop(self._folder / "first", signal.SIGKILL)

    def freeze(self) -> None:
        """The second keeps its connections and does nothing: it falls out of sync when its session has expired."""
        assert self._second is not None
        self._second.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._second is not None
        self._second.send_signal(signal.SIGCONT)

    def _start_second(self, controller: int, cluster_id: str) -> None:
        own = self._folder / "second"
        own.mkdir()
        config, log = own / "server.properties", own / "log"
        port = self._components.port_of(own)
        config.write_text(SECOND.format(port=port, controller=controller, data=own / "data"))
        tool = self._components.kafka_tool("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(config))
        with log.open("ab") as told:
            subprocess.run(tool, check=True, stdout=told, stderr=told)
            command = self._components.kafka_tool("kafka.Kafka", str(config))
            command[1:1] = self._components.KAFKA_JVM.split()
            self._second = subprocess.Popen(command, stdout=told, stderr=told)

    def _cluster_id(self, server: str) -> str:
        admin = KafkaAdminClient(bootstrap_servers=server)
        try:
            return str(admin.describe_cluster()["cluster_id"])
        finally:
            admin.close()

    def _await(self, server: str) -> None:
        admin, deadline = KafkaAdminClient(bootstrap_servers=server), time.monotonic() + START_SECONDS
        try:
            while len(admin.describe_cluster()["brokers"]) < 2:
                assert time.monotonic() < deadline, (self._folder / "second" / "log").read_text()[-2_000:]
                time.sleep(0.1)
        finally:
            admin.close()
