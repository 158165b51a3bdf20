"""The suite notices when a protection is taken away: each seeded defect makes the test fail that is there for it.

A seed is the seed of hashes and of the scenarios that draw from OUTCRY_TEST_SEED; the long form takes five.
"""

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.defects.seeded import DEFECTS, Defect
from tests.support.kafka import component

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 280
SEEDS = (1, 2, 3, 4, 5) if os.environ.get("OUTCRY_TEST_LONG") else (1,)
FAILED = 1  # pytest's exit status where a test failed, not where there was none or it could not begin


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources and tests; the tree itself is never touched."""
    copy = tmp_path_factory.mktemp("defects")
    shutil.copytree(ROOT / "services", copy / "services", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "conftest.py"):
        shutil.copy(ROOT / name, copy)
    # Compiled once, and by content: a file that is broken and put back within a second is never taken for the other.
    compileall.compile_dir(copy / "services", quiet=1, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    for beside in ("infra", "load-tests"):
        (copy / beside).symlink_to(ROOT / beside)
    return copy


def test_there_are_fourteen_defects_and_each_has_one_place() -> None:
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS) == 14
    for defect in DEFECTS:
        text = (ROOT / "services" / "outcry" / defect.path).read_text()
        assert text.count(defect.sound) == 1, f"{defect.name}: {text.count(defect.sound)} places in {defect.path}"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_seeded_defect_is_noticed(defect: Defect, seed: int, copied: Path) -> None:
    if defect.needs:
        component(defect.needs)
    path = copied / "services" / "outcry" / defect.path
    sound = path.read_text()
    path.write_text(sound.replace(defect.sound, defect.broken))
    try:
        status, said = outcome(copied, defect.test, seed)
    finally:
        path.write_text(sound)
    assert status == FAILED, said
    assert "skipped" not in said.splitlines()[-1], said


def outcome(copied: Path, test: str, seed: int) -> tuple[int, str]:
    """pytest's exit status for one test of the copy, and what it said."""
    seeds = {"PYTHONHASHSEED": str(seed), "OUTCRY_TEST_SEED": str(seed)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"services/tests/{test}"],
        env={**os.environ, **seeds, "PYTHONPATH": str(copied / "services"), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=copied, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr
