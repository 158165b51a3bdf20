"""A Redis for one test alone, which may be killed, stopped in its tracks and emptied."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from tests.support.ports import free_port

START_SECONDS = 60.0


class LonelyRedis:
    """One server process on a port that it keeps."""

    def __init__(self, folder: str, *, keeps: bool) -> None:
        self._port = free_port()
        self._folder = folder
        self._keeps = "yes" if keeps else "no"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Starts it, with what its log on disk has if it keeps one; returns when it answers."""
        words = ["redis-server", "--bind", "127.0.0.1", "--port", str(self._port), "--save", "", "--dir", self._folder]
        self._process = subprocess.Popen([*words, "--appendonly", self._keeps], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.command("PING")
                return
            except redis.ConnectionError:
                assert time.monotonic() < deadline, "Redis does not start"
                time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It keeps its connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def command(self, *words: str) -> Any:
        """Runs one command on a connection of its own."""
        with contextlib.closing(redis.Redis.from_url(self.url, protocol=2)) as client:
            return client.execute_command(*words)  # type: ignore[no-untyped-call]


@contextlib.asynccontextmanager
async def lonely_redis(*, keeps: bool = False) -> AsyncIterator[LonelyRedis]:
    """A new, empty one; ``keeps``: on disk, as the Redis of the port Shared does."""
    if shutil.which("redis-server") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("redis-server is not installed")
        pytest.skip("redis-server is not installed: infra/local/components.py install")
    with tempfile.TemporaryDirectory(prefix="outcry-redis-") as folder:
        server = LonelyRedis(folder, keeps=keeps)
        await asyncio.to_thread(server.start)
        try:
            yield server
        finally:
            server.kill()
