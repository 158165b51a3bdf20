"""On a machine that lacks something, `make` installs it where it may and else names it with the remedy."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHELL_TOOLS = ("sh", "basename", "cat", "chmod", "cmp", "cp", "dirname", "grep", "mkdir", "mktemp", "rm", "sed", "tail")

NO_VENV = 'case "$*" in *ensurepip*) exit 1 ;; esac'  # a python3 as Debian splits it
A_GOOD_PYTHON = 'exec {}/bin/python{}.{} "$@"'.format(sys.base_prefix, *sys.version_info)
TOO_OLD = 'case "$*" in *version_info*) exit 1 ;; esac'


class Machine:
    """A PATH that holds the shell's tools and what a test puts there, and a copy of the scripts."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "outcry"
        self.environment = self.root / ".venv"
        self._bin = folder / "bin"
        self._bin.mkdir()
        for name in SHELL_TOOLS:
            (self._bin / name).symlink_to(str(shutil.which(name)))
        shutil.copytree(ROOT / "infra/local", self.root / "infra/local")
        (self.root / "requirements").mkdir()
        (self.root / "requirements/run.txt").write_text("# nothing\n")

    def put(self, name: str, script: str) -> None:
        """Puts a program there."""
        (self._bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (self._bin / name).chmod(0o755)

    def user(self, number: int, apt_get: str) -> None:
        """Makes it a Debian machine, used by root (0) or by another."""
        self.put("id", f"echo {number}")
        self.put("apt-get", apt_get)

    def setup(self) -> tuple[int, str]:
        """The exit status of `venv.sh` and all it said."""
        ran = subprocess.run(
            ["sh", "infra/local/venv.sh", str(self.environment), "run", "own"],
            cwd=self.root,
            env={"PATH": str(self._bin), "HOME": str(self.root), "PIP_NO_INDEX": "1"},
            capture_output=True, text=True,
            timeout=280, check=False,
        )  # fmt: skip
        return ran.returncode, ran.stdout + ran.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_python_a_user_is_told_what_to_install(machine: Machine) -> None:
    machine.user(1000, "exit 100")
    status, said = machine.setup()
    assert status == 1
    assert "No Python 3.11 or newer" in said and "apt-get install python3 python3-venv" in said
    assert "PYTHON=/path/to/it" in said


def test_a_python_that_is_too_old_counts_as_none(machine: Machine) -> None:
    machine.user(1000, "exit 100")
    machine.put("python3", TOO_OLD)
    status, said = machine.setup()
    assert status == 1 and "No Python 3.11 or newer" in said


def test_a_release_whose_own_python_is_too_old_has_a_newer_one_named(machine: Machine) -> None:
    machine.user(1000, "exit 100")
    machine.put(
        "apt-cache", 'case "$*" in *python3) echo "Version: 3.10" ;; *python3.11) echo "Version: 3.11.0" ;; esac'
    )
    machine.put("dpkg", '[ "$2" = 3.11.0 ]')
    status, said = machine.setup()
    assert status == 1 and "apt-get install python3.11 python3.11-venv" in said


def test_without_the_venv_module_a_user_is_told_the_package(machine: Machine) -> None:
    machine.user(1000, "exit 100")
    machine.put("python3", NO_VENV)
    status, said = machine.setup()
    assert status == 1
    assert "no venv module" in said and "apt-get install python3-venv" in said


def test_without_apt_the_packages_are_named_all_the_same(machine: Machine) -> None:
    machine.put("id", "echo 0")
    machine.put("python3", NO_VENV)
    status, said = machine.setup()
    assert status == 1 and "python3-venv" in said


def test_root_gets_the_missing_packages_installed(machine: Machine) -> None:
    arrives = f"#!/bin/sh\\n{A_GOOD_PYTHON}\\n"
    machine.put("python3", NO_VENV)
    machine.user(0, f'case "$*" in install*python3-venv*) printf \'{arrives}\' >"${{0%/*}}/python3" ;; esac')
    status, said = machine.setup()
    assert status == 0, said
    assert "Installing python3-venv with apt-get" in said
    assert (machine.environment / "bin/outcry").exists()


def test_what_apt_says_is_shown_when_it_fails(machine: Machine) -> None:
    machine.user(0, 'echo "E: no network"; exit 100')
    machine.put("python3", NO_VENV)
    status, said = machine.setup()
    assert status == 1
    assert "E: no network" in said and "apt-get could not install python3-venv" in said


def test_an_environment_is_made_once_and_again_after_it_broke(machine: Machine) -> None:
    machine.put("python3", A_GOOD_PYTHON)
    assert machine.setup()[0] == 0
    assert machine.setup() == (0, "")
    moved = machine.root.with_name("moved")
    machine.root.rename(moved)
    machine.root, machine.environment = moved, moved / ".venv"
    status, said = machine.setup()
    assert status == 0 and "Installing run into .venv" in said
    assert str(moved) in (machine.environment / "bin/outcry").read_text()
    shutil.rmtree(next(machine.environment.glob("lib/python*/site-packages/pip")))
    assert "Installing run into .venv" in machine.setup()[1]


def test_requirements_that_do_not_come_are_told(machine: Machine) -> None:
    machine.put("python3", A_GOOD_PYTHON)
    (machine.root / "requirements/run.txt").write_text("outcry-nowhere==1 --hash=sha256:00\n")
    status, said = machine.setup()
    assert status == 1 and "Is PyPI reachable" in said
    assert machine.setup()[0] == 1
