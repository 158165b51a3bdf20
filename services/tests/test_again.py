"""A development image's first process: a job ends, and a role runs what was copied in (docs/how-to/dev-loop.md)."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

AGAIN = Path(__file__).resolve().parents[2] / "infra/images/services/again.sh"
PATIENCE_SECONDS = 20.0
ROLE = "trap 'echo told to end; exit 0' TERM; echo started; while :; do sleep 0.05; done\n"


class Container:
    """``again`` with an ``outcry`` that is a shell script, which may be changed while it runs."""

    def __init__(self, folder: Path) -> None:
        self._outcry, self._log = folder / "outcry", folder / "log"
        self._paths = f"{folder}:/usr/bin:/bin"

    def write(self, script: str) -> None:
        changed = self._outcry.with_suffix(".new")
        changed.write_text(f"#!/bin/sh\n{script}")
        changed.chmod(0o755)
        changed.replace(self._outcry)

    def run(self, *words: str) -> None:
        with self._log.open("w") as log:
            self.process = subprocess.Popen([AGAIN, *words], env={"PATH": self._paths}, stdout=log)

    def says(self, line: str) -> bool:
        """Whether it comes to say this last."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (said := self._log.read_text().splitlines()[-1:]) != [line] and time.monotonic() < deadline:
            time.sleep(0.05)
        return said == [line]

    def change(self, script: str) -> None:
        self.write(script)
        self.process.send_signal(signal.SIGUSR1)

    def ended(self) -> int:
        return self.process.wait(PATIENCE_SECONDS)


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    made = Container(tmp_path)
    yield made
    if made.process.poll() is None:
        made.process.terminate()
        made.ended()


def test_a_job_ends_as_it_ended(container: Container) -> None:
    container.write('echo "$@"; exit 3\n')
    container.run("setup", "--await")
    assert container.ended() == 3
    assert container.says("setup --await")


def test_a_role_is_told_to_end_and_waited_for(container: Container) -> None:
    container.write(ROLE)
    container.run("api")
    assert container.says("started")
    container.process.terminate()
    assert container.ended() == 0
    assert container.says("told to end")


def test_what_was_copied_in_runs_even_after_a_file_that_cannot(container: Container) -> None:
    container.write(ROLE)
    container.run("api")
    assert container.says("started")
    container.change("exit 1\n")
    assert container.says("told to end")
    container.change(ROLE.replace("started", "mended"))
    assert container.says("mended")
    assert container.process.poll() is None
