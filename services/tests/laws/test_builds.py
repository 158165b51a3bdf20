"""The compiled core and other Python versions do what the interpreted core does here, event for event."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.laws.test_determinism import digest

ROOT = Path(__file__).resolve().parents[3]
SERVICES = ROOT / "services"
COMPILED = ROOT / ".venv-compiled"
LONG = bool(os.environ.get("OUTCRY_TEST_LONG"))
COMMANDS = 20_000 if LONG else 2_000
HASH_SEEDS = ("0", "1", "4711")
MARKET_TESTS = ("services/tests/market", "services/tests/laws/test_book_is_the_naive_book.py")


def python_of(environment: Path) -> Path:
    """The interpreter of an environment, or a skip (in CI a failure) that says how to get it."""
    python = environment / "bin" / "python"
    if not python.exists():
        message = f"{environment.name} is missing; run `make builds`"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return python


def others() -> list[Path]:
    """Environments of other Python versions; which there are depends on the machine."""
    return sorted((ROOT / ".venv-pythons").glob("*"))


def digest_of(python: Path, path: list[Path], hash_seed: str) -> str:
    code = f"from tests.laws.test_determinism import digest; print(digest(7, {COMMANDS}))"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(map(str, path))}
    done = subprocess.run(
        [python, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_compiled_core_leaves_the_same_rows() -> None:
    python = python_of(COMPILED)
    path = [COMPILED / "outcry-compiled", SERVICES]
    assert {digest_of(python, path, seed) for seed in HASH_SEEDS[: 3 if LONG else 1]} == {digest(7, COMMANDS)}


def test_other_python_versions_leave_the_same_rows() -> None:
    if not others():
        pytest.skip(f"no other Python than {sys.version.split()[0]} was found by `make builds`")
    expected = digest(7, COMMANDS)
    for environment in others():
        for seed in HASH_SEEDS[: 3 if LONG else 1]:
            assert digest_of(python_of(environment), [SERVICES], seed) == expected, (environment.name, seed)


def test_the_compiled_core_passes_the_tests_of_the_market() -> None:
    python = python_of(COMPILED)
    compiled = COMPILED / "outcry-compiled"
    where = subprocess.run(
        [python, "-c", "import outcry.market.pit as pit; print(pit.__file__)"],
        env={**os.environ, "PYTHONPATH": str(compiled)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.strip().endswith(".so"), where.stdout
    command = [str(python), "-m", "pytest", "-q", "-o", f"pythonpath={compiled} services", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *MARKET_TESTS], cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]
