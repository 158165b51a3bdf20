"""What holds for every test: short runs meet the same examples, no slow machine fails one, the longest lead."""

import os
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

LONG: Final = bool(os.environ.get("OUTCRY_TEST_LONG"))
LONGEST_FIRST: Final = (
    "simulation/test_faults.py",
    "clients/test_clients.py",
    "defects/test_defects.py",
    "simulation/test_kills.py",
    "tests/test_bare_machine.py",
    "simulation/test_trouble.py",
    "simulation/test_lost_journals.py",
    "simulation/test_zombies.py",
    "simulation/test_founding.py",
    "simulation/test_fuzz.py",
    "laws/test_builds.py",
    "roles/engine/test_followed.py",
    "roles/engine/test_fleet.py",
)

settings.register_profile(
    "outcry",
    deadline=None,  # how long an example takes says more about the machine
    derandomize=not LONG,  # the full sizes look for what nobody has met yet
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("outcry")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several work through the tests, none is left alone with a long one at the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    """Where the test's file stands among the longest; behind them in the order of collection."""
    path = item.path.as_posix()
    return next((n for n, each in enumerate(LONGEST_FIRST) if path.endswith(each)), len(LONGEST_FIRST))
