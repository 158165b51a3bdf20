"""A PostgreSQL of a test's own, and a standby that stopped following it and takes its place later."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

from tests.support.secured import local_components

START_SECONDS = 30.0


class Pair:
    """The primary listens at ``url``, and so does what takes its place."""

    def __init__(self, folder: Path) -> None:
        self._components = local_components()
        self._server = self._components.COMPONENTS["postgres"]
        self._folder = folder
        for each in (folder, *folder.parents):  # the server's own user must get there
            if each.stat().st_uid == os.geteuid():
                each.chmod(each.stat().st_mode | 0o111)
        self.url = ""

    def start(self) -> None:
        try:
            self.url = self._server.start(self._folder)
        except self._components.Trouble as trouble:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(str(trouble))
        self._await()

    def stop(self) -> None:
        self._server.stop(self._folder, signal.SIGKILL)

    def part(self) -> None:
        """The standby knows all that is committed now, and from now on nothing more."""
        program = self._components._postgres_bin("pg_basebackup")
        words = [str(program), "-d", self.url, "-D", str(self._folder / "standby"), "-X", "stream", "-c", "fast"]
        subprocess.run([*words, "--no-sync"], check=True, capture_output=True)

    def fail_over(self) -> None:
        """The primary is gone with its disk; the standby answers at its address."""
        self.stop()
        (self._folder / "data").rename(self._folder / "lost")
        (self._folder / "standby").rename(self._folder / "data")
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "postgres:postgres", str(self._folder / "data")], check=True)
        self.start()

    def _await(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "PostgreSQL does not start"
                time.sleep(0.05)
            else:
                return
