"""The compiled core and other Python versions do what the interpreted core does here, event for event."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import long_log

ROOT = Path(__file__).resolve().parents[3]
SERVICES = ROOT / "services"
COMPILED = ROOT / ".venv-compiled"
LONG = bool(os.environ.get("OUTCRY_TEST_LONG"))
COMMANDS = 1_000_000 if LONG else 4_000
HASH_SEEDS = ("0", "1", "4711")
LIMIT_SECONDS = 1_200 if LONG else 300  # of one run
MARKET_TESTS = ("services/tests/market", "services/tests/laws/test_book_is_the_naive_book.py")

Account = dict[str, Any]


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


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of four partitions with every kind of command, and records that no engine can read."""
    path = tmp_path_factory.mktemp("journal") / "frames"
    long_log.write(path, COMMANDS)
    return path


@pytest.fixture(scope="module")
def expected(journal: Path) -> Account:
    """What this Python makes of the journal in batches as large as they get, without a restart."""
    return told(long_log.apply(journal, 0))


def told(account: Account) -> Account:
    """What must be the same: all but how the run went, which is printed."""
    print(json.dumps({name: account.pop(name) for name in ("run", "python") if name in account}))
    return account


def account_of(python: Path, path: list[Path], hash_seed: str, journal: Path) -> Account:
    """What another interpreter makes of the journal; its batches and restarts differ with the hash seed."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(map(str, path))}
    done = subprocess.run(
        [python, "-m", "tests.support.long_log", "apply", journal, str(int(hash_seed) + 1)], env=environment,
        cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    account: Account = json.loads(done.stdout)
    assert account["run"]["restarts"] > 0
    return told(account)


def test_a_long_log_holds_what_can_go_wrong(expected: Account) -> None:
    for partition in expected.values():
        assert min(partition[each] for each in ("late", "repeated", "open")) > 0, partition
    for kind in long_log.APPENDED:
        assert len({partition[kind] for partition in expected.values()}) == long_log.PARTITIONS, kind


@pytest.mark.timeout(LIMIT_SECONDS * 4)
@pytest.mark.parametrize("hash_seed", HASH_SEEDS)
def test_batches_restarts_and_hash_seeds_leave_the_same_rows(hash_seed: str, journal: Path, expected: Account) -> None:
    assert account_of(Path(sys.executable), [SERVICES], hash_seed, journal) == expected


@pytest.mark.timeout(LIMIT_SECONDS * 4)
def test_the_compiled_core_leaves_the_same_rows(journal: Path, expected: Account) -> None:
    python = python_of(COMPILED)
    path = [COMPILED / "outcry-compiled", SERVICES]
    for seed in HASH_SEEDS[: 3 if LONG else 1]:
        assert account_of(python, path, seed, journal) == expected, seed


@pytest.mark.timeout(LIMIT_SECONDS * 7)
def test_other_python_versions_leave_the_same_rows(journal: Path, expected: Account) -> None:
    if not others():
        pytest.skip(f"no other Python than {sys.version.split()[0]} was found by `make builds`")
    for environment in others():
        for seed in HASH_SEEDS[: 3 if LONG else 1]:
            found = account_of(python_of(environment), [SERVICES], seed, journal)
            assert found == expected, (environment.name, seed)


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
